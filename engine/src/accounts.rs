//! The accounts of people: who may log in, as what, and which sessions are open. All of it lies in the profile store; the journal
//! holds what administrators did about an account, by its id.
//!
//! Passwords come in hashed. How they are hashed, and what tokens look like, is the caller's business.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use kembali_core::audit::{AccountStanding, Act};
use kembali_core::operation::Actor;
use kembali_core::{AccountId, CustomerId, Instant, TenantId};
use kembali_journal::{ProfileKey, ProfileStore, profile_value};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use crate::handle::Engine;
use crate::profile_keys::{
    ACCOUNT_PREFIX, ProfileChange, account_key, accounts_indexed_key, accounts_prefix, alias_key, customer_account_key,
    stored_at, username_key,
};
use crate::request::{AdministerError, CustomerRef, ReadError, ReadOnly, Stopped};
use crate::start::StartError;

/// The version of what is stored of an account.
const VALUE_VERSION: u8 = 1;
/// Sessions that an account may have; one more ends the one that was used longest ago.
pub(crate) const SESSIONS_MAX: usize = 16;
/// Bytes of a username, or of a hashed password, so that an account always fits into the store.
pub const ACCOUNT_TEXT_BYTES_MAX: usize = 256;
/// Accounts that are kept in memory beside the store.
const CACHED_MAX: usize = 65_536;

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The one tenant that there is for it.
    pub tenant: TenantId,
    /// What its person logs in by.
    pub username: String,
    /// What it may do.
    pub standing: AccountStanding,
    /// Whose purchases and wallets it may see, of a customer's.
    pub customer: Option<CustomerId>,
    /// The hash of its password.
    pub password: String,
    /// When it came to be.
    pub created_at: Instant,
    /// Its sessions.
    pub sessions: Vec<Session>,
}

impl fmt::Debug for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Account({:032x}, {:?})", self.id.0, self.standing)
    }
}

impl Account {
    /// Finds a session that is not over.
    #[must_use]
    pub fn session(&self, id: u128, now: Instant) -> Option<&Session> {
        self.sessions.iter().find(|own| own.id == id && now < own.expires_at)
    }

    /// Opens a session, and ends those that are over or too many.
    pub fn open_session(&mut self, session: Session, now: Instant) {
        self.sessions.retain(|own| now < own.expires_at);
        self.sessions.sort_by_key(|own| own.used_at);
        let over = (self.sessions.len() + 1).saturating_sub(SESSIONS_MAX);
        self.sessions.drain(..over);
        self.sessions.push(session);
    }
}

/// A session: from a log-in to a log-out, or until nobody refreshes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: u128,
    /// The hash of what refreshes it next.
    pub refresh_hash: [u8; 32],
    /// When somebody logged in.
    pub started_at: Instant,
    /// When it was refreshed last.
    pub used_at: Instant,
    /// When it is over.
    pub expires_at: Instant,
}

/// What the store holds of an account; its id is in the key.
#[derive(Serialize, Deserialize)]
struct Stored {
    tenant: TenantId,
    username: String,
    standing: AccountStanding,
    customer: Option<CustomerId>,
    password: String,
    created_at: Instant,
    sessions: Vec<Session>,
}

impl Stored {
    fn of(account: &Account) -> Stored {
        let Account { id: _, tenant, username, standing, customer, password, created_at, sessions } = account.clone();
        Stored { tenant, username, standing, customer, password, created_at, sessions }
    }

    fn account(self, id: AccountId) -> Account {
        let Stored { tenant, username, standing, customer, password, created_at, sessions } = self;
        Account { id, tenant, username, standing, customer, password, created_at, sessions }
    }
}

/// An account to create.
pub struct NewAccount {
    /// The tenant, which is there.
    pub tenant: TenantId,
    /// What its person logs in by; letter case does not count.
    pub username: String,
    /// What it may do.
    pub standing: AccountStanding,
    /// Whose purchases and wallets it may see, of a customer's.
    pub customer: Option<CustomerId>,
    /// The text of the alias that will name the customer, of one who is not there yet.
    pub alias: Option<String>,
    /// The hash of its password.
    pub password: String,
}

/// Why an account was not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another account of the tenant has the username.
    #[error("the username is taken")]
    UsernameTaken,
    /// Somebody who registers names a customer who is there, or who has an account.
    #[error("the customer exists")]
    CustomerExists,
    /// The customer was erased.
    #[error("the customer is erased")]
    CustomerErased,
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
    /// The username or the hash of the password does not fit.
    #[error("a username or a hash has more than {ACCOUNT_TEXT_BYTES_MAX} bytes")]
    TextTooLong,
    /// The system gave no random bytes.
    #[error("drawing the id of an account")]
    Random(#[source] getrandom::Error),
    /// See there.
    #[error(transparent)]
    Administer(#[from] AdministerError),
    /// See there.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<Stopped> for AccountError {
    fn from(stopped: Stopped) -> AccountError {
        AccountError::Administer(stopped.into())
    }
}

impl From<ReadOnly> for AccountError {
    fn from(read_only: ReadOnly) -> AccountError {
        AccountError::Administer(read_only.into())
    }
}

/// Accounts that were looked at lately, so that who calls is known without a look at the store.
#[derive(Default)]
pub(crate) struct AccountCache(RwLock<HashMap<AccountId, Arc<Account>>>);

impl AccountCache {
    fn get(&self, id: AccountId) -> Option<Arc<Account>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn remove(&self, id: AccountId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn put(&self, account: &Arc<Account>) {
        let mut cached = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if CACHED_MAX <= cached.len() && !cached.contains_key(&account.id) {
            // Whichever: it is read again when it is asked for.
            let one = cached.keys().next().copied();
            one.map(|one| cached.remove(&one));
        }
        cached.insert(account.id, Arc::clone(account));
    }
}

fn read_account(id: AccountId, stored: &[u8]) -> Result<Account, ReadError> {
    let damaged = || ReadError::Profile("an account is not what was written".to_owned());
    let stored: Stored = profile_value::decode(VALUE_VERSION, stored).ok_or_else(damaged)?;
    Ok(stored.account(id))
}

/// Finds the accounts of a customer, each with the key that says whose it is.
pub(crate) fn accounts_of(
    customer: CustomerId,
    list: impl Fn(&[u8]) -> Result<Vec<(ProfileKey, Vec<u8>)>, ReadError>,
) -> Result<Vec<(ProfileKey, Account)>, ReadError> {
    let prefix = accounts_prefix(customer);
    let mut accounts = Vec::new();
    for (key, _) in list(&prefix)? {
        let id = key.as_bytes().get(prefix.len()..).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes);
        let damaged = || ReadError::Profile("a customer's account is not what was written".to_owned());
        let id = AccountId(id.ok_or_else(damaged)?);
        for (_, stored) in list(stored_at(account_key(id)).as_bytes())? {
            accounts.push((key.clone(), read_account(id, &stored)?));
        }
    }
    Ok(accounts)
}

/// Entries that are written together where accounts get their keys.
const INDEXED_AT_ONCE: usize = 1_024;

/// Gives every customer's account the key that says whose it is. Earlier builds wrote none.
pub(crate) fn index_accounts(profiles: &mut ProfileStore) -> Result<(), StartError> {
    let mark = stored_at(accounts_indexed_key());
    if profiles.get(&mark)?.is_some() {
        return Ok(());
    }
    let mut entries = Vec::new();
    for (key, stored) in profiles.list(ACCOUNT_PREFIX)? {
        let id = key.as_bytes().get(ACCOUNT_PREFIX.len()..).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes);
        let account = id.and_then(|id| read_account(AccountId(id), &stored).ok());
        let account = account.ok_or(StartError::Entry("an account"))?;
        if let Some(customer) = account.customer {
            entries.push((stored_at(customer_account_key(customer, account.id)), Vec::new()));
        }
    }
    // Some at a time; the mark comes last.
    for some in entries.chunks(INDEXED_AT_ONCE) {
        profiles.put(some)?;
    }
    Ok(profiles.put(&[(mark, Vec::new())])?)
}

impl Engine {
    /// Finds an account by its id.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>, ReadError> {
        if let Some(account) = self.inner.account_cache.get(id) {
            return Ok(Some(account));
        }
        // Only while nobody changes any: what is read now must not stand in memory behind what is stored then.
        let no_change = self.inner.accounts.try_lock();
        let account = self.account_now(id)?;
        if let (Ok(_), Some(account)) = (&no_change, &account) {
            self.inner.account_cache.put(account);
        }
        Ok(account)
    }

    /// The same, for whoever changes accounts.
    fn account_now(&self, id: AccountId) -> Result<Option<Arc<Account>>, ReadError> {
        if let Some(account) = self.inner.account_cache.get(id) {
            return Ok(Some(account));
        }
        let Some(stored) = self.profile(account_key(id))? else { return Ok(None) };
        Ok(Some(Arc::new(read_account(id, &stored)?)))
    }

    /// Lists the accounts of a customer.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn accounts_of(&self, customer: CustomerId) -> Result<Vec<Account>, ReadError> {
        let own = accounts_of(customer, |prefix| self.profiles_under(prefix))?;
        Ok(own.into_iter().map(|(_, account)| account).collect())
    }

    /// Finds an account by the name that its person logs in by.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn account_by_username(&self, tenant: TenantId, username: &str) -> Result<Option<Arc<Account>>, ReadError> {
        let key = username_key(&self.inner.naming.username(tenant, username));
        let Some(stored) = self.profile(key)? else { return Ok(None) };
        let damaged = || ReadError::Profile("a username is not what was written".to_owned());
        let id = stored.try_into().map_err(|_| damaged())?;
        self.account(AccountId(u128::from_be_bytes(id)))
    }

    /// Creates an account.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn create_account(&self, actor: NewActor, new: NewAccount) -> Result<Arc<Account>, AccountError> {
        let one_at_a_time = Arc::clone(&self.inner.accounts).lock_owned().await;
        self.check_room_on_disk()?;
        if self.account_by_username(new.tenant, &new.username)?.is_some() {
            return Err(AccountError::UsernameTaken);
        }
        if let Some(customer) = new.customer {
            // Looked at under the lock: an erasure removes accounts behind it.
            let view = self.customer(new.tenant, &CustomerRef::Id(customer)).await?;
            if view.as_ref().is_some_and(|view| view.row.is_erased) {
                return Err(AccountError::CustomerErased);
            }
            // Nobody gives themselves an account of somebody else's, be it of one whose customer is still to come.
            if matches!(actor, NewActor::Own) && (view.is_some() || !self.accounts_of(customer)?.is_empty()) {
                return Err(AccountError::CustomerExists);
            }
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(AccountError::Random)?;
        let id = AccountId::drawn(u128::from_be_bytes(id));
        let NewAccount { tenant, username, standing, customer, alias, password } = new;
        let created_at = self.wall();
        let account = Account { id, tenant, username, standing, customer, password, created_at, sessions: Vec::new() };
        let actor = match actor {
            NewActor::Own => Actor::Person(id, standing.role),
            NewActor::Other(actor) => actor,
        };
        let act = Act::AccountCreated { account: id, role: standing.role, customer };
        self.write_down(tenant, actor, act).await?;
        let name = username_key(&self.inner.naming.username(tenant, &account.username));
        let mut entries = vec![(stored_at(name), id.0.to_be_bytes().to_vec())];
        entries.extend(customer.zip(alias).map(|(id, text)| (stored_at(alias_key(id)), text.into_bytes())));
        entries.extend(customer.map(|customer| (stored_at(customer_account_key(customer, id)), Vec::new())));
        self.store_account(account, entries, one_at_a_time).await
    }

    /// Changes what an account of `tenant` may do, or its password; that ends its sessions. Written down before it holds.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn change_account<E: From<AccountError>>(
        &self,
        actor: Actor,
        (tenant, id): (TenantId, AccountId),
        reason: Option<Box<str>>,
        edit: impl FnOnce(&mut AccountStanding) -> Result<(), E>,
        password: Option<String>,
    ) -> Result<Arc<Account>, E> {
        let one_at_a_time = Arc::clone(&self.inner.accounts).lock_owned().await;
        let present = self
            .account_now(id)
            .map_err(AccountError::from)?
            .filter(|account| account.tenant == tenant)
            .ok_or(AccountError::Unknown)?;
        let mut after = present.standing;
        edit(&mut after)?;
        if after == present.standing && password.is_none() {
            return Ok(present);
        }
        self.check_room_on_disk().map_err(AccountError::from)?;
        let mut account = Account::clone(&present);
        if after != account.standing {
            let act = Act::AccountChanged { account: id, before: account.standing, after, reason };
            self.write_down(tenant, actor, act).await.map_err(AccountError::from)?;
            account.standing = after;
        }
        if let Some(password) = password {
            let act = Act::PasswordReset { account: id };
            self.write_down(tenant, actor, act).await.map_err(AccountError::from)?;
            account.password = password;
        }
        account.sessions.clear();
        Ok(self.store_account(account, Vec::new(), one_at_a_time).await?)
    }

    /// Lets the person behind an account open, refresh and end sessions, or change the password: nothing that is written down.
    /// `edit` sees the account as it is now, and nothing is stored where it refuses.
    ///
    /// # Errors
    ///
    /// [`AccountError`], or what `edit` says.
    pub async fn with_account<T, E: From<AccountError>>(
        &self,
        id: AccountId,
        edit: impl FnOnce(&mut Account) -> Result<T, E>,
    ) -> Result<T, E> {
        let one_at_a_time = Arc::clone(&self.inner.accounts).lock_owned().await;
        let present = self.account_now(id).map_err(AccountError::from)?.ok_or(AccountError::Unknown)?;
        let mut account = Account::clone(&present);
        let done = edit(&mut account)?;
        if account != *present {
            self.store_account(account, Vec::new(), one_at_a_time).await?;
        }
        Ok(done)
    }

    /// Stores an account. It holds once it is durable, also where whoever asked is gone by then: the next change sees it.
    async fn store_account(
        &self,
        account: Account,
        mut entries: Vec<(ProfileKey, Vec<u8>)>,
        one_at_a_time: OwnedMutexGuard<()>,
    ) -> Result<Arc<Account>, AccountError> {
        if ACCOUNT_TEXT_BYTES_MAX < account.username.len().max(account.password.len()) {
            return Err(AccountError::TextTooLong);
        }
        let stored = profile_value::encode(VALUE_VERSION, &Stored::of(&account));
        entries.push((stored_at(account_key(account.id)), stored));
        let account = Arc::new(account);
        let shown = Arc::clone(&account);
        self.store(ProfileChange::put(entries), one_at_a_time, move |engine| engine.inner.account_cache.put(&shown))
            .await?;
        Ok(account)
    }
}

/// Who creates an account.
#[derive(Clone, Copy, Debug)]
pub enum NewActor {
    /// Whoever will be behind it.
    Own,
    /// Somebody else.
    Other(Actor),
}

#[cfg(test)]
mod tests {
    use kembali_core::audit::Role;
    use kembali_journal::PROFILE_VALUE_BYTES_MAX;

    use super::*;

    fn session(id: u128, used_at: i64) -> Session {
        let (started_at, used_at, expires_at) = (Instant(0), Instant(used_at), Instant(100));
        Session { id, refresh_hash: [1; 32], started_at, used_at, expires_at }
    }

    fn account() -> Account {
        Account {
            id: AccountId(7),
            tenant: TenantId(1),
            username: "x".repeat(ACCOUNT_TEXT_BYTES_MAX),
            standing: AccountStanding { role: Role::Customer, is_suspended: false },
            customer: Some(CustomerId(u128::MAX)),
            password: "y".repeat(ACCOUNT_TEXT_BYTES_MAX),
            created_at: Instant(1),
            sessions: (0..SESSIONS_MAX as u128).map(|id| session(id, 1)).collect(),
        }
    }

    #[test]
    fn the_largest_account_fits_into_the_store() {
        let account = account();
        let stored = profile_value::encode(VALUE_VERSION, &Stored::of(&account));
        assert!(stored.len() <= PROFILE_VALUE_BYTES_MAX, "{}", stored.len());
        let read: Stored = profile_value::decode(VALUE_VERSION, &stored).expect("it is read");
        assert_eq!(read.account(account.id), account);
        assert_eq!(format!("{account:?}").matches('y').count(), 0, "no log shows a password, hashed or not");
    }

    #[test]
    fn one_session_too_many_ends_the_one_that_was_used_longest_ago() {
        let mut account = account();
        account.sessions[3].used_at = Instant(0);
        account.open_session(session(99, 5), Instant(50));
        assert_eq!(account.sessions.len(), SESSIONS_MAX);
        assert!(account.session(3, Instant(50)).is_none() && account.session(99, Instant(50)).is_some());
        account.open_session(Session { expires_at: Instant(200), ..session(100, 6) }, Instant(100));
        assert_eq!(account.sessions.len(), 1, "those that are over are gone");
        assert!(account.session(100, Instant(199)).is_some() && account.session(100, Instant(200)).is_none());
    }
}

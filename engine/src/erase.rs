//! Forgetting who a customer is.
//!
//! The record comes first, as an operation like any other; then all that the profiles say of the customer goes, in one step: the
//! alias that named the customer, the names of wallets, the customer's accounts. What is in between is made up for by the next
//! start, which looks at every erased customer: also at one that a profile store from a backup brought back.

use std::collections::BTreeSet;
use std::sync::Arc;

use kembali_core::{AccountId, CustomerId};
use kembali_journal::{ProfileKey, ProfileStore};

use crate::accounts::accounts_of;
use crate::handle::Engine;
use crate::naming::Naming;
use crate::operate::{OperateError, Operated, OperationRequest};
use crate::profile_keys::{ProfileChange, account_key, alias_key, stored_at, username_key, wallet_names_prefix};
use crate::request::{ReadError, Stopped};
use crate::start::StartError;

impl Engine {
    /// Does an operation that erases a customer, and removes what the profiles say of the customer: also where whoever asked is gone
    /// meanwhile, and where the customer was erased before.
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn erase(&self, request: OperationRequest) -> Result<Operated, OperateError> {
        let engine = self.clone();
        let erased = tokio::spawn(async move {
            let operated = engine.operate(request).await?;
            let customer = match &operated {
                Operated::Done { record, .. } => record.body.customer,
                Operated::Unchanged { customer } => Some(*customer),
                Operated::WouldDo { .. } | Operated::KeyReused { .. } | Operated::Refused { .. } => None,
            };
            if let Some(customer) = customer {
                engine.forget(customer).await?;
            }
            Ok(operated)
        });
        erased.await.map_err(|_| Stopped)?
    }

    async fn forget(&self, customer: CustomerId) -> Result<(), OperateError> {
        // Whoever creates an account has looked at the customer under this lock, before or after.
        let one_at_a_time = Arc::clone(&self.inner.accounts).lock_owned().await;
        let (remove, accounts) = texts_of(customer, &self.inner.naming, |prefix| self.profiles_under(prefix))?;
        let show = move |engine: &Engine| accounts.iter().for_each(|id| engine.inner.account_cache.remove(*id));
        Ok(self.store(ProfileChange { put: Vec::new(), remove }, one_at_a_time, show).await?)
    }
}

/// Removes what the profiles say of customers who are erased, and returns of how many they said anything.
pub(crate) fn forget_again(
    erased: &BTreeSet<CustomerId>,
    profiles: &mut ProfileStore,
    naming: &Naming,
) -> Result<u64, StartError> {
    let mut forgotten = 0;
    for customer in erased {
        let read = |prefix: &[u8]| profiles.list(prefix).map_err(|error| ReadError::Profile(error.to_string()));
        let (mut remove, _) = texts_of(*customer, naming, read).map_err(|error| {
            tracing::error!(%error, customer = format!("{:032x}", customer.0), "what is kept of an erased customer");
            StartError::Entry("an erased customer")
        })?;
        let mut is_there = Vec::new();
        for key in &remove {
            is_there.push(profiles.get(key)?.is_some());
        }
        let mut is_there = is_there.into_iter();
        remove.retain(|_| is_there.next().unwrap_or_default());
        if !remove.is_empty() {
            profiles.change(&[], &remove)?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

/// Lists the keys of all that the profiles may say of a customer, and the customer's accounts.
fn texts_of(
    customer: CustomerId,
    naming: &Naming,
    list: impl Fn(&[u8]) -> Result<Vec<(ProfileKey, Vec<u8>)>, ReadError>,
) -> Result<(Vec<ProfileKey>, Vec<AccountId>), ReadError> {
    let mut keys = vec![stored_at(alias_key(customer))];
    keys.extend(list(&wallet_names_prefix(customer))?.into_iter().map(|(key, _)| key));
    let mut ids = Vec::new();
    for (index, account) in accounts_of(customer, &list)? {
        keys.push(index);
        keys.push(stored_at(account_key(account.id)));
        keys.push(stored_at(username_key(&naming.username(account.tenant, &account.username))));
        ids.push(account.id);
    }
    Ok((keys, ids))
}

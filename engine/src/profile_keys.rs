//! Where the texts of the profile store lie: personal data and secrets, which no journal holds.

use kembali_core::{AccountId, CustomerId, PartnerId, Seq, WalletId};
use kembali_journal::{ProfileError, ProfileKey};
use kembali_machine::{NewProfile, ProfileText};

use crate::partner_keys::KeyHash;
use crate::webhooks::WebhookId;

/// What becomes of entries of the profile store, all at once.
pub(crate) struct ProfileChange {
    pub(crate) put: Vec<(ProfileKey, Vec<u8>)>,
    pub(crate) remove: Vec<ProfileKey>,
}

impl ProfileChange {
    pub(crate) const fn put(put: Vec<(ProfileKey, Vec<u8>)>) -> ProfileChange {
        ProfileChange { put, remove: Vec::new() }
    }
}

/// What the keys of partners' API keys start with.
pub(crate) const API_KEY_PREFIX: &[u8] = b"k";
/// What the keys of partners' standings start with.
pub(crate) const PARTNER_PREFIX: &[u8] = b"p";

/// What the keys of signing keys start with.
pub(crate) const SIGNING_KEY_PREFIX: &[u8] = b"j";

/// The key of an API key.
pub(crate) fn api_key_key(hash: &KeyHash) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([API_KEY_PREFIX, hash].concat())
}

/// The key of what a partner may do.
pub(crate) fn partner_key(partner: PartnerId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([PARTNER_PREFIX, &partner.0.to_be_bytes()].concat())
}

/// The key of a key that tokens are signed with.
pub(crate) fn signing_key_key(id: u128) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([SIGNING_KEY_PREFIX, &id.to_be_bytes()].concat())
}

/// What the keys of accounts start with.
pub(crate) const ACCOUNT_PREFIX: &[u8] = b"a";

/// The key of an account.
pub(crate) fn account_key(account: AccountId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([ACCOUNT_PREFIX, &account.0.to_be_bytes()].concat())
}

/// What the keys of a customer's accounts start with, beside what lies under the accounts themselves.
pub(crate) fn accounts_prefix(customer: CustomerId) -> Vec<u8> {
    [&b"o"[..], &customer.0.to_be_bytes()].concat()
}

/// The key of one of a customer's accounts.
pub(crate) fn customer_account_key(customer: CustomerId, account: AccountId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([&accounts_prefix(customer)[..], &account.0.to_be_bytes()].concat())
}

/// The key of the mark that every customer's account has a key of that kind.
pub(crate) fn accounts_indexed_key() -> Result<ProfileKey, ProfileError> {
    ProfileKey::new(*b"m1")
}

/// The key of the account that a username stands for.
pub(crate) fn username_key(hash: &[u8; 32]) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([&b"u"[..], hash].concat())
}

/// What the keys of webhooks start with.
pub(crate) const WEBHOOK_PREFIX: &[u8] = b"h";

/// The key of a webhook.
pub(crate) fn webhook_key(webhook: WebhookId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([WEBHOOK_PREFIX, &webhook.0.to_be_bytes()].concat())
}

/// What the keys of how far outboxes are start with.
pub(crate) const OUTBOX_POSITION_PREFIX: &[u8] = b"f";

/// The key of how far an outbox is.
pub(crate) fn outbox_position_key(name: &str) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([OUTBOX_POSITION_PREFIX, name.as_bytes()].concat())
}

/// What the keys of an outbox's open deliveries start with. No name of an outbox holds a zero byte.
pub(crate) fn outbox_deliveries_prefix(name: &str) -> Vec<u8> {
    [b"d", name.as_bytes(), &[0]].concat()
}

/// The key of an open delivery.
pub(crate) fn outbox_delivery_key(name: &str, seq: Seq) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([&outbox_deliveries_prefix(name)[..], &seq.0.to_be_bytes()].concat())
}

/// Takes the key of an entry, which is always of a length that fits.
pub(crate) fn stored_at(key: Result<ProfileKey, ProfileError>) -> ProfileKey {
    key.unwrap_or_else(|error| unreachable!("an entry of the profile store: {error}"))
}

/// The key of a customer's first alias.
pub(crate) fn alias_key(customer: CustomerId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([&b"c"[..], &customer.0.to_be_bytes()].concat())
}

/// What the keys of the names of a customer's wallets start with.
pub(crate) fn wallet_names_prefix(customer: CustomerId) -> Vec<u8> {
    [&b"w"[..], &customer.0.to_be_bytes()].concat()
}

/// The key of a wallet's name.
pub(crate) fn wallet_name_key(customer: CustomerId, wallet: WalletId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([&wallet_names_prefix(customer)[..], &wallet.0.to_be_bytes()].concat())
}

/// The key of a text that came with a command.
pub(crate) fn key_of(profile: &NewProfile) -> Result<ProfileKey, ProfileError> {
    match profile.what {
        ProfileText::FirstAlias => alias_key(profile.customer),
        ProfileText::WalletName(wallet) => wallet_name_key(profile.customer, wallet),
    }
}

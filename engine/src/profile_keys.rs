//! Where the texts of the profile store lie: personal data and secrets, which no journal holds.

use kembali_core::{CustomerId, PartnerId, WalletId};
use kembali_journal::{ProfileError, ProfileKey};
use kembali_machine::{NewProfile, ProfileText};

use crate::partner_keys::KeyHash;

/// What the keys of partners' API keys start with.
pub(crate) const API_KEY_PREFIX: &[u8] = b"k";
/// What the keys of partners' standings start with.
pub(crate) const PARTNER_PREFIX: &[u8] = b"p";

/// The key of an API key.
pub(crate) fn api_key_key(hash: &KeyHash) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([API_KEY_PREFIX, hash].concat())
}

/// The key of what a partner may do.
pub(crate) fn partner_key(partner: PartnerId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([PARTNER_PREFIX, &partner.0.to_be_bytes()].concat())
}

/// The key of a customer's first alias.
pub(crate) fn alias_key(customer: CustomerId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([&b"c"[..], &customer.0.to_be_bytes()].concat())
}

/// The key of a wallet's name.
pub(crate) fn wallet_name_key(customer: CustomerId, wallet: WalletId) -> Result<ProfileKey, ProfileError> {
    ProfileKey::new([&b"w"[..], &customer.0.to_be_bytes(), &wallet.0.to_be_bytes()].concat())
}

/// The key of a text that came with a command.
pub(crate) fn key_of(profile: &NewProfile) -> Result<ProfileKey, ProfileError> {
    match profile.what {
        ProfileText::FirstAlias => alias_key(profile.customer),
        ProfileText::WalletName(wallet) => wallet_name_key(profile.customer, wallet),
    }
}

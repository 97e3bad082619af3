//! Where the texts of the profile store lie: personal data and secrets, which no journal holds.

use kembali_core::{CustomerId, WalletId};
use kembali_journal::{ProfileError, ProfileKey};
use kembali_machine::{NewProfile, ProfileText};

/// What the keys of partners' API keys start with.
pub(crate) const API_KEY_PREFIX: &[u8] = b"k";

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

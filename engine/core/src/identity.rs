//! The names of things: customers, tenants, partners, rules, purchases.
//!
//! Ids of strangers' text are keyed hashes, made outside this crate under the installation's key: no text of an
//! alias ever reaches a rule, an event or the journal.

use serde::{Deserialize, Serialize};

/// The owner of a programme and the wall between callers. Numbered by the desk from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantId(pub u32);

/// A shop or marketplace that sends purchases. Numbered by the desk from 1, over all tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartnerId(pub u32);

/// The account of a person. Drawn at random, so that it tells nothing of whose it is; shown as a UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub u128);

/// A rule or a part of one: a promo, a band, a level, a campaign. Numbered within its tenant from 1 and never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleId(pub u32);

/// A customer: the keyed hash of the tenant and the first alias, shown as a UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CustomerId(pub u128);

/// One of a customer's wallets, numbered from 0; 0 is the one that cashback goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WalletId(pub u16);

/// A purchase: the keyed hash of `(partner, origin_id)`, shown as a UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PurchaseKey(pub u128);

/// Marks a hash as a UUID of version 8, which is what it is shown as.
const fn as_uuid_v8(hash: u128) -> u128 {
    const VERSION: u128 = 0xF << 76;
    const VARIANT: u128 = 0x3 << 62;
    (hash & !VERSION & !VARIANT) | (0x8 << 76) | (0x2 << 62)
}

impl AccountId {
    /// Returns the id that drawn bits stand for.
    #[must_use]
    pub const fn drawn(bits: u128) -> AccountId {
        AccountId(as_uuid_v8(bits))
    }
}

impl PurchaseKey {
    /// Returns the key that a keyed hash stands for.
    #[must_use]
    pub const fn from_hash(hash: u128) -> PurchaseKey {
        PurchaseKey(as_uuid_v8(hash))
    }

    /// Returns the part that the index in memory keeps. Equal prefixes are told apart by the record.
    #[must_use]
    pub const fn prefix(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// The keyed hash of the frozen canonical form of a purchase; equal content has equal fingerprints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Which canonical form was hashed.
    pub version: u8,
    /// The hash.
    pub hash: u128,
}

/// How a customer was named by a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AliasKind {
    /// An e-mail address, case-folded before it was hashed.
    Email,
    /// The tenant's own reference, exact.
    Ref,
}

/// A name of a customer: the keyed hash of (tenant, kind, normalised text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alias {
    /// What kind of name it is.
    pub kind: AliasKind,
    /// The keyed hash.
    pub hash: u128,
}

impl Alias {
    /// Returns the id of a customer whose first alias this is: the hash, marked as a UUID of version 8.
    #[must_use]
    pub const fn first_customer_id(self) -> CustomerId {
        CustomerId(as_uuid_v8(self.hash))
    }
}

/// The one name by which a command calls its customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CustomerName {
    /// By the id that Kembali gave.
    Id(CustomerId),
    /// By an alias.
    Alias(Alias),
}

/// An ISO 4217 code, such as `IDR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CurrencyCode(pub [u8; 3]);

impl CurrencyCode {
    /// Returns the code of three upper-case ASCII letters, or `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<CurrencyCode> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(CurrencyCode(code))
    }

    /// Returns the code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("???")
    }
}

/// What an account counts. A posting never mixes units and nothing converts silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Minor units of a currency.
    Money(CurrencyCode),
    /// Points of a kind of the tenant's.
    Points(RuleId),
}

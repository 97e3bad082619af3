//! How strangers' text becomes ids: keyed hashes under the installation's key.
//!
//! Without the key nobody can tell which customer or purchase an id in the journal belongs to, nor choose text whose
//! hashes collide. The canonical form that a fingerprint hashes is frozen: a change is a new version.

use std::borrow::Cow;

use kembali_core::accounts::Direction;
use kembali_core::operation::{Actor, Operation, OperationKey, TierMove};
use kembali_core::purchase::{Line, Purchase};
use kembali_core::refund::RefundOf;
use kembali_core::risk::DeviceId;
use kembali_core::wallet::WalletStatus;
use kembali_core::{Alias, AliasKind, CustomerName, Fingerprint, Instant, PartnerId, PurchaseKey, TenantId};

use crate::request::CustomerRef;

/// The version of the canonical form that [`Naming::fingerprint`] hashes.
const FINGERPRINT_VERSION: u8 = 1;

/// The version of the canonical form that [`Naming::operation_fingerprint`] hashes.
const OPERATION_FINGERPRINT_VERSION: u8 = 1;

/// Makes ids and fingerprints. One for each installation.
#[derive(Clone)]
pub(crate) struct Naming {
    alias_key: [u8; 32],
    purchase_key: [u8; 32],
    fingerprint_key: [u8; 32],
    api_key_key: [u8; 32],
    operation_key: [u8; 32],
    operation_fingerprint_key: [u8; 32],
    refund_key: [u8; 32],
    device_key: [u8; 32],
    username_key: [u8; 32],
}

impl Naming {
    /// Derives what is needed from the installation's key.
    #[must_use]
    pub(crate) fn new(installation_key: &[u8; 32]) -> Naming {
        Naming {
            alias_key: blake3::derive_key("kembali customer alias v1", installation_key),
            purchase_key: blake3::derive_key("kembali purchase key v1", installation_key),
            fingerprint_key: blake3::derive_key("kembali purchase fingerprint v1", installation_key),
            api_key_key: blake3::derive_key("kembali partner api key v1", installation_key),
            operation_key: blake3::derive_key("kembali operation key v1", installation_key),
            operation_fingerprint_key: blake3::derive_key("kembali operation fingerprint v1", installation_key),
            refund_key: blake3::derive_key("kembali refund key v1", installation_key),
            device_key: blake3::derive_key("kembali device v1", installation_key),
            username_key: blake3::derive_key("kembali username v1", installation_key),
        }
    }

    /// Names a customer. An e-mail address is case-folded, a reference is exact.
    #[must_use]
    pub(crate) fn customer(&self, tenant: TenantId, customer: &CustomerRef) -> CustomerName {
        let (kind, mark, text) = match customer {
            CustomerRef::Id(id) => return CustomerName::Id(*id),
            CustomerRef::Email(email) => (AliasKind::Email, 1, Cow::Owned(email.to_lowercase())),
            CustomerRef::Ref(reference) => (AliasKind::Ref, 2, Cow::Borrowed(reference.as_str())),
        };
        let mut canonical = Vec::with_capacity(5 + text.len());
        canonical.extend_from_slice(&tenant.0.to_le_bytes());
        canonical.push(mark);
        canonical.extend_from_slice(text.as_bytes());
        CustomerName::Alias(Alias { kind, hash: keyed(&self.alias_key, &canonical) })
    }

    /// Names a purchase.
    #[must_use]
    pub(crate) fn purchase(&self, partner: PartnerId, origin_id: &str) -> PurchaseKey {
        let canonical = [&partner.0.to_le_bytes(), origin_id.as_bytes()].concat();
        PurchaseKey::from_hash(keyed(&self.purchase_key, &canonical))
    }

    /// Names a refund: each purchase has a space of its own.
    #[must_use]
    pub(crate) fn refund(&self, purchase: PurchaseKey, refund_id: &str) -> PurchaseKey {
        let canonical = [&purchase.0.to_le_bytes(), refund_id.as_bytes()].concat();
        PurchaseKey::from_hash(keyed(&self.refund_key, &canonical))
    }

    /// Hashes an API key for the profile store.
    #[must_use]
    pub(crate) fn api_key(&self, api_key: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.api_key_key, api_key.as_bytes()).as_bytes()
    }

    /// Hashes a username for the profile store; letter case does not count.
    #[must_use]
    pub(crate) fn username(&self, tenant: TenantId, username: &str) -> [u8; 32] {
        let canonical = [&tenant.0.to_le_bytes(), username.to_lowercase().as_bytes()].concat();
        *blake3::keyed_hash(&self.username_key, &canonical).as_bytes()
    }

    /// Names an idempotency key: each caller of each tenant has a space of its own.
    #[must_use]
    pub(crate) fn operation(&self, tenant: TenantId, actor: Actor, text: &str) -> OperationKey {
        let mut canonical = Vec::with_capacity(64);
        canonical.extend_from_slice(&tenant.0.to_le_bytes());
        match actor {
            Actor::Operator => canonical.push(0),
            Actor::Partner(partner) => {
                canonical.push(1);
                canonical.extend_from_slice(&partner.0.to_le_bytes());
            }
            // Whatever its role is by then: the account asks.
            Actor::Person(account, _) => {
                canonical.push(2);
                canonical.extend_from_slice(&account.0.to_le_bytes());
            }
            Actor::Server => canonical.push(3),
        }
        canonical.extend_from_slice(text.as_bytes());
        OperationKey(keyed(&self.operation_key, &canonical))
    }

    /// Names a device.
    #[must_use]
    pub(crate) fn device(&self, tenant: TenantId, text: &str) -> DeviceId {
        DeviceId(keyed(&self.device_key, &[&tenant.0.to_le_bytes(), text.as_bytes()].concat()))
    }

    /// Hashes what an operation asks, and of whom: equal requests, however they were written, have one fingerprint.
    #[must_use]
    pub(crate) fn operation_fingerprint(
        &self,
        customer: CustomerName,
        operation: &Operation,
        wallet_name: Option<&str>,
        device: Option<&str>,
    ) -> Fingerprint {
        let mut canonical = Vec::with_capacity(128);
        push_customer(customer, &mut canonical);
        push_operation(operation, &mut canonical);
        push_option(wallet_name, &mut canonical);
        // Nothing stands where there is none, as before there were any.
        if device.is_some() {
            push_option(device, &mut canonical);
        }
        let hash = keyed(&self.operation_fingerprint_key, &canonical);
        Fingerprint { version: OPERATION_FINGERPRINT_VERSION, hash }
    }

    /// Hashes what is asked that no customer has a part in.
    #[must_use]
    pub(crate) fn desk_fingerprint(&self, operation: &Operation) -> Fingerprint {
        // Stands where a customer would, and is the mark of none.
        let mut canonical = Vec::from([u8::MAX]);
        push_operation(operation, &mut canonical);
        let hash = keyed(&self.operation_fingerprint_key, &canonical);
        Fingerprint { version: OPERATION_FINGERPRINT_VERSION, hash }
    }

    /// Hashes the content of a purchase: equal content, however it was written, has one fingerprint.
    #[must_use]
    pub(crate) fn fingerprint(&self, customer: CustomerName, purchase: &Purchase) -> Fingerprint {
        let mut canonical = Vec::with_capacity(512);
        push_customer(customer, &mut canonical);
        canonical.extend_from_slice(&purchase.amount.to_le_bytes());
        canonical.extend_from_slice(&purchase.quantity.to_le_bytes());
        push_instant(purchase.occurred_at, &mut canonical);
        for text in [&purchase.promo_code, &purchase.store, &purchase.product] {
            push_option(text.as_deref(), &mut canonical);
        }
        canonical.extend_from_slice(&(purchase.tags.len() as u64).to_le_bytes());
        for tag in &purchase.tags {
            push_text(tag, &mut canonical);
        }
        push_lines(&purchase.lines, &mut canonical);
        Fingerprint { version: FINGERPRINT_VERSION, hash: keyed(&self.fingerprint_key, &canonical) }
    }
}

impl std::fmt::Debug for Naming {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Naming(keys hidden)")
    }
}

fn push_customer(customer: CustomerName, out: &mut Vec<u8>) {
    match customer {
        CustomerName::Id(id) => {
            out.push(0);
            out.extend_from_slice(&id.0.to_le_bytes());
        }
        CustomerName::Alias(alias) => {
            out.push(match alias.kind {
                AliasKind::Email => 1,
                AliasKind::Ref => 2,
            });
            out.extend_from_slice(&alias.hash.to_le_bytes());
        }
    }
}

fn push_operation(operation: &Operation, out: &mut Vec<u8>) {
    match operation {
        Operation::CreateCustomer => out.push(0),
        Operation::OpenWallet => out.push(1),
        Operation::RenameWallet { wallet } => {
            out.push(2);
            out.extend_from_slice(&wallet.0.to_le_bytes());
        }
        Operation::SetWalletStatus { wallet, status } => {
            out.push(3);
            out.extend_from_slice(&wallet.0.to_le_bytes());
            out.push(match status {
                WalletStatus::Active => 0,
                WalletStatus::Frozen => 1,
                WalletStatus::Closed => 2,
            });
        }
        Operation::Deposit { wallet, amount, reference } => {
            out.push(4);
            out.extend_from_slice(&wallet.0.to_le_bytes());
            out.extend_from_slice(&amount.to_le_bytes());
            push_option(reference.as_deref(), out);
        }
        Operation::Adjust { wallet, direction, amount, reason } => {
            out.push(5);
            out.extend_from_slice(&wallet.0.to_le_bytes());
            out.push(match direction {
                Direction::In => 0,
                Direction::Out => 1,
            });
            out.extend_from_slice(&amount.to_le_bytes());
            push_text(reason, out);
        }
        Operation::ReportActivity { tag, occurred_at } => {
            out.push(6);
            push_text(tag, out);
            push_instant(*occurred_at, out);
        }
        Operation::MoveTier { program, to } => {
            out.push(7);
            push_text(program, out);
            out.push(match to {
                TierMove::Up => 0,
                TierMove::Down => 1,
            });
        }
        Operation::Redeem { offer, quantity } => {
            out.push(8);
            push_text(offer, out);
            out.extend_from_slice(&quantity.to_le_bytes());
        }
        Operation::RefundPurchase(refund) => {
            out.push(9);
            out.extend_from_slice(&refund.purchase.0.to_le_bytes());
            push_text(&refund.refund_id, out);
            match &refund.of {
                RefundOf::Amount(amount) => {
                    out.push(0);
                    out.extend_from_slice(&amount.to_le_bytes());
                }
                RefundOf::Lines(lines) => {
                    out.push(1);
                    push_lines(lines, out);
                }
            }
            push_option(refund.reason.as_deref(), out);
        }
        Operation::PlaceHold { wallet, partner, amount, life_seconds, reference } => {
            out.push(10);
            out.extend_from_slice(&wallet.0.to_le_bytes());
            out.extend_from_slice(&partner.0.to_le_bytes());
            out.extend_from_slice(&amount.to_le_bytes());
            push_number(*life_seconds, out);
            push_option(reference.as_deref(), out);
        }
        Operation::SettleHold { hold, amount } => {
            out.push(11);
            out.extend_from_slice(&hold.0.to_le_bytes());
            push_number(*amount, out);
        }
        Operation::VoidHold { hold } => {
            out.push(12);
            out.extend_from_slice(&hold.0.to_le_bytes());
        }
        Operation::OpenInvoice { partner, prefix, amount, life_seconds, reference } => {
            out.push(14);
            out.extend_from_slice(&partner.0.to_le_bytes());
            push_option(prefix.as_deref(), out);
            out.extend_from_slice(&amount.to_le_bytes());
            push_number(*life_seconds, out);
            push_option(reference.as_deref(), out);
        }
        Operation::CancelInvoice { number } => {
            out.push(15);
            push_text(number, out);
        }
        Operation::PayInvoice { wallet, number, amount } => {
            out.push(16);
            out.extend_from_slice(&wallet.0.to_le_bytes());
            push_text(number, out);
            out.extend_from_slice(&amount.to_le_bytes());
        }
        Operation::Reverse { operation, reason } => {
            out.push(17);
            out.extend_from_slice(&operation.0.to_le_bytes());
            push_text(reason, out);
        }
        Operation::ReleaseReview { review } => {
            out.push(18);
            out.extend_from_slice(&review.0.to_le_bytes());
        }
        Operation::ArchiveRiskCheck { check } => {
            out.push(20);
            out.extend_from_slice(&check.0.to_le_bytes());
        }
        Operation::EraseCustomer { reason } => {
            out.push(21);
            push_text(reason, out);
        }
        Operation::RejectReview { review, reason } => {
            out.push(19);
            out.extend_from_slice(&review.0.to_le_bytes());
            push_text(reason, out);
        }
        Operation::Transfer { wallet, to, to_wallet, amount, reference } => {
            out.push(13);
            out.extend_from_slice(&wallet.0.to_le_bytes());
            out.extend_from_slice(&to.0.to_le_bytes());
            out.extend_from_slice(&to_wallet.0.to_le_bytes());
            out.extend_from_slice(&amount.to_le_bytes());
            push_option(reference.as_deref(), out);
        }
    }
}

fn push_lines(lines: &[Line], out: &mut Vec<u8>) {
    out.extend_from_slice(&(lines.len() as u64).to_le_bytes());
    for line in lines {
        push_text(&line.product, out);
        out.extend_from_slice(&line.quantity.to_le_bytes());
        out.extend_from_slice(&line.amount.to_le_bytes());
    }
}

fn push_instant(instant: Option<Instant>, out: &mut Vec<u8>) {
    push_number(instant.map(|at| at.0), out);
}

fn push_number(number: Option<i64>, out: &mut Vec<u8>) {
    match number {
        None => out.push(0),
        Some(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn push_option(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        None => out.push(0),
        Some(text) => {
            out.push(1);
            push_text(text, out);
        }
    }
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Returns the first half of a keyed hash.
fn keyed(key: &[u8; 32], canonical: &[u8]) -> u128 {
    let hash = blake3::keyed_hash(key, canonical);
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(half)
}

#[cfg(test)]
mod tests {
    use kembali_core::operation::{Actor, Operation};
    use kembali_core::purchase::{Line, Purchase};
    use kembali_core::{Instant, PartnerId, PurchaseKey, TenantId};

    use super::Naming;
    use crate::request::CustomerRef;

    fn naming() -> Naming {
        Naming::new(&[7; 32])
    }

    fn purchase() -> Purchase {
        Purchase {
            origin_id: "31198570044".into(),
            amount: 14_850,
            quantity: 2,
            occurred_at: Some(Instant(1_483_271_606_000_000)),
            promo_code: Some("JOURNEY2017".into()),
            store: Some("330".into()),
            product: None,
            tags: vec!["till-4".into()],
            lines: vec![Line { product: "ROLLS".into(), quantity: 2, amount: 14_850 }],
        }
    }

    /// These hashes stand in journals: a change of one is a change of every id.
    #[test]
    fn names_are_frozen() {
        let naming = naming();
        let customer = naming.customer(TenantId(1), &CustomerRef::Ref("household-1".into()));
        let shown = [
            format!("{customer:x?}"),
            format!("{:x}", naming.purchase(PartnerId(1), "31198570044").0),
            format!("{:x?}", naming.fingerprint(customer, &purchase())),
            format!("{:x?}", naming.customer(TenantId(1), &CustomerRef::Email("Ann@X.id".into()))),
            format!("{:x}", naming.refund(PurchaseKey::from_hash(1), "R-1").0),
            format!("{:x}", naming.device(TenantId(1), "till-4").0),
            format!("{:x?}", naming.username(TenantId(1), "Ann")),
            format!("{:x}", naming.operation(TenantId(1), Actor::Partner(PartnerId(1)), "op-1").0),
            format!(
                "{:x?}",
                naming.operation_fingerprint(customer, &Operation::OpenWallet, Some("Trip"), Some("till-4"))
            ),
            format!("{:x?}", naming.desk_fingerprint(&Operation::CancelInvoice { number: "KB-1".into() })),
        ];
        assert_eq!(shown, GOLDEN);
    }

    const GOLDEN: [&str; 10] = [
        "Alias(Alias { kind: Ref, hash: cad642c4668c2a61db8be4e3256a74e0 })",
        "30b70fc4f69981869f96a1d0548b7041",
        "Fingerprint { version: 1, hash: db964caf35ad157a4e0607b5872adf5f }",
        "Alias(Alias { kind: Email, hash: 239a1d0711dca3bfc8170bc6277bf1eb })",
        "fff0829f0a1e825eaeab6f463fbfaeb1",
        "87830d85ec348fd288cc6e96264ecdf5",
        "[8e, 38, 54, ec, a1, e7, b, e5, fe, e9, 41, 8b, e4, 1e, fd, a3, 8a, de, ff, f4, 36, 74, a2, ee, cb, 69, 73, 2b, 5c, da, b3, 9a]",
        "f8cc168990d7ee7d481d4ec16c8c277f",
        "Fingerprint { version: 1, hash: fe2821f4f9d6bf7e13763e23f5a56028 }",
        "Fingerprint { version: 1, hash: 7bc5c2616cf82656bc3b9c6e47a189ef }",
    ];

    #[test]
    fn an_address_is_folded_and_a_reference_is_not() {
        let naming = naming();
        let name = |customer| naming.customer(TenantId(1), &customer);
        assert_eq!(name(CustomerRef::Email("Ann@X.id".into())), name(CustomerRef::Email("ann@x.ID".into())));
        assert_ne!(name(CustomerRef::Ref("Ann".into())), name(CustomerRef::Ref("ann".into())));
        assert_ne!(name(CustomerRef::Ref("a@x.id".into())), name(CustomerRef::Email("a@x.id".into())));
    }

    #[test]
    fn a_name_counts_within_its_tenant_and_its_partner() {
        let naming = naming();
        let customer = CustomerRef::Ref("ann".into());
        assert_ne!(naming.customer(TenantId(1), &customer), naming.customer(TenantId(2), &customer));
        assert_ne!(naming.purchase(PartnerId(1), "P-1"), naming.purchase(PartnerId(2), "P-1"));
    }

    #[test]
    fn every_field_counts_for_the_fingerprint() {
        let naming = naming();
        let customer = naming.customer(TenantId(1), &CustomerRef::Ref("ann".into()));
        let of = |change: fn(&mut Purchase)| {
            let mut changed = purchase();
            change(&mut changed);
            naming.fingerprint(customer, &changed).hash
        };
        let mut hashes = vec![
            of(|_| ()),
            of(|purchase| purchase.amount += 1),
            of(|purchase| purchase.quantity += 1),
            of(|purchase| purchase.occurred_at = None),
            of(|purchase| purchase.promo_code = None),
            of(|purchase| purchase.store = None),
            of(|purchase| purchase.product = purchase.store.take()),
            of(|purchase| purchase.tags.clear()),
            of(|purchase| purchase.tags = vec!["till".into(), "-4".into()]),
            of(|purchase| purchase.lines.clear()),
            of(|purchase| purchase.lines[0].product = "ROLL".into()),
            of(|purchase| purchase.lines[0].quantity = 1),
            of(|purchase| purchase.lines[0].amount = 1),
        ];
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}

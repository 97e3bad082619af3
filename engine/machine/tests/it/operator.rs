//! Operations as texts, and done one at a time.

use std::sync::Arc;

use kembali_core::accounts::Direction;
use kembali_core::command::DeskCommand;
use kembali_core::customer::{OperationDecision, operate};
use kembali_core::desk::{self, DeskDecision, OperationAdmission, Reservations};
use kembali_core::event::{Body, Event};
use kembali_core::hold::HoldId;
use kembali_core::operation::{Actor, Operation, OperationCommand, OperationKey, OperationRejection, TierMove};
use kembali_core::transfer::{self, OpenTransfer};
use kembali_core::wallet::WalletStatus;
use kembali_core::{CustomerId, CustomerName, Fingerprint, Instant, PartnerId, Seq, WalletId};
use kembali_machine::Outcome;

use crate::rig::{TENANT, alias, hash};
use crate::sequential::Sequential;

/// Reads `NAME VERB` and options: `create`, `open`, `freeze`, `thaw`, `deposit=N`, `take=N`, `mug=N`, `hold=N` for a
/// day, `settle=N`, `void=N`, `send=N` to customer B, `pay=N`
/// for the Nth invoice, counted from 0, `up`, `down`, `tag`; then
/// `key=`, `dry`.
pub(crate) fn operation(text: &str) -> OperationCommand {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap();
    let (mut key, mut dry_run) = (text.to_string(), false);
    let wallet = WalletId(0);
    let (verb, amount) = words.next().map(|verb| verb.split_once('=').unwrap_or((verb, "0"))).unwrap();
    let amount: i64 = amount.parse().unwrap();
    let operation = match verb {
        "create" => Operation::CreateCustomer,
        "open" => Operation::OpenWallet,
        "freeze" => Operation::SetWalletStatus { wallet, status: WalletStatus::Frozen },
        "thaw" => Operation::SetWalletStatus { wallet, status: WalletStatus::Active },
        "deposit" => Operation::Deposit { wallet, amount, reference: None },
        "take" => Operation::Adjust { wallet, direction: Direction::Out, amount, reason: "x".into() },
        "mug" => Operation::Redeem { offer: "Mug".into(), quantity: amount },
        "hold" => {
            Operation::PlaceHold { wallet, partner: PartnerId(1), amount, life_seconds: Some(86_400), reference: None }
        }
        "settle" => Operation::SettleHold { hold: HoldId(amount as u32), amount: None },
        "void" => Operation::VoidHold { hold: HoldId(amount as u32) },
        "send" => Operation::Transfer {
            wallet,
            to: alias("B").first_customer_id(),
            to_wallet: wallet,
            amount,
            reference: None,
        },
        "pay" => Operation::PayInvoice { wallet, number: format!("VA-{}", 1_000_000_000 + amount).into(), amount: 50 },
        "up" => Operation::MoveTier { program: "Ladder".into(), to: TierMove::Up },
        "down" => Operation::MoveTier { program: "Ladder".into(), to: TierMove::Down },
        "tag" => Operation::ReportActivity { tag: "x".into(), occurred_at: Some(Instant(500)) },
        other => panic!("no verb: {other}"),
    };
    for option in words {
        match option.split_once('=').unwrap_or((option, "")) {
            ("key", value) => key = value.into(),
            ("dry", _) => dry_run = true,
            other => panic!("no option: {other:?}"),
        }
    }
    let customer = match verb {
        "create" => CustomerName::Alias(alias(name)),
        _ => CustomerName::Id(alias(name).first_customer_id()),
    };
    OperationCommand {
        tenant: TENANT,
        actor: Actor::Operator,
        key: (key != "none").then(|| OperationKey(hash(&key))),
        fingerprint: Fingerprint { version: 1, hash: hash(&format!("{name} {operation:?}")) },
        customer,
        operation,
        device: None,
        text: Some(name.into()),
        dry_run,
        original: None,
        other_records: Vec::new(),
    }
}

/// Reads `open` or `cancel=N`, an invoice of 50, then `key=`, `dry`.
pub(crate) fn invoice(text: &str) -> DeskCommand {
    let mut words = text.split_whitespace();
    let (mut key, mut dry_run) = (text.to_string(), false);
    let operation = match words.next().map(|verb| verb.split_once('=').unwrap_or((verb, "0"))).unwrap() {
        ("open", _) => Operation::OpenInvoice {
            partner: PartnerId(1),
            prefix: None,
            amount: 50,
            life_seconds: None,
            reference: None,
        },
        ("cancel", count) => {
            let count: u64 = count.parse().unwrap();
            Operation::CancelInvoice { number: format!("VA-{}", 1_000_000_000 + count).into() }
        }
        other => panic!("no verb: {other:?}"),
    };
    for option in words {
        match option.split_once('=').unwrap_or((option, "")) {
            ("key", value) => key = value.into(),
            ("dry", _) => dry_run = true,
            other => panic!("no option: {other:?}"),
        }
    }
    DeskCommand {
        tenant: TENANT,
        actor: Actor::Operator,
        key: Some(OperationKey(hash(&key))),
        fingerprint: Fingerprint { version: 1, hash: hash(&format!("{operation:?}")) },
        operation,
        dry_run,
    }
}

impl Sequential {
    pub(crate) fn invoice(&mut self, command: &DeskCommand) -> Outcome {
        let catalogue = Arc::clone(self.ledger.desk.catalogue(command.tenant).unwrap());
        match desk::decide_alone(&self.ledger.desk, self.stamp, command) {
            DeskDecision::Known { seq, is_same } => Outcome::OperationKnown { seq, is_same },
            DeskDecision::Refused { rejection, record } => {
                record.map(|record| self.write(record));
                Outcome::OperationRefused(rejection)
            }
            DeskDecision::Decided(body) if command.dry_run => Outcome::WouldOperate { body: Box::new(body), catalogue },
            DeskDecision::Decided(body) => Outcome::Operated { record: self.write(body), catalogue },
        }
    }

    pub(crate) fn operate(&mut self, command: &OperationCommand) -> Outcome {
        let open = Reservations::default();
        let terms = match desk::admit_operation(&self.ledger.desk, &open, self.stamp, command) {
            OperationAdmission::Admitted(terms) => terms,
            OperationAdmission::Known { seq, is_same } => return Outcome::OperationKnown { seq, is_same },
            OperationAdmission::Booked(seq) => return Outcome::RefundBooked(seq, Box::new(command.clone())),
            OperationAdmission::Refused { rejection, customer } => {
                return self.refuse_operation(command, customer, rejection);
            }
            OperationAdmission::Wait => panic!("nothing is open, and yet it waits"),
        };
        let catalogue = Arc::clone(&terms.catalogue);
        match operate(self.ledger.rows.get(&terms.customer), &terms, Box::new(command.clone())) {
            OperationDecision::Decided(body) => match OpenTransfer::sent_by(&body, Seq::ZERO) {
                Some(open) if command.dry_run => {
                    let terms = self.ledger.desk.terms_of(open).unwrap();
                    let received = transfer::step(&self.ledger.rows[&terms.open.next_customer()], &terms);
                    match declined(&received) {
                        Some(rejection) => Outcome::OperationRefused(rejection),
                        None => {
                            let body = Box::new(transfer::would_settle(&body).unwrap());
                            Outcome::WouldOperate { body, catalogue }
                        }
                    }
                }
                None if command.dry_run => Outcome::WouldOperate { body: Box::new(body), catalogue },
                _ => {
                    let mut record = self.write(body);
                    while let Some(terms) = self.ledger.desk.transfer() {
                        let row = &self.ledger.rows[&terms.open.next_customer()];
                        record = self.write(transfer::step(row, &terms));
                    }
                    match declined(&record.body) {
                        Some(rejection) => Outcome::OperationRefused(rejection),
                        None => Outcome::Operated { record, catalogue },
                    }
                }
            },
            OperationDecision::Unchanged => Outcome::Unchanged { customer: terms.customer },
            OperationDecision::Refused(rejection, command) => {
                self.refuse_operation(&command, Some(terms.customer), rejection)
            }
        }
    }

    fn refuse_operation(
        &mut self,
        command: &OperationCommand,
        customer: Option<CustomerId>,
        rejection: OperationRejection,
    ) -> Outcome {
        let version = self.ledger.desk.catalogue(command.tenant).unwrap().version;
        let record = command.refused(customer, &rejection, self.stamp, version);
        record.map(|record| self.write(record));
        Outcome::OperationRefused(rejection)
    }
}

/// Returns the refusal of a transfer that its target declined.
fn declined(body: &Body) -> Option<OperationRejection> {
    body.events.iter().find_map(|event| match event {
        Event::TransferDeclined(own) => Some(OperationRejection::TransferDeclined(own.reason)),
        Event::TransferReturned(own) => Some(OperationRejection::TransferDeclined(own.reason)),
        _ => None,
    })
}

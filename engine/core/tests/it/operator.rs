//! Operations in the sequential driver of the rules, and how a script asks for them.

use std::sync::Arc;

use kembali_core::accounts::Direction;
use kembali_core::command::DeskCommand;
use kembali_core::customer::{OperationDecision, operate};
use kembali_core::desk::{self, DeskDecision, OperationAdmission, OperationTerms};
use kembali_core::event::{Body, Event, Record};
use kembali_core::hold::HoldId;
use kembali_core::operation::{Actor, Operation, OperationCommand, OperationKey, OperationRejection, TierMove};
use kembali_core::risk::DeviceId;
use kembali_core::transfer::{self, OpenTransfer};
use kembali_core::wallet::WalletStatus;
use kembali_core::{CustomerId, CustomerName, Fingerprint, Instant, PartnerId, Seq, TenantId, WalletId};

use crate::support::{World, customer, duration_us, hash};

/// What became of an operation in the sequential driver.
#[derive(Clone, Debug)]
pub(crate) enum Operated {
    Done(Record),
    WouldDo(Body),
    Unchanged,
    Known { seq: Seq, is_same: bool },
    Booked(Seq),
    Refused { rejection: OperationRejection, is_written: bool },
    Wait,
}

impl World {
    pub(crate) fn operate(&mut self, command: OperationCommand) -> Operated {
        match desk::admit_operation(&self.ledger.desk, &self.open, self.now, &command) {
            OperationAdmission::Admitted(terms) => self.decide_operation(&terms, command),
            OperationAdmission::Known { seq, is_same } => Operated::Known { seq, is_same },
            OperationAdmission::Booked(seq) => Operated::Booked(seq),
            OperationAdmission::Refused { rejection, customer } => self.refuse_operation(&command, customer, rejection),
            OperationAdmission::Wait => Operated::Wait,
        }
    }

    fn decide_operation(&mut self, terms: &OperationTerms, command: OperationCommand) -> Operated {
        let dry_run = command.dry_run;
        match operate(self.ledger.rows.get(&terms.customer), terms, Box::new(command)) {
            OperationDecision::Decided(body) => match OpenTransfer::sent_by(&body, Seq::ZERO) {
                Some(open) if dry_run => self.propose_transfer(&body, open),
                Some(_) => {
                    self.write(body);
                    self.finish_transfer()
                }
                None if dry_run => Operated::WouldDo(body),
                None => Operated::Done(self.write(body)),
            },
            OperationDecision::Unchanged => Operated::Unchanged,
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
    ) -> Operated {
        let version = self.ledger.desk.catalogue(command.tenant).unwrap().version;
        let record = command.refused(customer, &rejection, self.now, version).map(|record| self.write(record));
        Operated::Refused { rejection, is_written: record.is_some() }
    }

    /// Opens (`open AMOUNT SECONDS PREFIX`, for partner 1) or cancels (`cancel NUMBER`) an invoice, or archives a check (`archive SEQ`), and says what became of it.
    /// Options: `key=`, `by=` a partner, `dry`.
    pub(crate) fn invoice(&mut self, words: &[&str]) -> String {
        let (options, words): (Vec<&str>, Vec<&str>) =
            words.iter().partition(|word| word.contains('=') || **word == "dry");
        self.keys += 1;
        let (mut actor, mut key, mut dry_run) = (Actor::Operator, format!("invoice {}", self.keys), false);
        for option in options {
            match option.split_once('=').unwrap_or((option, "")) {
                ("key", value) => key = value.into(),
                ("by", value) => actor = Actor::Partner(PartnerId(value.parse().unwrap())),
                ("dry", _) => dry_run = true,
                other => panic!("no option: {other:?}"),
            }
        }
        let number = |at: usize| words.get(at).map(|text| text.parse().unwrap());
        let operation = match words[0] {
            "open" => Operation::OpenInvoice {
                partner: PartnerId(1),
                prefix: words.get(3).map(|text| (*text).into()),
                amount: number(1).unwrap(),
                life_seconds: number(2),
                reference: None,
            },
            "cancel" => Operation::CancelInvoice { number: words[1].into() },
            "archive" => Operation::ArchiveRiskCheck { check: Seq(words[1].parse().unwrap()) },
            other => panic!("no operation: {other}"),
        };
        let fingerprint = Fingerprint { version: 1, hash: hash(&format!("{operation:?}")) };
        let key = Some(OperationKey(hash(&key)));
        let command = DeskCommand { tenant: TenantId(1), actor, key, fingerprint, operation, dry_run };
        let operated = match desk::decide_alone(&self.ledger.desk, self.now, &command) {
            DeskDecision::Known { seq, is_same } => Operated::Known { seq, is_same },
            DeskDecision::Refused { rejection, record } => {
                let record = record.map(|record| self.write(record));
                Operated::Refused { rejection, is_written: record.is_some() }
            }
            DeskDecision::Decided(body) if dry_run => Operated::WouldDo(body),
            DeskDecision::Decided(body) => Operated::Done(self.write(body)),
        };
        self.show_operated(&operated)
    }

    /// Takes the next step of the transfer that is on its way.
    pub(crate) fn step_transfer(&mut self) -> Option<Record> {
        let terms = self.ledger.desk.transfer()?;
        let body = transfer::step(&self.ledger.rows[&terms.open.next_customer()], &terms);
        Some(self.write(body))
    }

    fn finish_transfer(&mut self) -> Operated {
        let mut last = None;
        while let Some(record) = self.step_transfer() {
            last = Some(record);
        }
        let last = last.expect("a transfer that was sent goes on");
        match declined(&last.body) {
            Some(rejection) => Operated::Refused { rejection, is_written: true },
            None => Operated::Done(last),
        }
    }

    fn propose_transfer(&self, body: &Body, open: OpenTransfer) -> Operated {
        let terms = self.ledger.desk.terms_of(open).unwrap();
        let received = transfer::step(&self.ledger.rows[&terms.open.next_customer()], &terms);
        match declined(&received) {
            Some(rejection) => Operated::Refused { rejection, is_written: false },
            None => Operated::WouldDo(transfer::would_settle(body).unwrap()),
        }
    }

    /// Reads `NAME OPERATION` and options.
    ///
    /// Operations: `create`; `open`; `rename W`; `freeze W`, `thaw W`, `close W`; `deposit W AMOUNT`; `give W AMOUNT`,
    /// `take W AMOUNT`; `did TAG`; `redeem OFFER QUANTITY`;
    /// `undo SEQ`; `release SEQ`, `reject SEQ`; `hold W AMOUNT SECONDS PARTNER`, `settle HOLD AMOUNT`, `void HOLD`; `send W NAME W AMOUNT`; `pay W NUMBER AMOUNT`; `promote PROGRAM`, `demote PROGRAM`. Options: `key=`, `tenant=`, `by=` a partner, `dev=` a device,
    /// `occurred=`, `dry`. Names that are not `create` are those of [`customer`] with `id:` in front.
    pub(crate) fn operation(&mut self, words: &[&str]) -> OperationCommand {
        let (options, words): (Vec<&str>, Vec<&str>) =
            words.iter().partition(|word| word.contains('=') || **word == "dry");
        let (mut tenant, mut actor, mut dry_run) = (1, Actor::Operator, false);
        self.keys += 1;
        let (mut key, mut occurred_at, mut device) = (format!("operation {}", self.keys), None, None);
        for option in options {
            match option.split_once('=').unwrap_or((option, "")) {
                ("key", value) => key = value.into(),
                ("tenant", value) => tenant = value.parse().unwrap(),
                ("by", value) => actor = Actor::Partner(PartnerId(value.parse().unwrap())),
                ("dev", value) => device = Some(DeviceId(hash(value))),
                ("occurred", value) => occurred_at = Some(Instant(self.now.0 + duration_us(value))),
                ("dry", _) => dry_run = true,
                other => panic!("no option: {other:?}"),
            }
        }
        let wallet = |at: usize| WalletId(words[at].parse().unwrap());
        let amount = |at: usize| words[at].parse().unwrap();
        let status = |status| Operation::SetWalletStatus { wallet: wallet(2), status };
        let adjust =
            |direction| Operation::Adjust { wallet: wallet(2), direction, amount: amount(3), reason: "a slip".into() };
        let step = |to| Operation::MoveTier { program: words[2].into(), to };
        let operation = match words[1] {
            "create" => Operation::CreateCustomer,
            "open" => Operation::OpenWallet,
            "rename" => Operation::RenameWallet { wallet: wallet(2) },
            "erase" => Operation::EraseCustomer { reason: "asked to".into() },
            "freeze" => status(WalletStatus::Frozen),
            "thaw" => status(WalletStatus::Active),
            "close" => status(WalletStatus::Closed),
            "deposit" => Operation::Deposit { wallet: wallet(2), amount: amount(3), reference: None },
            "give" => adjust(Direction::In),
            "take" => adjust(Direction::Out),
            "did" => Operation::ReportActivity { tag: words[2].into(), occurred_at },
            "redeem" => Operation::Redeem { offer: words[2].into(), quantity: words[3].parse().unwrap() },
            "hold" => Operation::PlaceHold {
                wallet: wallet(2),
                partner: PartnerId(words.get(5).map_or(1, |text| text.parse().unwrap())),
                amount: amount(3),
                life_seconds: words.get(4).map(|seconds| seconds.parse().unwrap()),
                reference: None,
            },
            "settle" => Operation::SettleHold {
                hold: HoldId(words[2].parse().unwrap()),
                amount: words.get(3).map(|amount| amount.parse().unwrap()),
            },
            "send" => Operation::Transfer {
                wallet: wallet(2),
                to: match customer(tenant, &format!("id:{}", words[3])) {
                    CustomerName::Id(id) => id,
                    CustomerName::Alias(_) => unreachable!("it is asked for by id"),
                },
                to_wallet: wallet(4),
                amount: amount(5),
                reference: None,
            },
            "pay" => Operation::PayInvoice { wallet: wallet(2), number: words[3].into(), amount: amount(4) },
            "void" => Operation::VoidHold { hold: HoldId(words[2].parse().unwrap()) },
            "undo" => Operation::Reverse { operation: Seq(words[2].parse().unwrap()), reason: "a slip".into() },
            "release" => Operation::ReleaseReview { review: Seq(words[2].parse().unwrap()) },
            "reject" => Operation::RejectReview { review: Seq(words[2].parse().unwrap()), reason: "not theirs".into() },
            "promote" => step(TierMove::Up),
            "demote" => step(TierMove::Down),
            other => panic!("no operation: {other}"),
        };
        let name = match words[1] {
            "create" => customer(tenant, words[0]),
            _ if words[0].contains(':') => customer(tenant, words[0]),
            _ => customer(tenant, &format!("id:{}", words[0])),
        };
        let named = match &operation {
            Operation::Reverse { operation, .. } => Some(*operation),
            other => other.closes_review(),
        };
        let original = self.records.iter().find(|record| Some(record.seq) == named);
        OperationCommand {
            tenant: TenantId(tenant),
            actor,
            key: Some(OperationKey(hash(&format!("{tenant}/{actor:?}/{key}")))),
            fingerprint: fingerprint(name, &operation),
            customer: name,
            operation,
            device,
            text: None,
            dry_run,
            original: original.cloned().map(Arc::new),
            other_records: Vec::new(),
        }
    }

    /// Asks for an operation, and says what became of it.
    pub(crate) fn ask(&mut self, words: &[&str]) -> String {
        let command = self.operation(words);
        let operated = self.operate(command);
        self.show_operated(&operated)
    }

    pub(crate) fn show_operated(&self, operated: &Operated) -> String {
        let or_done = |shown: String| if shown.is_empty() { "done".to_string() } else { shown };
        match operated {
            Operated::Done(record) => or_done(self.show_body(&record.body)),
            Operated::WouldDo(body) => format!("would: {}", or_done(self.show_body(body))),
            Operated::Unchanged => "unchanged".into(),
            Operated::Booked(seq) => format!("booked {}", seq.0),
            Operated::Known { seq, is_same: true } => format!("known {}", seq.0),
            Operated::Known { seq, is_same: false } => format!("reused {}", seq.0),
            Operated::Refused { rejection, is_written } => {
                format!("refused {}{}", rejection.code(), if *is_written { "" } else { ", unwritten" })
            }
            Operated::Wait => "wait".into(),
        }
    }
}

fn fingerprint(name: CustomerName, operation: &Operation) -> Fingerprint {
    Fingerprint { version: 1, hash: hash(&format!("{name:?} {operation:?}")) }
}

/// Returns the refusal of a transfer that its target declined.
fn declined(body: &Body) -> Option<OperationRejection> {
    body.events.iter().find_map(|event| match event {
        Event::TransferDeclined(own) => Some(OperationRejection::TransferDeclined(own.reason)),
        Event::TransferReturned(own) => Some(OperationRejection::TransferDeclined(own.reason)),
        _ => None,
    })
}

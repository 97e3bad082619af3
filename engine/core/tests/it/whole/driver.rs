//! The commands as the rules take them, one at a time, and what they say to them.

use std::sync::Arc;

use kembali_core::command::DeskCommand;
use kembali_core::customer::Row;
use kembali_core::desk::{self, DeskDecision};
use kembali_core::event::{Event, Record};
use kembali_core::hold::HoldId;
use kembali_core::operation::{Actor, Operation, OperationCommand, OperationKey, OperationRejection, TierMove};
use kembali_core::purchase::Line as CoreLine;
use kembali_core::refund::{Refund as CoreRefund, RefundOf};
use kembali_core::risk::DeviceId;
use kembali_core::upkeep::by_sweep;
use kembali_core::{
    Alias, AliasKind, CustomerId, CustomerName, Fingerprint, Instant, PartnerId, PurchaseKey, Rejection, Seq, TenantId,
    WalletId,
};

use super::commands::{Ask, Buy, Line, Of, Refund, TAG, Verb};
use super::pair::Pair;
use crate::operator::Operated;
use crate::support::{Seen, hash};

pub(super) const TENANT: TenantId = TenantId(1);

fn name(who: u8) -> String {
    char::from(b'A' + who).to_string()
}

fn alias(who: u8) -> Alias {
    Alias { kind: AliasKind::Ref, hash: hash(&format!("1/{}", name(who))) }
}

pub(super) fn id(who: u8) -> CustomerId {
    alias(who).first_customer_id()
}

pub(super) fn actor(by: u32) -> Actor {
    if by == 0 { Actor::Operator } else { Actor::Partner(PartnerId(by)) }
}

fn lines(lines: &[Line]) -> Vec<CoreLine> {
    let line = |(product, quantity, amount): &Line| CoreLine {
        product: (*product).into(),
        quantity: *quantity,
        amount: *amount,
    };
    lines.iter().map(line).collect()
}

fn fingerprint(content: &str) -> Fingerprint {
    Fingerprint { version: 1, hash: hash(content) }
}

impl Pair {
    pub(super) fn buy(&mut self, buy: &Buy) -> String {
        let customer = if buy.by_id { format!("id:{}", name(buy.who)) } else { name(buy.who) };
        let words = [customer, buy.amount.to_string(), format!("key={}", buy.key), format!("by={}", buy.partner)];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = self.world.command(&words);
        command.purchase.quantity = buy.quantity;
        command.purchase.promo_code = buy.code.map(|code| format!("P{code}").into());
        command.purchase.product = buy.product.map(Into::into);
        command.purchase.lines = lines(&buy.lines);
        command.purchase.tags = if buy.has_tag { vec![TAG.into()] } else { Vec::new() };
        command.purchase.occurred_at = buy.occurred.map(Instant);
        command.fingerprint = fingerprint(&format!("{} {:?}", words[0], command.purchase));
        command.dry_run = buy.dry;
        let asked = command.fingerprint;
        let seen = self.world.purchase(command);
        // Which rule flags or blocks is said in the record and nowhere else.
        match &seen {
            Seen::Booked(record) => {
                let checked = record.body.events.iter().find_map(|event| match event {
                    Event::RiskChecked(checked) => checked.rule,
                    _ => None,
                });
                assert_eq!(checked, self.model.flagged, "another risk rule strikes: {buy:?}");
            }
            Seen::Refused { rejection: Rejection::RiskBlocked(own), .. } => {
                assert_eq!((own.customer, Some(own.rule)), (id(buy.who), self.model.flagged), "{buy:?}");
            }
            _ => (),
        }
        match seen {
            Seen::Booked(_) => "booked".into(),
            Seen::WouldBook(_) => "would".into(),
            Seen::Wait => "wait".into(),
            Seen::Refused { rejection, replayed } => {
                format!("refused {}{}", rejection.code().as_str(), if replayed { ", replayed" } else { "" })
            }
            // Whether it is the same, the shell sees in the record.
            Seen::Known(seq) => {
                let is_same = self.record(seq.0).body.events.iter().any(|event| match event {
                    Event::PurchaseBooked(booked) => booked.fingerprint == asked,
                    _ => false,
                });
                format!("{} {}", if is_same { "known" } else { "origin_id_conflict" }, seq.0)
            }
        }
    }

    pub(super) fn record(&self, seq: u64) -> &Record {
        &self.world.records[seq as usize - 1]
    }

    pub(super) fn refund(&mut self, refund: &Refund) -> String {
        let bought = &self.model.bought[refund.purchase];
        let original = self.record(bought.seq).clone();
        let Buy { partner, key, who, .. } = bought.buy;
        let operation = Operation::RefundPurchase(Box::new(CoreRefund {
            purchase: PurchaseKey::from_hash(hash(&format!("{partner}/{key}"))),
            origin_id: key.to_string().into(),
            key: PurchaseKey::from_hash(hash(&format!("refund {partner}/{key}/{}", refund.id))),
            refund_id: refund.id.to_string().into(),
            of: match &refund.of {
                Of::Amount(amount) => RefundOf::Amount(*amount),
                Of::Lines(own) => RefundOf::Lines(lines(own)),
            },
            reason: None,
        }));
        let asked = fingerprint(&format!("{operation:?}"));
        let operated = self.world.operate(OperationCommand {
            tenant: TENANT,
            actor: Actor::Partner(PartnerId(partner)),
            key: None,
            fingerprint: asked,
            customer: CustomerName::Id(id(who)),
            operation,
            device: None,
            text: None,
            dry_run: refund.dry,
            original: Some(Arc::new(original)),
            other_records: Vec::new(),
        });
        match operated {
            // Whether it is the same, the shell sees in the record.
            Operated::Booked(seq) => {
                let is_same = self.record(seq.0).body.events.iter().any(|event| match event {
                    Event::OperationDone(done) => done.fingerprint == asked,
                    _ => false,
                });
                format!("{} {}", if is_same { "known" } else { "refund_id_conflict" }, seq.0)
            }
            other => said(&other),
        }
    }

    pub(super) fn operate(&mut self, ask: &Ask) -> String {
        let records = self.world.records.len();
        let key = Some(OperationKey(hash(&format!("{:?}/{}", ask.actor, ask.key))));
        let operation = operation(&ask.verb);
        let fingerprint = fingerprint(&format!("{} {operation:?}", ask.who));
        let (actor, dry_run) = (ask.actor, ask.dry);
        if matches!(ask.verb, Verb::Bill(..) | Verb::Unbill(_) | Verb::Archive(_)) {
            let command = DeskCommand { tenant: TENANT, actor, key, fingerprint, operation, dry_run };
            return said(&match desk::decide_alone(&self.world.ledger.desk, self.world.now, &command) {
                DeskDecision::Known { seq, is_same } => Operated::Known { seq, is_same },
                DeskDecision::Refused { rejection, record } => {
                    let record = record.map(|record| self.world.write(record));
                    Operated::Refused { rejection, is_written: record.is_some() }
                }
                DeskDecision::Decided(body) if dry_run => Operated::WouldDo(body),
                DeskDecision::Decided(body) => Operated::Done(self.world.write(body)),
            });
        }
        let customer = match ask.verb {
            Verb::Create => CustomerName::Alias(alias(ask.who)),
            _ => CustomerName::Id(id(ask.who)),
        };
        let operated = self.world.operate(OperationCommand {
            tenant: TENANT,
            actor,
            key,
            fingerprint,
            customer,
            operation,
            device: ask.device.map(|device| DeviceId(device.into())),
            text: None,
            dry_run,
            original: match ask.verb {
                Verb::Reverse(seq) | Verb::Release(seq) | Verb::Reject(seq) => Some(Arc::new(self.record(seq).clone())),
                _ => None,
            },
            other_records: Vec::new(),
        });
        // Which rule flags or blocks is said in the record and nowhere else.
        let rule = match &operated {
            Operated::Refused { rejection: OperationRejection::RiskBlocked { rule }, .. } => Some(*rule),
            Operated::Refused { is_written: true, .. } | Operated::Done(_) => {
                let events = self.world.records[records..].iter().flat_map(|record| &record.body.events);
                let mut rules = events.filter_map(|event| match event {
                    Event::RiskChecked(checked) => Some(checked.rule),
                    Event::ReviewOpened(own) => Some(Some(own.rule)),
                    _ => None,
                });
                rules.next().flatten()
            }
            _ => None,
        };
        if matches!(operated, Operated::Done(_)) || rule.is_some() {
            assert_eq!(rule, self.model.flagged, "another risk rule strikes: {ask:?}");
        }
        said(&operated)
    }

    pub(super) fn sweep(&mut self) {
        let desk = &self.world.ledger.desk;
        let (rules, removals) = (desk.catalogue(TENANT).unwrap(), desk.removals(TENANT).unwrap());
        let now = desk.now(TENANT, self.world.now);
        let mut rows: Vec<&Row> = self.world.ledger.rows.values().collect();
        rows.sort_by_key(|row| row.id);
        let bodies = rows.into_iter().filter_map(|row| by_sweep(row, rules, removals, now, self.world.now));
        let bodies: Vec<_> = bodies.collect();
        bodies.into_iter().for_each(|body| drop(self.world.write(body)));
        self.model.sweep();
    }
}

fn said(operated: &Operated) -> String {
    match operated {
        Operated::Done(record) if record.review().is_some() => "set aside".into(),
        Operated::Done(_) => "done".into(),
        Operated::WouldDo(_) => "would".into(),
        Operated::Unchanged => "unchanged".into(),
        Operated::Known { seq, is_same } => format!("{} {}", if *is_same { "known" } else { "reused" }, seq.0),
        Operated::Booked(seq) => format!("booked {}", seq.0),
        Operated::Wait => "wait".into(),
        Operated::Refused { rejection, is_written } => {
            format!("refused {}{}", rejection.code(), if *is_written { "" } else { ", unwritten" })
        }
    }
}

fn operation(verb: &Verb) -> Operation {
    let text = |own: &str| Box::<str>::from(own);
    match verb {
        Verb::Create => Operation::CreateCustomer,
        Verb::Open => Operation::OpenWallet,
        Verb::Rename(wallet) => Operation::RenameWallet { wallet: WalletId(*wallet) },
        Verb::Erase => Operation::EraseCustomer { reason: "asked to".into() },
        Verb::Status(wallet, status) => Operation::SetWalletStatus { wallet: WalletId(*wallet), status: *status },
        Verb::Deposit(wallet, amount) => {
            Operation::Deposit { wallet: WalletId(*wallet), amount: *amount, reference: None }
        }
        Verb::Adjust(wallet, direction, amount) => Operation::Adjust {
            wallet: WalletId(*wallet),
            direction: *direction,
            amount: *amount,
            reason: "a slip".into(),
        },
        Verb::Did(tag, occurred) => Operation::ReportActivity { tag: text(tag), occurred_at: occurred.map(Instant) },
        Verb::Redeem(offer, quantity) => Operation::Redeem { offer: text(offer), quantity: *quantity },
        Verb::Promote(program) => Operation::MoveTier { program: text(program), to: TierMove::Up },
        Verb::Demote(program) => Operation::MoveTier { program: text(program), to: TierMove::Down },
        Verb::Hold(wallet, partner, amount, life_seconds) => Operation::PlaceHold {
            wallet: WalletId(*wallet),
            partner: PartnerId(*partner),
            amount: *amount,
            life_seconds: *life_seconds,
            reference: None,
        },
        Verb::Settle(hold, amount) => Operation::SettleHold { hold: HoldId(*hold), amount: *amount },
        Verb::Void(hold) => Operation::VoidHold { hold: HoldId(*hold) },
        Verb::Archive(check) => Operation::ArchiveRiskCheck { check: Seq(*check) },
        Verb::Release(review) => Operation::ReleaseReview { review: Seq(*review) },
        Verb::Reject(review) => Operation::RejectReview { review: Seq(*review), reason: "not theirs".into() },
        Verb::Reverse(seq) => Operation::Reverse { operation: Seq(*seq), reason: "a slip".into() },
        Verb::Send(wallet, target, to, amount) => Operation::Transfer {
            wallet: WalletId(*wallet),
            to: id(*target),
            to_wallet: WalletId(*to),
            amount: *amount,
            reference: None,
        },
        Verb::Bill(partner, prefix, amount, life_seconds) => Operation::OpenInvoice {
            partner: PartnerId(*partner),
            prefix: prefix.map(text),
            amount: *amount,
            life_seconds: *life_seconds,
            reference: None,
        },
        Verb::Unbill(number) => Operation::CancelInvoice { number: text(number) },
        Verb::Pay(wallet, number, amount) => {
            Operation::PayInvoice { wallet: WalletId(*wallet), number: text(number), amount: *amount }
        }
    }
}

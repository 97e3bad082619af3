//! Reviews in the router: what is set aside lets others on, and is closed once.

use std::sync::Arc;

use kembali_core::command::Command;
use kembali_core::draft::{CatalogueDraft, RiskRuleDraft};
use kembali_core::operation::{Actor, Operation, OperationCommand};
use kembali_core::risk::{RiskAction, RiskCondition};
use kembali_core::{Amount, CustomerName, Fingerprint, Seq};

use crate::rig::{Rig, TENANT, apply, check_journal, command, draft, hash, show};

/// Closes the review that a record opened.
fn close(rig: &Rig, seq: u64, operation: Operation) -> Command {
    let record = Arc::clone(&rig.disk[seq as usize - 1]);
    let fingerprint = Fingerprint { version: 1, hash: hash(&format!("{operation:?}")) };
    Command::Operation(Box::new(OperationCommand {
        tenant: TENANT,
        actor: Actor::Operator,
        key: None,
        fingerprint,
        customer: CustomerName::Id(record.body.customer.unwrap()),
        operation,
        device: None,
        text: None,
        dry_run: false,
        original: Some(record),
        other_records: Vec::new(),
    }))
}

/// What is set aside keeps nobody waiting, and of two that close it at once the second is refused.
#[test]
fn what_is_set_aside_is_closed_once() {
    let rule = RiskRuleDraft {
        name: "Much".into(),
        operations: Vec::new(),
        condition: RiskCondition::AmountAbove(Amount::new(50).unwrap()),
        action: RiskAction::Review,
    };
    let mut rig = Rig::new(2, 9);
    rig.ask(apply(CatalogueDraft { risk_rules: vec![rule], ..draft(9) }));
    for (text, expected) in [
        ("do A create", "done 3 new"),
        ("do B create", "done 4 new"),
        ("do A deposit=50", "done 5 safe balance 50"),
        ("do A send=51", "refused balance_too_small"),
        ("do A deposit=60", "done 7 set aside"),
        ("do A deposit=60", "known 7"),
    ] {
        assert_eq!(show(&rig.ask(command(text))), expected, "{text}");
    }
    let review = Seq(7);
    let release = || Operation::ReleaseReview { review };
    assert_eq!(show(&rig.ask(close(&rig, 7, release()))), "done 8 review 7 closed suspicious balance 110");
    for (text, expected) in [
        ("do A deposit=60", "known 8"),
        ("do A send=60 dry", "would set aside"),
        ("do A send=60", "done 9 set aside"),
        ("buy C 10 key=c", "booked 10 new"),
    ] {
        assert_eq!(show(&rig.ask(command(text))), expected, "{text}");
    }
    // Also after a start: the desk knows of it by its record.
    let mut rig = rig.crash(0);
    let review = Seq(9);
    let reject = Operation::RejectReview { review, reason: "x".into() };
    let both =
        vec![close(&rig, 9, Operation::ReleaseReview { review }), close(&rig, 9, reject), command("buy C 10 key=d")];
    rig.submit(1, both);
    let replies = rig.drain();
    let shown: Vec<String> = replies.iter().flat_map(|reply| &reply.outcomes).map(show).collect();
    assert_eq!(shown, ["done 13 left 50", "refused review_closed", "booked 14 milestone 5 balance 5"]);
    check_journal(&rig.disk);
}

//! R01 and R02 for everything at once: random rules and random histories of every kind of command, interacting on the
//! same customers, against a second ledger that shares no code with the rules.
//!
//! The second ledger ([`model`]) takes the rules from their text. It knows the catalogue as data, maps of plain
//! integers, and books in which every movement has two accounts. What needs another tenant or another currency, and
//! bounds that no history reaches (256 wallets, 1,000 lines), are tested elsewhere. So are explanations, previews and
//! what-if.
//!
//! In reading order: [`commands`] are asked, [`draw_rules`], [`changes`] and [`draw`] make them up, [`model`],
//! [`purchases`], [`operations`] and [`refunds`] say what should come of them, [`pair`] and [`driver`] ask both
//! ledgers, [`check`] compares, [`reach`] asks whether the histories say anything.

mod changes;
mod check;
mod commands;
mod draw;
mod draw_rules;
mod driver;
mod model;
mod operations;
mod pair;
mod purchases;
mod reach;
mod refunds;
mod risk;

use std::collections::BTreeSet;

use kembali_core::draft::{CatalogueDraft, PolicyDraft, ProgramDraft, RiskRuleDraft};
use kembali_core::refund::{RefundOf, RefundPolicy};
use kembali_core::risk::{RiskAction, RiskCondition, RiskKind};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::draw::any_op;
use self::draw_rules::any_rules;
use self::pair::Pair;
use self::reach::Answers;
use crate::refund::{buy, everything, give_back};
use crate::support::{World, amount, check, depth, jakarta, kezbek};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300 * depth()))]

    #[test]
    fn r01_r02_everything_agrees_with_the_model(rules in any_rules(), ops in prop::collection::vec(any_op(), 1..120)) {
        let mut pair = Pair::new(rules);
        ops.iter().for_each(|op| pair.run(op));
        pair.finish();
    }
}

/// The same histories every time.
#[test]
fn the_histories_reach_everything() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let history = (any_rules(), prop::collection::vec(any_op(), 60..140));
    let (mut answers, mut notes) = (Answers::new(), BTreeSet::new());
    for _ in 0..300 {
        let (rules, ops) = history.new_tree(&mut runner).unwrap().current();
        let mut pair = Pair::new(rules);
        ops.iter().for_each(|op| pair.run(op));
        pair.finish();
        notes.extend(pair.notes());
        for (answer, count) in pair.answers {
            *answers.entry(answer).or_default() += count;
        }
    }
    let missing = reach::missing(&answers, &notes);
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Rules section 17: where the sum falls below a bound, the customer stands at most on the level that it still reaches;
/// and section 7: on the lowest where it reaches none.
#[test]
fn a_refund_below_every_bound_leaves_nobody_above_the_lowest_level() {
    let levels = [("Low", 100), ("High", 1_000)].map(|(name, bound)| (name.to_string(), amount(bound)));
    let spend =
        ProgramDraft { name: "Spend".into(), renames: Vec::new(), policy: PolicyDraft::Threshold(levels.into()) };
    let draft = CatalogueDraft { promos: Vec::new(), programs: vec![spend], ..everything(RefundPolicy::default()) };
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    let bought = buy(&mut world, "A 150 product=SALT");
    assert_eq!(world.ask(&["A", "promote", "Spend"]), "High at 150 Promoted");
    let record = give_back(&mut world, &bought, "all", RefundOf::Amount(150)).unwrap();
    assert!(world.show_body(&record.body).contains("Low at 0 Refunded"), "{}", world.show_body(&record.body));
}

/// Rules section 16: a transfer that its target declined was sent, and counts.
#[test]
fn a_transfer_that_came_back_is_counted() {
    let rule = RiskRuleDraft {
        name: "Many".into(),
        operations: vec![RiskKind::Transfer],
        condition: RiskCondition::CountAbove { count: 1, seconds: 3_600 },
        action: RiskAction::Block,
    };
    let draft = CatalogueDraft { risk_rules: vec![rule], ..kezbek() };
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "ask A create       -> new
         ask B create       -> new
         ask A give 0 100   -> balance 100
         ask A send 0 B 7 1 -> refused target_wallet_not_found
         ask A send 0 B 0 1 -> refused risk_blocked",
    );
}

//! What if, over a real engine: running and offline, from memory and from the archive, in ranges; the ledger stays as it
//! is.

use kembali_core::operation::Actor;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc;

use kembali_core::draft::CatalogueDraft;
use kembali_core::event::{Event, Record};
use kembali_core::what_if::Comparison;
use kembali_core::{CatalogueRejection, Instant, RejectionCode, Seq};
use kembali_engine::{
    ApplyRequest, Bound, Engine, Fault, PartnerKey, Stopped, VerifyError, WhatIfError, WhatIfOfflineError,
    WhatIfRefused, WhatIfReport, WhatIfRequest, WhatIfUpdate, what_if_offline,
};

use crate::lab::{Lab, MIDDLE, book, open_shop, purchase, rules, runtime, word};
use crate::same::input;

const QUOTA: u64 = 500;

fn request(draft: CatalogueDraft) -> WhatIfRequest {
    WhatIfRequest { draft, from: None, to: None, largest: 2 }
}

fn between(quota: u64, from: Option<Bound>, to: Option<Bound>) -> WhatIfRequest {
    WhatIfRequest { from, to, ..request(rules(quota)) }
}

/// Runs to the end.
async fn ask(engine: &Engine, request: WhatIfRequest) -> Result<WhatIfReport, WhatIfError> {
    let mut run = engine.what_if(request).await?;
    let mut reached = Seq::ZERO;
    loop {
        match run.next().await.expect("the engine runs") {
            WhatIfUpdate::Progress(progress) => {
                assert!(reached <= progress.reached && progress.reached <= progress.to);
                reached = progress.reached;
            }
            WhatIfUpdate::Done(report) => {
                assert!(run.is_done() && run.next().await.is_none());
                return Ok(*report);
            }
            WhatIfUpdate::Failed(error) => panic!("{error}"),
        }
    }
}

fn offline(lab: &Lab, request: WhatIfRequest) -> Result<WhatIfReport, WhatIfOfflineError> {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut told = 0;
    let report = what_if_offline(lab.path(), scratch.path(), request, |_| told += 1);
    assert!(report.is_err() || 0 < told, "it says that it starts");
    let left: Vec<_> = std::fs::read_dir(scratch.path()).expect("it is there").collect();
    assert!(left.is_empty(), "copies are removed: {left:?}");
    report
}

/// What a comparison is known by.
fn figures(report: &WhatIfReport) -> (u64, u64, i128, i128, u64, u64, Seq, Seq) {
    let Comparison { purchases, before, after, .. } = &report.comparison;
    let granted = |promos: &std::collections::BTreeMap<_, kembali_core::totals::PromoTotals>| {
        promos.values().map(|promo| promo.granted).sum::<u64>()
    };
    let (paid_before, paid_after) = (before.point_transaction, after.point_transaction);
    let (granted_before, granted_after) = (granted(&before.promos), granted(&after.promos));
    (*purchases, after.accepted, paid_before, paid_after, granted_before, granted_after, report.from, report.to)
}

async fn records(engine: &Engine) -> Vec<Record> {
    let mut records = Vec::new();
    for seq in 1..=engine.durable().0 {
        let (record, _) = engine.record(Seq(seq)).await.expect("readable").expect("written");
        records.push(Record::clone(&record));
    }
    records
}

/// What the sample promo, 2 % of everything until its quota is used, pays for the purchases that `records` book.
fn counted(records: &[Record], quota: u64) -> (u64, u64, i128) {
    let (mut purchases, mut used, mut paid) = (0, 0, 0);
    for event in records.iter().flat_map(|record| &record.body.events) {
        if let Event::PurchaseBooked(booked) = event {
            purchases += 1;
            if used < quota {
                used += 1;
                paid += (i128::from(booked.purchase.amount) * 2 + 50) / 100;
            }
        }
    }
    (purchases, used, paid)
}

/// R19b: the rules that hold make no difference; another quota makes the one that can be counted. From memory, and from
/// an archive of many segments.
#[test]
fn r19b_what_if_differs_by_what_can_be_counted_and_changes_nothing() {
    for generation_bytes_max in [128 * 1024 * 1024, 64 * 1024] {
        let lab = Lab::new();
        let (seen, all) = runtime().block_on(async {
            let engine = lab.start_rotating(2, generation_bytes_max);
            let shop = open_shop(&engine, QUOTA).await;
            for chunk in input(shop).chunks(100) {
                engine.book(chunk.to_vec()).await.expect("the engine answers");
            }
            let all = records(&engine).await;
            let mut seen = Vec::new();
            for quota in [QUOTA, 0, 1_234, u64::from(u32::MAX)] {
                let report = ask(&engine, request(rules(quota))).await.expect("it runs");
                let (purchases, used, paid) = counted(&all, quota);
                let (_, used_before, paid_before) = counted(&all, QUOTA);
                let end = engine.durable();
                let expected = (purchases, purchases, paid_before, paid, used_before, used, Seq(1), end);
                assert_eq!(figures(&report), expected, "quota {quota}");
                assert_eq!(report.comparison.is_same(), quota == QUOTA);
                seen.push((quota, report));
            }
            assert_eq!(engine.durable().0, all.len() as u64, "nothing was written");
            engine.stop().await.expect("it stops well");
            (seen, all)
        });
        let before = lab.verify();
        for (quota, live) in seen {
            let report = offline(&lab, request(rules(quota))).expect("it runs");
            assert_eq!(figures(&report), figures(&live));
            let (live, offline) = (live.comparison, report.comparison);
            assert_eq!((live.before, live.after, live.people), (offline.before, offline.after, offline.people));
            assert_eq!((live.left_out, live.wanted), (offline.left_out, offline.wanted));
        }
        let after = lab.verify();
        assert_eq!((after.digest, after.last), (before.digest, before.last));
        assert_eq!(after.segments > 3, generation_bytes_max < 1024 * 1024);

        // Ranges: by position, by instant, and by both; what lies before has used its units.
        let (first, last) = (Seq(1_000), Seq(2_000));
        let received = |seq: Seq| Bound::Received(all[seq.0 as usize - 1].body.received_at);
        let positions = |seq: Seq| Some(Bound::Position(seq));
        let (purchases, ..) = counted(&all[first.0 as usize - 1..last.0 as usize], 0);
        let used_before = counted(&all[..first.0 as usize - 1], QUOTA).1;
        let report = offline(&lab, between(1_234, positions(first), positions(last))).expect("it runs");
        let granted = purchases.min(1_234 - used_before);
        assert_eq!((report.comparison.purchases, figures(&report).5), (purchases, granted));
        for (from, to) in [(Some(received(first)), positions(last)), (positions(first), Some(received(last)))] {
            // One submission has one stamp, so an instant may name the whole of it.
            let by_instant = offline(&lab, between(1_234, from, to)).expect("it runs");
            let same_stamp = |seq: Seq| {
                let at = all[seq.0 as usize - 1].body.received_at;
                all.iter().filter(|record| record.body.received_at == at).count() as u64
            };
            assert!(by_instant.from <= first && first.0 - by_instant.from.0 < same_stamp(first));
            assert!(last <= by_instant.to, "{:?}", by_instant.to);
        }
    }
}

/// The bounds themselves: what they include, and what is no range.
#[test]
fn a_range_includes_its_ends_and_an_empty_one_is_refused() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 2).await;
        for number in 1..=5 {
            // Each a submission of its own, so each has a stamp of its own; they are records 2 to 6.
            book(&engine, purchase(shop, &format!("P-{number}"), "ann", 1_000)).await;
        }
        let stamps: Vec<Instant> = records(&engine).await.iter().map(|record| record.body.received_at).collect();
        let at = |seq: usize| Some(Bound::Received(stamps[seq - 1]));
        let just_before = |seq: usize| Some(Bound::Received(Instant(stamps[seq - 1].0 - 1)));
        let seq = |seq: u64| Some(Bound::Position(Seq(seq)));
        for (from, to, expected) in [
            (None, None, (1, 6)),
            (seq(0), seq(u64::MAX), (1, 6)),
            (seq(6), seq(6), (6, 6)),
            (at(3), at(5), (3, 5)),
            (just_before(3), just_before(5), (3, 4)),
            (at(3), seq(4), (3, 4)),
            (Some(Bound::Received(Instant(i64::MIN))), Some(Bound::Received(Instant(i64::MAX))), (1, 6)),
        ] {
            let report = ask(&engine, between(9, from, to)).await.expect("it runs");
            assert_eq!((report.from.0, report.to.0), expected, "{from:?} {to:?}");
            let purchases = expected.1 + 1 - expected.0.max(2);
            assert_eq!(report.comparison.purchases, purchases, "{from:?} {to:?}");
        }
        for (from, to) in [
            (seq(7), None),
            (seq(u64::MAX), None),
            (None, seq(0)),
            (seq(4), seq(3)),
            (at(4), at(3)),
            (Some(Bound::Received(Instant(i64::MAX))), None),
            (None, Some(Bound::Received(Instant(i64::MIN)))),
            (None, just_before(1)),
        ] {
            let refused = ask(&engine, between(9, from, to)).await;
            assert!(
                matches!(refused, Err(WhatIfError::Refused(WhatIfRefused::RangeEmpty { end: Seq(6), .. }))),
                "{from:?} {to:?} {refused:?}"
            );
        }
        engine.stop().await.expect("it stops well");
    });
}

#[test]
fn what_cannot_be_asked_is_refused_running_and_offline() {
    let lab = Lab::new();
    let unknown = CatalogueDraft { slug: "nobody".into(), ..rules(1) };
    let broken = CatalogueDraft { programs: Vec::new(), ..rules(1) };
    let said = |refused: WhatIfRefused| match refused {
        WhatIfRefused::Rules(CatalogueRejection::Invalid { place, problem }) => format!("{place}: {problem}"),
        other => other.to_string(),
    };
    let asked = [
        (unknown, "there is no tenant nobody"),
        (broken, "tier_programs[Journey]: cannot be removed: customers stand in it"),
    ];
    runtime().block_on(async {
        let engine = lab.start(1);
        let missing = ask(&engine, request(rules(1))).await;
        assert!(matches!(missing, Err(WhatIfError::Refused(WhatIfRefused::TenantUnknown { .. }))), "{missing:?}");
        open_shop(&engine, 10).await;
        // Nothing is bought yet: nothing differs, whatever the rules.
        let report = ask(&engine, request(rules(0))).await.expect("it runs");
        assert_eq!((report.comparison.purchases, report.comparison.before), (0, Default::default()));
        for (draft, expected) in asked.clone() {
            let Err(WhatIfError::Refused(refused)) = ask(&engine, request(draft)).await else { panic!("{expected}") };
            assert_eq!(said(refused), expected);
        }
        engine.stop().await.expect("it stops well");
        let stopped = ask(&engine, request(rules(1))).await;
        assert!(matches!(stopped, Err(WhatIfError::Stopped(Stopped))), "{stopped:?}");
    });
    for (draft, expected) in asked {
        let Err(WhatIfOfflineError::Refused(refused)) = offline(&lab, request(draft)) else { panic!("{expected}") };
        assert_eq!(said(refused), expected);
    }
    let nothing = Lab::new();
    let missing = offline(&nothing, request(rules(1)));
    assert!(matches!(missing, Err(WhatIfOfflineError::Ledger(VerifyError::NoLedger { .. }))), "{missing:?}");
}

/// A ledger that a server runs is not read beside it, and one that is damaged is named as such.
#[test]
fn offline_reads_a_whole_ledger_that_nobody_runs_or_none() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 1_000)).await), "booked");
        let refused = offline(&lab, request(rules(1))).expect_err("a server runs it");
        assert!(!refused.is_damage(), "{refused}");
        engine.stop().await.expect("it stops well");
    });
    assert_eq!(offline(&lab, request(rules(1))).expect("it runs").comparison.purchases, 1);
    std::fs::remove_dir_all(lab.path().join("journal")).expect("it is there");
    let damaged = offline(&lab, request(rules(1))).expect_err("a part is gone");
    assert!(damaged.is_damage(), "{damaged}");
}

/// R26: a run that meets a damaged block has no report, and a running ledger that is found damaged ends.
#[test]
fn r26_what_if_over_a_damaged_archive_names_it() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start_rotating(1, 16 * 1024);
        let shop = open_shop(&engine, QUOTA).await;
        for chunk in input(shop)[..500].chunks(50) {
            engine.book(chunk.to_vec()).await.expect("the engine answers");
        }
        engine.stop().await.expect("it stops well");

        let (fault, faults) = mpsc::channel();
        let config = lab.config(1, move |found: Fault| fault.send(found).expect("the test listens"));
        let (engine, _) = Engine::start(config).expect("the engine starts");
        // Nothing is left to be archived, so nobody but the scrub and the run reads segments.
        engine.snapshot().await.expect("it is taken");
        let segment = lab.path().join("archive").join("segment-0000000001.kseg");
        let byte = std::fs::read(&segment).expect("readable")[200];
        // Within the first block, which no start looks at; in place, as a disk would do it.
        let file = std::fs::File::options().write(true).open(&segment).expect("writable");
        file.write_all_at(&[byte ^ 1], 200).expect("writable");
        // Whether the run or the scrub sees it first: there is no report.
        if let Ok(mut run) = engine.what_if(request(rules(QUOTA))).await {
            while let Some(update) = run.next().await {
                assert!(!matches!(update, WhatIfUpdate::Done(_)), "{update:?}");
            }
        }
        let found = faults.recv().expect("it is reported");
        assert!(found.is_damage() && found.to_string().contains("segment-0000000001.kseg"), "{found}");
        assert!(engine.catalogue("shops", None).await.is_err(), "nothing is answered");
        // It may say once more what the scrub has found.
        drop(engine.stop().await);
    });
    let refused = offline(&lab, request(rules(QUOTA))).expect_err("it is damaged");
    assert!(refused.is_damage() && refused.to_string().contains("segment-0000000001.kseg"), "{refused}");
}

/// Each tenant is alone: the other's purchases use no unit of its quota, and its customers are not looked at.
#[test]
fn another_tenant_makes_no_difference() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(2);
        let mut shops = Vec::new();
        for slug in ["one", "two", "three"] {
            let key = format!("{slug}-test-key");
            let draft = CatalogueDraft { slug: slug.into(), ..rules(10) };
            let partner_keys = vec![PartnerKey::bare("shop", key.clone())];
            let apply =
                ApplyRequest { actor: Actor::Operator, draft, partner_keys, expected_version: None, dry_run: false };
            engine.apply(apply).await.expect("the rules are applied");
            shops.push(engine.partner_of_key(&key).expect("the key is known"));
        }
        for number in 0..60 {
            let shop = shops[number % 3];
            book(&engine, purchase(shop, &format!("P-{number}"), &format!("c{}", number % 4), 1_000)).await;
        }
        for slug in ["one", "two", "three"] {
            let draft = |quota| CatalogueDraft { slug: slug.into(), ..rules(quota) };
            let same = ask(&engine, request(draft(10))).await.expect("it runs");
            assert!(same.comparison.is_same() && same.comparison.purchases == 20, "{slug}");
            let other = ask(&engine, request(draft(15))).await.expect("it runs");
            assert_eq!(figures(&other), (20, 20, 200, 300, 10, 15, Seq(1), Seq(63)), "{slug}");
            let people = other.comparison.people.values().next().expect("somebody wins");
            assert_eq!((people.winners.sum, people.losers.customers), (100, 0));
            assert!(people.winners.largest.len() == 2, "as many as were asked for");
        }
        // A change of the rules that holds now is compared with what held then.
        let draft = CatalogueDraft { slug: "two".into(), ..rules(15) };
        let apply = ApplyRequest {
            actor: Actor::Operator,
            draft: draft.clone(),
            partner_keys: Vec::new(),
            expected_version: None,
            dry_run: false,
        };
        engine.apply(apply).await.expect("the rules are applied");
        let report = ask(&engine, request(draft)).await.expect("it runs");
        assert_eq!(figures(&report), (20, 20, 200, 300, 10, 15, Seq(1), Seq(64)));
        assert_eq!((report.comparison.left_out.catalogues, report.comparison.recorded.len()), (2, 2));
        engine.stop().await.expect("it stops well");
    });
}

#[test]
fn one_runs_at_a_time_and_ingest_goes_on() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        book(&engine, purchase(shop, "P-1", "ann", 1_000)).await;
        // Nobody fetches what it says, so it is not over.
        let mut run = engine.what_if(request(rules(20))).await.expect("it runs");
        for number in 2..=4 {
            assert_eq!(word(&book(&engine, purchase(shop, &format!("P-{number}"), "ann", 1_000)).await), "booked");
            let second = engine.what_if(request(rules(20))).await;
            assert!(matches!(second, Err(WhatIfError::Running)), "{second:?}");
        }
        let mut purchases = None;
        while let Some(update) = run.next().await {
            if let WhatIfUpdate::Done(report) = update {
                purchases = Some(report.comparison.purchases);
            }
        }
        assert_eq!(purchases, Some(1), "what comes later is not looked at");

        // One that nobody waits for any more is given up, and leaves its turn.
        drop(turn(&engine).await);
        drop(turn(&engine).await);
        let run = turn(&engine).await;
        engine.stop().await.expect("it stops well, whoever waits");
        drop(run);
    });
}

/// Starts a run as soon as the one before has left.
async fn turn(engine: &Engine) -> kembali_engine::WhatIfRun {
    loop {
        match engine.what_if(request(rules(20))).await {
            Ok(run) => return run,
            Err(WhatIfError::Running) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What the rules asked about refuse is counted by its code, and its customer gets nothing.
#[test]
fn refusals_are_counted() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        book(&engine, purchase(shop, "P-1", "ann", 1_000)).await;
        let mut plain = purchase(shop, "P-2", "bob", 1_000);
        plain.purchase.promo_code = None;
        plain.purchase.occurred_at = Some(Instant(MIDDLE.0 + 1));
        book(&engine, plain).await;
        assert_eq!(word(&book(&engine, purchase(shop, "P-3", "ann", 0)).await), "refused");
        let without = CatalogueDraft { promos: Vec::new(), ..rules(1) };
        let Comparison { refused, left_out, before, after, people, .. } =
            ask(&engine, request(without)).await.expect("it runs").comparison;
        assert_eq!(refused.into_iter().collect::<Vec<_>>(), [(RejectionCode::PromoUnknown, 1)]);
        assert_eq!((left_out.refusals, before.customers, after.customers), (1, 2, 1));
        assert_eq!(people.values().map(|people| people.losers.sum).collect::<Vec<_>>(), [-20]);
        engine.stop().await.expect("it stops well");
    });
}

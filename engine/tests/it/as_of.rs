//! R33: what is read as of a past position is a replay of the records up to there, and never changes: while purchases are
//! booked, generations archived, snapshots taken and dropped, and after a restart.

use kembali_core::accounts::Direction;
use kembali_core::customer::Row;
use kembali_core::draft::PolicyDraft;
use kembali_core::event::{Event, Record};
use kembali_core::hold::HoldId;
use kembali_core::ledger::Ledger;
use kembali_core::operation::{Actor, Operation, TierMove};
use kembali_core::upkeep::as_of;
use kembali_core::wallet::WalletStatus;
use kembali_core::{CustomerId, Instant, PartnerId, Seq, TenantId, WalletId};
use kembali_engine::{ApplyRequest, Caller, CustomerRef, Engine, Operated, OperationRequest, ReadError};

use crate::lab::{Lab, book, depth, open_shop, purchase, rules, runtime};
use crate::same::input;

/// So few that a thousand purchases are many segments and snapshots.
const GENERATION_BYTES: u64 = 16 * 1024;
const TENANT: TenantId = TenantId(1);

/// What is known of a customer: the row, the version of the rules, their "now", the customer's last record.
type Known = Option<(Row, u32, Instant, Seq)>;

async fn customer_at(engine: &Engine, customer: CustomerId, at: Seq) -> Known {
    let view = engine.customer_at(TENANT, &CustomerRef::Id(customer), at).await.expect("readable")?;
    assert_eq!((view.as_of, view.id, view.catalogue.tenant), (at, customer, TENANT));
    Some((view.row, view.catalogue.version, view.now, view.last))
}

/// The same of a replay.
fn replayed(ledger: &Ledger, customer: CustomerId) -> Known {
    let row = ledger.rows.get(&customer)?;
    let version = ledger.desk.catalogue(TENANT).expect("rules").version;
    let now = ledger.desk.now(TENANT, ledger.desk.last_received_at());
    let row = as_of(row.clone(), ledger.desk.removals(TENANT).expect("a tenant"), now);
    Some((row, version, now, ledger.desk.last_record_of(customer)))
}

async fn records(engine: &Engine) -> Vec<Record> {
    let mut records = Vec::new();
    for seq in 1..=engine.durable().0 {
        let (record, _) = engine.record(Seq(seq)).await.expect("readable").expect("written");
        records.push(Record::clone(&record));
    }
    records
}

/// A plain linear congruential generator: a failure can be repeated.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Books a thousand purchases, with operations between them and a change of the rules now and then that takes a level away or brings one, and looks back at random between them. Returns
/// what was seen.
async fn run(engine: &Engine, shop: Caller, state: &mut u64) -> Vec<(CustomerId, Seq, Known)> {
    let mut seen = Vec::new();
    for (index, chunk) in input(shop)[..1_000 * depth()].chunks(25).enumerate() {
        let booking = engine.book(chunk.to_vec());
        // At once with the bookings, of positions that are durable before them.
        let durable = engine.durable();
        let (booked, looked) = tokio::join!(booking, look(engine, durable, state));
        booked.expect("the engine answers");
        seen.extend(looked);
        operate(engine, index, state).await;
        if index % 7 == 3 {
            let mut draft = rules(500 + index as u64);
            let PolicyDraft::Journey(journey) = &mut draft.programs[0].policy else {
                panic!("the sample is a Journey")
            };
            journey.levels.retain(|level| index % 2 == 0 || level.name != "SILVER");
            let request = ApplyRequest {
                actor: Actor::Operator,
                draft,
                partner_keys: Vec::new(),
                expected_version: None,
                dry_run: false,
            };
            let applied = engine.apply(request).await.expect("the rules are applied");
            // Right there, where nobody is placed yet whose level is gone.
            let at = applied.seq.expect("something changes");
            for name in 0..20 {
                let view = engine.customer(TENANT, &CustomerRef::Ref(format!("c{name}"))).await.expect("it answers");
                let Some(view) = view else { continue };
                seen.push((view.id, at, customer_at(engine, view.id, at).await));
            }
        }
    }
    seen
}

/// Does something with accounts of customers beside purchases; some of it is refused.
pub(crate) async fn operate(engine: &Engine, index: usize, state: &mut u64) {
    for number in 0..6 {
        let name = CustomerRef::Ref(format!("c{}", draw(state, 20)));
        let Some(view) = engine.customer(TENANT, &name).await.expect("it answers") else { continue };
        let wallet = WalletId(u16::try_from(draw(state, 3)).expect("a few"));
        let amount = 1 + i64::try_from(draw(state, 50_000)).expect("a few");
        let hold = HoldId(1 + u32::try_from(draw(state, 4)).expect("a few"));
        let other = CustomerRef::Ref(format!("c{}", draw(state, 20)));
        let operation = match draw(state, 16) {
            0 | 1 => Operation::Deposit { wallet, amount, reference: None },
            2 => Operation::Adjust { wallet, direction: Direction::Out, amount, reason: "a slip".into() },
            3 => Operation::OpenWallet,
            4 => Operation::SetWalletStatus { wallet: WalletId(1), status: WalletStatus::Frozen },
            5 => Operation::SetWalletStatus { wallet: WalletId(1), status: WalletStatus::Active },
            6 => Operation::ReportActivity { tag: "review".into(), occurred_at: None },
            7 => Operation::MoveTier { program: "Journey".into(), to: TierMove::Up },
            8 => Operation::MoveTier { program: "Journey".into(), to: TierMove::Down },
            9 => Operation::SettleHold { hold, amount: None },
            10 => Operation::VoidHold { hold },
            11 | 12 => Operation::Transfer {
                wallet: WalletId(0),
                to: engine.customer_id(TENANT, &other),
                to_wallet: wallet,
                amount: amount / 3 + 1,
                reference: None,
            },
            _ => Operation::PlaceHold {
                wallet,
                partner: PartnerId(1),
                amount: amount / 4 + 1,
                life_seconds: Some(i64::from(hold.0) * 40_000),
                reference: None,
            },
        };
        let request = |key: String, operation: Operation| OperationRequest {
            tenant: TENANT,
            actor: Actor::Operator,
            customer: CustomerRef::Id(view.id),
            idempotency_key: Some(key),
            operation,
            wallet_name: None,
            device: None,
            dry_run: false,
        };
        let is_deposit = matches!(operation, Operation::Deposit { .. });
        let operated = engine.operate(request(format!("{index}/{number}"), operation)).await;
        let Operated::Done { record, .. } = operated.expect("the engine answers") else { continue };
        let seq = record.seq;
        let next = match draw(state, 3) {
            0 if record.review().is_some() => Operation::ReleaseReview { review: seq },
            1 if record.review().is_some() => Operation::RejectReview { review: seq, reason: "not theirs".into() },
            0 if is_deposit => Operation::Reverse { operation: seq, reason: "it bounced".into() },
            _ => continue,
        };
        engine.operate_on(request(format!("{index}/{number}/then"), next), record).await.expect("the engine answers");
    }
}

async fn look(engine: &Engine, durable: Seq, state: &mut u64) -> Vec<(CustomerId, Seq, Known)> {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let name = CustomerRef::Ref(format!("c{}", draw(state, 97)));
        // Somebody who is not there yet is not known by an id either.
        let Some(view) = engine.customer(TENANT, &name).await.expect("it answers") else { continue };
        let at = Seq(draw(state, durable.0 + 1));
        seen.push((view.id, at, customer_at(engine, view.id, at).await));
    }
    seen
}

async fn look_again(engine: &Engine, seen: &[(CustomerId, Seq, Known)], when: &str) {
    for (customer, at, known) in seen {
        assert_eq!(customer_at(engine, *customer, *at).await, *known, "{customer:?} as of {at:?} {when}");
    }
}

#[test]
fn r33_a_past_state_is_a_replay_of_its_prefix_and_never_changes() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start_rotating(2, GENERATION_BYTES);
        let shop = open_shop(&engine, 500).await;
        let mut state = 1;
        let seen = run(&engine, shop, &mut state).await;
        assert!(seen.iter().any(|(.., known)| known.is_none()) && 50 < seen.len(), "some were not there yet");
        look_again(&engine, &seen, "after the last purchase").await;
        engine.snapshot().await.expect("a snapshot");
        look_again(&engine, &seen, "after a snapshot").await;
        engine.stop().await.expect("it stops well");

        let engine = lab.start(1);
        look_again(&engine, &seen, "after a restart").await;
        let records = records(&engine).await;
        let of = |wanted: fn(&Event) -> bool| records.iter().filter(|own| own.body.events.iter().any(wanted)).count();
        let (done, refused) = (
            of(|event| matches!(event, Event::OperationDone(_))),
            of(|event| matches!(event, Event::OperationRefused(_))),
        );
        assert!(20 < done && 5 < refused, "{done} operations, {refused} refused");
        let held =
            (of(|event| matches!(event, Event::HoldPlaced(_))), of(|event| matches!(event, Event::HoldClosed(_))));
        assert!(5 < held.0 && 1 < held.1, "{held:?} holds placed and closed");
        let sent = (
            of(|event| matches!(event, Event::TransferSettled(_))),
            of(|event| matches!(event, Event::TransferReturned(_))),
        );
        assert!(1 < sent.0 && 1 < sent.1, "{sent:?} transfers settled and returned");
        let (mut ledger, mut met) = (Ledger::default(), 0);
        for record in &records {
            ledger.evolve(record).expect("a ledger");
            for (customer, _, known) in seen.iter().filter(|(_, at, _)| *at == record.seq) {
                assert_eq!(replayed(&ledger, *customer), *known, "{customer:?} as of {:?}", record.seq);
                met += 1;
            }
        }
        assert_eq!(met, seen.iter().filter(|(_, at, _)| *at != Seq::ZERO).count());
        engine.stop().await.expect("it stops well");
    });
    let verified = lab.verify();
    assert!(verified.segments > 10 && verified.snapshots > 0, "{verified:?}");
}

/// Ten customers at ten positions, all at random: without any snapshot, with the newest ones, and with a damaged one.
#[test]
fn ten_customers_at_ten_positions_equal_a_replay_of_the_prefix() {
    let (lab, mut state) = (Lab::new(), 7);
    runtime().block_on(async {
        let engine = lab.start_rotating(1, GENERATION_BYTES);
        let shop = open_shop(&engine, 500).await;
        run(&engine, shop, &mut state).await;
        let mut positions: Vec<Seq> = (0..9).map(|_| Seq(1 + draw(&mut state, engine.durable().0))).collect();
        positions.push(engine.durable());
        let records = records(&engine).await;
        let mut prefix = Ledger::default();
        let mut prefixes = Vec::new();
        positions.sort_unstable();
        for record in &records {
            prefix.evolve(record).expect("a ledger");
            prefixes.extend(positions.iter().filter(|at| **at == record.seq).map(|at| (*at, prefix.clone())));
        }
        let mut customers: Vec<CustomerId> = prefix.rows.keys().copied().collect();
        customers.sort_unstable();
        let customers: Vec<CustomerId> = (0..10).map(|_| customers[draw(&mut state, 97) as usize]).collect();
        let compare = async |engine: &Engine, when: &str| {
            for (at, prefix) in &prefixes {
                for customer in &customers {
                    let known = customer_at(engine, *customer, *at).await;
                    assert_eq!(known, replayed(prefix, *customer), "{customer:?} as of {at:?} {when}");
                }
                let sums = engine.totals_at(TENANT, *at).await.expect("readable").expect("the tenant");
                assert_eq!(sums.totals, *prefix.totals.tenant(TENANT).expect("sums"), "as of {at:?} {when}");
                assert_eq!(sums.catalogue, *prefix.desk.catalogue(TENANT).expect("rules"), "as of {at:?} {when}");
            }
        };
        compare(&engine, "with snapshots").await;
        // Behind this one none is taken or removed any more.
        engine.snapshot().await.expect("the disk has room");
        // Damage in the rows of one is found when a row is read; the records are there all the same.
        let snapshots = lab.path().join("snapshots");
        let mut files: Vec<_> =
            std::fs::read_dir(&snapshots).expect("it is there").map(|file| file.expect("a file").path()).collect();
        files.sort();
        let newest = files.pop().expect("a snapshot");
        let mut bytes = std::fs::read(&newest).expect("readable");
        bytes[200] ^= 1;
        std::fs::write(&newest, bytes).expect("writable");
        compare(&engine, "with a damaged snapshot").await;
        files.push(newest);
        files.iter().for_each(|file| std::fs::remove_file(file).expect("removable"));
        compare(&engine, "without a snapshot").await;
        engine.stop().await.expect("it stops well");
    });
}

#[test]
fn an_instant_means_the_last_record_that_was_received_until_then() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start_rotating(1, GENERATION_BYTES);
        let shop = open_shop(&engine, 500).await;
        for chunk in input(shop)[..300].chunks(7) {
            engine.book(chunk.to_vec()).await.expect("the engine answers");
        }
        let records = records(&engine).await;
        let (first, last) = (records[0].body.received_at, records[records.len() - 1].body.received_at);
        for instant in (first.0 - 2_000..last.0).step_by(500) {
            let wanted = records.iter().filter(|record| record.body.received_at.0 <= instant).count() as u64;
            assert_eq!(engine.position_of(Instant(instant)).await.expect("readable"), Some(Seq(wanted)));
        }
        assert_eq!(engine.position_of(Instant(i64::MIN)).await.expect("readable"), Some(Seq::ZERO));
        // What is not past has no position: more may be received until then.
        for instant in [last.0 + 3_600_000_000, i64::MAX] {
            assert_eq!(engine.position_of(Instant(instant)).await.expect("readable"), None);
        }
        engine.stop().await.expect("it stops well");
    });
}

#[test]
fn what_is_not_there_and_not_yet() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 500).await;
        book(&engine, purchase(shop, "P-1", "ann", 1_000)).await;
        book(&engine, purchase(shop, "P-2", "ben", 1_000)).await;
        let at = async |name: &str, at: u64| {
            let view = engine.customer_at(TENANT, &CustomerRef::Ref(name.into()), Seq(at)).await;
            view.map(|view| view.map(|view| view.last.0))
        };
        assert_eq!(at("ben", 3).await.expect("readable"), Some(3));
        for (name, position) in [("ben", 2), ("ben", 0), ("ann", 1), ("ann", 0), ("cid", 3)] {
            assert_eq!(at(name, position).await.expect("readable"), None, "{name} at {position}");
        }
        for position in [4, u64::MAX] {
            assert!(matches!(at("ann", position).await, Err(ReadError::NotWritten(_))), "{position}");
            assert!(matches!(engine.totals_at(TENANT, Seq(position)).await, Err(ReadError::NotWritten(_))));
        }
        let nobody = engine.customer_at(TenantId(2), &CustomerRef::Ref("ann".into()), Seq(3)).await;
        assert!(nobody.expect("readable").is_none(), "of another tenant");
        assert!(engine.totals_at(TENANT, Seq::ZERO).await.expect("readable").is_none(), "before the tenant");
        engine.stop().await.expect("it stops well");
    });
}

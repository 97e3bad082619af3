//! A journal that fails: nothing more is acknowledged, the fault is named, and recovery has what was acknowledged.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};

use kembali_core::operation::{Actor, Operation};
use kembali_core::{Instant, Seq, TenantId, WalletId};
use kembali_engine::{BookError, CustomerRef, Engine, EngineConfig, Fault, OperateError, Operated, OperationRequest};
use kembali_journal::{
    AppendError, Frame, Frames, GenerationInfo, Journal, MemoryDisk, MemoryFault, MemoryJournal, Options, Position,
    ReadError, SealError, TrimError,
};

use crate::lab::{Lab, MIDDLE, book, open_shop, purchase, runtime, word};

#[test]
fn r39_after_a_panic_in_the_write_path_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    let lab = Lab::new();
    runtime().block_on(async {
        // The router looks at the clock once a submission, in the middle of its work.
        let looks = AtomicU64::new(0);
        let clock = move || match looks.fetch_add(1, Ordering::Relaxed) {
            look @ 0..=9 => Instant(MIDDLE.0 + look as i64),
            _ => panic!("a bug in the write path, planted by a test"),
        };
        let config = EngineConfig { clock: Arc::new(clock), ..lab.config(2, |fault| panic!("no fault: {fault}")) };
        let (engine, _) = Engine::start(config).expect("the engine starts");
        let shop = open_shop(&engine, 100).await;
        let mut acknowledged = Vec::new();
        let stopped = loop {
            let id = format!("P-{}", acknowledged.len());
            match engine.book(vec![purchase(shop, &id, "ann", 1_000)]).await {
                Ok(_) => acknowledged.push(id),
                Err(error) => break error,
            }
        };
        assert!(matches!(stopped, BookError::Stopped(_)), "{stopped:?}");
        assert!(!acknowledged.is_empty());
        let later = engine.book(vec![purchase(shop, "P-later", "ann", 1_000)]).await;
        assert!(matches!(later, Err(BookError::Stopped(_))), "{later:?}");
        assert!(engine.stop().await.is_ok(), "the journal itself is well");

        let engine = lab.start(1);
        for id in &acknowledged {
            assert_eq!(word(&book(&engine, purchase(shop, id, "ann", 1_000)).await), "replayed", "{id}");
        }
        engine.stop().await.expect("it stops well");
    });
}

#[test]
fn r24_after_a_fault_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    for stored in [false, true] {
        let lab = Lab::new();
        let disk = MemoryDisk::default();
        runtime().block_on(async {
            let (fault, faults) = mpsc::channel();
            let config = lab.config(2, move |found: Fault| fault.send(found).expect("the test listens"));
            let journal = MemoryJournal::open(&disk, &Options::default()).expect("a new disk").0;
            let (engine, _) = Engine::start_on(config, Box::new(journal), Vec::new()).expect("the engine starts");
            let shop = open_shop(&engine, 10).await;
            assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 1_000)).await), "booked");
            // The disk breaks under the next frame: before it is stored, or after it.
            disk.fail_append(1, if stored { MemoryFault::AfterSync } else { MemoryFault::BeforeStore });
            let broken = engine.book(vec![purchase(shop, "P-2", "ann", 1_000)]).await;
            assert!(matches!(broken, Err(BookError::Stopped(_))), "{broken:?}");
            assert!(matches!(faults.recv(), Ok(Fault::Journal(_))));
            let later = engine.book(vec![purchase(shop, "P-3", "ann", 1_000)]).await;
            assert!(matches!(later, Err(BookError::Stopped(_))), "{later:?}");
        });
        runtime().block_on(async {
            let config = lab.config(1, |fault| panic!("no fault is planned: {fault}"));
            let journal = MemoryJournal::open(&disk, &Options::default()).expect("the disk is whole").0;
            let (engine, report) = Engine::start_on(config, Box::new(journal), Vec::new()).expect("the engine starts");
            assert_eq!(report.purchases, if stored { 2 } else { 1 });
            let shop = open_shop(&engine, 10).await;
            assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 1_000)).await), "replayed");
            // The outcome of this one was unknown; the retry makes it known and counts it once.
            let retried = word(&book(&engine, purchase(shop, "P-2", "ann", 1_000)).await);
            assert_eq!(retried, if stored { "replayed" } else { "booked" });
            engine.stop().await.expect("it stops well");
        });
    }
}

/// The journal breaks under a transfer between two shards: whatever of it is durable, a start goes on with it, and the same
/// again makes it once.
#[test]
fn r16_a_transfer_goes_on_after_a_start() {
    for fault in [MemoryFault::BeforeStore, MemoryFault::AfterSync] {
        let lab = Lab::new();
        let disk = MemoryDisk::default();
        let ask = |engine: Engine, customer: CustomerRef, key: &'static str, operation: Operation| async move {
            let request = OperationRequest {
                tenant: TenantId(1),
                actor: Actor::Operator,
                customer,
                idempotency_key: Some(key.into()),
                operation,
                wallet_name: None,
                device: None,
                dry_run: false,
            };
            engine.operate(request).await
        };
        let (a, b) = (CustomerRef::Ref("ann".into()), CustomerRef::Ref("bob".into()));
        let transfer = |engine: &Engine| Operation::Transfer {
            wallet: WalletId(0),
            to: engine.customer_id(TenantId(1), &b),
            to_wallet: WalletId(0),
            amount: 60,
            reference: None,
        };
        runtime().block_on(async {
            let config = lab.config(2, |_| ());
            let journal = MemoryJournal::open(&disk, &Options::default()).expect("a new disk").0;
            let (engine, _) = Engine::start_on(config, Box::new(journal), Vec::new()).expect("the engine starts");
            open_shop(&engine, 10).await;
            for (customer, key) in [(&a, "a"), (&b, "b")] {
                let created = ask(engine.clone(), customer.clone(), key, Operation::CreateCustomer).await;
                created.expect("the customer is created");
            }
            let deposit = Operation::Deposit { wallet: WalletId(0), amount: 100, reference: None };
            let id = CustomerRef::Id(engine.customer_id(TenantId(1), &a));
            ask(engine.clone(), id.clone(), "d", deposit).await.expect("the deposit is done");
            disk.fail_append(1, fault);
            let broken = ask(engine.clone(), id, "t", transfer(&engine)).await;
            assert!(matches!(broken, Err(OperateError::Stopped(_))), "{broken:?}");
        });
        runtime().block_on(async {
            let config = lab.config(2, |fault| panic!("no fault is planned: {fault}"));
            let journal = MemoryJournal::open(&disk, &Options::default()).expect("the disk is whole").0;
            let (engine, _) = Engine::start_on(config, Box::new(journal), Vec::new()).expect("the engine starts");
            let places = async || {
                let mut balances = Vec::new();
                for name in [&a, &b] {
                    let view = engine.customer(TenantId(1), name).await.expect("it answers").expect("they are there");
                    balances.push(view.row.balance(WalletId(0)).minor_units());
                }
                balances
            };
            let found = places().await;
            assert!(found == [100, 0] || found == [40, 60], "{found:?}");
            assert_eq!(found == [100, 0], matches!(fault, MemoryFault::BeforeStore));
            let id = CustomerRef::Id(engine.customer_id(TenantId(1), &a));
            let done = ask(engine.clone(), id, "t", transfer(&engine)).await.expect("the engine answers");
            let Operated::Done { replayed, .. } = done else { panic!("{done:?}") };
            assert_eq!(replayed, found == [40, 60]);
            assert_eq!(places().await, [40, 60]);
            engine.stop().await.expect("it stops well");
        });
    }
}

/// A journal whose every append tells that it was called, and goes on only when it is told to.
struct Gate {
    journal: MemoryJournal,
    called: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Journal for Gate {
    fn position(&self) -> Position {
        self.journal.position()
    }

    fn append(&mut self, frame: &Frame) -> Result<(), AppendError> {
        // The test may be over.
        let _ = (self.called.send(()), self.go_on.recv());
        self.journal.append(frame)
    }

    fn frames(&self, from: Seq) -> Result<Frames<'_>, ReadError> {
        self.journal.frames(from)
    }

    fn first_seq(&self) -> Seq {
        self.journal.first_seq()
    }

    fn generations(&self) -> Vec<GenerationInfo> {
        self.journal.generations()
    }

    fn seal(&mut self) -> Result<(), SealError> {
        self.journal.seal()
    }

    fn trim(&mut self, generation: u64) -> Result<(), TrimError> {
        self.journal.trim(generation)
    }
}

fn is_pending<T>(future: impl Future<Output = T> + Unpin) -> bool {
    matches!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

/// A purchase is decided and with the journal, and its sync has not come back: whatever asks, nothing of it is seen. Then
/// the power goes, and it never was.
#[test]
fn r34_nothing_is_shown_that_a_power_cut_could_undo() {
    let lab = Lab::new();
    let disk = MemoryDisk::default();
    runtime().block_on(async {
        let (called, calls) = mpsc::channel();
        let (tell, go_on) = mpsc::channel();
        let journal = MemoryJournal::open(&disk, &Options::default()).expect("a new disk").0;
        // The router looks at the clock once a submission: so the test knows how many it has taken.
        let looks = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&looks);
        let clock = Arc::new(move || Instant(MIDDLE.0 + seen.fetch_add(1, Ordering::SeqCst) as i64));
        let config = EngineConfig { clock, ..lab.config(2, |_| ()) };
        let gate = Gate { journal, called, go_on };
        let (engine, _) = Engine::start_on(config, Box::new(gate), Vec::new()).expect("the engine starts");
        tell.send(()).expect("the journal listens");
        let shop = open_shop(&engine, 1).await;
        calls.recv().expect("the rules were appended");
        let (durable, watch) = (engine.durable(), engine.watch_durable());
        let before = looks.load(Ordering::SeqCst);

        let mut booked = Box::pin(engine.try_book(vec![purchase(shop, "P-1", "ann", 1_000)]).expect("there is room"));
        calls.recv().expect("the purchase is with the journal");
        // Everything that could tell of it, each taken by the router while the purchase is not durable.
        let ann = CustomerRef::Ref("ann".into());
        let dry = purchase(shop, "P-2", "ann", 1_000);
        let mut replay = Box::pin(engine.try_book(vec![purchase(shop, "P-1", "ann", 1_000)]).expect("there is room"));
        let mut conflict = Box::pin(engine.try_book(vec![purchase(shop, "P-1", "ann", 2_000)]).expect("there is room"));
        let mut dry_run = Box::pin(
            engine.try_book(vec![kembali_engine::PurchaseRequest { dry_run: true, ..dry }]).expect("there is room"),
        );
        let mut customer = Box::pin(engine.customer(shop.tenant, &ann));
        let mut totals = Box::pin(engine.totals("shops"));
        assert!(is_pending(&mut customer) && is_pending(&mut totals), "these are sent by the first look at them");
        while looks.load(Ordering::SeqCst) < before + 6 {
            tokio::task::yield_now().await;
        }
        assert!(is_pending(&mut booked) && is_pending(&mut replay) && is_pending(&mut conflict));
        assert!(is_pending(&mut dry_run) && is_pending(&mut customer) && is_pending(&mut totals));
        assert_eq!((engine.durable(), watch.has_changed().expect("the engine is there")), (durable, false));
        assert!(engine.record(durable.next()).await.expect("it reads").is_none());

        disk.fail_append(1, MemoryFault::BeforeSync);
        tell.send(()).expect("the journal listens");
        assert!(matches!(booked.await, Err(BookError::Stopped(_))));
        assert!(matches!(replay.await, Err(BookError::Stopped(_))));
        assert!(matches!(conflict.await, Err(BookError::Stopped(_))));
        assert!(matches!(dry_run.await, Err(BookError::Stopped(_))));
        assert!(customer.await.is_err() && totals.await.is_err());
        assert_eq!(engine.durable(), durable);
        disk.crash();
    });
    runtime().block_on(async {
        let journal = MemoryJournal::open(&disk, &Options::default()).expect("the disk is whole").0;
        let config = lab.config(1, |fault| panic!("no fault is planned: {fault}"));
        let (engine, report) = Engine::start_on(config, Box::new(journal), Vec::new()).expect("the engine starts");
        assert_eq!(report.purchases, 0, "it never was");
        let shop = open_shop(&engine, 1).await;
        assert_eq!(word(&book(&engine, purchase(shop, "P-1", "ann", 2_000)).await), "booked");
        engine.stop().await.expect("it stops well");
    });
}

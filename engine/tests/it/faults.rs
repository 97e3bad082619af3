//! A journal that fails: nothing more is acknowledged, the fault is named, and recovery has what was acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use kembali_core::Instant;
use kembali_engine::{BookError, Engine, EngineConfig, Fault};
use kembali_journal::{MemoryDisk, MemoryFault, MemoryJournal, Options};

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

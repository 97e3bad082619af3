//! The pipeline without threads: router and one shard by hand, frames into a journal in memory, replies out.

use kembali_core::command::{ApplyCatalogue, Command};
use kembali_core::desk::Desk;
use kembali_core::totals::Totals;
use kembali_journal::{FrameBuilder, Journal, MemoryDisk, MemoryJournal, Options, codec};
use kembali_machine::{Outcome, Router, Shard};

use crate::{RECEIVED, rules};

/// A ledger that works off commands in the thread of its caller.
pub struct Pipeline {
    router: Router<()>,
    shard: Shard,
    journal: MemoryJournal,
}

impl Pipeline {
    /// Makes a ledger that has the rules, with this quota, and nothing else.
    ///
    /// # Panics
    ///
    /// If a journal in memory fails.
    #[must_use]
    pub fn new(quota: u64) -> Pipeline {
        let router = Router::new(Desk::default(), Totals::default(), 1, Box::new(|_, _| 0));
        let shard = Shard::default();
        let (journal, _) = MemoryJournal::open(&MemoryDisk::default(), &Options::default()).expect("a new disk");
        let mut pipeline = Pipeline { router, shard, journal };
        let draft = rules(quota);
        let apply = ApplyCatalogue { actor: None, draft, keys: Vec::new(), expected_version: None, dry_run: false };
        // The first frame of the journal is the change that brought the rules.
        pipeline.run(vec![Command::ApplyCatalogue(Box::new(apply))]);
        pipeline
    }

    /// Takes commands that arrived together, makes them durable, and returns what became of them.
    ///
    /// # Panics
    ///
    /// If a journal in memory fails.
    pub fn run(&mut self, commands: Vec<Command>) -> Vec<Outcome> {
        self.router.submit(RECEIVED, commands, ());
        // So many are open at a time; the shard's answers make room for more.
        loop {
            let sealed = self.router.seal().next();
            let Some((_, batch)) = sealed else { break };
            self.router.answered(self.shard.work(batch).expect("all rows are in memory"));
        }
        while let Some(group) = self.router.next_group() {
            let mut frame = FrameBuilder::with_capacity(320 * group.records.len());
            for record in &group.records {
                frame.push(|out| codec::encode(&record.body, out)).expect("a small record");
            }
            let position = self.journal.position();
            let frame = frame.finish(position.epoch, position.seq.next(), position.hash).expect("a small group");
            self.journal.append(&frame).expect("memory does not fail");
            self.router.confirm(self.journal.position().seq);
        }
        self.router.release().into_iter().flat_map(|reply| reply.outcomes).collect()
    }
}

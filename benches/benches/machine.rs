//! The pipeline without threads: router and one shard by hand, frames into a journal in memory, replies out.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::{START, command, rules};
use kembali_core::command::Command;
use kembali_core::ledger::Ledger;
use kembali_journal::{Frame, Journal, MemoryDisk, MemoryJournal, Options, codec};
use kembali_machine::{Router, Shard};

const PURCHASES: u64 = 10_000;

struct Pipeline {
    router: Router<()>,
    shard: Shard,
    journal: MemoryJournal,
    encoded: Vec<Vec<u8>>,
}

impl Pipeline {
    fn new(ledger: Ledger) -> Pipeline {
        let (router, mut rows) = Router::recovered(ledger, 1, Box::new(|_, _| 0));
        let shard = Shard::new(rows.remove(0));
        let disk = MemoryDisk::default();
        let (journal, _) = MemoryJournal::open(&disk, &Options::default()).expect("a new disk");
        Pipeline { router, shard, journal, encoded: Vec::new() }
    }

    fn run(&mut self, commands: Vec<Command>) -> usize {
        self.router.submit(START, commands, ());
        let batches: Vec<_> = self.router.seal().collect();
        for (_, batch) in batches {
            let answers = self.shard.work(batch);
            self.router.answered(answers);
        }
        while let Some(group) = self.router.next_group() {
            self.encoded.resize_with(group.records.len().max(self.encoded.len()), Vec::new);
            for (buffer, record) in self.encoded.iter_mut().zip(&group.records) {
                buffer.clear();
                codec::encode(&record.body, buffer).expect("a small record");
            }
            let position = self.journal.position();
            let records = &self.encoded[..group.records.len()];
            let frame =
                Frame::build(position.epoch, position.seq.next(), position.hash, records).expect("a small group");
            self.journal.append(&frame).expect("memory does not fail");
            self.router.confirm();
        }
        self.router.release().iter().map(|reply| reply.outcomes.len()).sum()
    }
}

fn machine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("machine");
    group.throughput(Throughput::Elements(PURCHASES));
    for batch in [1, 100, 1_000] {
        group.bench_function(BenchmarkId::new("submit to reply, memory journal, batches of", batch), |bencher| {
            bencher.iter_batched(
                || {
                    let commands: Vec<Command> =
                        (0..PURCHASES).map(|number| Command::Purchase(Box::new(command(number, 1_000)))).collect();
                    let batches: Vec<Vec<Command>> = commands.chunks(batch).map(<[Command]>::to_vec).collect();
                    let mut pipeline = Pipeline::new(Ledger::default());
                    // The first frame of the journal is the change that brought the rules.
                    let apply = kembali_core::command::ApplyCatalogue {
                        actor: None,
                        draft: rules(1 << 40),
                        keys: Vec::new(),
                        expected_version: None,
                        dry_run: false,
                    };
                    pipeline.run(vec![Command::ApplyCatalogue(Box::new(apply))]);
                    (pipeline, batches)
                },
                |(mut pipeline, batches)| {
                    let answered: usize = batches.into_iter().map(|commands| pipeline.run(commands)).sum();
                    assert_eq!(answered as u64, PURCHASES);
                    pipeline
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, machine);
criterion_main!(benches);

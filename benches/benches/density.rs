//! What a purchase costs by how many customers are resident: all of them in memory, in one shard, known before the
//! time counts, with three purchases each that are remembered too.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::{Pipeline, command};
use kembali_core::command::Command;

const PURCHASES: u64 = 10_000;
const BATCH: usize = 1_000;
/// Nearly all customers have bought after so many purchases each, on average.
const WARM_UP_EACH: u64 = 3;

/// Makes the purchases with these numbers in batches.
fn batches(numbers: std::ops::Range<u64>, customers: u64) -> Vec<Vec<Command>> {
    let commands: Vec<Command> =
        numbers.map(|number| Command::Purchase(Box::new(command(number, customers)))).collect();
    commands.chunks(BATCH).map(<[Command]>::to_vec).collect()
}

fn density(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("density");
    group.throughput(Throughput::Elements(PURCHASES)).sample_size(10);
    for customers in [1_000, 100_000, 1_000_000] {
        let mut pipeline = Pipeline::new(0);
        let mut next = 0;
        while next < WARM_UP_EACH * customers {
            for commands in batches(next..next + PURCHASES, customers) {
                pipeline.run(commands);
            }
            next += PURCHASES;
        }
        group.bench_function(BenchmarkId::new("submit to reply, resident customers", customers), |bencher| {
            bencher.iter_batched(
                || {
                    next += PURCHASES;
                    batches(next - PURCHASES..next, customers)
                },
                |batches| {
                    for commands in batches {
                        pipeline.run(commands);
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, density);
criterion_main!(benches);

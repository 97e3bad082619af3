//! The pipeline without threads, by the size of its batches, with a quota that grants every purchase and one that is used up.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::{Pipeline, command};
use kembali_core::command::Command;

const PURCHASES: u64 = 10_000;

fn machine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("machine");
    group.throughput(Throughput::Elements(PURCHASES));
    for (quota, batch) in [(1 << 40, 1), (1 << 40, 100), (1 << 40, 1_000), (0, 1_000)] {
        let way = if quota == 0 { "used-up quota" } else { "quota" };
        group.bench_function(BenchmarkId::new(format!("submit to reply, {way}, batches of"), batch), |bencher| {
            bencher.iter_batched(
                || {
                    let commands: Vec<Command> =
                        (0..PURCHASES).map(|number| Command::Purchase(Box::new(command(number, 1_000)))).collect();
                    (Pipeline::new(quota), commands.chunks(batch).map(<[Command]>::to_vec).collect::<Vec<_>>())
                },
                |(mut pipeline, batches)| {
                    for commands in batches {
                        pipeline.run(commands);
                    }
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

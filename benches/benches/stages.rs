//! The way of a purchase piece by piece: JSON in, decision, pipeline, record, JSON out.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::Stage;

const PURCHASES: u64 = 10_000;

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stages");
    group.throughput(Throughput::Elements(PURCHASES));
    for stage in Stage::ALL {
        group.bench_function(stage.name(), |bencher| {
            bencher.iter_batched(|| stage.prepare(PURCHASES), |run| run(), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);

//! The rules alone: a purchase admitted, decided and folded in, on one core.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::{book, command, ledger};

const PURCHASES: u64 = 10_000;

fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    group.throughput(Throughput::Elements(PURCHASES));
    for (name, customers, quota) in
        [("1k customers", 1_000, 1 << 40), ("100k customers", 100_000, 1 << 40), ("exhausted quota", 1_000, 0)]
    {
        let mut filled = ledger(quota);
        (0..customers).for_each(|number| {
            book(&mut filled, command(1_000_000_000 + number, customers));
        });
        group.bench_function(format!("admit, decide, evolve: {name}"), |bencher| {
            bencher.iter_batched(
                || (filled.clone(), (0..PURCHASES).map(|number| command(number, customers)).collect::<Vec<_>>()),
                |(mut ledger, commands)| {
                    for command in commands {
                        book(&mut ledger, command);
                    }
                    ledger
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);

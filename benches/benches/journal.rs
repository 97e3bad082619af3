//! The journal on disk: what one durable group costs, head and syncs included, by its number of records.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::{book, command, ledger};
use kembali_journal::{Frame, Journal, Options, SledJournal, codec};

fn journal(criterion: &mut Criterion) {
    let mut filled = ledger(1 << 40);
    let records: Vec<Vec<u8>> = (0..4_096)
        .map(|number| {
            let mut bytes = Vec::new();
            codec::encode(&book(&mut filled, command(number, 1_000)).body, &mut bytes).expect("a small record");
            bytes
        })
        .collect();

    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    let record = book(&mut filled, command(1_000_000, 1_000));
    let mut bytes = Vec::new();
    codec::encode(&record.body, &mut bytes).expect("a small record");
    let size = bytes.len();
    group.bench_function(format!("encode a record of {size} bytes"), |bencher| {
        let mut buffer = Vec::with_capacity(1_024);
        bencher.iter(|| {
            buffer.clear();
            codec::encode(&record.body, &mut buffer)
        });
    });
    group.bench_function(format!("decode a record of {size} bytes"), |bencher| {
        bencher.iter(|| codec::decode(record.seq, &bytes))
    });
    group.finish();

    let mut group = criterion.benchmark_group("sled journal, durable");
    group.sample_size(20);
    for count in [1, 16, 256, 1_024, 4_096] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (mut journal, _) = SledJournal::open(dir.path(), Options::default()).expect("a new journal");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("append a group of", count), |bencher| {
            bencher.iter(|| {
                let position = journal.position();
                let frame = Frame::build(position.epoch, position.seq.next(), position.hash, &records[..count])
                    .expect("a group fits");
                journal.append(&frame).expect("the disk takes it");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);

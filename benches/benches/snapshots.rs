//! The archive and snapshots on disk: a generation becomes a segment, a snapshot is taken of it, and a start loads that.

use std::convert::Infallible;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::{book, command, first_record, ledger};
use kembali_core::event::Record;
use kembali_journal::{Frame, FrameHash, GenerationInfo, codec};
use kembali_snapshots::{Archive, Cut, Snapshots};

const RECORDS: u64 = 100_000;
const CUSTOMERS: u64 = 20_000;
const RECORDS_A_FRAME: usize = 1_000;

fn frames(records: &[Record]) -> Vec<Frame> {
    let mut previous = FrameHash::GENESIS;
    let frame = |group: &[Record]| {
        let encode = |record: &Record| {
            let mut bytes = Vec::new();
            codec::encode(&record.body, &mut bytes).expect("a small record");
            bytes
        };
        let bytes: Vec<_> = group.iter().map(encode).collect();
        let frame = Frame::build(1, group[0].seq, previous, &bytes).expect("a small group");
        previous = frame.hash();
        frame
    };
    records.chunks(RECORDS_A_FRAME).map(frame).collect()
}

fn snapshots(criterion: &mut Criterion) {
    let mut filled = ledger(1 << 40);
    let mut records = vec![first_record(1 << 40)];
    records.extend((0..RECORDS).map(|number| book(&mut filled, command(number, CUSTOMERS))));
    let frames = frames(&records);
    let last = &frames[frames.len() - 1];
    let generation = GenerationInfo {
        number: 1,
        first_seq: frames[0].first_seq(),
        last_seq: last.last_seq(),
        sealed: true,
        payload_bytes: frames.iter().map(|frame| frame.bytes().len() as u64).sum(),
    };
    let cut = Cut { seq: last.last_seq(), hash: last.hash(), archived: last.last_seq() };
    let dir = || tempfile::tempdir().expect("a temporary folder");
    let all = || records.iter().cloned().map(Ok::<_, Infallible>);

    let mut group = criterion.benchmark_group("snapshots");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    group.bench_function("archive a generation of 100,000 records", |bencher| {
        bencher.iter_batched(
            || (dir(), frames.clone()),
            |(dir, frames)| {
                let mut archive = Archive::open(dir.path()).expect("a new archive");
                archive.add(&generation, frames.into_iter().map(Ok::<_, Infallible>)).expect("the disk takes it");
                dir
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("take a snapshot of 100,000 records and 20,000 customers", |bencher| {
        bencher.iter_batched(
            || (dir(), all()),
            |(dir, records)| {
                let mut snapshots = Snapshots::open(dir.path()).expect("a new directory");
                snapshots.take(None, records, cut).expect("the disk takes it");
                dir
            },
            BatchSize::PerIteration,
        );
    });
    let taken = dir();
    let mut snapshots = Snapshots::open(taken.path()).expect("a new directory");
    let snapshot = snapshots.take(None, all(), cut).expect("the disk takes it");
    group.throughput(Throughput::Elements(CUSTOMERS));
    group.bench_function("load a snapshot of 20,000 customers", |bencher| {
        bencher.iter_with_large_drop(|| snapshot.load().expect("it is whole"));
    });
    group.finish();
}

criterion_group!(benches, snapshots);
criterion_main!(benches);

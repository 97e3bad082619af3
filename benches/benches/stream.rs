//! What the event stream costs the server by its subscribers, without their sockets: each event is written once, and put into a message for
//! each of them, 256 records a message.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kembali_benches::{book, command, ledger};
use kembali_core::TenantId;
use kembali_core::event::Record;
use kembali_http::wire::event::{Audience, Events, Topics, WrittenRecord};

const RECORDS: u64 = 2_048;
const RECORDS_A_MESSAGE: usize = 256;

fn stream(criterion: &mut Criterion) {
    let mut ledger = ledger(1 << 40);
    let records: Vec<Arc<Record>> =
        (0..RECORDS).map(|number| Arc::new(book(&mut ledger, command(number, 1_000)))).collect();
    let rules = ledger.desk.catalogue(TenantId(1)).expect("the tenant has rules").clone();
    let topics = Topics::parse("purchase.accepted").expect("a topic");
    let mut group = criterion.benchmark_group("stream");
    for subscribers in [1, 10, 100] {
        group.throughput(Throughput::Elements(RECORDS * subscribers));
        group.bench_function(BenchmarkId::new("records to messages, subscribers", subscribers), |bencher| {
            bencher.iter_batched(
                || {
                    let unwritten = |record| WrittenRecord::new(Arc::clone(record), Arc::clone(&rules), Vec::new());
                    records.iter().map(unwritten).collect::<Vec<_>>()
                },
                |written| {
                    for _ in 0..subscribers {
                        for records in written.chunks(RECORDS_A_MESSAGE) {
                            let mut events = Events::default();
                            for record in records {
                                let found = record.append_to(&mut events, (Audience::Operators, topics));
                                assert!(found.expect("it is written"), "each record tells of a purchase");
                            }
                            let last = records.last().expect("no message is empty").record().seq;
                            black_box(events.frame(last));
                        }
                    }
                    written
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, stream);
criterion_main!(benches);

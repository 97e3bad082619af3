//! Connections that are cut off, against a server that says what the test tells it to.

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::answer::Booked;
use crate::run;

fn workload() -> Workload {
    run::tests::workload(3)
}

fn line((number, points): (u32, i64), replayed: bool) -> String {
    run::tests::line(number, points).replace("false", if replayed { "true" } else { "false" })
}

/// Reads a request of three purchases.
async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while read.iter().filter(|byte| **byte == b'\n').count() < 3 || !read.ends_with(b"}\n") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
}

/// Answers a request with lines, and goes away before the last one where they are `cut`.
async fn answer(listener: &TcpListener, lines: &[String], cut: bool) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    let body = lines.concat();
    let length = body.len() + usize::from(cut);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

async fn shared(serving: watch::Receiver<Serving>) -> (TcpListener, Shared) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let key = Key::new("key", None).unwrap();
    let shared =
        Shared { workload: workload(), address, key, serving, answered: AtomicU64::new(0), progress: Notify::new() };
    (listener, shared)
}

fn told() -> Told {
    Told::new(workload().orders().collect()).unwrap()
}

#[tokio::test]
async fn who_is_cut_off_sends_again_and_the_first_answers_count() {
    let (serving, seen) = watch::channel(Serving { starts: 1, is_up: true });
    let (listener, shared) = shared(seen).await;
    let server = async {
        let cut = answer(&listener, &[line((0, 5), false)], true).await;
        serving.send_modify(|serving| serving.is_up = false);
        drop(cut);
        shared.progress.notified().await;
        // It does not come back before there is a server: a connection would be waiting by now.
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!(listener.accept().now_or_never().is_none());
        }
        serving.send_modify(|serving| *serving = Serving { starts: 2, is_up: true });
        // The first was answered, the second only booked, the third is booked now.
        answer(&listener, &[line((0, 5), true), line((1, 6), true), line((2, 7), false)], false).await
    };
    let mut told = told();
    let (sent, _) = tokio::join!(send(&shared, 3, &mut told), server);
    sent.unwrap();
    assert_eq!((told.tally.booked, told.tally.points, told.late, told.again), (3, 18, 1, 1));
    assert_eq!(shared.answered.load(Ordering::Relaxed), 3);
    assert_eq!(told.differences(3), [""; 0]);
}

#[tokio::test]
async fn a_cut_without_a_kill_is_an_error() {
    let (_serving, seen) = watch::channel(Serving { starts: 1, is_up: true });
    let (listener, shared) = shared(seen).await;
    let server = async { drop(answer(&listener, &[line((0, 5), false)], true).await) };
    let mut told = told();
    let (sent, ()) = tokio::join!(send(&shared, 3, &mut told), server);
    assert!(matches!(sent, Err(RecoverError::Send(RunError::Client(ClientError::Broken(_))))), "{sent:?}");
}

#[test]
fn answers_that_contradict_earlier_ones_are_told() {
    let workload = workload();
    let mut told = told();
    let mut see = |number: u32, points: i64, replayed: bool| {
        let line = line((number, points), replayed);
        let answer = answer::of_line(line.trim_end().as_bytes()).unwrap();
        let order = Order { number, customer: 0 };
        told.see((number as usize, order), &answer, line.trim_end().as_bytes(), &mut Counter::new(&workload));
    };
    see(0, 5, false);
    see(0, 5, false);
    see(1, 6, false);
    see(1, 7, true);
    assert_eq!(
        told.differences(2),
        ["2 answers contradict earlier ones: purchase number 0 was booked, and then booked as if it had never come; \
          purchase number 1 was answered one way, and then another"]
    );
    for code in ["promo_unknown", "promo_unknown", "promo_not_active"] {
        let refused = Answer::Refused { code: code.into() };
        told.see((2, Order { number: 2, customer: 0 }), &refused, b"{}", &mut Counter::new(&workload));
    }
    assert_eq!((told.wrong, told.again), (3, 4), "refused the same way again is right");
    assert!(told.differences(3)[0].starts_with("2 of 3 purchases were booked"), "{:?}", told.differences(3));
    let other = Answer::Booked { replayed: false, result: Booked { origin_id: "x".into(), amount: 1, point_total: 0 } };
    let mut told = Told::new(vec![Order { number: 0, customer: 0 }]).unwrap();
    told.see((0, Order { number: 0, customer: 0 }), &other, b"{}", &mut Counter::new(&workload));
    assert_eq!(told.tally.mismatches, 1, "the answer of another purchase");
}

#[test]
fn each_kill_has_its_part_of_the_purchases() {
    let moments: Vec<u64> = (0..10).map(|kill| moment(7, 1_000, (kill, 10))).collect();
    for (kill, moment) in (0..).zip(&moments) {
        assert!((kill * 100..(kill + 1) * 100).contains(moment), "{moments:?}");
    }
    // More kills than purchases: some come at once.
    assert_eq!((0..4).map(|kill| moment(7, 2, (kill, 4))).collect::<Vec<_>>(), [0, 0, 1, 1]);
}

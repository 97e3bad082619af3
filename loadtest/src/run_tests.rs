//! The closed loop against a server that says what the test tells it to.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::schedule::Arrivals;
use crate::workload::Recipe;

const OVERLOADED: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}";

/// Makes the purchases of one customer.
pub(crate) fn workload(count: u64) -> Workload {
    Workload::new(Recipe {
        seed: 7,
        count,
        customers: NonZeroU32::MIN,
        skew: "0".parse().unwrap(),
        duplicates: 0,
        lines: 0,
        promo: "P".to_owned(),
        start: "2017-07-01T00:00:00Z".parse().unwrap(),
        step_ms: 1,
    })
}

/// Makes the result of purchase `number`, with points.
fn result(number: u32, points: i64) -> String {
    let workload = workload(10);
    let order = Order { number, customer: 0 };
    let mut origin_id = Vec::new();
    workload.write_origin_id(order, &mut origin_id);
    let (origin_id, amount) = (String::from_utf8(origin_id).unwrap(), workload.amount(order));
    format!(r#"{{"origin_id":"{origin_id}","amount":{amount},"point_total":{points}}}"#)
}

/// Makes the line that answers purchase `number`, booked now, with points.
pub(crate) fn line(number: u32, points: i64) -> String {
    format!("{{\"status\":201,\"replayed\":false,\"result\":{}}}\n", result(number, points))
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Sends `count` purchases to a server that gives `responses`, one a request, over as many connections as are made.
async fn outcome(count: u64, batch: u32, responses: Vec<String>) -> Result<Outcome, RunError> {
    outcome_at(count, batch, responses, (Duration::from_secs(20), None), Mix::default()).await
}

/// The same within some time, at so many purchases a second, with more beside them.
async fn outcome_at(
    count: u64,
    batch: u32,
    responses: Vec<String>,
    (time_max, rate): (Duration, Option<u32>),
    mix: Mix,
) -> Result<Outcome, RunError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = tokio::spawn(async move {
        let mut responses = responses.into_iter();
        let mut next = responses.next();
        while next.is_some() {
            let (mut stream, _) = listener.accept().await.unwrap();
            while let Some(response) = next.take() {
                if !read_request(&mut stream).await {
                    next = Some(response);
                    break;
                }
                stream.write_all(response.as_bytes()).await.unwrap();
                next = responses.next();
            }
        }
    });
    let plan = Plan {
        address,
        key: Key::new("key", None).unwrap(),
        connections: NonZeroU32::MIN,
        batch: NonZeroU32::new(batch).unwrap(),
        time_max,
        pace: rate.and_then(NonZeroU32::new).map(|rate| Pace { rate, ramp_to: None, arrivals: Arrivals::Constant }),
        window: None,
        mix,
    };
    let outcome = run(workload(count), &plan, None).await;
    server.abort();
    outcome
}

/// Reads a request with its body; returns false if the client has gone.
async fn read_request(stream: &mut tokio::net::TcpStream) -> bool {
    let mut read = Vec::new();
    loop {
        if let Some(head) = memchr::memmem::find(&read, b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if head + 4 + length.unwrap_or(0_usize) <= read.len() {
                return true;
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return false;
        }
    }
}

#[tokio::test]
async fn at_a_rate_each_request_has_its_time_and_none_is_sent_after_the_end() {
    let answers = |from: u32| response("200 OK", &(from..from + 2).map(|number| line(number, 5)).collect::<String>());
    // The second request is due after two seconds.
    let cut = outcome_at(4, 2, vec![answers(0), answers(2)], (Duration::from_secs(1), Some(1)), Mix::default())
        .await
        .unwrap();
    assert_eq!((cut.tally.answered(), cut.tally.requests), (2, 1));
    let whole = outcome_at(4, 2, vec![answers(0), answers(2)], (Duration::from_secs(20), Some(100)), Mix::default())
        .await
        .unwrap();
    assert_eq!((whole.tally.answered(), whole.tally.requests), (4, 2));
    let seconds = whole.seconds.iter().map(|second| (second.purchases, second.requests));
    assert_eq!(seconds.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1)), (4, 2));
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again_and_that_is_counted() {
    let booked = response("201 Created", &result(0, 3));
    let single = outcome(1, 1, vec![OVERLOADED.to_owned(), OVERLOADED.to_owned(), booked]).await.unwrap().tally;
    assert_eq!((single.booked, single.points, single.requests, single.retries), (1, 3, 1, 2));
    let lines = response("200 OK", &[line(0, 3), line(1, 4)].concat());
    let stream = outcome(2, 2, vec![OVERLOADED.to_owned(), lines]).await.unwrap().tally;
    assert_eq!((stream.booked, stream.points, stream.requests, stream.retries), (2, 7, 1, 1));
}

#[tokio::test]
async fn refusals_and_repeats_of_single_purchases_are_counted() {
    let refused = response("422 Unprocessable Entity", r#"{"code":"promo_unknown"}"#);
    let repeated = response("201 Created", &result(1, 3)).replacen("\r\n", "\r\nIdempotency-Replayed: true\r\n", 1);
    let tally = outcome(2, 1, vec![refused, repeated]).await.unwrap().tally;
    assert_eq!((tally.booked, tally.replayed, tally.refused["promo_unknown"], tally.points), (0, 1, 1, 0));
}

#[tokio::test]
async fn what_is_beside_a_purchase_is_asked_once_it_is_answered_and_the_balance_is_checked() {
    let moved = result(0, 3).replacen('}', r#","customer":"0198","balances":[{"wallet":0,"balance":3}]}"#, 1);
    let booked = response("201 Created", &moved);
    let refunded = response("200 OK", r#"{"seq":3,"balances":[{"wallet":0,"currency":"IDR","balance":-1}]}"#);
    let customer = |balance: i64| response("200 OK", &format!(r#"{{"id":"0198","balance":{balance}}}"#));
    let all = Mix { reads: 1_000, refunds: 1_000 };
    let run = |responses, mix| outcome_at(1, 1, responses, (Duration::from_secs(20), None), mix);
    let counted = |tally: &Tally| {
        let count = |times: &crate::tally::Times| times.sum().map(|own| own.requests);
        (count(&tally.reads), count(&tally.refunds), tally.mismatches)
    };
    let right = run(vec![booked.clone(), OVERLOADED.to_owned(), refunded, customer(-1)], all).await.unwrap().tally;
    assert_eq!((counted(&right), right.retries, right.requests), ((Some(1), Some(1), 0), 1, 1));
    let stale = run(vec![booked.clone(), customer(2)], Mix { reads: 1_000, refunds: 0 }).await.unwrap().tally;
    assert_eq!(counted(&stale), (Some(1), None, 1));
    assert_eq!(stale.mismatches_shown, ["customer 0198 was read with 2, the last answer told 3"]);
    // What was booked before is not refunded again, and what it told then is no balance of now.
    let before = booked.replacen("\r\n", "\r\nIdempotency-Replayed: true\r\n", 1);
    assert_eq!(counted(&run(vec![before], all).await.unwrap().tally), (None, None, 0));
}

#[tokio::test]
async fn too_few_too_many_and_foreign_answers_are_told() {
    let short = outcome(2, 2, vec![response("200 OK", &line(0, 0))]).await;
    assert!(matches!(short, Err(RunError::Short { answers: 1, purchases: 2 })), "{short:?}");
    let long = outcome(1, 2, vec![response("200 OK", &[line(0, 0), line(1, 0)].concat())]).await;
    assert!(matches!(long, Err(RunError::Long { purchases: 1 })), "{long:?}");
    let swapped = outcome(2, 2, vec![response("200 OK", &[line(1, 0), line(0, 0)].concat())]).await;
    assert_eq!(swapped.unwrap().tally.mismatches, 2);
}

#[tokio::test]
async fn a_refused_key_and_a_broken_stream_end_the_run() {
    let refused = outcome(1, 1, vec![response("401 Unauthorized", r#"{"code":"unauthenticated"}"#)]).await;
    assert!(matches!(refused, Err(RunError::Client(ClientError::Refused { status: 401, .. }))), "{refused:?}");
    let cut = response("200 OK", &line(0, 0)).replace("Content-Length: ", "Content-Length: 9");
    let broken = outcome(2, 2, vec![cut]).await;
    assert!(matches!(broken, Err(RunError::Client(ClientError::Broken(_)))), "{broken:?}");
}

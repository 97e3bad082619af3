//! A marketplace as Dompet Digital Sawit's is: people order, each order is billed, and who was paid says so. For tests and to try the
//! server with: nothing is kept, and it fails as it is told to.
//!
//! [`orders`] is what it knows, [`schema`] its GraphQL, [`dompet`] how it has a bill sent. This file serves that, or fails.

mod dompet;
mod orders;
mod schema;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::dompet::Billing;
pub use crate::dompet::Dompet;
pub use crate::orders::Order;
use crate::orders::Orders;
use crate::schema::{Caller, Schema};

const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long it takes to hear that something is paid, where it lags.
const LAG: Duration = Duration::from_secs(7);
/// What it answers with where it babbles.
const BABBLE: &[&str] = &[
    "<html>not what you asked for",
    "[]",
    "5",
    "\"text\"",
    "true",
    "null",
    "{}",
    "{\"data\":[]}",
    "{\"data\":{\"getOrderByVA\":[]}}",
    "{\"data\":{\"getOrderByVA\":{\"totalHarga\":\"35000\"}}}",
    "{\"data\":{\"getOrderByVA\":{\"totalHarga\":35000}}}",
    "{\"data\":{\"getOrderByVA\":{\"totalHarga\":35000.0,\"paymentStatus\":\"MAYBE\"}}}",
    "{\"data\":{\"getOrderByVA\":{\"totalHarga\":1e400,\"paymentStatus\":\"UNPAID\"}}}",
    "{\"errors\":5}",
    "{\"errors\":[{\"message\":\"line\\nfeed\"}]}",
];

/// How the marketplace fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Failure {
    /// Not at all.
    #[default]
    None,
    /// It answers with status 500, and does nothing.
    Refuses,
    /// It takes the request, and never answers.
    Hangs,
    /// It closes the connection, and does nothing.
    Breaks,
    /// It does what it is asked for, and closes the connection without an answer.
    Loses,
    /// It answers with something else than was asked for, each time something else.
    Babbles,
    /// It takes seven seconds to hear that something is paid.
    Lags,
    /// It knows no order.
    Forgets,
}

/// A marketplace that runs.
pub struct Marketplace {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    orders: Arc<Orders>,
    dompet: Arc<Billing>,
    schema: Schema,
    failure: Mutex<(Failure, u64)>,
    requests: AtomicU64,
}

impl Marketplace {
    /// Opens the marketplace. Until it has a [`Dompet`], an order has a number that nobody can pay.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened at, or the system gives no thread.
    pub fn open(address: SocketAddr) -> io::Result<Marketplace> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, dompet) = (Arc::new(Orders::default()), Arc::new(Billing::default()));
        let shared = Arc::new(Shared {
            schema: schema::of(Arc::clone(&orders), Arc::clone(&dompet)),
            orders,
            dompet,
            failure: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => (),
                    () = serve(listener, served) => (),
                }
            });
        };
        let thread = std::thread::Builder::new().name("marketplace".to_owned()).spawn(serve)?;
        Ok(Marketplace { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    /// Has bills sent by this server from now on.
    pub fn bill_by(&self, dompet: Dompet) {
        self.shared.dompet.set(dompet);
    }

    /// Fails in this way from now on, at each request whose number is a multiple of `every`; they are counted from the start.
    pub fn fail(&self, failure: Failure, every: u64) {
        *self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = (failure, every.max(1));
    }

    /// How many requests came.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// What was ordered.
    #[must_use]
    pub fn orders(&self) -> Vec<Order> {
        self.shared.orders.all()
    }

    /// Waits until the orders are so, but not longer than `time_max`, and returns them.
    pub fn wait_for(&self, are_so: impl FnMut(&[Order]) -> bool, time_max: Duration) -> Vec<Order> {
        self.shared.orders.wait_for(are_so, time_max)
    }

    /// Waits for the end of the marketplace, which none comes of by itself.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // It panics only where the program is wrong, and has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Marketplace {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            // Whoever asks may go away, and those who are failed are sent away.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("closed as it was told to")
    }
}

impl std::error::Error for Closed {}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Closed> {
    let number = shared.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let (failure, every) = *shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
    let failure = if number.is_multiple_of(every.max(1)) { failure } else { Failure::None };
    match failure {
        Failure::None | Failure::Forgets | Failure::Loses | Failure::Lags => (),
        Failure::Refuses => return Ok(written(StatusCode::INTERNAL_SERVER_ERROR, b"failed as it was told to")),
        Failure::Hangs => match std::future::pending::<Infallible>().await {},
        Failure::Breaks => return Err(Closed),
        Failure::Babbles => {
            let said = BABBLE[usize::try_from(number).unwrap_or_default() % BABBLE.len()];
            return Ok(written(StatusCode::OK, said.as_bytes()));
        }
    }
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = token.map(|value| value.trim_start_matches("Bearer ").to_owned());
    let Ok(body) = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await else {
        return Ok(written(StatusCode::BAD_REQUEST, b"no body, or a large one"));
    };
    let Ok(asked) = serde_json::from_slice::<async_graphql::Request>(&body.to_bytes()) else {
        return Ok(written(StatusCode::BAD_REQUEST, b"a query is an object with one"));
    };
    if failure == Failure::Lags && asked.query.contains("updatePaymentStatus") {
        tokio::time::sleep(LAG).await;
    }
    let caller = Caller { token, forgets: failure == Failure::Forgets };
    let answered = shared.schema.execute(asked.data(caller)).await;
    if failure == Failure::Loses {
        return Err(Closed);
    }
    let text = serde_json::to_vec(&answered).unwrap_or_default();
    Ok(written(StatusCode::OK, &text))
}

fn written(status: StatusCode, text: &[u8]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

//! Dompet Digital Sawit: wallets and payments behind one GraphQL address, `/graphql`.
//!
//! [`query`] and [`mutation`] are the schema, [`types`] what it is made of, [`caller`] asks the native API and [`answer`] says in Dompet's
//! words why it did not. [`marketplace`] asks the shop whose bills are paid, [`notices`] tells it so, and [`page`] lets people try
//! queries. What of Dompet is not here, and what differs on purpose, is in `docs/dompet.md`.

mod answer;
mod caller;
mod marketplace;
mod mutation;
mod notices;
mod page;
mod query;
mod race;
mod types;

use std::fmt;
use std::sync::Arc;

use async_graphql::{EmptySubscription, Schema};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use kembali_http::outgoing::{RootsError, TargetUrl};
use kembali_http::{Adapter, Answer, Background, Native, Stop, Work};
use serde_json::{Value, json};

use self::caller::Caller;
use self::marketplace::Marketplace;
use self::mutation::Mutation;
use self::notices::Notices;
use self::query::Query;

/// How deep a query may nest. Nothing of the schema does by more than 3; what asks for the schema itself does.
const DEPTH_MAX: usize = 15;
/// Fields that a query may ask for in all, under whatever names; those that take much count for more.
const COMPLEXITY_MAX: usize = 250;
/// How deep the text of a query may nest before it is read at all.
const RECURSION_MAX: usize = 24;

/// How a number that a bill is paid under begins.
const VA_PREFIX: &str = "DS-8800";

/// The adapter of one tenant's clients.
pub struct Dompet {
    tenant: Arc<str>,
    schema: Schema<Query, Mutation, EmptySubscription>,
    /// What the marketplace is told, if there is one.
    notices: Option<Arc<Notices>>,
}

impl fmt::Debug for Dompet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Dompet({})", self.tenant)
    }
}

impl Dompet {
    /// Makes the adapter of a tenant. A marketplace is asked before its bills are paid, and told afterwards.
    ///
    /// # Errors
    ///
    /// If there are no certificates that a marketplace which speaks TLS could be believed by.
    pub fn new(tenant: &str, marketplace: Option<TargetUrl>) -> Result<Dompet, RootsError> {
        let tenant: Arc<str> = tenant.into();
        let marketplace = marketplace.map(Marketplace::new).transpose()?;
        let notices = marketplace.map(|marketplace| Arc::new(Notices::new(marketplace, Arc::clone(&tenant))));
        let schema = Schema::build(Query, Mutation, EmptySubscription)
            .limit_depth(DEPTH_MAX)
            .limit_complexity(COMPLEXITY_MAX)
            .limit_recursive_depth(RECURSION_MAX)
            .data(notices.clone())
            .finish();
        Ok(Dompet { tenant, schema, notices })
    }

    async fn answer(&self, request: Request<Bytes>, native: Native<'_>) -> Response<Bytes> {
        let path = request.uri().path();
        let is_asked = is_asked_at(path);
        match *request.method() {
            Method::POST if is_asked => (),
            Method::GET | Method::HEAD => return page::get(path),
            _ => {
                let allowed = if is_asked { "GET, POST" } else { "GET" };
                let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "GraphQL is asked with POST");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                return response;
            }
        }
        // Only an object: many queries in one request are many requests.
        let asked = serde_json::from_slice(request.body()).map(Value::Object);
        let Ok(asked) = asked.and_then(serde_json::from_value::<async_graphql::Request>) else {
            return refused(StatusCode::BAD_REQUEST, "The body must be a JSON object with a query");
        };
        let caller = Caller::new(native.kept(), request.headers(), Arc::clone(&self.tenant));
        let answer = self.schema.execute(asked.data(caller)).await;
        match serde_json::to_vec(&answer) {
            // Dompet answers 200 whatever came of it.
            Ok(text) => written(StatusCode::OK, text),
            Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
        }
    }
}

/// Whether queries are sent there.
fn is_asked_at(path: &str) -> bool {
    matches!(path, "/graphql" | "/graphql/")
}

fn refused(status: StatusCode, message: &str) -> Response<Bytes> {
    written(status, json!({ "data": null, "errors": [{ "message": message }] }).to_string().into_bytes())
}

fn written(status: StatusCode, text: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Adapter for Dompet {
    fn takes(&self, path: &str) -> bool {
        is_asked_at(path) || page::is_file(path)
    }

    fn serve<'a>(&'a self, request: Request<Bytes>, native: Native<'a>) -> Answer<'a> {
        Box::pin(self.answer(request, native))
    }

    fn work(self: Arc<Self>, background: Background, stop: Stop) -> Option<Work> {
        let notices = Arc::clone(self.notices.as_ref()?);
        Some(Box::pin(notices.run(background, stop)))
    }
}

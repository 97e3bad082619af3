//! Dompet Digital Sawit: wallets and payments behind one GraphQL address, `/graphql`.
//!
//! [`query`] and [`mutation`] are the schema, [`types`] what it is made of, [`caller`] asks the native API and [`answer`] says in Dompet's
//! words why it did not. What of Dompet is not here, and what differs on purpose, is in `docs/dompet.md`.

mod answer;
mod caller;
mod mutation;
mod query;
mod race;
mod types;

use std::fmt;
use std::sync::Arc;

use async_graphql::{EmptySubscription, Schema};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use kembali_http::{Adapter, Answer, Native};
use serde_json::{Value, json};

use self::caller::Caller;
use self::mutation::Mutation;
use self::query::Query;

/// How deep a query may nest. Nothing of the schema does by more than 3; what asks for the schema itself does.
const DEPTH_MAX: usize = 15;
/// Fields that a query may ask for in all, under whatever names; those that take much count for more.
const COMPLEXITY_MAX: usize = 250;
/// How deep the text of a query may nest before it is read at all.
const RECURSION_MAX: usize = 24;

/// The adapter of one tenant's clients.
pub struct Dompet {
    tenant: Arc<str>,
    schema: Schema<Query, Mutation, EmptySubscription>,
}

impl fmt::Debug for Dompet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Dompet({})", self.tenant)
    }
}

impl Dompet {
    /// Makes the adapter of a tenant.
    #[must_use]
    pub fn new(tenant: &str) -> Dompet {
        let schema = Schema::build(Query, Mutation, EmptySubscription)
            .limit_depth(DEPTH_MAX)
            .limit_complexity(COMPLEXITY_MAX)
            .limit_recursive_depth(RECURSION_MAX)
            .finish();
        Dompet { tenant: tenant.into(), schema }
    }

    async fn answer(&self, request: Request<Bytes>, native: Native<'_>) -> Response<Bytes> {
        if *request.method() != Method::POST {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "GraphQL is asked with POST");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
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
        matches!(path, "/graphql" | "/graphql/")
    }

    fn serve<'a>(&'a self, request: Request<Bytes>, native: Native<'a>) -> Answer<'a> {
        Box::pin(self.answer(request, native))
    }
}

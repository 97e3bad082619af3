//! The two WebSockets described as AsyncAPI 3.0: `GET /asyncapi.json`. OpenAPI knows their handshakes and not what is said afterwards.
//!
//! Schemas, query parameters and texts are those of the OpenAPI document; what is written here is who says what.

use std::sync::LazyLock;

use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, Ref, Schema};

use super::operations::{Outline, outline};
use super::schemas::Schemas;
use super::{API_KEY, BEARER, PARTNER_SCHEME, PERSON_SCHEME, form_schema, problems};
use crate::ingest::FRAME_PURCHASES_MAX;
use crate::parameters;
use crate::reads::json_response;
use crate::routes::{Endpoint, ROUTES};
use crate::wire::event::{Frame, Topics};
use crate::wire::message::{ClientMessage, ControlMessage, IngestReady};
use crate::wire::purchase::PurchaseBody;

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// Returns the description of the WebSockets, as JSON.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

/// Shows the description.
pub(crate) async fn show() -> Response {
    json_response(StatusCode::OK, text())
}

/// Something that is said over a WebSocket.
struct Message {
    name: &'static str,
    summary: &'static str,
    payload: RefOr<Schema>,
}

fn document() -> Value {
    let mut schemas = Schemas::default();
    let stream = outline(Endpoint::Stream, &mut schemas);
    let ingest = outline(Endpoint::IngestSocket, &mut schemas);
    outline(Endpoint::BookPurchases, &mut schemas);
    problems::add_schemas(&mut schemas);
    let (purchase, line) = (schemas.of::<PurchaseBody<'static>>(), Ref::from_schema_name("PurchaseLine"));
    let many = |item: &Ref| ArrayBuilder::new().items(item.clone()).max_items(Some(FRAME_PURCHASES_MAX)).build();
    let says = |name, summary, payload: RefOr<Schema>| Message { name, summary, payload };
    let events = [
        says("events", "Events of one record, or of a batch", schemas.of::<Frame<'static>>().into()),
        says("control", "The start, the end, sums, and answers", schemas.of::<ControlMessage>().into()),
        says("client", "What a subscriber may say", schemas.of::<ClientMessage>().into()),
    ];
    let purchases = [
        says("ready", "Comes first", schemas.of::<IngestReady>().into()),
        says("purchase", "A purchase", purchase.clone().into()),
        says("purchases", "Purchases in one frame", RefOr::T(many(&purchase).into())),
        says("answer", "What became of a purchase", line.clone().into()),
        says("answers", "What became of the purchases of one frame", RefOr::T(many(&line).into())),
    ];
    let operation = |action: &str, channel: &str, summary: &str, messages: &[&str]| {
        let messages: Vec<Value> =
            messages.iter().map(|name| reference(&format!("#/channels/{channel}/messages/{name}"))).collect();
        json!({
            "action": action,
            "channel": reference(&format!("#/channels/{channel}")),
            "summary": summary,
            "messages": messages,
        })
    };
    let reply = |channel: &str, messages: &[&str]| {
        let messages: Vec<Value> =
            messages.iter().map(|name| reference(&format!("#/channels/{channel}/messages/{name}"))).collect();
        json!({ "channel": reference(&format!("#/channels/{channel}")), "messages": messages })
    };
    let with = |mut operation: Value, name: &str, value: Value| {
        operation[name] = value;
        operation
    };
    let either = json!([scheme(API_KEY), scheme(BEARER)]);
    let partner = json!([scheme(API_KEY)]);
    let ping = operation("receive", "events", "Answer a ping", &["client"]);
    let book = operation("receive", "purchases", "Book what comes", &["purchase", "purchases"]);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kembali",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What is said over the WebSockets of a Kembali server. Their handshakes, and all else, are in `/openapi.json`.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": channel(Endpoint::Stream, &stream, &events),
            "purchases": channel(Endpoint::IngestSocket, &ingest, &purchases),
        },
        "operations": {
            "sendEvents": with(
                operation("send", "events", "Tell what has happened, from any position on", &["events", "control"]),
                "security",
                either.clone(),
            ),
            "answerPing": with(
                with(ping, "reply", reply("events", &["control"])),
                "security",
                either,
            ),
            "sendReady": with(
                operation("send", "purchases", "Say how much may be under way", &["ready"]),
                "security",
                partner.clone(),
            ),
            "bookPurchases": with(
                with(book, "reply", reply("purchases", &["answer", "answers"])),
                "security",
                partner,
            ),
        },
        "components": {
            "schemas": schemas.into_sorted(),
            "securitySchemes": {
                API_KEY: { "type": "httpApiKey", "in": "header", "name": "X-Api-Key", "description": PARTNER_SCHEME },
                BEARER: { "type": "http", "scheme": "bearer", "description": PERSON_SCHEME },
            },
        },
    })
}

fn reference(to: &str) -> Value {
    json!({ "$ref": to })
}

fn scheme(name: &str) -> Value {
    reference(&format!("#/components/securitySchemes/{name}"))
}

/// Describes a WebSocket: where it is, what its handshake may ask, and what is said.
fn channel(endpoint: Endpoint, outline: &Outline, messages: &[Message]) -> Value {
    let address = ROUTES.iter().find(|route| route.endpoint == endpoint).map(|route| route.path);
    let query: Map<String, Value> = parameters::of(endpoint)
        .iter()
        .map(|parameter| {
            let mut schema = json!(form_schema(parameter.form));
            schema["description"] = match parameter.name {
                "topics" => format!("{} They are: {}.", parameter.says, Topics::names()).into(),
                _ => parameter.says.into(),
            };
            (parameter.name.to_owned(), schema)
        })
        .collect();
    let messages: Map<String, Value> = messages
        .iter()
        .map(|own| (own.name.to_owned(), json!({ "name": own.name, "summary": own.summary, "payload": own.payload })))
        .collect();
    json!({
        "address": address,
        "title": outline.summary,
        "description": outline.description,
        "messages": messages,
        "bindings": {
            "ws": { "method": "GET", "query": { "type": "object", "properties": query }, "bindingVersion": "0.1.0" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::references;
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(text()).unwrap();
        assert!(20 < references(&document));
    }

    #[test]
    fn a_handshake_asks_what_the_server_reads() {
        let document: Value = serde_json::from_str(text()).unwrap();
        let query = &document["channels"]["events"]["bindings"]["ws"]["query"]["properties"];
        let named: Vec<&String> = query.as_object().unwrap().keys().collect();
        assert_eq!(named, ["after", "batch", "gauges", "tenant", "topics"]);
        assert!(query["topics"]["description"].as_str().unwrap().ends_with("review.rejected."));
        assert_eq!(document["channels"]["purchases"]["address"], "/v1/purchases/stream");
    }
}

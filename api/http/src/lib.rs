//! The server: HTTP in, the engine behind it, JSON out. No rule of the ledger is here, and no actor.
//!
//! Read in this order: [`routes`] (what there is), `server` and `connection` (TLS and HTTP), `service` (one request), then `ingest`
//! (booking purchases), `reads`, `apply` and `what_if` (everything an operator does), `feed` (the event stream). [`wire`] is what
//! crosses the network, [`codes`] what can go wrong. [`openapi`] describes all of it; `web` shows that to people, and the dashboard.

mod adapter;
mod admission;
mod app;
mod apply;
mod auth;
mod body;
pub mod codes;
mod config;
mod connection;
mod csv;
mod cursor;
mod deliveries;
mod feed;
mod ingest;
mod key_usage;
mod mail;
pub mod openapi;
mod operations;
pub mod outbox;
pub mod outgoing;
mod parameters;
mod partner_gate;
mod people;
mod problem;
mod query;
mod reads;
mod replays;
mod request_id;
pub mod routes;
mod server;
mod service;
pub mod signature;
mod snapshots;
mod system;
mod tls;
mod web;
mod webhooks;
mod websocket;
mod what_if;
pub mod wire;

pub use adapter::{Adapter, Answer, Background, Beside, EventsOf, Native, Stop, Work};
pub use config::{Limits, Secret, ServerConfig};
pub use mail::OUTBOX_PREFIX as MAIL_OUTBOX_PREFIX;
pub use partner_gate::PartnerLimits;
pub use people::limits::PeopleLimits;
pub use server::{BindError, Server};
pub use tls::{Tls, TlsError};
pub use webhooks::ATTEMPTS_MAX as WEBHOOK_ATTEMPTS_MAX;
pub use what_if::{BOUND_EXPECTED, document as what_if_document, parse_bound};
pub use wire::catalogue::CatalogueFile;
pub use wire::catalogue_draft::CatalogueFault;

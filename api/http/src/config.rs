//! How the server is run: where it listens, who its operators are, and every limit.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::{Adapter, Beside};
use crate::outgoing::Network;
use crate::partner_gate::PartnerLimits;
use crate::people::limits::PeopleLimits;
use crate::tls::Tls;
use subtle::ConstantTimeEq as _;

/// How the server is run.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What operators must show; none means that there are no operators.
    pub operator_token: Option<Secret>,
    /// Tenants in which anybody may register as a customer.
    pub registration: Vec<String>,
    /// What serves paths of other systems.
    pub adapters: Vec<Arc<dyn Adapter>>,
    /// What works beside the requests.
    pub beside: Vec<Arc<dyn Beside>>,
    /// What is shown to clients that come by TLS, and then none come otherwise; none means that there is no TLS.
    pub tls: Option<Arc<Tls>>,
    /// Networks that webhooks may be sent to beside public addresses, also without TLS.
    pub webhook_networks: Vec<Network>,
    /// The limits.
    pub limits: Limits,
}

impl ServerConfig {
    /// Listens at `listen`, without operators, within the usual limits.
    #[must_use]
    pub fn new(listen: SocketAddr) -> ServerConfig {
        ServerConfig {
            listen,
            operator_token: None,
            registration: Vec::new(),
            adapters: Vec::new(),
            beside: Vec::new(),
            tls: None,
            webhook_networks: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What the server takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time; more wait in the system's queue.
    pub connections_max: usize,
    /// What a partner may send that has no limits of its own.
    pub partners: PartnerLimits,
    /// What people may do.
    pub people: PeopleLimits,
    /// Signatures that are remembered at one time; more signed requests are refused as overload.
    pub signatures_max: usize,
    /// How long a connection may take to send the head of a request, and may idle between two.
    pub head_time_max: Duration,
    /// How long a single body may take. A stream may take for ever, as long as something comes.
    pub body_time_max: Duration,
    /// How long a stream of which everything is answered may send nothing before it is broken off.
    pub stream_idle_max: Duration,
    /// How long a connection may take no byte of what is written to it, before it is cut off.
    pub write_stall_max: Duration,
    /// How long requests in flight may take to finish once the server is told to stop.
    pub shutdown_time_max: Duration,
    /// How long a read waits for the position that its caller has seen elsewhere.
    pub min_seq_wait_max: Duration,
    /// Subscribers of the event stream at one time; each is a connection too.
    pub subscribers_max: usize,
    /// Those of one person.
    pub subscribers_of_a_person_max: usize,
    /// Those of one partner.
    pub subscribers_of_a_partner_max: usize,
    /// Records that a subscriber may fall behind the head once it had caught up.
    pub subscriber_lag_max: u64,
    /// How long a tenant's sums are new for those who watch them.
    pub gauge_every: Duration,
    /// How long a subscriber's socket may take nothing of what is sent to it.
    pub subscriber_stall_max: Duration,
    /// How long a subscriber's connection may be silent before it is pinged, and the ping unanswered before it is cut.
    pub subscriber_ping_every: Duration,
    /// How long a subscriber that is being closed may take to read why.
    pub subscriber_farewell_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 1_024,
            partners: PartnerLimits::default(),
            people: PeopleLimits::default(),
            signatures_max: 4 * 1_024 * 1_024,
            head_time_max: Duration::from_secs(30),
            body_time_max: Duration::from_secs(30),
            stream_idle_max: Duration::from_secs(15 * 60),
            write_stall_max: Duration::from_secs(60),
            shutdown_time_max: Duration::from_secs(20),
            min_seq_wait_max: Duration::from_secs(5),
            subscribers_max: 256,
            subscribers_of_a_person_max: 8,
            subscribers_of_a_partner_max: 64,
            subscriber_lag_max: 10_000,
            gauge_every: Duration::from_secs(1),
            subscriber_stall_max: Duration::from_secs(30),
            subscriber_ping_every: Duration::from_secs(30),
            subscriber_farewell_max: Duration::from_secs(5),
        }
    }
}

/// Bytes that a single body may have, as sent and unpacked.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that the body of whoever is not known yet may have, such as of a log-in: many strangers may send one at a time.
pub(crate) const STRANGER_BYTES_MAX: usize = 8 * 1024;
/// Bytes that the body of a customer, or of a client of another system, may have.
pub(crate) const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a catalogue may have.
pub(crate) const CATALOGUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Text that no log may show.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` to itself.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Compares in a time that does not tell where the texts differ.
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        // An empty secret would open the door to everybody.
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

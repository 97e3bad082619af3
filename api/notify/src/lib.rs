//! Mail to customers: what a purchase earned them, that they stand on another level, that a reward is theirs.
//!
//! An outbox for each tenant follows the ledger (see [`kembali_http::outbox`]): what is to be said is in durable records, and is made
//! into a mail when it is sent. [`compose`](mod@compose) writes it, [`transport`] hands it over. Who is erased, or named by a reference
//! alone, gets none.

mod compose;
mod money;
mod smtp;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kembali_core::{AliasKind, CustomerId, Seq};
use kembali_engine::{CustomerRef, Delivery, Engine, ForgetError, Lane, ReadError};
use kembali_http::outbox::{Attempted, Bounds, Deliver, GivenUp, Halt, Start};
use kembali_http::{Background, Beside, MAIL_OUTBOX_PREFIX, Stop, Work};
use lettre::message::Mailbox;

pub use self::compose::Language;
use self::compose::{Content, Shop, Told};
pub use self::smtp::MailServer;
use self::transport::{SendError, Transport};
pub use self::transport::{TransportError, TransportUrl};

/// A mail server gets few connections at one time. Each mail is kept as sent by itself: a start must not send it again.
const BOUNDS: Bounds = Bounds {
    open: 4_096,
    at_once: smtp::CONNECTIONS_MAX,
    made: 1_000,
    keeps_each: true,
    given_up: GivenUp::Newest(10_000),
    lane: (Duration::from_secs(3_600), 100),
    doubt: Duration::ZERO,
};

/// How mail is sent.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The tenants whose customers get mail.
    pub tenants: Vec<String>,
    /// Whom it is from, such as `Shop <no-reply@shop.example>`.
    pub from: Mailbox,
    /// Where it goes.
    pub transport: TransportUrl,
    /// The language of all of it.
    pub language: Language,
    /// Whether a purchase that earned nothing is mailed about too.
    pub mails_each_purchase: bool,
}

/// Sends mail beside the requests.
#[derive(Debug)]
pub struct Mail {
    config: MailConfig,
    transport: Transport,
}

impl Mail {
    /// Makes ready to send. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`TransportError`].
    pub fn new(config: MailConfig) -> Result<Mail, TransportError> {
        let transport = Transport::new(&config.transport, &config.from)?;
        Ok(Mail { config, transport })
    }
}

/// Forgets how far mail was of tenants whose customers get none: once they do again, nobody is told what happened in between.
///
/// # Errors
///
/// [`ForgetError`].
pub async fn forget_others(engine: &Engine, tenants: &[String]) -> Result<(), ForgetError> {
    let own = engine.clone();
    let kept = tokio::task::spawn_blocking(move || own.outboxes(MAIL_OUTBOX_PREFIX)).await;
    let kept = kept.map_err(|error| ReadError::Profile(error.to_string()))??;
    for name in kept {
        if !name.strip_prefix(MAIL_OUTBOX_PREFIX).is_some_and(|tenant| tenants.iter().any(|own| own == tenant)) {
            engine.forget_outbox(&name).await?;
        }
    }
    Ok(())
}

fn outbox_name(tenant: &str) -> String {
    format!("{MAIL_OUTBOX_PREFIX}{tenant}")
}

impl Beside for Mail {
    fn outboxes(&self) -> Vec<String> {
        self.config.tenants.iter().map(|tenant| outbox_name(tenant)).collect()
    }

    fn work(self: Arc<Self>, background: Background, stop: Stop) -> Work {
        // What happened before there was mail is not mailed about. Looked at now: nobody is served yet, so nothing has happened since.
        let after = background.native().engine().durable();
        Box::pin(async move {
            if let TransportUrl::Folder(folder) = &self.config.transport {
                tracing::info!("mail goes into the folder {}, and to nobody", folder.display());
            }
            let tenants = self.config.tenants.clone();
            let work = tenants
                .into_iter()
                .map(|tenant| run(Arc::clone(&self), background.clone(), (tenant, after), stop.clone()));
            let work: Vec<_> = work.map(tokio::spawn).collect();
            for tenant in work {
                if let Err(error) = tenant.await {
                    tracing::error!("the mail of a tenant has ended: {error}");
                }
            }
        })
    }
}

/// Sends the mail of one tenant until it is told to stop: of what happened after a position, if nothing is kept of it.
async fn run(mail: Arc<Mail>, background: Background, (tenant, after): (String, Seq), mut stop: Stop) {
    let engine = background.native().engine().clone();
    if let Ok(None) = engine.catalogue(&tenant, None).await {
        tracing::warn!(tenant, "there is no such tenant yet: its customers get no mail until there is");
    }
    let start = Start { after, since: kembali_core::Instant(i64::MIN) };
    let name = outbox_name(&tenant);
    let mailing = Arc::new(Mailing { mail, background: background.clone(), tenant, name, start });
    background.native().outboxes().run(mailing, engine, stop.told()).await;
}

/// The mail of one tenant.
struct Mailing {
    mail: Arc<Mail>,
    background: Background,
    tenant: String,
    name: String,
    start: Start,
}

impl fmt::Debug for Mailing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Mailing({})", self.name)
    }
}

impl Mailing {
    /// Finds what a record has to say to its customer, if anything.
    async fn said(&self, seq: Seq) -> Result<Option<(CustomerId, Content)>, Halt> {
        let found = self.background.native().events_of(&self.tenant, seq, compose::TOPICS).await?;
        let Some(found) = found else { return Ok(None) };
        let Some(customer) = found.customer else { return Ok(None) };
        let told: Vec<Told> = serde_json::from_str(&found.events).map_err(|error| Halt::Fault(error.to_string()))?;
        let config = &self.mail.config;
        let rules = &found.rules;
        let shop = Shop {
            name: &rules.name,
            currency: (rules.currency.code.as_str(), rules.currency.exponent),
            partners: rules.partners.iter().map(|own| (own.slug.as_str(), own.name.as_str())).collect(),
        };
        let content = compose::compose(&told, &shop, config.language, config.mails_each_purchase);
        Ok(content.map(|content| (customer, content)))
    }

    /// Finds the customer's address; `None` of who has none.
    async fn address(&self, customer: CustomerId) -> Result<Option<String>, Halt> {
        let engine: &Engine = self.background.native().engine();
        let Some(rules) = engine.catalogue(&self.tenant, None).await? else { return Ok(None) };
        let Some(view) = engine.customer(rules.tenant, &CustomerRef::Id(customer)).await? else { return Ok(None) };
        if view.row.is_erased || view.row.alias.kind != AliasKind::Email {
            return Ok(None);
        }
        let engine = engine.clone();
        let text = tokio::task::spawn_blocking(move || engine.alias_text(customer)).await;
        Ok(text.map_err(|error| Halt::Fault(error.to_string()))??)
    }
}

impl Deliver for Mailing {
    fn name(&self) -> &str {
        &self.name
    }

    fn bounds(&self) -> Bounds {
        BOUNDS
    }

    fn start(&self) -> Start {
        self.start
    }

    async fn look(&self, seq: Seq) -> Result<Option<Option<Lane>>, Halt> {
        let said = self.said(seq).await?;
        Ok(said.map(|(customer, _)| Some(Lane::Customer(customer))))
    }

    async fn attempt(&self, seq: Seq, _: Delivery) -> Attempted {
        let (customer, content) = match self.said(seq).await {
            Ok(Some(said)) => said,
            Ok(None) => return Attempted::Needless("the record has nothing to say"),
            Err(halt) => return Attempted::Halted(halt),
        };
        let address = match self.address(customer).await {
            Ok(Some(address)) => address,
            Ok(None) => return Attempted::Needless("the customer has no address"),
            Err(halt) => return Attempted::Halted(halt),
        };
        let id = format!("{}.{}", seq.0, self.tenant);
        match self.mail.transport.send(&self.mail.config.from, &address, &id, content).await {
            Ok(()) => Attempted::Made,
            Err(SendError::Refused(why)) => Attempted::Refused(why),
            Err(SendError::Failed(why)) => Attempted::Failed(why, Duration::ZERO),
        }
    }
}

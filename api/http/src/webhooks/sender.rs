//! The work of webhooks: an outbox for each that is enabled, begun and ended as they come and go.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kembali_core::operation::Actor;
use kembali_core::{PartnerId, Seq, TenantId};
use kembali_engine::{Delivery, ForgetError, Lane, Webhook, WebhookDisabled, WebhookError, WebhookId, WebhookStatus};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{OUTBOX_PREFIX, outbox_name};
use crate::adapter::Stop;
use crate::app::App;
use crate::feed::{self, Unreadable};
use crate::outbox::{Attempted, Bounds, Deliver, End, GivenUp, Halt, Start};
use crate::wire::event::{Audience, Events, Topics, WrittenRecord};
use crate::wire::webhook::message_id;

/// What is delivered is about a customer, or about none; those of one are in order. See [`super`].
const BOUNDS: Bounds = Bounds {
    open: 4_096,
    at_once: 8,
    made: 1_000,
    keeps_each: false,
    given_up: GivenUp::EndsAt(10_000),
    lane: (Duration::from_secs(3_600), 100),
    doubt: Duration::ZERO,
};
/// How long to wait where the ledger or its disk does not go on.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// Sends what webhooks ask for, until it is told to stop.
pub(crate) async fn send(app: App, mut stop: Stop) {
    let mut webhooks = app.engine.watch_webhooks();
    let mut running: HashSet<WebhookId> = HashSet::new();
    let mut work = JoinSet::new();
    // What was deleted and not forgotten before the last stop.
    let mut must_forget = true;
    loop {
        let all = Arc::clone(&webhooks.borrow_and_update());
        for webhook in all.iter().filter(|own| is_sending(own)) {
            if running.insert(webhook.id) {
                work.spawn(run(app.clone(), Arc::clone(webhook), stop.clone()));
            }
        }
        if must_forget {
            must_forget = forget(&app, &all, &running).await.is_err();
        }
        let done = tokio::select! {
            biased;
            () = stop.told() => break,
            Some(done) = work.join_next() => done,
            changed = webhooks.changed() => {
                if changed.is_err() {
                    break;
                }
                must_forget = true;
                continue;
            }
            () = sleep(FAULT_PAUSE), if must_forget => continue,
        };
        let Ok((webhook, end)) = done else { continue };
        running.remove(&webhook.id);
        must_forget = true;
        if let Some(end) = end
            && let Err(error) = disable(&app, &webhook, end).await
        {
            tracing::error!(
                webhook = outbox_name(webhook.id),
                "it cannot be disabled now, and is tried again: {error}"
            );
            sleep(FAULT_PAUSE).await;
        }
    }
    // They have been told too, and keep what they have done.
    while work.join_next().await.is_some() {}
}

fn is_sending(webhook: &Webhook) -> bool {
    matches!(webhook.status, WebhookStatus::Enabled(_)) && !webhook.secrets.is_empty()
}

/// Works on one webhook for as long as it is enabled. Returns the one that it ended with.
async fn run(app: App, webhook: Arc<Webhook>, mut stop: Stop) -> (Arc<Webhook>, Option<End>) {
    let (id, webhooks) = (webhook.id, app.engine.watch_webhooks());
    let mut watched = webhooks.clone();
    let unwanted = async {
        let is_over = |all: &Arc<[Arc<Webhook>]>| !all.iter().any(|own| own.id == id && is_sending(own));
        tokio::select! {
            () = stop.told() => (),
            // An engine that has stopped ends the work by itself.
            _ = watched.wait_for(is_over) => (),
        }
    };
    let (outboxes, engine) = (Arc::clone(&app.outboxes), app.engine.clone());
    let sending = Arc::new(Sending::new(app, &webhook, webhooks));
    let end = outboxes.run(Arc::clone(&sending), engine, unwanted).await;
    (sending.latest().unwrap_or(webhook), end)
}

/// Disables a webhook, unless its owner has changed it since it ended.
async fn disable(app: &App, webhook: &Webhook, end: End) -> Result<(), WebhookError> {
    let id = webhook.id;
    let why = match end {
        End::Gone => WebhookDisabled::Gone,
        End::Failing => WebhookDisabled::Failing,
    };
    tracing::error!(webhook = outbox_name(id), ?why, "a webhook is disabled; what it has not sent waits for it");
    let now = app.engine.wall();
    let changed = app.engine.change_webhook(Actor::Server, id, |settings, status| {
        if (&settings.url, *status) == (&webhook.settings.url, webhook.status) {
            *status = WebhookStatus::Disabled(now, why);
        }
        Ok(())
    });
    match changed.await {
        // Somebody was faster.
        Ok(_) | Err(WebhookError::Unknown) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Forgets what is kept of webhooks that are deleted.
async fn forget(app: &App, all: &[Arc<Webhook>], running: &HashSet<WebhookId>) -> Result<(), ForgetError> {
    let known: HashSet<String> = all.iter().map(|own| own.id).chain(running.iter().copied()).map(outbox_name).collect();
    let engine = app.engine.clone();
    let kept = tokio::task::spawn_blocking(move || engine.outboxes(OUTBOX_PREFIX)).await;
    let kept = kept.map_err(|error| kembali_engine::ReadError::Profile(error.to_string()))??;
    for name in kept.iter().filter(|name| !known.contains(*name)) {
        app.engine.forget_outbox(name).await?;
    }
    Ok(())
}

/// The deliveries of one webhook.
struct Sending {
    app: App,
    id: WebhookId,
    owner: (TenantId, Option<PartnerId>),
    name: String,
    start: Start,
    present: Mutex<Present>,
}

/// The webhook as it is now, which may change at any time.
struct Present {
    watched: watch::Receiver<Arc<[Arc<Webhook>]>>,
    webhook: Option<(Arc<Webhook>, Topics)>,
}

impl Sending {
    fn new(app: App, webhook: &Webhook, mut watched: watch::Receiver<Arc<[Arc<Webhook>]>>) -> Sending {
        let since = match webhook.status {
            WebhookStatus::Enabled(since) | WebhookStatus::Disabled(since, _) => since,
        };
        watched.mark_changed();
        let (name, start) = (outbox_name(webhook.id), Start { after: webhook.after, since });
        Sending {
            app,
            id: webhook.id,
            owner: (webhook.tenant, webhook.partner),
            name,
            start,
            present: Mutex::new(Present { watched, webhook: None }),
        }
    }

    /// Returns the webhook, and what it sends.
    fn present(&self) -> Result<(Arc<Webhook>, Topics), Halt> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.watched.has_changed().unwrap_or_default() {
            let all = Arc::clone(&present.watched.borrow_and_update());
            let webhook = all.iter().find(|own| own.id == self.id && is_sending(own));
            // Its topics were checked when they came.
            present.webhook =
                webhook.and_then(|own| Some((Arc::clone(own), Topics::parse(&own.settings.topics).ok()?)));
        }
        let (webhook, topics) = present.webhook.clone().ok_or(Halt::Waiting)?;
        // What is a suspended partner's waits until it is opened again.
        let is_suspended = |partner| self.app.engine.partner_standing(partner).is_suspended;
        if webhook.partner.is_some_and(is_suspended) { Err(Halt::Waiting) } else { Ok((webhook, topics)) }
    }

    /// Returns the webhook as it was looked at last.
    fn latest(&self) -> Option<Arc<Webhook>> {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.webhook.as_ref().map(|(webhook, _)| Arc::clone(webhook))
    }

    async fn record(&self, seq: Seq) -> Result<Arc<WrittenRecord>, Halt> {
        let written = feed::written((&self.app.engine, &self.app.tail), seq).await;
        written.map_err(|Unreadable| Halt::Fault(format!("the record at {} cannot be read", seq.0)))
    }
}

/// Appends what a webhook sends of a record, and returns true if there is anything.
fn append(webhook: &Webhook, topics: Topics, record: &WrittenRecord, events: &mut Events) -> Result<bool, Halt> {
    let audience = webhook.partner.map_or(Audience::Operators, Audience::Partner);
    if record.record().body.tenant != webhook.tenant {
        return Ok(false);
    }
    record.append_to(events, (audience, topics)).map_err(|error| Halt::Fault(error.to_string()))
}

impl Deliver for Sending {
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
        let (webhook, topics) = self.present()?;
        let record = self.record(seq).await?;
        let is_sent = append(&webhook, topics, &record, &mut Events::default())?;
        let lane = record.record().body.customer.map_or(Lane::Nobody, Lane::Customer);
        Ok(is_sent.then_some(Some(lane)))
    }

    async fn attempt(&self, seq: Seq, _: Delivery) -> Attempted {
        let _place = self.app.poster.place(self.owner).await;
        // Looked at behind the wait: it may be another by now.
        let (webhook, topics) = match self.present() {
            Ok(present) => present,
            Err(halt) => return Attempted::Halted(halt),
        };
        let mut events = Events::default();
        let record = match self.record(seq).await {
            Ok(record) => append(&webhook, topics, &record, &mut events),
            Err(halt) => Err(halt),
        };
        let body = match record {
            Ok(true) => events.array(),
            Ok(false) => return Attempted::Needless("its topics are not asked for any more"),
            Err(halt) => return Attempted::Halted(halt),
        };
        match body {
            Ok(body) => {
                let now = self.app.engine.wall();
                self.app.poster.deliver(&webhook, &message_id(self.id, seq), now, body.get().to_owned()).await
            }
            Err(error) => Attempted::Halted(Halt::Fault(error.to_string())),
        }
    }
}

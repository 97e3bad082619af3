//! What every request handler shares, and the one place that leads from an endpoint to its handler.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter, get, on};
use kembali_core::catalogue::Catalogue;
use kembali_core::{Instant, Seq, TenantId};
use kembali_engine::{Engine, TotalsView};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::timeout;

use crate::adapter::Adapter;
use crate::auth::Identity;
use crate::codes;
use crate::config::{Limits, Secret};
use crate::key_usage::KeyUses;
use crate::outbox::Outboxes;
use crate::partner_gate::PartnerGates;
use crate::people::{self, People};
use crate::problem::Problem;
use crate::query::{Past, Query};
use crate::replays::Replays;
use crate::routes::{Endpoint, ROUTES};
use crate::webhooks::Poster;
use crate::wire::instant::Rfc3339;
use crate::{apply, feed, mail, openapi, operations, reads, snapshots, system, web, webhooks, what_if};

/// What every request handler shares.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) operator_token: Option<Arc<Secret>>,
    pub(crate) limits: Limits,
    /// True once the server stops: what would go on for ever ends then.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Room for pages of history that are being read: each looks through much that may be archived, and customers may ask.
    pub(crate) pages: Arc<Semaphore>,
    /// The newest records, for whoever is told of them.
    pub(crate) tail: Arc<feed::Tail>,
    /// The sums of tenants, for whoever watches them.
    pub(crate) gauges: Arc<feed::Gauges>,
    /// Places for subscribers of the event stream.
    pub(crate) subscribers: Arc<feed::Places>,
    /// What is delivered elsewhere.
    pub(crate) outboxes: Arc<Outboxes>,
    /// What sends to webhooks.
    pub(crate) poster: Arc<Poster>,
    /// Accounts, log-ins and tokens.
    pub(crate) people: Arc<People>,
    /// Signatures that were seen.
    pub(crate) replays: Arc<Replays>,
    /// What partners may send.
    pub(crate) partner_gates: Arc<PartnerGates>,
    /// How their keys are used, since the server started.
    pub(crate) key_uses: Arc<KeyUses>,
    /// When that was.
    pub(crate) started_at: Instant,
    /// What serves paths of other systems.
    pub(crate) adapters: Arc<[Arc<dyn Adapter>]>,
    /// Held while one part of the rules is read, changed and applied: parts never conflict with each other.
    pub(crate) part_change: Arc<Mutex<()>>,
}

impl App {
    /// Finds the tenant that a request is about: a caller's own, or the one that whoever holds the server's token names.
    pub(crate) async fn tenant(&self, identity: Identity, query: &Query) -> Result<Arc<Catalogue>, Problem> {
        let unknown = || Problem::new(&codes::TENANT_NOT_FOUND);
        let Some(own) = identity.tenant() else {
            let slug = query.required("tenant")?;
            return self.engine.catalogue(slug, None).await?.ok_or_else(unknown);
        };
        let own = self.tenant_by_id(own).await?;
        match query.text("tenant") {
            // Other tenants do not exist for whoever is of one.
            Some(slug) if slug != own.slug => Err(unknown()),
            _ => Ok(own),
        }
    }

    /// Finds a tenant's present rules by its id.
    pub(crate) async fn tenant_by_id(&self, tenant: TenantId) -> Result<Arc<Catalogue>, Problem> {
        let tenants = self.engine.tenants().await?;
        let own = tenants.into_iter().find(|catalogue| catalogue.tenant == tenant);
        own.ok_or_else(|| Problem::new(&codes::TENANT_NOT_FOUND))
    }

    /// Returns a tenant's sums and rules: now, or as of the past position that the caller names. Nothing is reserved then.
    pub(crate) async fn totals(&self, identity: Identity, query: &Query) -> Result<Box<TotalsView>, Problem> {
        let at = self.past(identity, query).await?;
        let tenant = self.tenant(identity, query).await?;
        let view = match at {
            None => self.engine.totals(&tenant.slug).await?,
            Some(at) => self.engine.totals_at(tenant.tenant, at).await?,
        };
        view.ok_or_else(|| Problem::new(&codes::TENANT_NOT_FOUND))
    }

    /// Returns a tenant's rules and the position that they are of: now, or as of the past position that the caller names.
    pub(crate) async fn rules(&self, identity: Identity, query: &Query) -> Result<(Arc<Catalogue>, Seq), Problem> {
        if query.text("at").is_some() {
            let view = self.totals(identity, query).await?;
            return Ok((view.catalogue, view.as_of));
        }
        // Looked at first: the rules may be newer than this position says, never older.
        let as_of = self.engine.durable();
        Ok((self.tenant(identity, query).await?, as_of))
    }

    /// Waits until the ledger has reached the position that the caller has seen, if it names one (`min_seq`): whatever
    /// is looked at afterwards is of that position or a later one.
    ///
    /// # Errors
    ///
    /// 409 when it takes too long: the position may be of another ledger.
    pub(crate) async fn reach_min_seq(&self, query: &Query) -> Result<(), Problem> {
        let Some(min_seq) = query.number::<u64>("min_seq")? else { return Ok(()) };
        self.reach("min_seq", Seq(min_seq)).await
    }

    async fn reach(&self, name: &'static str, position: Seq) -> Result<(), Problem> {
        let mut durable = self.engine.watch_durable();
        let reached = timeout(self.limits.min_seq_wait_max, durable.wait_for(|durable| position <= *durable)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Problem::new(&codes::ENGINE_STOPPED)),
            Err(_) => Err(self.ahead().member(name, position.0)),
        }
    }

    fn ahead(&self) -> Problem {
        Problem::new(&codes::POSITION_AHEAD).member("as_of", self.engine.durable().0)
    }

    /// Returns the past position that the caller asks for, if it names one (`at`): durable, and for ever the same for the
    /// same text.
    ///
    /// # Errors
    ///
    /// 403 for a partner: what a customer had in the past tells of the purchases of other partners. 409 for what is not
    /// past yet.
    pub(crate) async fn past(&self, identity: Identity, query: &Query) -> Result<Option<Seq>, Problem> {
        if query.text("at").is_some() && !identity.is_operator() {
            return Err(Problem::new(&codes::ROLE_INSUFFICIENT).detail("`at` is for operators alone."));
        }
        self.position(query, "at").await
    }

    /// Returns the durable position that a parameter names, itself or by an instant.
    ///
    /// # Errors
    ///
    /// 409 for a position that is not reached in time, and for an instant that is not past.
    pub(crate) async fn position(&self, query: &Query, name: &'static str) -> Result<Option<Seq>, Problem> {
        match query.past(name)? {
            None => Ok(None),
            Some(Past::Position(position)) => {
                self.reach(name, position).await?;
                Ok(Some(position))
            }
            Some(Past::Instant(instant)) => match self.engine.position_of(instant).await? {
                Some(position) => Ok(Some(position)),
                None => Err(self.ahead().member(name, Rfc3339(instant).to_string())),
            },
        }
    }
}

/// Makes the router of everything that is not matched by hand.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        if let Some(handler) = handler(route.endpoint) {
            router = router.route(route.path, handler);
        }
    }
    router.with_state(app)
}

fn handler(endpoint: Endpoint) -> Option<MethodRouter<App>> {
    let put = MethodFilter::PUT;
    Some(match endpoint {
        // Served before the router is asked.
        Endpoint::BookPurchases | Endpoint::Health | Endpoint::Ready | Endpoint::Stream | Endpoint::IngestSocket => {
            return None;
        }
        Endpoint::Problem => get(reads::problem_page),
        Endpoint::OpenApi => get(openapi::show),
        Endpoint::AsyncApi => get(openapi::asyncapi::show),
        Endpoint::Docs => get(web::docs),
        Endpoint::DocsFile => get(web::docs_file),
        Endpoint::Dashboard => get(web::dashboard),
        Endpoint::DashboardFile => get(web::dashboard_file),
        Endpoint::FindCustomer => get(reads::customers::find),
        Endpoint::Customer => get(reads::customers::show),
        Endpoint::PostCustomer => on(MethodFilter::POST, operations::post_customer),
        Endpoint::PostWallet => on(MethodFilter::POST, operations::post_wallet),
        Endpoint::PatchWallet => on(MethodFilter::PATCH, operations::patch_wallet),
        Endpoint::DeleteWallet => on(MethodFilter::DELETE, operations::delete_wallet),
        Endpoint::PostDeposit => on(MethodFilter::POST, operations::post_deposit),
        Endpoint::PostAdjustment => on(MethodFilter::POST, operations::post_adjustment),
        Endpoint::PostActivity => on(MethodFilter::POST, operations::post_activity),
        Endpoint::PostRedemption => on(MethodFilter::POST, operations::post_redemption),
        Endpoint::PostHold => on(MethodFilter::POST, operations::holds::post),
        Endpoint::SettleHold => on(MethodFilter::POST, operations::holds::settle),
        Endpoint::VoidHold => on(MethodFilter::POST, operations::holds::void),
        Endpoint::PostInvoice => on(MethodFilter::POST, operations::invoices::post),
        Endpoint::CancelInvoice => on(MethodFilter::POST, operations::invoices::cancel),
        Endpoint::Invoice => get(operations::invoices::show),
        Endpoint::PostPayment => on(MethodFilter::POST, operations::invoices::pay),
        Endpoint::Payments => get(reads::payments::list),
        Endpoint::RiskChecks => get(reads::risk::list),
        Endpoint::ArchiveRiskCheck => on(MethodFilter::POST, operations::risk::archive),
        Endpoint::PostTransfer => on(MethodFilter::POST, operations::post_transfer),
        Endpoint::Holds => get(reads::customers::holds),
        Endpoint::Offers => get(reads::offers::list),
        Endpoint::Promote => on(MethodFilter::POST, operations::promote),
        Endpoint::Demote => on(MethodFilter::POST, operations::demote),
        Endpoint::Reverse => on(MethodFilter::POST, operations::reverse),
        Endpoint::Reviews => get(reads::reviews::list),
        Endpoint::ReleaseReview => on(MethodFilter::POST, operations::reviews::release),
        Endpoint::RejectReview => on(MethodFilter::POST, operations::reviews::reject),
        Endpoint::PostRefund => on(MethodFilter::POST, operations::post_refund),
        Endpoint::Operation => get(operations::show),
        Endpoint::Wallets => get(reads::customers::wallets),
        Endpoint::Tiers => get(reads::history::tiers),
        Endpoint::Entries => get(reads::history::entries),
        Endpoint::CustomerPurchases => get(reads::history::purchases),
        Endpoint::Statement => get(reads::statement::show),
        Endpoint::ExportCustomer => get(reads::export::export),
        Endpoint::EraseCustomer => on(MethodFilter::POST, operations::erase_customer),
        Endpoint::Purchase => get(reads::purchase::show),
        Endpoint::ExplainPurchase => get(reads::explain::show),
        Endpoint::Promos => get(reads::promos::list),
        Endpoint::Promo => get(reads::promos::show),
        Endpoint::PutPromo => on(put, apply::promos::put),
        Endpoint::PatchPromo => on(MethodFilter::PATCH, apply::promos::patch),
        Endpoint::TierPrograms => get(reads::catalogue::tier_programs),
        Endpoint::PutTierProgram => on(put, apply::tier_programs::put),
        Endpoint::Partners => get(reads::catalogue::partners),
        Endpoint::PostPartner => on(MethodFilter::POST, apply::partners::post),
        Endpoint::PatchPartner => on(MethodFilter::PATCH, apply::standing::patch),
        Endpoint::Audit => get(reads::audit::list),
        Endpoint::Register => on(MethodFilter::POST, people::sessions::register),
        Endpoint::Login => on(MethodFilter::POST, people::sessions::login),
        Endpoint::Refresh => on(MethodFilter::POST, people::sessions::refresh),
        Endpoint::Logout => on(MethodFilter::POST, people::sessions::logout),
        Endpoint::ChangePassword => on(put, people::sessions::change_password),
        Endpoint::Me => get(people::sessions::me),
        Endpoint::PublicKeys => get(people::sessions::public_keys),
        Endpoint::FindAccount => get(people::accounts::find),
        Endpoint::PostAccount => on(MethodFilter::POST, people::accounts::post),
        Endpoint::Account => get(people::accounts::show),
        Endpoint::PatchAccount => on(MethodFilter::PATCH, people::accounts::patch),
        Endpoint::RotateSigningKey => on(MethodFilter::POST, people::accounts::rotate),
        Endpoint::ApiKeys => get(apply::api_keys::list),
        Endpoint::PostApiKey => on(MethodFilter::POST, apply::api_keys::post),
        Endpoint::DeleteApiKey => on(MethodFilter::DELETE, apply::api_keys::delete),
        Endpoint::Catalogue => get(reads::catalogue::show),
        Endpoint::PutCatalogue => on(put, apply::catalogue::put),
        Endpoint::Summary => get(reads::reports::summary),
        Endpoint::Customers => get(reads::customers::list),
        Endpoint::Costs => get(reads::costs::show),
        Endpoint::Liability => get(reads::liability::show),
        Endpoint::WhatIf => on(MethodFilter::POST, what_if::post),
        Endpoint::PostSnapshot => on(MethodFilter::POST, snapshots::post),
        Endpoint::System => get(system::show),
        Endpoint::VerifyArchive => on(MethodFilter::POST, system::verify),
        Endpoint::TrialBalance => get(reads::reports::trial_balance),
        Endpoint::Events => get(feed::page),
        Endpoint::Webhooks => get(webhooks::list),
        Endpoint::PostWebhook => on(MethodFilter::POST, webhooks::post),
        Endpoint::Webhook => get(webhooks::show),
        Endpoint::PatchWebhook => on(MethodFilter::PATCH, webhooks::patch),
        Endpoint::DeleteWebhook => on(MethodFilter::DELETE, webhooks::delete),
        Endpoint::RotateWebhookSecret => on(MethodFilter::POST, webhooks::rotate),
        Endpoint::TestWebhook => on(MethodFilter::POST, webhooks::test),
        Endpoint::WebhookDeliveries => get(webhooks::list_deliveries),
        Endpoint::ReplayDelivery => on(MethodFilter::POST, webhooks::replay),
        Endpoint::ReplayDeliveries => on(MethodFilter::POST, webhooks::replay_given_up),
        Endpoint::Mail => get(mail::show),
        Endpoint::MailDeliveries => get(mail::list),
        Endpoint::ReplayMail => on(MethodFilter::POST, mail::replay_one),
        Endpoint::ReplayMails => on(MethodFilter::POST, mail::replay_given_up),
    })
}

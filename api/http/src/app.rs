//! What every request handler shares, and the one place that leads from an endpoint to its handler.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter, get, on};
use kembali_core::catalogue::Catalogue;
use kembali_core::{Seq, TenantId};
use kembali_engine::Engine;
use tokio::sync::Semaphore;

use crate::auth::Identity;
use crate::codes;
use crate::config::{Limits, Secret};
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::{Endpoint, ROUTES};
use crate::{apply, reads};

/// What every request handler shares.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) operator_token: Option<Arc<Secret>>,
    pub(crate) limits: Limits,
    /// Room for subscribers of the event stream.
    pub(crate) subscribers: Arc<Semaphore>,
}

impl App {
    /// Finds the tenant that a request is about: a partner's own, or the one that an operator names.
    pub(crate) async fn tenant(&self, identity: Identity, query: &Query) -> Result<Arc<Catalogue>, Problem> {
        let unknown = || Problem::new(&codes::TENANT_NOT_FOUND);
        let Identity::Partner(caller) = identity else {
            let slug = query.required("tenant")?;
            return self.engine.catalogue(slug, None).await?.ok_or_else(unknown);
        };
        let own = self.tenant_by_id(caller.tenant).await?;
        match query.text("tenant") {
            // Other tenants do not exist for a partner.
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
}

/// Refuses an answer that is older than the caller asked for.
pub(crate) fn check_min_seq(query: &Query, as_of: Seq) -> Result<(), Problem> {
    match query.number::<u64>("min_seq")? {
        Some(min_seq) if as_of.0 < min_seq => {
            Err(Problem::new(&codes::POSITION_AHEAD).member("min_seq", min_seq).member("as_of", as_of.0))
        }
        _ => Ok(()),
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
        Endpoint::BookPurchases | Endpoint::Health | Endpoint::Ready | Endpoint::Stream => return None,
        Endpoint::Problem => get(reads::problem_page),
        Endpoint::FindCustomer => get(reads::customers::find),
        Endpoint::Customer => get(reads::customers::show),
        Endpoint::Wallets => get(reads::customers::wallets),
        Endpoint::Tiers => get(reads::history::tiers),
        Endpoint::Entries => get(reads::history::entries),
        Endpoint::CustomerPurchases => get(reads::history::purchases),
        Endpoint::Purchase => get(reads::purchase::show),
        Endpoint::Promos => get(reads::promos::list),
        Endpoint::Promo => get(reads::promos::show),
        Endpoint::PutPromo => on(put, apply::promos::put),
        Endpoint::PatchPromo => on(MethodFilter::PATCH, apply::promos::patch),
        Endpoint::TierPrograms => get(reads::catalogue::tier_programs),
        Endpoint::PutTierProgram => on(put, apply::tier_programs::put),
        Endpoint::Partners => get(reads::catalogue::partners),
        Endpoint::PostPartner => on(MethodFilter::POST, apply::partners::post),
        Endpoint::Catalogue => get(reads::catalogue::show),
        Endpoint::PutCatalogue => on(put, apply::catalogue::put),
        Endpoint::Summary => get(reads::reports::summary),
        Endpoint::TrialBalance => get(reads::reports::trial_balance),
    })
}

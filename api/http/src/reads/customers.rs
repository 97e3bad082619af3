//! One customer, now or as of a past position: who it is, what is in the wallets.

use axum::Extension;
use axum::extract::{Path, State};
use hyper::Uri;
use kembali_core::campaign::{CampaignStanding, Progress};
use kembali_core::catalogue::Catalogue;
use kembali_core::hold::Hold;
use kembali_core::journey::Standing;
use kembali_core::points::{LIFE_DAYS_MAX, Lot};
use kembali_core::threshold::SpendStanding;
use kembali_core::wallet::CASHBACK_WALLET;
use kembali_core::{AliasKind, DAY_US, Instant, Unit};
use kembali_engine::{CustomerRef, CustomerView};

use super::Json;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::cursor;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::customer::{
    CampaignState, Customer, CustomerPage, CustomerTier, FulfillmentState, PointHolding, PointLot, Wallet, WalletList,
};
use crate::wire::hold::{HoldList, HoldState};
use crate::wire::instant::{Rfc3339, UuidText};
use crate::wire::operation::status_text;
use crate::wire::purchase::{customer_by_email, customer_by_id, customer_by_ref};
use crate::wire::result::Names;

/// Shows the customer that `id`, `email` or `ref` names.
pub(crate) async fn find(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<Customer>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::FindCustomer))?;
    app.reach_min_seq(&query).await?;
    let customer = match (query.text("id"), query.text("email"), query.text("ref")) {
        (Some(id), None, None) => customer_by_id(id),
        (None, Some(email), None) => customer_by_email(email),
        (None, None, Some(text)) => customer_by_ref(text),
        _ => None,
    };
    let customer = customer.ok_or_else(|| Problem::new(&codes::CUSTOMER_INVALID))?;
    let view = view(&app, identity, &query, &customer).await?;
    // No name leads to whoever is erased, though the id does.
    if view.row.is_erased && !matches!(customer, CustomerRef::Id(_)) {
        return Err(Problem::new(&codes::CUSTOMER_NOT_FOUND));
    }
    shown(&app, identity, &view, expiring_within(&query)?).map(Json)
}

/// Shows a customer.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Customer>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Customer))?;
    app.reach_min_seq(&query).await?;
    let view = view_by_id(&app, identity, &query, &id).await?;
    shown(&app, identity, &view, expiring_within(&query)?).map(Json)
}

/// Lists a tenant's customers, in order of their ids.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<CustomerPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Customers))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let after = query.text("cursor").map(cursor::read_customers).transpose()?;
    let limit = query.limit()?;
    let mut ids = app.engine.customers(tenant, after, limit.saturating_add(1)).await?;
    let is_more = limit < ids.len();
    ids.truncate(limit);
    let next_cursor = ids.last().filter(|_| is_more).map(|last| cursor::write_customers(*last));
    let mut data = Vec::with_capacity(ids.len());
    for id in ids {
        // Nobody goes who was there.
        if let Some(view) = app.engine.customer(tenant, &CustomerRef::Id(id)).await? {
            data.push(shown(&app, identity, &view, None)?);
        }
    }
    Ok(Json(CustomerPage { data, next_cursor }))
}

/// Shows a customer's wallets.
pub(crate) async fn wallets(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<WalletList>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Wallets))?;
    app.reach_min_seq(&query).await?;
    let view = view_by_id(&app, identity, &query, &id).await?;
    wallet_list(&app, identity, &view).map(Json)
}

pub(super) fn wallet_list(app: &App, identity: Identity, view: &CustomerView) -> Result<WalletList, Problem> {
    let mut data = Vec::with_capacity(view.row.wallets.len());
    for own in &view.row.wallets {
        // A wallet holds money alone.
        let Unit::Money(currency) = own.unit else { continue };
        // What people call it may be personal. It is no part of the ledger: a past wallet has its present name.
        let name = if identity.sees_profiles() { app.engine.wallet_name(view.id, own.id)? } else { None };
        data.push(Wallet {
            wallet: own.id.0,
            name,
            status: status_text(own.status),
            currency: currency.as_str().to_owned(),
            balance: own.balance.minor_units(),
            held: view.row.held(own.id).minor_units(),
            available: view.row.available(own.id).minor_units(),
        });
    }
    Ok(WalletList { customer: UuidText(view.id.0), data, as_of: view.as_of.0 })
}

/// Lists a customer's open holds: a partner's own, or all of them for an operator.
pub(crate) async fn holds(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<HoldList>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Holds))?;
    app.reach_min_seq(&query).await?;
    let view = view_by_id(&app, identity, &query, &id).await?;
    let is_shown = |hold: &&Hold| match identity {
        Identity::Partner(caller) => hold.partner == caller.partner,
        Identity::Operator(_) | Identity::Customer(_) | Identity::Nobody => true,
    };
    let names = Names { catalogue: &view.catalogue };
    let data = view.row.holds.iter().filter(is_shown).map(|hold| HoldState::of(hold, &names)).collect();
    Ok(Json(HoldList { customer: UuidText(view.id.0), data, as_of: view.as_of.0 }))
}

/// Looks a customer up by the id in a path.
pub(super) async fn view_by_id(
    app: &App,
    identity: Identity,
    query: &Query,
    id: &str,
) -> Result<Box<CustomerView>, Problem> {
    let customer = customer_by_id(id).ok_or_else(|| Problem::new(&codes::CUSTOMER_NOT_FOUND))?;
    view(app, identity, query, &customer).await
}

async fn view(
    app: &App,
    identity: Identity,
    query: &Query,
    customer: &CustomerRef,
) -> Result<Box<CustomerView>, Problem> {
    let at = app.past(identity, query).await?;
    let tenant = app.tenant(identity, query).await?.tenant;
    let view = match at {
        None => app.engine.customer(tenant, customer).await?,
        Some(at) => app.engine.customer_at(tenant, customer, at).await?,
    };
    view.filter(|view| view.row.tenant == tenant).ok_or_else(|| Problem::new(&codes::CUSTOMER_NOT_FOUND))
}

fn campaign_state(names: &Names<'_>, standing: &CampaignStanding) -> CampaignState {
    let progress = |progress: &Progress| FulfillmentState {
        fulfillment: names.fulfillment_name(progress.fulfillment).into_owned(),
        so_far: progress.so_far,
        met: progress.is_met,
    };
    CampaignState {
        campaign: names.campaign(standing.campaign).into_owned(),
        completions: standing.completions,
        progress: standing.progress.iter().map(progress).collect(),
    }
}

fn point_lot(names: &Names<'_>, lot: &Lot) -> PointLot {
    PointLot {
        source: names.source(lot.source).into_owned(),
        matures_at: lot.matures.instant().map(Rfc3339),
        expires_at: lot.expires.instant().map(Rfc3339),
        points: lot.points.minor_units(),
    }
}

/// Reads within how many days points are to expire that are asked for.
fn expiring_within(query: &Query) -> Result<Option<i64>, Problem> {
    match query.number::<u32>("expiring_within_days")? {
        None => Ok(None),
        Some(days) if (1..=LIFE_DAYS_MAX).contains(&days) => Ok(Some(i64::from(days))),
        Some(_) => {
            let detail = format!("expiring_within_days must be 1 to {LIFE_DAYS_MAX}");
            Err(Problem::new(&codes::QUERY_INVALID).detail(detail).member("parameter", "expiring_within_days"))
        }
    }
}

pub(super) fn shown(
    app: &App,
    identity: Identity,
    view: &CustomerView,
    expiring_within: Option<i64>,
) -> Result<Customer, Problem> {
    let until = expiring_within.map(|days| Instant(view.now.0.saturating_add(days.saturating_mul(DAY_US))));
    let catalogue: &Catalogue = &view.catalogue;
    let names = Names { catalogue };
    let tier = |standing: &Standing| {
        let program = catalogue.program(standing.program);
        CustomerTier {
            program: names.program(standing.program).into_owned(),
            level: names.level(program, standing.level).into_owned(),
            count: Some(standing.count),
            spent: None,
        }
    };
    let spend = |standing: &SpendStanding| CustomerTier {
        program: names.program(standing.program).into_owned(),
        level: names.level(catalogue.program(standing.program), standing.level).into_owned(),
        count: None,
        spent: Some(standing.spent.minor_units()),
    };
    // Names of people are for themselves and the tenant's operators; a partner knows the one that it sent.
    let name = if identity.sees_profiles() { app.engine.alias_text(view.id)? } else { None };
    let (email, reference) = match view.row.alias.kind {
        AliasKind::Email => (name, None),
        AliasKind::Ref => (None, name),
    };
    Ok(Customer {
        id: UuidText(view.id.0),
        tenant: catalogue.slug.clone(),
        purchases: view.row.purchases,
        currency: catalogue.currency.code.as_str().to_owned(),
        currency_exponent: catalogue.currency.exponent,
        balance: view.row.balance(CASHBACK_WALLET).minor_units(),
        available: view.row.available(CASHBACK_WALLET).minor_units(),
        tiers: view.row.standings.iter().map(tier).chain(view.row.spends.iter().map(spend)).collect(),
        points: (view.row.points.iter())
            .map(|own| PointHolding {
                kind: names.point_kind(own.kind).into_owned(),
                balance: own.balance().minor_units(),
                available: own.available(view.now).minor_units(),
                expiring: until.map(|until| own.expiring(until).minor_units()),
                lots: own.lots.iter().map(|lot| point_lot(&names, lot)).collect(),
            })
            .collect(),
        campaigns: view.row.campaigns.iter().map(|own| campaign_state(&names, own)).collect(),
        last_seq: view.last.0,
        as_of: view.as_of.0,
        email,
        reference,
        erased: view.row.is_erased,
    })
}

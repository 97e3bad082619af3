//! One customer over time: tiers, entries and purchases, newest first, by walking the customer's chain of records.

use axum::Extension;
use axum::extract::{Path, State};
use hyper::Uri;
use kembali_core::accounts::{Entry, HouseAccount, HouseLeg};
use kembali_core::catalogue::{Catalogue, TierPolicy};
use kembali_core::event::{Event, Record};
use kembali_core::journey::{Standing, effective_level};
use kembali_core::threshold::SpendStanding;
use kembali_core::{CustomerId, Seq, Unit};
use kembali_engine::CustomerView;
use serde_json::Value;

use super::Json;
use super::customers::view_by_id;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::cursor::{self, List, Start};
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::event::{is_of_nobody, partner_of};
use crate::wire::history::{EntryPage, Leg, PurchasePage, Side, TierMove, TierPage, TierState, WalletEntry};
use crate::wire::instant::{Rfc3339, UuidText};
use crate::wire::operation::operation_behind;
use crate::wire::refund::{purchase_behind, refund_of};
use crate::wire::result::{Names, Rules, purchase_of, render};
use crate::wire::transfer::TransferStep;

/// Records that one page looks through, so that a long history without a hit cannot hold a request for ever.
const PAGE_RECORDS_MAX: usize = 2_000;

/// Shows where a customer stands, and the steps that led there.
pub(crate) async fn tiers(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<TierPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Tiers))?;
    app.reach_min_seq(&query).await?;
    let view = view_by_id(&app, identity, &query, &id).await?;
    // Customers are the tenant's, and each of its partners may show where one stands. What led there is of purchases,
    // and these are their partner's own; what no purchase did is nobody's own.
    let is_shown = |record: &Record| match identity {
        Identity::Partner(caller) => partner_of(&record.body) == Some(caller.partner) || is_of_nobody(&record.body),
        Identity::Operator(_) | Identity::Customer(_) | Identity::Nobody => true,
    };
    let items = |record: &Record, rules: Rules<'_>| {
        if is_shown(record) { tier_items(record, rules) } else { Ok(Vec::new()) }
    };
    let (data, next_cursor) = page(&app, &view, &query, List::Tiers, items).await?;
    let catalogue: &Catalogue = &view.catalogue;
    let names = Names { catalogue };
    let state = |standing: &Standing| {
        let program = catalogue.program(standing.program);
        let effective = program.map(|program| {
            let level = match &program.policy {
                TierPolicy::Journey(journey) => effective_level(journey, standing, view.now),
                TierPolicy::Threshold(_) => standing.level,
            };
            names.level(Some(program), level).into_owned()
        });
        TierState {
            program: names.program(standing.program).into_owned(),
            level: names.level(program, standing.level).into_owned(),
            effective_level: effective,
            count: Some(standing.count),
            spent: None,
            last_at: Some(Rfc3339(standing.last_at)),
        }
    };
    let spend = |standing: &SpendStanding| {
        let level = names.level(catalogue.program(standing.program), standing.level).into_owned();
        TierState {
            program: names.program(standing.program).into_owned(),
            effective_level: Some(level.clone()),
            level,
            count: None,
            spent: Some(standing.spent.minor_units()),
            last_at: None,
        }
    };
    let tiers = view.row.standings.iter().map(state).chain(view.row.spends.iter().map(spend)).collect();
    let (customer, as_of) = (UuidText(view.id.0), view.as_of.0);
    Ok(Json(TierPage { customer, tiers, data, next_cursor, as_of }))
}

/// Lists the movements of a customer's wallets.
pub(crate) async fn entries(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<EntryPage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Entries))?;
    app.reach_min_seq(&query).await?;
    let view = view_by_id(&app, identity, &query, &id).await?;
    let (data, next_cursor) = page(&app, &view, &query, List::Entries, entry_items).await?;
    Ok(Json(EntryPage { customer: UuidText(view.id.0), data, next_cursor, as_of: view.as_of.0 }))
}

/// Lists a customer's purchases, each as its result.
pub(crate) async fn purchases(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<PurchasePage>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::CustomerPurchases))?;
    app.reach_min_seq(&query).await?;
    let view = view_by_id(&app, identity, &query, &id).await?;
    let (data, next_cursor) = page(&app, &view, &query, List::Purchases, purchase_items).await?;
    Ok(Json(PurchasePage { customer: UuidText(view.id.0), data, next_cursor, as_of: view.as_of.0 }))
}

/// Walks back from the cursor, or from the customer's last record, until the page is full. Returns the items and the
/// cursor of the next page.
async fn page<T>(
    app: &App,
    view: &CustomerView,
    query: &Query,
    list: List,
    items: impl Fn(&Record, Rules<'_>) -> Result<Vec<T>, Problem>,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let start = match query.text("cursor") {
        Some(text) => cursor::read(text, list, view.id)?,
        None => Start::of(view.last),
    };
    // A page as of a position shows nothing of later records, whatever the cursor of another list says.
    if view.last < start.seq {
        return Err(Problem::new(&codes::CURSOR_INVALID));
    }
    let (data, next) = walk(app, view.id, start, Seq::ZERO, query.limit()?, items).await?;
    Ok((data, next.map(|next| cursor::write(list, view.id, next))))
}

/// Walks a customer's records back from `start` to those behind `after`, until there are `limit` items. Returns the items
/// and where the next page starts.
pub(super) async fn walk<T>(
    app: &App,
    customer: CustomerId,
    start: Start,
    after: Seq,
    limit: usize,
    items: impl Fn(&Record, Rules<'_>) -> Result<Vec<T>, Problem>,
) -> Result<(Vec<T>, Option<Start>), Problem> {
    let mut next = start;
    let mut data = Vec::new();
    let mut looked_at = 0;
    while after < next.seq && data.len() < limit && looked_at < PAGE_RECORDS_MAX {
        let found = app.engine.record(next.seq).await?;
        // A cursor that was made up must not show another customer's records.
        let own = found.filter(|(record, _)| record.body.customer == Some(customer));
        let (record, catalogue) = own.ok_or_else(|| Problem::new(&codes::CURSOR_INVALID))?;
        let former = app.engine.former_rules(&record.body);
        let mut own =
            items(&record, Rules { catalogue: &catalogue, former: &former })?.into_iter().skip(next.skip as usize);
        let room = limit - data.len();
        data.extend(own.by_ref().take(room));
        // One record may hold more items than the page has room for.
        next = match u32::try_from(room) {
            Ok(room) if own.len() > 0 => Start { seq: next.seq, skip: next.skip.saturating_add(room) },
            _ => Start::of(record.body.previous),
        };
        looked_at += 1;
    }
    Ok((data, Some(next).filter(|next| after < next.seq)))
}

fn tier_items(record: &Record, rules: Rules<'_>) -> Result<Vec<TierMove>, Problem> {
    let names = Names { catalogue: rules.catalogue };
    let booked = purchase_of(&record.body);
    let refunded_at = || refund_of(&record.body).map_or(record.body.received_at, |refunded| refunded.at);
    let at = booked.map_or_else(refunded_at, |booked| booked.at);
    let step = |event: &Event| {
        let step = match event {
            Event::TierStepped(stepped) => names.step(stepped),
            Event::SpendCounted(counted) => names.spend_step(counted),
            Event::TierPlaced(placed) => names.placement(placed, rules.former),
            _ => return None,
        };
        Some(TierMove {
            seq: record.seq.0,
            at: Rfc3339(at),
            purchase: purchase_behind(&record.body),
            step: step.into_owned(),
        })
    };
    Ok(record.body.events.iter().filter_map(step).collect())
}

fn entry_items(record: &Record, rules: Rules<'_>) -> Result<Vec<WalletEntry>, Problem> {
    let catalogue = rules.catalogue;
    let purchase = purchase_behind(&record.body);
    let refund_id = refund_of(&record.body).map(|refunded| refunded.refund_id.to_string());
    let operation = operation_behind(&record.body);
    let transfer = record.body.events.iter().find_map(|event| match event {
        Event::TransferSent(_) => Some((record.seq, TransferStep::Sent)),
        Event::TransferCredited(own) => Some((own.transfer, TransferStep::Received)),
        Event::TransferReturned(own) => Some((own.transfer, TransferStep::Returned)),
        _ => None,
    });
    let entry = |entry: &Entry| {
        // A wallet holds money alone.
        let Unit::Money(currency) = entry.unit else { return None };
        let leg =
            |leg: &HouseLeg| Leg { account: account_name(leg.account, catalogue), amount: leg.amount.minor_units() };
        Some(WalletEntry {
            seq: record.seq.0,
            received_at: Rfc3339(record.body.received_at),
            purchase,
            refund_id: refund_id.clone(),
            operation,
            transfer: transfer.map(|(transfer, _)| transfer.0),
            transfer_state: transfer.map(|(_, state)| state),
            wallet: entry.wallet.0,
            currency: currency.as_str().to_owned(),
            direction: Side::of(entry.direction),
            amount: entry.amount.minor_units(),
            balance_after: entry.balance_after.minor_units(),
            against: entry.against.iter().map(leg).collect(),
        })
    };
    let entries = record.body.events.iter().filter_map(|event| match event {
        Event::WalletEntry(own) => entry(own),
        _ => None,
    });
    Ok(entries.collect())
}

fn purchase_items(record: &Record, rules: Rules<'_>) -> Result<Vec<Value>, Problem> {
    if purchase_of(&record.body).is_none() {
        return Ok(Vec::new());
    }
    let mut out = Vec::with_capacity(1024);
    render(&mut out, record.seq, &record.body, rules).map_err(|error| Problem::internal(&error))?;
    let result: Value = serde_json::from_slice(&out).map_err(|error| Problem::internal(&error))?;
    Ok(vec![result])
}

/// Names an account of the house.
pub(crate) fn account_name(account: HouseAccount, catalogue: &Catalogue) -> String {
    let of_partner = |account: &str, partner| {
        let name = catalogue.partner(partner).map_or_else(|| format!("#{}", partner.0), |own| own.slug.clone());
        format!("{account}/{name}")
    };
    match account {
        HouseAccount::PromoExpense(partner) => of_partner("promo_expense", partner),
        HouseAccount::Settlement(partner) => of_partner("settlement", partner),
        HouseAccount::InTransit => "in_transit".to_owned(),
        HouseAccount::LoyaltyExpense => "loyalty_expense".to_owned(),
        HouseAccount::RewardExpense => "reward_expense".to_owned(),
        HouseAccount::PointsIssued => "points_issued".to_owned(),
        HouseAccount::PointsExpired => "points_expired".to_owned(),
        HouseAccount::PointsRedeemed => "points_redeemed".to_owned(),
        HouseAccount::RedemptionExpense => "redemption_expense".to_owned(),
        HouseAccount::RefundShortfall => "refund_shortfall".to_owned(),
        HouseAccount::CashClearing => "cash_clearing".to_owned(),
        HouseAccount::Adjustments => "adjustments".to_owned(),
    }
}

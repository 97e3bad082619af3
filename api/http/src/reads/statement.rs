//! A customer's statement between two positions: opening balances, every entry, closing balances.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue, LINK};
use kembali_core::accounts::{Direction, Entry, HouseLeg};
use kembali_core::catalogue::Catalogue;
use kembali_core::customer::Row;
use kembali_core::event::{Event, Record};
use kembali_core::points::PointEntry;
use kembali_core::{Amount, Balance, RuleId, Seq, Unit};
use kembali_engine::{CustomerRef, CustomerView};

use super::Json;
use super::history::{account_name, walk};
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::csv;
use crate::cursor::{self, Start};
use crate::parameters;
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::routes::Endpoint;
use crate::wire::history::{Leg, Side};
use crate::wire::instant::{Rfc3339, UuidText};
use crate::wire::operation::operation_behind;
use crate::wire::purchase::customer_by_id;
use crate::wire::refund::{purchase_behind, refund_of};
use crate::wire::result::{Names, Rules};
use crate::wire::statement::{AccountBalance, Holds, Statement, StatementAccount, StatementEntry};

/// Shows a page of a customer's statement, as JSON or, where that is accepted, as CSV.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Statement))?;
    app.reach_min_seq(&query).await?;
    let unknown = || Problem::new(&codes::CUSTOMER_NOT_FOUND);
    let tenant = app.tenant(identity, &query).await?.tenant;
    let customer = customer_by_id(&id).ok_or_else(unknown)?;
    let CustomerRef::Id(customer_id) = customer else { return Err(unknown()) };
    let asked = (app.position(&query, "from").await?, app.position(&query, "to").await?);
    let page = match query.text("cursor") {
        None => {
            let (from, to) = (asked.0.unwrap_or(Seq::ZERO), asked.1.unwrap_or_else(|| app.engine.durable()));
            Page { from, to, start: None }
        }
        Some(text) => {
            let (from, to, start) = cursor::read_statement(text, customer_id)?;
            // A cursor says between which positions its statement is; whoever says it too must not say another.
            if asked.0.is_some_and(|asked| asked != from) || asked.1.is_some_and(|asked| asked != to) {
                return Err(Problem::new(&codes::CURSOR_INVALID));
            }
            Page { from, to, start: Some(start) }
        }
    };
    if page.to < page.from {
        return Err(invalid("to", "to must not lie before from"));
    }
    let closing = app.engine.customer_at(tenant, &customer, page.to).await?.ok_or_else(unknown)?;
    let opening = app.engine.customer_at(tenant, &customer, page.from).await?;
    let statement = page.statement(&app, &query, &closing, opening.as_ref().map(|view| &view.booked)).await?;
    let is_csv = csv::is_preferred(&headers);
    let text = is_csv.then(|| statement.csv(page.start.is_none()));
    let next_cursor = statement.next_cursor.clone();
    let mut response = match text {
        Some(text) => csv::csv(text),
        None => Json(statement).into_response(),
    };
    csv::varies(&mut response);
    // JSON names the next page itself.
    if let Some(cursor) = next_cursor.filter(|_| is_csv) {
        let limit = query.limit()?;
        let slug = &closing.catalogue.slug;
        let next = format!("<{}?tenant={slug}&limit={limit}&cursor={cursor}>; rel=\"next\"", uri.path());
        response.headers_mut().insert(LINK, HeaderValue::from_str(&next).map_err(|error| Problem::internal(&error))?);
    }
    Ok(response)
}

/// Which page of which statement.
struct Page {
    from: Seq,
    to: Seq,
    /// Where the page begins; `None` of the first one.
    start: Option<Start>,
}

impl Page {
    async fn statement(
        &self,
        app: &App,
        query: &Query,
        closing: &CustomerView,
        opening: Option<&Row>,
    ) -> Result<Statement, Problem> {
        let start = self.start.unwrap_or(Start::of(closing.last));
        if closing.last < start.seq {
            return Err(Problem::new(&codes::CURSOR_INVALID));
        }
        // A unit has one name throughout a statement, that of its end.
        let units = Names { catalogue: &closing.catalogue };
        let items = |record: &Record, rules: Rules<'_>| Ok(entries(record, rules.catalogue, &units));
        let (data, next) = walk(app, closing.id, start, self.from, query.limit()?, items).await?;
        let none = BTreeMap::new();
        let (before, after) = (opening.map_or(none, |row| balances(row, &units)), balances(&closing.booked, &units));
        // Each account stands in both.
        let accounts: BTreeMap<&StatementAccount, ()> =
            before.keys().chain(after.keys()).map(|own| (own, ())).collect();
        let list = |balances: &BTreeMap<StatementAccount, Balance>| {
            let balance = |own: &&StatementAccount| balances.get(*own).map_or(0, |balance| balance.minor_units());
            accounts.keys().map(|own| AccountBalance { account: (*own).clone(), balance: balance(own) }).collect()
        };
        Ok(Statement {
            customer: UuidText(closing.id.0),
            from: self.from.0,
            to: self.to.0,
            opening: list(&before),
            data,
            closing: list(&after),
            next_cursor: next.map(|next| cursor::write_statement(closing.id, self.from, self.to, next)),
            as_of: self.to.0,
        })
    }
}

fn wallet(wallet: kembali_core::WalletId, unit: Unit, names: &Names<'_>) -> StatementAccount {
    match unit {
        Unit::Money(currency) => {
            StatementAccount { holds: Holds::Money, wallet: Some(wallet.0), unit: currency.as_str().to_owned() }
        }
        Unit::Points(kind) => points(kind, names),
    }
}

fn points(kind: RuleId, names: &Names<'_>) -> StatementAccount {
    StatementAccount { holds: Holds::Points, wallet: None, unit: names.point_kind(kind).into_owned() }
}

fn balances(row: &Row, names: &Names<'_>) -> BTreeMap<StatementAccount, Balance> {
    let wallets = row.wallets.iter().map(|own| (wallet(own.id, own.unit, names), own.balance));
    wallets.chain(row.points.iter().map(|own| (points(own.kind, names), own.balance().into()))).collect()
}

/// Lists the entries of a record, the last first, as records come.
fn entries(record: &Record, catalogue: &Catalogue, units: &Names<'_>) -> Vec<StatementEntry> {
    let names = Names { catalogue };
    let money = |entry: &Entry| {
        let leg =
            |leg: &HouseLeg| Leg { account: account_name(leg.account, catalogue), amount: leg.amount.minor_units() };
        let against = entry.against.iter().map(leg).collect();
        let account = wallet(entry.wallet, entry.unit, units);
        shown(record, account, (entry.direction, entry.amount, entry.balance_after), against)
    };
    let of_points = |entry: &PointEntry| {
        let moved = (entry.direction, entry.points, entry.balance_after.into());
        let against = Leg { account: account_name(entry.against, catalogue), amount: entry.points.minor_units() };
        StatementEntry {
            source: Some(names.source(entry.source).into_owned()),
            matures_at: entry.matures.instant().map(Rfc3339),
            expires_at: entry.expires.instant().map(Rfc3339),
            ..shown(record, points(entry.kind, units), moved, vec![against])
        }
    };
    let entries = record.body.events.iter().rev().filter_map(|event| match event {
        Event::WalletEntry(entry) => Some(money(entry)),
        Event::PointEntry(entry) => Some(of_points(entry)),
        _ => None,
    });
    entries.collect()
}

fn shown(
    record: &Record,
    account: StatementAccount,
    (direction, amount, after): (Direction, Amount, Balance),
    against: Vec<Leg>,
) -> StatementEntry {
    let (amount, after) = (amount.minor_units(), after.minor_units());
    StatementEntry {
        seq: record.seq.0,
        received_at: Rfc3339(record.body.received_at),
        purchase: purchase_behind(&record.body),
        operation: operation_behind(&record.body),
        refund_id: refund_of(&record.body).map(|refunded| refunded.refund_id.to_string()),
        account,
        direction: Side::of(direction),
        amount,
        balance_before: match direction {
            Direction::In => after - amount,
            Direction::Out => after + amount,
        },
        balance_after: after,
        against,
        source: None,
        matures_at: None,
        expires_at: None,
    }
}

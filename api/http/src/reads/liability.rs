//! What a tenant owes its customers, rolled forward between two positions.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use hyper::header::HeaderMap;
use kembali_core::accounts::HouseAccount;
use kembali_core::liability::{RollForward, roll_forward};
use kembali_core::totals::Turnover;
use kembali_core::{Seq, Unit};

use super::history::account_name;
use super::reports::unit_name;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::csv::JsonOrCsv;
use crate::parameters;
use crate::problem::Problem;
use crate::query::{Query, invalid};
use crate::routes::Endpoint;
use crate::wire::liability::{AccountTurnover, Liability, LiabilityLine};
use crate::wire::number::Wide;

/// Shows the liability rolled forward; from the first record to the last, unless the caller says otherwise.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<JsonOrCsv<Liability>, Problem> {
    let query = Query::parse(&uri, parameters::of(Endpoint::Liability))?;
    app.reach_min_seq(&query).await?;
    let tenant = app.tenant(identity, &query).await?.tenant;
    let from = app.position(&query, "from").await?.unwrap_or(Seq::ZERO);
    let to = app.position(&query, "to").await?.unwrap_or_else(|| app.engine.durable());
    if to < from {
        return Err(invalid("to", "to must not lie before from"));
    }
    let after = app.engine.totals_at(tenant, to).await?.ok_or_else(|| Problem::new(&codes::TENANT_NOT_FOUND))?;
    let before = app.engine.totals_at(tenant, from).await?.map(|view| view.totals).unwrap_or_default();
    let rules = &after.catalogue;
    let turnover = |(account, turnover): (HouseAccount, Turnover)| AccountTurnover {
        account: account_name(account, rules),
        debit: Wide(turnover.debits),
        credit: Wide(turnover.credits),
    };
    let line = |(unit, own): (Unit, RollForward)| LiabilityLine {
        unit: unit_name(unit, rules),
        opening: Wide(own.opening),
        earned: Wide(own.earned),
        exchanged: Wide(own.exchanged),
        deposited: Wide(own.deposited),
        adjusted: Wide(own.adjusted),
        clawed_back: Wide(own.clawed_back),
        spent: Wide(own.spent),
        expired: Wide(own.expired),
        in_transit: Wide(own.in_transit),
        closing: Wide(own.closing),
        accounts: own.accounts.into_iter().map(turnover).collect(),
    };
    let data = roll_forward(&before, &after.totals).into_iter().map(line).collect();
    Ok(JsonOrCsv::new(Liability { from: from.0, to: to.0, data, as_of: to.0 }, &headers))
}

//! The sums of a tenant: the summary and the trial balance.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use kembali_core::catalogue::{Catalogue, Promo};
use kembali_core::journey::Remark;
use kembali_core::totals::TenantTotals;
use kembali_core::{CurrencyCode, Unit};
use kembali_engine::TotalsView;

use super::Json;
use super::history::account_name;
use super::promos::remaining;
use crate::app::App;
use crate::auth::Identity;
use crate::codes;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::number::Wide;
use crate::wire::report::{Account, PromoSum, Summary, TrialBalance, UnitTotal};
use crate::wire::result::{REMARKS, remark_text};

/// Shows the sums of a tenant.
pub(crate) async fn summary(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<Summary>, Problem> {
    let view = totals(&app, identity, &uri, Endpoint::Summary).await?;
    let (sums, catalogue) = (&view.totals, &*view.catalogue);
    let promo = |(index, promo): (usize, &Promo)| {
        let own = sums.promos.get(&promo.id).copied().unwrap_or_default();
        let reserved = view.reserved.get(index).copied().unwrap_or(0);
        PromoSum {
            code: promo.code.clone(),
            quota: promo.quota,
            used: own.granted,
            reserved,
            remaining: remaining(promo.quota, own.granted, reserved),
            declined_exhausted: own.declined_exhausted,
        }
    };
    let remark = |remark: Remark| {
        let of_remark = |((_, own), count): (&(_, Remark), &u64)| if *own == remark { *count } else { 0 };
        (remark_text(remark), sums.remarks.iter().map(of_remark).sum())
    };
    Ok(Json(Summary {
        accepted: sums.accepted,
        rejected: sums.rejected.iter().map(|(code, count)| (code.as_str(), *count)).collect(),
        amount: Wide(sums.amount),
        point_transaction: Wide(sums.point_transaction),
        point_loyalty: Wide(sums.point_loyalty),
        point_total: Wide(sums.point_transaction + sums.point_loyalty),
        customers: sums.customers,
        promos: catalogue.promos.iter().enumerate().map(promo).collect(),
        remarks: REMARKS.into_iter().map(remark).collect(),
        tiers: members_by_level(sums, catalogue),
        currency: catalogue.currency.code.as_str().to_owned(),
        as_of: view.as_of.0,
    }))
}

/// Counts the members of every level. A name that several programmes have stands behind its programme's.
fn members_by_level(sums: &TenantTotals, catalogue: &Catalogue) -> BTreeMap<String, u64> {
    let levels = || catalogue.programs.iter().flat_map(|program| program.levels.iter().map(move |own| (program, own)));
    let label = |program: &str, name: &str| {
        let is_unique = levels().filter(|(_, level)| level.name == name).count() == 1;
        if is_unique { name.to_owned() } else { format!("{program}/{name}") }
    };
    levels()
        .map(|(program, level)| {
            let count = sums.members.get(&(program.id, level.id)).copied().unwrap_or(0);
            (label(&program.name, &level.name), count)
        })
        .collect()
}

/// Shows debits and credits of every account, and that they are equal.
pub(crate) async fn trial_balance(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<TrialBalance>, Problem> {
    let view = totals(&app, identity, &uri, Endpoint::TrialBalance).await?;
    let sums = &view.totals;
    let account = |name: String, unit: Unit, debit: i128| {
        let Unit::Money(currency) = unit;
        let (debit, credit) = (debit.max(0), (-debit).max(0));
        Account { account: name, unit: currency.as_str().to_owned(), debit: Wide(debit), credit: Wide(credit) }
    };
    // What the wallets hold is owed to the customers: a credit.
    let wallets = sums.wallets.iter().map(|(unit, owed)| account("wallets".to_owned(), *unit, -owed));
    let house =
        sums.house.iter().map(|((unit, own), debit)| account(account_name(*own, &view.catalogue), *unit, *debit));
    let accounts = wallets.chain(house).collect();
    let total = |(unit, difference): (&Unit, &i128)| {
        let Unit::Money(currency) = unit;
        UnitTotal { unit: CurrencyCode::as_str(currency).to_owned(), total: Wide(*difference) }
    };
    let totals = sums.trial_balance().iter().map(total).collect();
    Ok(Json(TrialBalance { accounts, totals, as_of: view.as_of.0 }))
}

async fn totals(app: &App, identity: Identity, uri: &Uri, endpoint: Endpoint) -> Result<Box<TotalsView>, Problem> {
    let query = Query::parse(uri, parameters::of(endpoint))?;
    app.reach_min_seq(&query).await?;
    let slug = app.tenant(identity, &query).await?.slug.clone();
    let view = app.engine.totals(&slug).await?.ok_or_else(|| Problem::new(&codes::TENANT_NOT_FOUND))?;
    Ok(view)
}

//! The sums of a tenant: the summary and the trial balance.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use kembali_core::catalogue::{CashbackRule, Catalogue, Promo, Reward, RewardKind, TierPolicy, TierProgram};
use kembali_core::journey::Remark;
use kembali_core::totals::TenantTotals;
use kembali_core::{RuleId, Unit};
use kembali_engine::TotalsView;

use super::Json;
use super::history::account_name;
use super::promos::remaining;
use crate::app::App;
use crate::auth::Identity;
use crate::parameters;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Endpoint;
use crate::wire::catalogue::PolicyFile;
use crate::wire::number::Wide;
use crate::wire::report::{
    Account, BackSum, CampaignSum, LevelSum, ProgramSum, PromoSum, RefundSums, RewardSums, RuleSum, Summary,
    TrialBalance, UnitTotal,
};
use crate::wire::result::{Names, REMARKS, remark_text};

/// Shows the sums of a tenant.
pub(crate) async fn summary(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Json<Summary>, Problem> {
    let view = totals(&app, identity, &uri, Endpoint::Summary).await?;
    Ok(Json(summary_of(&view)))
}

/// Writes the sums of a tenant down.
pub(crate) fn summary_of(view: &TotalsView) -> Summary {
    let (sums, catalogue) = (&view.totals, &*view.catalogue);
    let promo = |(index, promo): (usize, &Promo)| {
        let own = sums.promos.get(&promo.id).copied().unwrap_or_default();
        let returned = sums.refunds.promos.get(&promo.id).map_or(0, |own| own.units_returned);
        let used = own.granted.saturating_sub(returned);
        let reserved = view.reserved.get(index).copied().unwrap_or(0);
        PromoSum {
            code: promo.code.clone(),
            quota: promo.quota,
            used,
            reserved,
            remaining: remaining(promo.quota, used, reserved),
            declined_exhausted: own.declined_exhausted,
        }
    };
    let remark = |remark: Remark| {
        let of_remark = |((_, own), count): (&(_, Remark), &u64)| if *own == remark { *count } else { 0 };
        (remark_text(remark), sums.remarks.iter().map(of_remark).sum())
    };
    Summary {
        accepted: sums.accepted,
        rejected: sums.rejected.iter().map(|(code, count)| (code.as_str(), *count)).collect(),
        amount: Wide(sums.amount),
        point_transaction: Wide(sums.point_transaction),
        point_loyalty: Wide(sums.point_loyalty),
        point_total: Wide(sums.point_transaction + sums.point_loyalty),
        customers: sums.customers,
        promos: catalogue.promos.iter().enumerate().map(promo).collect(),
        // A remark that only some tenants' rules can make is shown where it was made.
        remarks: REMARKS.into_iter().map(remark).filter(|(name, count)| *name != "restart" || 0 < *count).collect(),
        tiers: members_by_level(sums, catalogue),
        programs: catalogue.programs.iter().map(|program| program_sum(sums, catalogue, program)).collect(),
        cashback_rules: cashback_sums(sums, catalogue),
        campaigns: (catalogue.campaigns.iter())
            .map(|own| CampaignSum {
                name: own.name.clone(),
                completions: sums.campaigns.get(&own.id).copied().unwrap_or(0),
                budget: own.budget,
            })
            .collect(),
        rewards: reward_sums(sums, catalogue),
        refunds: refund_sums(sums, catalogue),
        currency: catalogue.currency.code.as_str().to_owned(),
        as_of: view.as_of.0,
    }
}

/// Counts the members of every level of the Journey programmes. A name that several of them have stands behind its
/// programme's.
fn members_by_level(sums: &TenantTotals, catalogue: &Catalogue) -> BTreeMap<String, u64> {
    let journeys = || catalogue.programs.iter().filter(|own| matches!(own.policy, TierPolicy::Journey(_)));
    let levels = || journeys().flat_map(|program| program.levels().map(move |level| (program, level)));
    let label = |program: &str, name: &str| {
        let is_unique = levels().filter(|(_, (_, own))| *own == name).count() == 1;
        if is_unique { name.to_owned() } else { format!("{program}/{name}") }
    };
    levels().map(|(program, (id, name))| (label(&program.name, name), members(sums, program, id))).collect()
}

fn members(sums: &TenantTotals, program: &TierProgram, level: RuleId) -> u64 {
    sums.members.get(&(program.id, level)).copied().unwrap_or(0)
}

fn program_sum(sums: &TenantTotals, catalogue: &Catalogue, program: &TierProgram) -> ProgramSum {
    let own = sums.members_to_place(catalogue).filter(|(own, _)| *own == program.id);
    let level = |(id, name): (RuleId, &str)| LevelSum { level: name.to_owned(), customers: members(sums, program, id) };
    ProgramSum {
        program: program.name.clone(),
        policy: match program.policy {
            TierPolicy::Journey(_) => PolicyFile::Journey,
            TierPolicy::Threshold(_) => PolicyFile::Threshold,
        },
        levels: program.levels().map(level).collect(),
        to_be_placed: Some(own.map(|(_, count)| count).sum()).filter(|count| 0 < *count),
    }
}

fn cashback_sums(sums: &TenantTotals, catalogue: &Catalogue) -> Vec<RuleSum> {
    let names = Names { catalogue };
    let rule = |rule: &CashbackRule| {
        let grants = sums.cashback.get(&rule.id).copied().unwrap_or_default();
        RuleSum {
            name: rule.name.clone(),
            kind: Some(names.point_kind(rule.pays).into_owned()),
            grants: grants.count,
            sum: Wide(grants.sum),
        }
    };
    catalogue.cashback_rules.iter().map(rule).collect()
}

fn reward_sums(sums: &TenantTotals, catalogue: &Catalogue) -> RewardSums {
    let names = Names { catalogue };
    let reward = |reward: &Reward| {
        let grants = sums.rewards.get(&reward.id).copied().unwrap_or_default();
        let kind = match reward.kind {
            RewardKind::Points { kind, .. } => Some(names.point_kind(kind).into_owned()),
            RewardKind::WalletCredit { .. } => None,
        };
        RuleSum { name: reward.name.clone(), kind, grants: grants.count, sum: Wide(grants.sum) }
    };
    RewardSums {
        points: Wide(sums.reward_points),
        wallet_credit: Wide(sums.reward_credit),
        customers: sums.rewarded_customers,
        by_reward: catalogue.rewards.iter().map(reward).collect(),
    }
}

/// `None` where nothing was refunded.
fn refund_sums(sums: &TenantTotals, catalogue: &Catalogue) -> Option<RefundSums> {
    let (names, own) = (Names { catalogue }, &sums.refunds);
    let part = |(rule, sum): (&RuleId, &i128)| BackSum { name: names.source(*rule).into_owned(), sum: Wide(*sum) };
    (0 < own.count).then(|| RefundSums {
        count: own.count,
        amount: Wide(own.amount),
        point_transaction: Wide(own.point_transaction),
        point_loyalty: Wide(own.point_loyalty),
        units_returned: own.promos.values().map(|promo| promo.units_returned).sum(),
        cashback_rules: own.cashback.iter().map(part).collect(),
        rewards: own.rewards.iter().map(part).collect(),
        shortfall: Wide(own.shortfall),
    })
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
        let (debit, credit) = (debit.max(0), (-debit).max(0));
        Account { account: name, unit: unit_name(unit, &view.catalogue), debit: Wide(debit), credit: Wide(credit) }
    };
    // What wallets and point accounts hold is owed to the customers: a credit.
    let wallets = sums.wallets.iter().map(|(unit, owed)| account("wallets".to_owned(), *unit, -owed));
    let points = sums.points.iter().map(|(unit, owed)| account("points".to_owned(), *unit, -owed));
    let house =
        sums.house.iter().map(|((unit, own), sum)| account(account_name(*own, &view.catalogue), *unit, sum.net()));
    let accounts = wallets.chain(points).chain(house).collect();
    let total = |(unit, difference): (&Unit, &i128)| UnitTotal {
        unit: unit_name(*unit, &view.catalogue),
        total: Wide(*difference),
    };
    let totals = sums.trial_balance().iter().map(total).collect();
    Ok(Json(TrialBalance { accounts, totals, as_of: view.as_of.0 }))
}

/// Names a unit: a currency by its code, a kind of points by its name behind `points/`.
pub(crate) fn unit_name(unit: Unit, catalogue: &Catalogue) -> String {
    match unit {
        Unit::Money(currency) => currency.as_str().to_owned(),
        Unit::Points(kind) => format!("points/{}", Names { catalogue }.point_kind(kind)),
    }
}

pub(super) async fn totals(
    app: &App,
    identity: Identity,
    uri: &Uri,
    endpoint: Endpoint,
) -> Result<Box<TotalsView>, Problem> {
    let query = Query::parse(uri, parameters::of(endpoint))?;
    app.reach_min_seq(&query).await?;
    app.totals(identity, &query).await
}

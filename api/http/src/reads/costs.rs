//! What a tenant's rules have cost so far: by partner, promo, cashback rule, reward and campaign; JSON or CSV.

use axum::Extension;
use axum::extract::State;
use hyper::Uri;
use hyper::header::HeaderMap;
use kembali_core::accounts::HouseAccount;
use kembali_core::catalogue::{Catalogue, RewardKind};
use kembali_core::{RuleId, Unit};
use kembali_engine::TotalsView;

use super::reports::{totals, unit_name};
use crate::app::App;
use crate::auth::Identity;
use crate::csv::JsonOrCsv;
use crate::problem::Problem;
use crate::routes::Endpoint;
use crate::wire::costs::{Cost, CostOf, Costs};
use crate::wire::number::Wide;

/// Shows what the rules have cost. As CSV where the caller prefers `text/csv`.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<JsonOrCsv<Costs>, Problem> {
    let view = totals(&app, identity, &uri, Endpoint::Costs).await?;
    Ok(JsonOrCsv::new(costs(&view), &headers))
}

fn costs(view: &TotalsView) -> Costs {
    let (sums, rules) = (&view.totals, &*view.catalogue);
    let money = Some(unit_name(rules.unit(), rules));
    let of =
        |of: CostOf, id: Option<u32>, name: Option<String>| Cost { of, id, name, unit: None, grants: None, cost: None };
    let mut data = Vec::new();
    for ((unit, account), cost) in &sums.house {
        let (unit, cost) = (Some(unit_name(*unit, rules)), Some(Wide(cost.net())));
        let row = match account {
            HouseAccount::PromoExpense(partner) => {
                of(CostOf::Partner, Some(partner.0), rules.partner(*partner).map(|own| own.slug.clone()))
            }
            HouseAccount::LoyaltyExpense => of(CostOf::Milestones, None, None),
            HouseAccount::RedemptionExpense => of(CostOf::Redemptions, None, None),
            HouseAccount::RefundShortfall => of(CostOf::RefundShortfall, None, None),
            // Told reward by reward, and kind by kind, below.
            HouseAccount::RewardExpense | HouseAccount::PointsIssued => continue,
            // What became of points that were granted.
            HouseAccount::PointsExpired | HouseAccount::PointsRedeemed => continue,
            // No rule did it.
            HouseAccount::CashClearing
            | HouseAccount::Adjustments
            | HouseAccount::Settlement(_)
            | HouseAccount::InTransit => continue,
        };
        data.push(Cost { unit, cost, ..row });
    }
    for (id, own) in &sums.promos {
        let row = of(CostOf::Promo, Some(id.0), rules.promo(*id).map(|promo| promo.code.clone()));
        data.push(Cost { unit: money.clone(), grants: Some(own.granted), cost: Some(Wide(own.points)), ..row });
    }
    for (id, own) in &sums.cashback {
        let rule = rules.cashback_rule(*id);
        let unit = rule.map(|rule| unit_name(Unit::Points(rule.pays), rules));
        let row = of(CostOf::CashbackRule, Some(id.0), rule.map(|rule| rule.name.clone()));
        data.push(Cost { unit, grants: Some(own.count), cost: Some(Wide(own.sum)), ..row });
    }
    for (id, own) in &sums.rewards {
        let row = of(CostOf::Reward, Some(id.0), rules.reward(*id).map(|reward| reward.name.clone()));
        let unit = reward_unit(rules, *id);
        data.push(Cost { unit, grants: Some(own.count), cost: Some(Wide(own.sum)), ..row });
    }
    for (id, completions) in &sums.campaigns {
        let row = of(CostOf::Campaign, Some(id.0), rules.campaign(*id).map(|campaign| campaign.name.clone()));
        data.push(Cost { grants: Some(*completions), ..row });
    }
    // What customers were granted in all: what the house accounts of each unit were debited.
    let mut units: Vec<Unit> = sums.house.keys().map(|(unit, _)| *unit).collect();
    units.dedup();
    for unit in units {
        let granted = sums.house.iter().filter(|((own, account), _)| *own == unit && is_cost(*account));
        let cost = granted.map(|(_, cost)| cost.net()).sum();
        data.push(Cost { unit: Some(unit_name(unit, rules)), cost: Some(Wide(cost)), ..of(CostOf::Total, None, None) });
    }
    Costs { data, currency: rules.currency.code.as_str().to_owned(), as_of: view.as_of.0 }
}

/// Tells whether an account is debited for what rules grant, as opposed to credited for what becomes of it.
fn is_cost(account: HouseAccount) -> bool {
    match account {
        HouseAccount::PromoExpense(_)
        | HouseAccount::LoyaltyExpense
        | HouseAccount::RewardExpense
        | HouseAccount::RedemptionExpense
        | HouseAccount::RefundShortfall
        | HouseAccount::PointsIssued => true,
        HouseAccount::PointsExpired
        | HouseAccount::PointsRedeemed
        | HouseAccount::CashClearing
        | HouseAccount::Adjustments
        | HouseAccount::Settlement(_)
        | HouseAccount::InTransit => false,
    }
}

fn reward_unit(rules: &Catalogue, id: RuleId) -> Option<String> {
    let unit = match rules.reward(id)?.kind {
        RewardKind::Points { kind, .. } => Unit::Points(kind),
        RewardKind::WalletCredit { .. } => rules.unit(),
    };
    Some(unit_name(unit, rules))
}

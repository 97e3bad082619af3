//! What rules have cost: a list of plain rows, which is the same in JSON and in CSV.

use serde::Serialize;
use utoipa::ToSchema;

use super::number::Wide;
use crate::csv::{self, Table};

/// What a tenant's rules have cost so far.
#[derive(Serialize, ToSchema)]
pub(crate) struct Costs {
    /// The costs, one kind after the other, in order of the ids. Rows of different kinds tell of the same money: those of
    /// partners are what their promos cost. Points count as they are granted, whether or not they expired since.
    pub(crate) data: Vec<Cost>,
    /// The currency of the amounts.
    pub(crate) currency: String,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// What one rule, or one partner, has cost.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cost {
    /// What it is the cost of.
    pub(crate) of: CostOf,
    /// The id of the rule or the partner; null of milestones and totals.
    #[schema(required)]
    pub(crate) id: Option<u32>,
    /// Its name, code or slug; null where it is not among the present rules, and of milestones and totals.
    #[schema(required)]
    pub(crate) name: Option<String>,
    /// A currency, or `points/` and a kind; null of campaigns and of what is not among the present rules.
    #[schema(required)]
    pub(crate) unit: Option<String>,
    /// How often it was granted, or completed; null of partners, milestones and totals.
    #[schema(required)]
    pub(crate) grants: Option<u64>,
    /// How much; null of campaigns, whose rewards are told apart.
    #[schema(required)]
    pub(crate) cost: Option<Wide>,
}

/// What a cost is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CostOf {
    /// All promos that a partner pays for.
    Partner,
    /// The milestones of all tier programmes.
    Milestones,
    /// What points were spent on, in money.
    Redemptions,
    /// What refunds should have taken back, and the wallets held too little of.
    RefundShortfall,
    /// A promo.
    Promo,
    /// A cashback rule, in points.
    CashbackRule,
    /// A reward, in points or in money.
    Reward,
    /// A campaign: how often it was completed.
    Campaign,
    /// Everything of one unit.
    Total,
}

impl CostOf {
    const fn as_str(self) -> &'static str {
        match self {
            CostOf::Partner => "partner",
            CostOf::Milestones => "milestones",
            CostOf::Redemptions => "redemptions",
            CostOf::RefundShortfall => "refund_shortfall",
            CostOf::Promo => "promo",
            CostOf::CashbackRule => "cashback_rule",
            CostOf::Reward => "reward",
            CostOf::Campaign => "campaign",
            CostOf::Total => "total",
        }
    }
}

impl Table for Costs {
    fn to_csv(&self) -> String {
        let mut out = String::new();
        csv::line(&mut out, &["of", "id", "name", "unit", "grants", "cost"]);
        for Cost { of, id, name, unit, grants, cost } in &self.data {
            let number = |number: Option<i128>| number.map_or_else(String::new, |number| number.to_string());
            let [id, grants] = [id.map(i128::from), grants.map(i128::from)].map(number);
            let cost = number(cost.map(|cost| cost.0));
            let [name, unit] = [name, unit].map(|text| text.as_deref().unwrap_or_default());
            csv::line(&mut out, &[of.as_str(), &id, name, unit, &grants, &cost]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_csv() {
        let row = |of, name: &str, cost| Cost {
            of,
            id: Some(1),
            name: Some(name.to_owned()),
            unit: Some("IDR".to_owned()),
            grants: Some(u64::MAX),
            cost: Some(Wide(cost)),
        };
        let bare = Cost { of: CostOf::Campaign, id: None, name: None, unit: None, grants: None, cost: None };
        let data = vec![row(CostOf::Promo, "A, \"B\"\nC", i128::MAX), row(CostOf::CashbackRule, "plain", -1), bare];
        let costs = Costs { data, currency: "IDR".to_owned(), as_of: 1 };
        assert_eq!(
            costs.to_csv(),
            "of,id,name,unit,grants,cost\r\n\
             promo,1,\"A, \"\"B\"\"\nC\",IDR,18446744073709551615,170141183460469231731687303715884105727\r\n\
             cashback_rule,1,plain,IDR,18446744073709551615,-1\r\n\
             campaign,,,,,\r\n"
        );
        // The names of the kinds are those of JSON.
        for of in [CostOf::Partner, CostOf::Milestones, CostOf::Promo, CostOf::CashbackRule, CostOf::Reward] {
            assert_eq!(serde_json::to_value(of).ok(), Some(of.as_str().into()));
        }
    }
}

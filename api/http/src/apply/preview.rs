//! The outcome of a change, previewed: the counts of the core with the names of the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::RuleId;
use kembali_core::catalogue::{Catalogue, ThresholdLevel, TierPolicy, TierProgram};
use kembali_core::preview::{Customers, RuleChange, Stopped, TierMove, When, Why};
use kembali_engine::{Applied, Engine, Previewed, TotalsView};

use crate::problem::Problem;
use crate::wire::catalogue::Money;
use crate::wire::instant::UuidText;
use crate::wire::number::Wide;
use crate::wire::preview::{
    CampaignStop, CashbackStop, OutcomePreview, PreviewMove, PromoSpent, WhenMoved, WhyStopped,
};

/// Counts what a change would do; `None` where it changes nothing, or there is nobody yet.
pub(super) async fn of_change(engine: &Engine, applied: &Applied) -> Result<Option<OutcomePreview>, Problem> {
    let Some(before) = applied.before.as_ref().filter(|before| before.version != applied.catalogue.version) else {
        return Ok(None);
    };
    let change = RuleChange::new(Arc::clone(before), Arc::clone(&applied.catalogue));
    let previewed = engine.preview(change).await?;
    let Some(totals) = engine.totals(&before.slug).await? else { return Ok(None) };
    Ok(Some(shown(before, &applied.catalogue, previewed, &totals)))
}

fn shown(before: &Catalogue, after: &Catalogue, previewed: Previewed, totals: &TotalsView) -> OutcomePreview {
    let Previewed { preview, as_of: (first, last) } = previewed;
    OutcomePreview {
        customers: preview.customers,
        tier_moves: preview.tiers.into_iter().map(|(moved, who)| tier_move(before, after, moved, who)).collect(),
        promos: promos_spent(before, after, totals),
        cashback_rules: cashback_stops(before, preview.cashback_rules),
        campaigns: campaign_stops(before, preview.campaigns),
        as_of_first: first.0,
        as_of: last.0,
    }
}

fn examples(customers: Customers) -> Vec<UuidText> {
    customers.examples.into_iter().map(|id| UuidText(id.0)).collect()
}

fn tier_move(before: &Catalogue, after: &Catalogue, moved: TierMove, who: Customers) -> PreviewMove {
    let program = |rules: &Catalogue| rules.program(moved.program).cloned();
    let (old, new) = (program(before), program(after));
    // Each by the name that it has in its version; a level that this one does not have is in the other.
    let level = |id: RuleId, versions: [&Option<TierProgram>; 2]| {
        let found = versions.into_iter().flatten().find_map(|program| program.level_name(id));
        found.map_or_else(|| format!("#{}", id.0), str::to_owned)
    };
    let above = new.as_ref().filter(|_| moved.when == When::NextBound).and_then(|new| match &new.policy {
        TierPolicy::Threshold(threshold) => {
            let mut above = threshold.levels.iter().skip_while(|level| level.id != moved.to);
            above.nth(1)
        }
        TierPolicy::Journey(_) => None,
    });
    PreviewMove {
        program: new.as_ref().map_or_else(String::new, |new| new.name.clone()),
        when: match moved.when {
            When::AtOnce => WhenMoved::AtOnce,
            When::NextPurchase => WhenMoved::NextPurchase,
            When::NextBound => WhenMoved::NextBound,
            When::Never => WhenMoved::Never,
        },
        from: level(moved.from, [&old, &new]),
        to: level(moved.to, [&new, &old]),
        bound: above.map(|level: &ThresholdLevel| Money(level.spent_min.minor_units())),
        bound_level: above.map(|level| level.name.clone()),
        customers: who.count,
        examples: examples(who),
    }
}

/// Lists the promos whose quota is changed to what is used already, or less.
fn promos_spent(before: &Catalogue, after: &Catalogue, totals: &TotalsView) -> Vec<PromoSpent> {
    let spent = before.promos.iter().filter_map(|promo| {
        let used = totals.totals.promos.get(&promo.id).map_or(0, |own| own.granted);
        let quota = after.promo(promo.id)?.quota;
        let is_spent = quota != promo.quota && quota <= used && 0 < used;
        is_spent.then(|| PromoSpent { code: promo.code.clone(), quota_before: promo.quota, quota, used })
    });
    spent.collect()
}

fn why_stopped(why: Why) -> WhyStopped {
    match why {
        Why::Removed => WhyStopped::Removed,
        Why::Off => WhyStopped::Off,
    }
}

fn cashback_stops(before: &Catalogue, stopped: BTreeMap<RuleId, Stopped>) -> Vec<CashbackStop> {
    let shown = |(id, own): (RuleId, Stopped)| CashbackStop {
        name: before.cashback_rule(id).map_or_else(String::new, |rule| rule.name.clone()),
        why: why_stopped(own.why),
        customers: own.customers.count,
        points: Wide(own.points),
        examples: examples(own.customers),
    };
    stopped.into_iter().map(shown).collect()
}

fn campaign_stops(before: &Catalogue, stopped: BTreeMap<RuleId, Stopped>) -> Vec<CampaignStop> {
    let shown = |(id, own): (RuleId, Stopped)| CampaignStop {
        name: before.campaign(id).map_or_else(String::new, |campaign| campaign.name.clone()),
        why: why_stopped(own.why),
        customers: own.customers.count,
        completed: own.completed,
        examples: examples(own.customers),
    };
    stopped.into_iter().map(shown).collect()
}

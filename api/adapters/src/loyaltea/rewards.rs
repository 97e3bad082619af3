//! The reward service: what campaigns pay, which is points.

use kembali_http::wire::catalogue::{Money, RewardFile};
use serde_json::{Value, json};

use super::answer::{Done, Refusal};
use super::fields::Fields;
use super::rules::{self, Known, Listed, all, check_tenant};
use super::{Ask, Call};
use crate::money::minor_units;
use crate::rules::{Rules, is_of_number, new_id};

/// The kind of points that rewards are paid in.
pub(super) const KIND: &str = "reward";

/// Serves the list of rewards, and each reward.
pub(super) async fn serve(
    call: Call<'_>,
    ask: Ask<'_>,
    fields: impl Fn() -> Result<Fields, Refusal>,
) -> Result<Done, Refusal> {
    match ask {
        Ask::List => {
            let rules = Rules::read(&call).await?;
            let own = rules.file.rewards.iter().filter(|own| is_shown(own));
            Ok(Done::found(all(own.map(|own| shown(&rules, own)))))
        }
        Ask::Show(key) => {
            let rules = Rules::read(&call).await?;
            let at = find(&rules, key)?;
            Ok(Done::found(shown(&rules, &rules.file.rewards[at])))
        }
        Ask::Create => create(call, fields()?).await,
        Ask::Change(key, whole) => {
            let mut fields = fields()?;
            let (tenant, id) = (fields.optional_text("tenant"), fields.optional_uuid("reward_id"));
            let points =
                if whole { Some(fields.number("reward_points")) } else { fields.optional_number("reward_points") };
            fields.check()?;
            let points = points.map(|points| points_of(&points)).transpose()?;
            let (rules, id) = Rules::change(&call, |rules| {
                check_tenant(rules, tenant.as_deref())?;
                let at = find(rules, key)?;
                let known = known(rules, &rules.file.rewards[at]);
                if id.as_ref().is_some_and(|id| *id != known.id) {
                    return Err(Refusal::field("reward_id", "Cannot change."));
                }
                let own = &mut rules.file.rewards[at];
                own.points = points.or(own.points);
                Ok(known.id)
            })
            .await?;
            let at = find(&rules, &id)?;
            Ok(Done::found(shown(&rules, &rules.file.rewards[at])))
        }
        Ask::Delete(key) => {
            Rules::change(&call, |rules| {
                let at = find(rules, key)?;
                rules.file.rewards.remove(at);
                Ok(())
            })
            .await?;
            Ok(Done::gone())
        }
    }
}

async fn create(call: Call<'_>, mut fields: Fields) -> Result<Done, Refusal> {
    let (tenant, id, points) =
        (fields.text("tenant"), fields.optional_uuid("reward_id"), fields.number("reward_points"));
    fields.check()?;
    let points = points_of(&points)?;
    if id.as_deref().is_some_and(is_of_number) {
        return Err(Refusal::field("reward_id", "Ids of this form are those of numbers."));
    }
    let id = id.map_or_else(new_id, Ok)?;
    let call = call.about(&tenant);
    let (rules, ()) = Rules::change(&call, |rules| {
        if rules.file.rewards.iter().any(|own| known(rules, own).id == id) {
            return Err(Refusal::field("reward_id", "A reward with this id already exists."));
        }
        if !rules.file.point_kinds.iter().any(|kind| kind == KIND) {
            rules.file.point_kinds.push(KIND.to_owned());
        }
        rules.file.rewards.push(RewardFile {
            // A reward of Loyaltea's has no other name.
            name: id.clone(),
            external_id: Some(id.clone()),
            points: Some(points),
            kind: Some(KIND.to_owned()),
            life_days: None,
            pending_days: None,
            wallet_credit: None,
        });
        Ok(())
    })
    .await?;
    let at = find(&rules, &id)?;
    Ok(Done::made(shown(&rules, &rules.file.rewards[at])))
}

fn points_of(text: &str) -> Result<Money, Refusal> {
    let points = minor_units(text, 0).filter(|points| 0 < *points);
    points.map(Money).ok_or_else(|| Refusal::field("reward_points", "A whole number of points above 0 is required."))
}

/// Rewards in money, and in points of other kinds, are none of Loyaltea's.
fn is_shown(own: &RewardFile) -> bool {
    own.points.is_some() && own.kind.as_deref() == Some(KIND)
}

fn find(rules: &Rules, key: &str) -> Result<usize, Refusal> {
    let is_named = |own: &RewardFile| is_shown(own) && known(rules, own).is(key);
    rules.file.rewards.iter().position(is_named).ok_or_else(Refusal::not_found)
}

/// What a reward is known by.
pub(super) fn known(rules: &Rules, own: &RewardFile) -> Known {
    rules::known(rules, Listed::Rewards, &own.name, own.external_id.as_ref())
}

fn shown(rules: &Rules, own: &RewardFile) -> Value {
    let Known { number, id } = known(rules, own);
    json!({
        "url": format!("/rewards/{number}/"),
        "tenant": rules.tenant,
        "reward_id": id,
        "reward_points": own.points.map(|points| points.0),
    })
}

//! The campaign service: which fulfillments, once all are met, pay which rewards.

use hyper::StatusCode;
use kembali_http::wire::catalogue::CampaignFile;
use serde_json::{Value, json};

use super::answer::{Done, Refusal};
use super::fields::Fields;
use super::rules::{self, Listed, all};
use super::{Call, fulfillments, rewards};
use crate::rules::{Rules, is_of_number, new_id};

/// Lists the campaigns.
pub(super) async fn list(call: Call<'_>) -> Result<Done, Refusal> {
    let rules = Rules::read(&call).await?;
    let campaigns = all(rules.file.campaigns.iter().map(|own| shown(&rules, own)));
    Ok(Done::found(json!({ "campaigns": campaigns })))
}

/// Makes a campaign of fulfillments and rewards that are there.
pub(super) async fn create(call: Call<'_>, mut fields: Fields) -> Result<Done, Refusal> {
    let (tenant, id, name) = (fields.text("tenant"), fields.optional_uuid("id"), fields.text("name"));
    let (wanted, paid) = (fields.uuids("fulfillments"), fields.uuids("rewards"));
    fields.check()?;
    if id.as_deref().is_some_and(is_of_number) {
        return Err(Refusal::field("id", "Ids of this form are those of numbers."));
    }
    let id = id.map_or_else(new_id, Ok)?;
    let call = call.about(&tenant);
    let (rules, ()) = Rules::change(&call, |rules| {
        if rules.file.campaigns.iter().any(|own| own.name == name || own.external_id.as_ref() == Some(&id)) {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "A campaign with this name or id already exists"));
        }
        let asked = |id: &String| {
            let own = rules.file.fulfillments.iter().find(|own| fulfillments::known(rules, own).id == *id);
            own.map(|own| own.name.clone()).ok_or_else(|| unknown("fulfillment", id))
        };
        let pays = |id: &String| {
            let own = rules.file.rewards.iter().find(|own| rewards::known(rules, own).id == *id);
            own.map(|own| own.name.clone()).ok_or_else(|| unknown("reward", id))
        };
        let (fulfillments, rewards): (Result<Vec<_>, _>, Result<Vec<_>, _>) =
            (wanted.iter().map(asked).collect(), paid.iter().map(pays).collect());
        let own = CampaignFile {
            name: name.clone(),
            external_id: Some(id.clone()),
            fulfillments: fulfillments?,
            rewards: rewards?,
            starts_at: None,
            ends_at: None,
            completions_max: None,
            budget: None,
        };
        rules.file.campaigns.push(own);
        Ok(())
    })
    .await?;
    let made = rules.file.campaigns.iter().find(|own| own.external_id.as_ref() == Some(&id));
    // Loyaltea answers 200, though something was made.
    Ok(Done::found(made.map(|own| shown(&rules, own)).ok_or_else(Refusal::not_found)?))
}

fn unknown(what: &str, id: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, format!("There is no {what} with the id {id}"))
}

fn shown(rules: &Rules, own: &CampaignFile) -> Value {
    let asked = |name: &String| {
        let own = rules.file.fulfillments.iter().find(|own| own.name == *name)?;
        Some(fulfillments::known(rules, own).id)
    };
    let paid = |name: &String| {
        let own = rules.file.rewards.iter().find(|own| own.name == *name)?;
        Some(rewards::known(rules, own).id)
    };
    json!({
        "id": rules::known(rules, Listed::Campaigns, &own.name, own.external_id.as_ref()).id,
        "tenant": rules.tenant,
        "name": own.name,
        "fulfillments": own.fulfillments.iter().filter_map(asked).collect::<Vec<_>>(),
        "rewards": own.rewards.iter().filter_map(paid).collect::<Vec<_>>(),
    })
}

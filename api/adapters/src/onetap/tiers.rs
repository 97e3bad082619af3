//! Tiers: the levels of the merchant's programme that goes by what was spent.

use hyper::StatusCode;
use kembali_core::catalogue::{Catalogue, Threshold, ThresholdLevel, TierPolicy, TierProgram};
use kembali_core::threshold::SpendStanding;
use kembali_http::wire::catalogue::{LevelFile, Money, PolicyFile, TierProgramFile};
use serde_json::{Value, json};

use super::Call;
use super::answer::{Done, Refusal};
use super::fields::Fields;
use super::merchants::customer_id;
use crate::call::{Declined, in_address};
use crate::money::{minor_units, number};
use crate::rules::{Rules, id_of_number};

/// The programme that tiers are levels of, where there is none yet.
const PROGRAM: &str = "Tiers";
/// Letters of a tier's name.
const NAME: (usize, usize) = (3, 255);

fn programme(rules: &Catalogue) -> Option<(&TierProgram, &Threshold)> {
    rules.programs.iter().find_map(|program| match &program.policy {
        TierPolicy::Threshold(own) => Some((program, own)),
        TierPolicy::Journey(_) => None,
    })
}

/// The name of the level that a customer stands on, in the merchant's programme.
pub(super) fn level_name<'a>(rules: &'a Catalogue, standing: &SpendStanding) -> Option<&'a str> {
    let (_, own) = programme(rules).filter(|(program, _)| program.id == standing.program)?;
    own.level(standing.level).map(|level| level.name.as_str())
}

/// The name of the merchant's programme.
pub(super) async fn program_of(call: &Call<'_>) -> Result<String, Refusal> {
    let rules = call.engine().catalogue(call.tenant(), None).await.map_err(|_| Declined::internal())?;
    let name = rules.as_deref().and_then(programme).map(|(program, _)| program.name.clone());
    name.ok_or_else(|| Refusal::not_found("The merchant has no tiers"))
}

/// Shows a merchant's tiers, the lowest first.
pub(super) fn all(merchant: &str, rules: Option<&Catalogue>) -> Value {
    let levels = rules.and_then(|rules| Some((rules, programme(rules)?.1)));
    let shown = |(rules, own): (&Catalogue, &Threshold)| {
        own.levels.iter().map(|level| shown(merchant, rules, level)).collect::<Vec<_>>()
    };
    json!({ "tiers": levels.map(shown).unwrap_or_default() })
}

/// Shows one tier.
pub(super) fn one(merchant: &str, rules: Option<&Catalogue>, name: &str) -> Result<Done, Refusal> {
    let found = rules.and_then(|rules| {
        let level = programme(rules)?.1.levels.iter().find(|level| level.name == name)?;
        Some(json!({ "tier": shown(merchant, rules, level) }))
    });
    found.map(Done::found).ok_or_else(not_found)
}

fn shown(merchant: &str, rules: &Catalogue, level: &ThresholdLevel) -> Value {
    json!({
        "ID": id_of_number(level.id.0.into()),
        "MerchantID": merchant,
        "Name": level.name,
        "MinPoints": number(level.spent_min.minor_units(), rules.currency.exponent),
    })
}

fn not_found() -> Refusal {
    Refusal::not_found("Tier not found")
}

/// Reads the name and the bound of a tier. A bound of zero is one: the lowest tier begins somewhere.
fn fields_of(mut fields: Fields) -> Result<(String, String), Refusal> {
    let (name, bound) = (fields.text("name", NAME), fields.number("minpoint"));
    fields.check()?;
    Ok((name, bound))
}

fn bound_of(text: &str, rules: &Rules) -> Result<Money, Refusal> {
    let bound = minor_units(text, rules.exponent()).filter(|bound| 0 <= *bound).map(Money);
    let decimals = rules.exponent();
    bound.ok_or_else(|| Refusal::field("minpoint", format!("must be 0 or more, with at most {decimals} decimals")))
}

fn programme_of(rules: &mut Rules) -> Option<&mut TierProgramFile> {
    rules.file.tier_programs.iter_mut().find(|program| program.policy == PolicyFile::Threshold)
}

fn check_free(levels: &[LevelFile], name: &str, bound: Money) -> Result<(), Refusal> {
    if levels.iter().any(|level| level.name == name) {
        return Err(Refusal::new(StatusCode::CONFLICT, "another tier with the same name exists"));
    }
    if levels.iter().any(|level| level.spent_min.map(|own| own.0) == Some(bound.0)) {
        return Err(Refusal::field("minpoint", "another tier begins there"));
    }
    Ok(())
}

fn sort(levels: &mut [LevelFile]) {
    levels.sort_by_key(|level| level.spent_min.map(|own| own.0));
}

/// Adds a tier.
pub(super) async fn add(call: Call<'_>, fields: Fields) -> Result<Done, Refusal> {
    let (name, bound) = fields_of(fields)?;
    Rules::change(&call, |rules| {
        let bound = bound_of(&bound, rules)?;
        let level = LevelFile {
            name: name.clone(),
            renamed_from: None,
            spent_min: Some(bound),
            count_max: None,
            next: None,
            previous: None,
            milestones: Vec::new(),
        };
        if programme_of(rules).is_none() {
            rules.file.tier_programs.push(TierProgramFile {
                name: PROGRAM.to_owned(),
                policy: PolicyFile::Threshold,
                downgrade_after_days: None,
                reset_after_days: None,
                at_maximum: None,
                levels: Vec::new(),
            });
        }
        let own = programme_of(rules).ok_or_else(Declined::internal)?;
        check_free(&own.levels, &name, bound)?;
        own.levels.push(level);
        sort(&mut own.levels);
        Ok(())
    })
    .await?;
    let rules = call.engine().catalogue(call.tenant(), None).await.map_err(|_| Declined::internal())?;
    let shown = rules.as_deref().and_then(|rules| {
        let level = programme(rules)?.1.levels.iter().find(|level| level.name == name)?;
        Some(shown(call.tenant(), rules, level))
    });
    Ok(Done::made(json!({ "message": "tier added", "tier": shown })))
}

/// Changes a tier. Under another name it stays the same, and nobody moves.
pub(super) async fn change(call: Call<'_>, name: &str, fields: Fields) -> Result<Done, Refusal> {
    let (new_name, bound) = fields_of(fields)?;
    Rules::change(&call, |rules| {
        let bound = bound_of(&bound, rules)?;
        let own = programme_of(rules).ok_or_else(not_found)?;
        let at = own.levels.iter().position(|level| level.name == name).ok_or_else(not_found)?;
        let level = own.levels.remove(at);
        check_free(&own.levels, &new_name, bound)?;
        let renamed_from = (new_name != name).then(|| name.to_owned());
        own.levels.push(LevelFile { name: new_name.clone(), renamed_from, spent_min: Some(bound), ..level });
        sort(&mut own.levels);
        Ok(())
    })
    .await?;
    Ok(Done::found(json!({ "message": "Tier level updated successfully" })))
}

/// Removes a tier. Whoever stands on it is placed anew.
pub(super) async fn remove(call: Call<'_>, name: &str) -> Result<Done, Refusal> {
    Rules::change(&call, |rules| {
        let own = programme_of(rules).ok_or_else(not_found)?;
        let at = own.levels.iter().position(|level| level.name == name).ok_or_else(not_found)?;
        if own.levels.len() == 1 {
            return Err(Refusal::new(StatusCode::CONFLICT, "the last tier stays: rename it, or add another one first"));
        }
        own.levels.remove(at);
        Ok(())
    })
    .await?;
    Ok(Done::found(json!({ "message": "Tier deleted" })))
}

/// Shows where a customer stands.
pub(super) async fn of_customer(call: Call<'_>, customer: &str) -> Result<Done, Refusal> {
    let id = customer_id(&call, customer).await?;
    let shown = call.get(&format!("/v1/customers/{}/tiers?limit=1", in_address(&id))).await?;
    let rules = call.engine().catalogue(call.tenant(), None).await.map_err(|_| Declined::internal())?;
    let none = || Refusal::not_found("customer doesn't have any tier");
    let (program, exponent) = rules
        .as_deref()
        .and_then(|rules| Some((programme(rules)?.0.name.clone(), rules.currency.exponent)))
        .ok_or_else(none)?;
    let mut tiers = shown["tiers"].as_array().into_iter().flatten();
    let own = tiers.find(|own| own["program"] == *program).ok_or_else(none)?;
    Ok(Done::found(json!({
        "MerchantID": call.tenant(),
        "CustomerID": customer,
        "TierName": own["level"],
        "Points": own["spent"].as_i64().map(|spent| number(spent, exponent)),
    })))
}

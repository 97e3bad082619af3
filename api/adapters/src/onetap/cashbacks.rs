//! Cashbacks: shares of what is bought of some products, until a day. They are rules with ids of onetap's.

use hyper::StatusCode;
use kembali_core::Rate;
use kembali_core::catalogue::{CashbackRule, Catalogue};
use kembali_http::wire::catalogue::CashbackRuleFile;
use kembali_http::wire::instant::Rfc3339;
use serde_json::{Number, Value, json};

use super::Call;
use super::answer::{Done, Refusal};
use super::fields::Fields;
use crate::rules::{Rules, id_of_number, new_id};

/// The kind of points that cashbacks pay.
const KIND: &str = "cashback";
/// Letters of a name.
const NAME: (usize, usize) = (1, 255);
/// Bytes of what is said.
const DESCRIPTION_BYTES_MAX: usize = 1_024;

/// Shows a merchant's cashbacks.
pub(super) fn all(merchant: &str, rules: Option<&Catalogue>) -> Value {
    let shown = |rules: &Catalogue| rules.cashback_rules.iter().map(|own| shown(merchant, rules, own)).collect();
    json!({ "cashbacks": rules.map_or_else(Vec::new, shown) })
}

/// Shows one of a merchant's cashbacks.
pub(super) fn one(merchant: &str, rules: &Catalogue, id: &str) -> Option<Value> {
    let own = rules.cashback_rules.iter().find(|own| id_of(rules, own) == id)?;
    Some(json!({ "cashback": shown(merchant, rules, own) }))
}

fn id_of(rules: &Catalogue, own: &CashbackRule) -> String {
    rules.external_id(own.id).map_or_else(|| id_of_number(own.id.0.into()), str::to_owned)
}

fn shown(merchant: &str, rules: &Catalogue, own: &CashbackRule) -> Value {
    json!({
        "ID": id_of(rules, own),
        "MerchantID": merchant,
        "Name": own.name,
        "Description": rules.description(own.id).unwrap_or_default(),
        "Percentage": own.rate.to_string().parse::<Number>().ok(),
        "EligibleProducts": own.products,
        "Active": own.is_active,
        "Expiration": own.ends_at.map(|at| Rfc3339(at).to_string()),
    })
}

pub(super) fn not_found() -> Refusal {
    Refusal::not_found("Cashback not found")
}

/// A cashback as it is wanted.
struct Wanted {
    name: String,
    description: Option<String>,
    rate: String,
    ends_at: String,
    products: Vec<String>,
    is_active: bool,
}

impl Wanted {
    fn take(mut fields: Fields) -> Result<Wanted, Refusal> {
        let name = fields.text("name", NAME);
        let description = match fields.optional("description") {
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) if text.len() <= DESCRIPTION_BYTES_MAX => Some(text),
            None => None,
            Some(_) => {
                fields.reject("description", format!("must be a text of at most {} bytes", DESCRIPTION_BYTES_MAX));
                None
            }
        };
        let rate = fields.number("percentage");
        if !rate.is_empty() && Rate::parse(&rate).is_none() {
            fields.reject("percentage", "must be above 0 and below 1, with at most 8 decimals");
        }
        let ends_at = fields.text("expiration", (1, 64));
        let products = match fields.optional("eligibleProducts") {
            Some(Value::Array(all)) if !all.is_empty() => {
                let texts: Option<Vec<String>> = all.iter().map(|own| own.as_str().map(str::to_owned)).collect();
                texts.unwrap_or_else(|| {
                    fields.reject("eligibleProducts", "must be texts");
                    Vec::new()
                })
            }
            Some(Value::Array(_)) | None => {
                fields.reject("eligibleProducts", "is required, with one product or more");
                Vec::new()
            }
            Some(_) => {
                fields.reject("eligibleProducts", "must be a list");
                Vec::new()
            }
        };
        let is_active = match fields.optional("active") {
            None => true,
            Some(Value::Bool(is_active)) => is_active,
            Some(_) => {
                fields.reject("active", "must be true or false");
                false
            }
        };
        fields.check()?;
        Ok(Wanted { name, description, rate, ends_at, products, is_active })
    }

    /// Writes it over what there is.
    fn over(&self, own: CashbackRuleFile) -> CashbackRuleFile {
        CashbackRuleFile {
            name: self.name.clone(),
            description: self.description.clone(),
            rate: self.rate.clone(),
            products: self.products.clone(),
            active: self.is_active,
            ends_at: Some(self.ends_at.clone()),
            ..own
        }
    }
}

fn check_free(rules: &[CashbackRuleFile], name: &str) -> Result<(), Refusal> {
    let is_taken = rules.iter().any(|own| own.name == name);
    if is_taken {
        Err(Refusal::new(StatusCode::CONFLICT, "another cashback with the same name exists"))
    } else {
        Ok(())
    }
}

/// Adds a cashback.
pub(super) async fn add(call: Call<'_>, fields: Fields) -> Result<Done, Refusal> {
    let (wanted, id) = (Wanted::take(fields)?, new_id()?);
    Rules::change(&call, |rules| {
        check_free(&rules.file.cashback_rules, &wanted.name)?;
        if !rules.file.point_kinds.iter().any(|kind| kind == KIND) {
            rules.file.point_kinds.push(KIND.to_owned());
        }
        rules.file.cashback_rules.push(wanted.over(CashbackRuleFile {
            name: String::new(),
            external_id: Some(id.clone()),
            description: None,
            rate: String::new(),
            products: Vec::new(),
            partner: None,
            active: true,
            ends_at: None,
            pays: KIND.to_owned(),
            life_days: None,
            pending_days: None,
        }));
        Ok(())
    })
    .await?;
    Ok(Done::found(json!({ "message": "Cashback created successfully", "id": id })))
}

/// Finds a cashback among the rules.
fn find(rules: &Rules, id: &str) -> Result<usize, Refusal> {
    let is_own = |own: &CashbackRuleFile| match &own.external_id {
        Some(external) => external == id,
        None => id_of_number(rules.number("cashback_rules", &own.name)) == id,
    };
    rules.file.cashback_rules.iter().position(is_own).ok_or_else(not_found)
}

/// Changes a cashback. Under another name it stays the same.
pub(super) async fn change(call: Call<'_>, id: &str, fields: Fields) -> Result<Done, Refusal> {
    let wanted = Wanted::take(fields)?;
    let rules = Rules::read(&call).await?;
    if rules.file.cashback_rules[find(&rules, id)?].external_id.is_none() {
        // One that was not made here is known by its number, and by that alone it is the same under another name.
        Rules::change(&call, |rules| {
            let at = find(rules, id)?;
            rules.file.cashback_rules[at].external_id = Some(id.to_owned());
            Ok(())
        })
        .await?;
    }
    Rules::change(&call, |rules| {
        let at = find(rules, id)?;
        let own = rules.file.cashback_rules.remove(at);
        check_free(&rules.file.cashback_rules, &wanted.name)?;
        rules.file.cashback_rules.insert(at, wanted.over(own));
        Ok(())
    })
    .await?;
    Ok(Done::found(json!({ "message": "Cashback updated successfully" })))
}

/// Removes a cashback. What it paid stays.
pub(super) async fn remove(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    Rules::change(&call, |rules| {
        let at = find(rules, id)?;
        rules.file.cashback_rules.remove(at);
        Ok(())
    })
    .await?;
    Ok(Done::found(json!({ "message": "Cashback deleted successfully" })))
}

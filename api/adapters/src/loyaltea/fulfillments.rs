//! The fulfillment service: what campaigns ask for. Anything that is bought, or anything that is done with a tag.

use kembali_http::wire::catalogue::{BuyFile, FulfillmentFile, Money, TagFile};
use serde_json::{Value, json};

use super::answer::{Done, Refusal};
use super::fields::Fields;
use super::rules::{self, Known, Listed, all, check_tenant};
use super::{Ask, Call};
use crate::money::{minor_units, number};
use crate::rules::{Rules, is_of_number, new_id};

/// The two kinds, of which each has a list of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Buy,
    Tag,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Kind::Buy => "buy-fulfillments",
            Kind::Tag => "tag-fulfillments",
        }
    }

    const fn has(self, own: &FulfillmentFile) -> bool {
        match self {
            Kind::Buy => own.buy.is_some(),
            Kind::Tag => own.tag.is_some(),
        }
    }
}

/// What a client says of a fulfillment.
struct Wanted {
    tenant: Option<String>,
    id: Option<String>,
    name: Option<String>,
    product: Option<String>,
    amount: Option<String>,
    tag: Option<String>,
}

impl Wanted {
    /// Reads it; all that must be there is, where it is `whole`.
    fn read(kind: Kind, mut fields: Fields, whole: bool) -> Result<Wanted, Refusal> {
        let (tenant, id) = (fields.optional_text("tenant"), fields.optional_uuid("fulfillment_id"));
        let name = if whole { Some(fields.text("name")) } else { fields.optional_text("name") };
        let (mut product, mut amount, mut tag) = (None, None, None);
        match kind {
            Kind::Buy => {
                product = fields.optional_text("product").or_else(|| whole.then(String::new));
                amount = if whole { Some(fields.number("amount")) } else { fields.optional_number("amount") };
            }
            Kind::Tag => tag = if whole { Some(fields.text("tag")) } else { fields.optional_text("tag") },
        }
        fields.check()?;
        Ok(Wanted { tenant, id, name, product, amount, tag })
    }

    /// Makes a fulfillment what is wanted. What Loyaltea knows nothing of stays as it is.
    fn write(&self, exponent: u8, own: &mut FulfillmentFile) -> Result<(), Refusal> {
        if let Some(name) = &self.name {
            own.name.clone_from(name);
        }
        if let Some(buy) = &mut own.buy {
            if let Some(product) = &self.product {
                // Nothing in particular is anything.
                buy.product = Some(product.clone()).filter(|product| !product.is_empty());
            }
            if let Some(amount) = &self.amount {
                let problem = || format!("A number with at most {exponent} decimal places is required.");
                let units = minor_units(amount, exponent).filter(|units| 0 <= *units);
                buy.amount_min = Money(units.ok_or_else(|| Refusal::field("amount", problem()))?);
            }
        }
        if let (Some(tag), Some(wanted)) = (&mut own.tag, &self.tag) {
            tag.tag.clone_from(wanted);
        }
        Ok(())
    }
}

/// Serves the list of one kind, and each thing in it.
pub(super) async fn serve(
    kind: Kind,
    call: Call<'_>,
    ask: Ask<'_>,
    fields: impl Fn() -> Result<Fields, Refusal>,
) -> Result<Done, Refusal> {
    match ask {
        Ask::List => {
            let rules = Rules::read(&call).await?;
            let own = rules.file.fulfillments.iter().filter(|own| kind.has(own));
            Ok(Done::found(all(own.map(|own| shown(kind, &rules, own)))))
        }
        Ask::Show(key) => {
            let rules = Rules::read(&call).await?;
            let at = find(kind, &rules, key)?;
            Ok(Done::found(shown(kind, &rules, &rules.file.fulfillments[at])))
        }
        Ask::Create => create(kind, call, fields()?).await,
        Ask::Change(key, whole) => {
            let wanted = Wanted::read(kind, fields()?, whole)?;
            if wanted.name.is_some() {
                identify(kind, &call, key).await?;
            }
            let (rules, id) = Rules::change(&call, |rules| {
                check_tenant(rules, wanted.tenant.as_deref())?;
                let at = find(kind, rules, key)?;
                let known = known(rules, &rules.file.fulfillments[at]);
                if wanted.id.as_ref().is_some_and(|id| *id != known.id) {
                    return Err(Refusal::field("fulfillment_id", "Cannot change."));
                }
                let (exponent, own) = (rules.exponent(), &mut rules.file.fulfillments[at]);
                let before = own.name.clone();
                wanted.write(exponent, own)?;
                let after = own.name.clone();
                for name in rules.file.campaigns.iter_mut().flat_map(|campaign| &mut campaign.fulfillments) {
                    if *name == before {
                        name.clone_from(&after);
                    }
                }
                Ok(known.id)
            })
            .await?;
            let at = find(kind, &rules, &id)?;
            Ok(Done::found(shown(kind, &rules, &rules.file.fulfillments[at])))
        }
        Ask::Delete(key) => {
            Rules::change(&call, |rules| {
                let at = find(kind, rules, key)?;
                rules.file.fulfillments.remove(at);
                Ok(())
            })
            .await?;
            Ok(Done::gone())
        }
    }
}

/// Gives a fulfillment that was made natively an id to go by, in a version of its own: under another name it stays itself then.
async fn identify(kind: Kind, call: &Call<'_>, key: &str) -> Result<(), Refusal> {
    let rules = Rules::read(call).await?;
    if rules.file.fulfillments[find(kind, &rules, key)?].external_id.is_some() {
        return Ok(());
    }
    let identified = Rules::change(call, |rules| {
        let at = find(kind, rules, key)?;
        let id = known(rules, &rules.file.fulfillments[at]).id;
        rules.file.fulfillments[at].external_id = Some(id);
        Ok(())
    });
    identified.await.map(drop)
}

async fn create(kind: Kind, call: Call<'_>, fields: Fields) -> Result<Done, Refusal> {
    let mut fields = fields;
    let tenant = fields.text("tenant");
    let wanted = Wanted::read(kind, fields, true)?;
    if wanted.id.as_deref().is_some_and(is_of_number) {
        return Err(Refusal::field("fulfillment_id", "Ids of this form are those of numbers."));
    }
    let id = wanted.id.clone().map_or_else(new_id, Ok)?;
    let call = call.about(&tenant);
    let (rules, ()) = Rules::change(&call, |rules| {
        if rules.file.fulfillments.iter().any(|own| known(rules, own).id == id) {
            return Err(Refusal::field("fulfillment_id", "A fulfillment with this id already exists."));
        }
        if rules.file.fulfillments.iter().any(|own| Some(&own.name) == wanted.name.as_ref()) {
            return Err(Refusal::field("name", "A fulfillment with this name already exists."));
        }
        let buy = BuyFile { product: None, amount_min: Money(0), cumulative: false };
        let tag = TagFile { tag: String::new(), count: 1 };
        let mut own = FulfillmentFile {
            name: String::new(),
            external_id: Some(id.clone()),
            buy: (kind == Kind::Buy).then_some(buy),
            tag: (kind == Kind::Tag).then_some(tag),
        };
        wanted.write(rules.exponent(), &mut own)?;
        rules.file.fulfillments.push(own);
        Ok(())
    })
    .await?;
    let at = find(kind, &rules, &id)?;
    Ok(Done::made(shown(kind, &rules, &rules.file.fulfillments[at])))
}

fn find(kind: Kind, rules: &Rules, key: &str) -> Result<usize, Refusal> {
    let is_named = |own: &FulfillmentFile| kind.has(own) && known(rules, own).is(key);
    rules.file.fulfillments.iter().position(is_named).ok_or_else(Refusal::not_found)
}

/// What a fulfillment is known by.
pub(super) fn known(rules: &Rules, own: &FulfillmentFile) -> Known {
    rules::known(rules, Listed::Fulfillments, &own.name, own.external_id.as_ref())
}

fn shown(kind: Kind, rules: &Rules, own: &FulfillmentFile) -> Value {
    let Known { number: key, id } = known(rules, own);
    let mut shown = json!({
        "url": format!("/{}/{key}/", kind.path()),
        "tenant": rules.tenant,
        "fulfillment_id": id,
        "name": own.name,
    });
    if let Some(buy) = &own.buy {
        shown["product"] = buy.product.clone().unwrap_or_default().into();
        shown["amount"] = number(buy.amount_min.0, rules.exponent());
    }
    if let Some(tag) = &own.tag {
        shown["tag"] = tag.tag.as_str().into();
    }
    shown
}

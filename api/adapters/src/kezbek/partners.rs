//! The partner service. A secret is in the answer that makes it, and in no other.

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::Call;
use super::customers::rules;
use super::envelope::{Done, Fields, Refusal};

/// Makes a partner with a key, for administrators. What it is called in addresses is made of its name.
pub(super) async fn create(call: Call<'_>, body: &Bytes) -> Result<Done, Refusal> {
    let mut fields = Fields::read(body)?;
    let (name, email, phone) = (fields.text("name", 4), fields.text("pic_email", 1), fields.text("pic_phone", 1));
    fields.check()?;
    let slug = slug_of(&name);
    call.post("/v1/partners", &json!({ "slug": slug, "name": name, "signed": true }), None).await.map(|made| {
        let data = json!({
            "id": slug,
            "name": name,
            "api_key": made["api_key"],
            "api_secret": made["api_secret"],
            "pic_email": email,
            "pic_phone": phone,
        });
        Done::made("Partner created", data)
    })
}

/// Shows a partner.
pub(super) async fn by_id(call: Call<'_>, id: &str) -> Result<Done, Refusal> {
    shown(&call, id).await
}

/// Shows whose a key is, for operators.
pub(super) async fn by_api_key(call: Call<'_>, api_key: &str) -> Result<Done, Refusal> {
    // Asked for, so that whoever may not see partners is refused as anywhere.
    call.get("/v1/partners").await?;
    let rules = rules(&call).await?;
    let caller = call.engine().partner_of_key(api_key).filter(|caller| caller.tenant == rules.tenant);
    let partner = caller.and_then(|caller| rules.partner(caller.partner)).ok_or_else(none)?;
    shown(&call, &partner.slug).await
}

async fn shown(call: &Call<'_>, slug: &str) -> Result<Done, Refusal> {
    let list = call.get("/v1/partners").await?;
    let own = list["data"].as_array().into_iter().flatten().find(|partner| partner["slug"] == slug);
    let partner: &Value = own.ok_or_else(none)?;
    Ok(Done::found("Partner found", json!({ "id": partner["slug"], "name": partner["name"] })))
}

fn none() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "Partner doesn't exist")
}

/// Letters and digits in lower case, and hyphens between what is apart.
fn slug_of(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

//! The outcome of a change, previewed by a dry run: who would see what of it, and when.

use crate::support;
use crate::support::{Harness, every_kind_of_rule};
use serde_json::{Value, json};

const PATH: &str = "/v1/catalogue?tenant=journey";
const DRY: &str = "/v1/catalogue?tenant=journey&dry_run=true";

/// Books a purchase of dairy and pizza.
async fn buy(harness: &Harness, number: u32, customer: &str, amount: i64) {
    let line = json!({
        "origin_id": format!("P-{number}"), "customer": { "ref": customer }, "amount": amount, "quantity": 1,
        "promo_code": "JOURNEY2017", "occurred_at": "2017-03-01T00:00:00Z", "product": "FROZEN PIZZA",
    });
    let answer = harness.post(&line.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// Ann has spent 6,000,000 in three purchases, Bob 1,000,000 in one.
async fn with_ann_and_bob() -> (Harness, Value) {
    let harness = Harness::start().await;
    support::apply(&harness.engine, &every_kind_of_rule()).await;
    for (number, customer, amount) in
        [(1, "ann", 2_000_000), (2, "ann", 2_000_000), (3, "ann", 2_000_000), (4, "bob", 90_000)]
    {
        buy(&harness, number, customer, amount).await;
    }
    let shown = harness.get(PATH).await.json()["catalogue"].clone();
    (harness, shown)
}

/// Takes the examples out, of which there must be as many as customers, up to five.
fn without_examples(mut outcome: Value) -> Value {
    for list in ["tier_moves", "cashback_rules", "campaigns"] {
        for own in outcome[list].as_array_mut().unwrap() {
            let examples = own.as_object_mut().unwrap().remove("examples").unwrap();
            let count = own["customers"].as_u64().unwrap().min(5);
            assert_eq!(examples.as_array().unwrap().len() as u64, count);
        }
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_who_would_see_what() {
    let (harness, mut wanted) = with_ann_and_bob().await;
    // Lowered below what ann has spent, raised above it, a lower count, a quota that is used, and rules that stop.
    wanted["tier_programs"][1]["levels"][2]["spent_min"] = json!(5_500_000);
    wanted["tier_programs"][0]["levels"][0]["count_max"] = json!(3);
    wanted["tier_programs"][0]["levels"][0]["milestones"] = json!([]);
    wanted["promos"][0]["quota"] = json!(1);
    wanted["cashback_rules"][1]["active"] = json!(false);
    wanted["campaigns"].as_array_mut().unwrap().remove(0);
    let answer = harness.operator("PUT", DRY, &wanted.to_string()).await.json();
    let as_of = harness.get(PATH).await.json()["as_of"].clone();
    assert_eq!(
        without_examples(answer["outcome"].clone()),
        json!({
            "customers": 2,
            "tier_moves": [
                { "program": "Journey", "when": "next_purchase", "from": "BRONZE", "to": "SILVER", "customers": 1 },
                { "program": "Spend", "when": "next_bound", "from": "Silver", "to": "Gold", "bound": 40_000_000,
                  "bound_level": "Platinum", "customers": 1 },
            ],
            "promos": [{ "code": "JOURNEY2017", "quota_before": 10_000, "quota": 1, "used": 1 }],
            "cashback_rules": [{ "name": "Pizza 5%", "why": "off", "customers": 2, "points": 304_500 }],
            "campaigns": [{ "name": "Movie night", "why": "removed", "customers": 2, "completed": 0 }],
            "as_of_first": as_of,
            "as_of": as_of,
        })
    );
    // The example is ann.
    let ann = harness.get("/v1/customers?tenant=journey&ref=ann").await.json();
    assert_eq!(answer["outcome"]["tier_moves"][1]["examples"], json!([ann["id"]]));
    // What was said comes true.
    harness.operator("PUT", PATH, &wanted.to_string()).await;
    buy(&harness, 5, "ann", 1).await;
    let level = |shown: &Value, at: usize| shown["tiers"][at]["level"].clone();
    let shown = harness.get("/v1/customers?tenant=journey&ref=ann").await.json();
    assert_eq!((level(&shown, 0), level(&shown, 1)), (json!("SILVER"), json!("Silver")));
    buy(&harness, 6, "ann", 34_000_000).await;
    let shown = harness.get("/v1/customers?tenant=journey&ref=ann").await.json();
    assert_eq!(level(&shown, 1), "Platinum");
    harness.stop().await;
}

/// Levels that go and levels under another name: customers of the ones are placed at once, those of the others stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_who_is_placed_anew() {
    let (harness, mut wanted) = with_ann_and_bob().await;
    // Ann stands on Silver; Bob's Bronze is called Copper from now on.
    let levels = wanted["tier_programs"][1]["levels"].as_array_mut().unwrap();
    levels.remove(1);
    levels[0]["name"] = json!("Copper");
    levels[0]["renamed_from"] = json!("Bronze");
    let answer = harness.operator("PUT", DRY, &wanted.to_string()).await.json();
    let outcome = without_examples(answer["outcome"].clone());
    assert_eq!(
        outcome["tier_moves"],
        json!([{ "program": "Spend", "when": "at_once", "from": "Silver", "to": "Copper", "customers": 1 }])
    );
    harness.operator("PUT", PATH, &wanted.to_string()).await;
    for customer in ["ann", "bob"] {
        let shown = harness.get(&format!("/v1/customers?tenant=journey&ref={customer}")).await.json();
        assert_eq!(shown["tiers"][1]["level"], "Copper", "{customer}");
    }
    // What is called otherwise is shown by the name of its version, the present one first.
    let levels = &mut wanted["tier_programs"][0]["levels"];
    levels[0]["name"] = json!("Starter");
    levels[0]["renamed_from"] = json!("BRONZE");
    levels[0]["count_max"] = json!(3);
    levels[0]["milestones"] = json!([]);
    for level in [0, 1] {
        levels[level]["previous"] = json!("Starter");
    }
    let answer = harness.operator("PUT", DRY, &wanted.to_string()).await.json();
    let outcome = without_examples(answer["outcome"].clone());
    assert_eq!(
        outcome["tier_moves"],
        json!([{ "program": "Journey", "when": "next_purchase", "from": "BRONZE", "to": "SILVER", "customers": 1 }])
    );
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_dry_run_that_changes_something_is_previewed() {
    let (harness, shown) = with_ann_and_bob().await;
    let same = harness.operator("PUT", DRY, &shown.to_string()).await.json();
    assert_eq!((&same["changed"], same.get("outcome")), (&json!(false), None));
    let mut wanted = shown.clone();
    wanted["tier_programs"][1]["levels"][1]["spent_min"] = json!(7_000_000);
    let seen = harness.operator("PUT", DRY, &wanted.to_string()).await.json();
    let moved = &seen["outcome"]["tier_moves"][0];
    // Raised bounds move nobody down.
    assert_eq!((&moved["when"], &moved["from"], &moved["to"]), (&json!("never"), &json!("Silver"), &json!("Bronze")));
    let applied = harness.operator("PUT", PATH, &wanted.to_string()).await.json();
    assert_eq!((&applied["changed"], applied.get("outcome")), (&json!(true), None));
    // A tenant that is not there has nobody.
    wanted["tenant"]["slug"] = json!("other");
    let new = harness.operator("PUT", "/v1/catalogue?tenant=other&dry_run=true", &wanted.to_string()).await.json();
    assert_eq!((&new["changed"], new.get("outcome")), (&json!(true), None));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_tells_which_keys_were_given_and_never_the_keys() {
    let harness = Harness::start().await;
    let mut wanted = serde_json::to_value(support::sample()).unwrap();
    let mut put = async |path: &str, keys: &[&str]| {
        let partner = |key: &&str| json!({ "slug": format!("p{}", key.len()), "name": "P", "api_key": key });
        let grocer = json!({ "slug": "grocer", "name": "The Grocer", "api_key": support::KEY });
        wanted["partners"] = [grocer].into_iter().chain(keys.iter().map(partner)).collect();
        let answer = harness.operator("PUT", path, &wanted.to_string()).await;
        assert!(!answer.text().contains("secret") && !answer.text().contains(support::KEY), "{}", answer.text());
        let keys = answer.json()["api_keys"].as_array().unwrap().clone();
        keys.iter().map(|key| (key["partner"].as_str().unwrap().to_owned(), key["is_new"] == true)).collect::<Vec<_>>()
    };
    let keys = ["secret-key-1", "secret-key-22"];
    let new = vec![("grocer".to_owned(), false), ("p12".to_owned(), true), ("p13".to_owned(), true)];
    assert_eq!(put(DRY, &keys).await, new);
    assert_eq!(put(PATH, &keys).await, new, "a dry run gave none");
    assert!(put(PATH, &keys).await.iter().all(|(_, is_new)| !is_new), "they have them");
    // The id is the one that the list of keys shows.
    let given = harness.operator("PUT", PATH, &wanted.to_string()).await.json()["api_keys"][1]["id"].clone();
    let listed = harness.get("/v1/partners/p12/api-keys?tenant=journey").await.json();
    assert_eq!(listed["data"][0]["id"], given);
    harness.stop().await;
}

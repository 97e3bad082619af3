//! Why a purchase got what it got, over real sockets: what is explained is what was answered, whatever paid nothing has a
//! reason, and it stays so.

use crate::support;
use crate::support::{Harness, every_kind_of_rule, purchase};
use serde_json::{Value, json};

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap()
}

fn effects<'a>(result: &'a Value, kind: &str) -> Vec<&'a Value> {
    list(result, "effects").iter().filter(|effect| effect["type"] == kind).collect()
}

/// Fails unless a result says no more and no less than its explanation.
fn agree(result: &Value, said: &Value) {
    for member in ["id", "seq", "tenant", "partner", "origin_id", "at", "amount", "quantity", "catalogue_version"] {
        assert_eq!(result[member], said[member], "{member}");
    }
    let promos = list(said, "promos");
    let paid: i64 = promos.iter().map(|promo| promo["points"].as_i64().unwrap()).sum();
    assert_eq!(result["point_transaction"], paid);
    for promo in promos {
        assert_eq!(promo["reason"].is_null(), 0 < promo["points"].as_i64().unwrap(), "{promo}");
        let declined = list(result, "declined").iter().find(|declined| declined["rule"] == promo["rule"]);
        let reason = declined.map(|declined| &declined["reason"]);
        assert_eq!(reason, Some(&promo["reason"]).filter(|reason| !reason.is_null() && **reason != "not_named"));
        if let Some(declined) = declined.filter(|declined| declined["reason"] == "quota_exhausted") {
            assert_eq!((&promo["quota"], &promo["points_missed"]), (&declined["quota"], &declined["points"]));
            assert!(promo["quota"].as_u64() <= promo["used_before"].as_u64(), "{promo}");
        }
    }
    assert_eq!(
        result["tiers"],
        said["tiers"].as_array().unwrap().iter().map(|tier| tier["step"].clone()).collect::<Value>()
    );
    let milestones: Vec<&Value> =
        list(said, "tiers").iter().flat_map(|tier| tier["journey"]["milestones"].as_array()).flatten().collect();
    let paid =
        milestones.iter().filter(|own| own["paid"] == true).map(|own| own["points"].as_i64().unwrap()).sum::<i64>();
    assert_eq!(result["point_loyalty"], paid);
    assert!(milestones.iter().all(|own| own["reason"].is_null() == (own["paid"] == true)), "{milestones:?}");
    let rules = list(said, "cashback_rules");
    let paying: Vec<_> =
        rules.iter().filter(|rule| rule["reason"].is_null()).map(|rule| (&rule["rule"], &rule["points"])).collect();
    let paid: Vec<_> = effects(result, "cashback_rule").iter().map(|own| (&own["rule"], &own["points"])).collect();
    assert_eq!(paying, paid);
    assert!(rules.iter().all(|rule| rule["reason"].is_null() || rule["points"] == 0), "{rules:?}");
    let campaigns = list(said, "campaigns");
    let completed: Vec<&Value> =
        campaigns.iter().filter(|own| own["completed"] == true).map(|own| &own["rule"]).collect();
    let answered: Vec<&Value> = effects(result, "campaign").iter().map(|own| &own["rule"]).collect();
    assert_eq!(completed, answered);
    assert!(campaigns.iter().all(|own| own["reason"].is_null() == (own["completed"] == true)), "{campaigns:?}");
    let all = |name: &str| campaigns.iter().flat_map(|own| own[name].as_array().unwrap()).collect::<Vec<&Value>>();
    let moved: Vec<_> = all("fulfillments")
        .into_iter()
        .filter(|own| own["reason"].is_null())
        .map(|own| (&own["rule"], &own["so_far"], &own["met"]))
        .collect();
    let answered: Vec<_> =
        effects(result, "fulfillment").iter().map(|own| (&own["rule"], &own["so_far"], &own["met"])).collect();
    assert_eq!(moved, answered);
    let rewarded: Vec<&Value> =
        all("rewards").into_iter().filter(|own| own["paid"] == true).map(|own| &own["rule"]).collect();
    let answered: Vec<&Value> = effects(result, "reward").iter().map(|own| &own["rule"]).collect();
    assert_eq!(rewarded, answered);
}

/// Half a year of purchases under every kind of rule; every 47th is explained, before and after the rules changed and the
/// server started anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_explained_is_what_was_answered() {
    let harness = Harness::start_in(tempfile::tempdir().unwrap(), 1 << 20, |_| ()).await;
    let mut rules = every_kind_of_rule();
    rules.promos[0].quota = 1_000;
    support::apply(&harness.engine, &rules).await;
    let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/purchases.ndjson.gz")).unwrap();
    let headers = [("Content-Encoding", "gzip")];
    let reply = harness.post_to("/v1/purchases", "application/x-ndjson", &headers, &packed).await;
    let answers: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let booked = answers.iter().filter(|answer| answer["status"] == 201).step_by(47).map(|answer| &answer["result"]);
    let booked: Vec<&Value> = booked.collect();
    let mut explained = Vec::new();
    for result in &booked {
        let said =
            harness.get(&format!("/v1/purchases/{}/explain?tenant=journey", result["id"].as_str().unwrap())).await;
        assert_eq!(said.status, 200, "{}", said.text());
        agree(result, &said.json());
        explained.push(said.body);
    }
    let text = explained.iter().map(|body| String::from_utf8_lossy(body)).collect::<String>();
    for reason in
        ["quota_exhausted", "no_band", "other_count", "first_transaction", "nothing_bought", "not_bought", "unmet"]
    {
        assert!(text.contains(&format!("\"{reason}\"")), "nothing was {reason}");
    }
    rules.promos[0].quota = 9_000;
    rules.cashback_rules.clear();
    support::apply(&harness.engine, &rules).await;
    let dir = harness.stop().await;
    let harness = Harness::start_in(dir, 1 << 20, |_| ()).await;
    for (result, explained) in booked.iter().zip(&explained) {
        let said =
            harness.get(&format!("/v1/purchases/{}/explain?tenant=journey", result["id"].as_str().unwrap())).await;
        assert_eq!(said.body, *explained, "{}", result["seq"]);
    }
    harness.stop().await;
}

/// The numbers of one purchase, reckoned by hand.
#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_that_a_rule_saw() {
    let harness = Harness::start().await;
    support::apply(&harness.engine, &every_kind_of_rule()).await;
    harness.post(&purchase("A-1", 200_000, 1, 1)).await;
    let mut body: Value = serde_json::from_str(&purchase("A-2", 100_025, 1, 5)).unwrap();
    body["lines"] = json!([
        { "product": "CHEESE", "quantity": 1, "amount": 333 },
        { "product": "YOGURT", "quantity": 1, "amount": 333 },
        { "product": "FROZEN PIZZA", "quantity": 1, "amount": 89_999 },
        { "product": "BREAD", "quantity": 1, "amount": 9_360 },
    ]);
    let booked = harness.post(&body.to_string()).await.json();
    let said =
        harness.get(&format!("/v1/purchases/{}/explain?tenant=journey", booked["id"].as_str().unwrap())).await.json();
    agree(&booked, &said);
    let promo = &said["promos"][0];
    assert_eq!(
        (&promo["used_before"], &promo["band"]["percent"], &promo["points"]),
        (&json!(1), &json!("1.75"), &json!(1_750))
    );
    let journey = &said["tiers"][0]["journey"];
    assert_eq!(
        (&journey["gap_days"], &journey["count_max"], &journey["milestones"][0]["reason"]),
        (&json!(4), &json!(7), &json!("other_count"))
    );
    assert_eq!(said["tiers"][1]["next_level"]["missing"], 5_000_000 - 300_025);
    let dairy = &said["cashback_rules"][0];
    assert_eq!(
        (&dairy["rate"], &dairy["bought"], &dairy["exact_share"], &dairy["points"]),
        (&json!("0.02"), &json!(666), &json!("13.32"), &json!(13))
    );
    let movie = &said["campaigns"][0];
    let pizza = &movie["fulfillments"][0];
    assert_eq!(
        (&pizza["needed"], &pizza["bought"], &pizza["reason"], &pizza["so_far"]),
        (&json!(90_000), &json!(89_999), &json!("below_minimum"), &json!(0))
    );
    assert_eq!((&movie["reason"], &movie["rewards"][0]["paid"]), (&json!("unmet"), &json!(false)));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_booked_is_explained_and_to_operators_alone() {
    let harness = Harness::start().await;
    let booked = harness.post(&purchase("A-1", 200_000, 1, 1)).await.json();
    let path = format!("/v1/purchases/{}/explain?tenant=journey", booked["id"].as_str().unwrap());
    assert_eq!(harness.get(&path).await.status, 200);
    assert_eq!(harness.get_as_partner(&path).await.problem(), "403 role_insufficient -");
    assert_eq!(harness.post(&purchase("A-2", 0, 1, 1)).await.status, 422);
    for id in ["4df5900c-22c4-4373-875d-f1172048e1b4", "1", "00000000-0000-0000-0000-000000000000", "%C3%A9"] {
        let path = format!("/v1/purchases/{id}/explain?tenant=journey");
        assert_eq!(harness.get(&path).await.problem(), "404 purchase_not_found -", "{id}");
    }
    assert_eq!(harness.get("/v1/purchases/%ff/explain?tenant=journey").await.problem(), "400 path_invalid -");
    let mut other = support::sample();
    other.tenant.slug = "other".to_owned();
    other.partners.iter_mut().for_each(|partner| partner.api_key = None);
    support::apply(&harness.engine, &other).await;
    let of_another = path.replace("tenant=journey", "tenant=other");
    assert_eq!(harness.get(&of_another).await.problem(), "404 purchase_not_found -");
    assert_eq!(harness.get(&format!("{path}&at=1")).await.problem(), "400 query_invalid -");
    assert_eq!(harness.get(&format!("{path}&min_seq=x")).await.problem(), "400 query_invalid -");
    harness.stop().await;
}

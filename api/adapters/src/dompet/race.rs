//! Many top-ups and deductions of one wallet, all under way at one time, and what is there afterwards.

use futures_util::future::join_all;
use serde_json::json;

use super::answer::Refusal;
use super::caller::Caller;
use super::types::{RaceResult, WalletAddress, float};
use crate::call::{Declined, drawn};

/// Pairs of operations at most.
const ITERATIONS_MAX: i32 = 250;

/// Does so many of both. What is refused, because too little is there just then, moves nothing and is not expected.
pub(super) async fn run(
    caller: &Caller,
    own: &WalletAddress,
    iterations: i32,
    (topup, deduct): (i64, i64),
) -> Result<RaceResult, Refusal> {
    if !(1..=ITERATIONS_MAX).contains(&iterations) {
        return Err(Refusal::new(format!("iterations harus 1 sampai {ITERATIONS_MAX}")));
    }
    let (base, before) = (drawn()?, balance(caller, own).await?);
    let operate = |number: i32, direction: &'static str, amount: i64| {
        let key = format!("{base:032x}-{direction}-{number}");
        async move {
            let body = json!({ "direction": direction, "amount": amount, "reason": "simulateRaceCondition" });
            match caller.operate(own, "adjustments", &body, Some(&key)).await {
                Ok(_) => Ok(true),
                Err(refusal) if refusal.is("balance_too_small") => Ok(false),
                Err(refusal) => Err(refusal),
            }
        }
    };
    let credits = join_all((0..iterations).map(|number| operate(number, "credit", topup)));
    let debits = join_all((0..iterations).map(|number| operate(number, "debit", deduct)));
    let (credits, debits) = futures_util::join!(credits, debits);
    let (topped_up, deducted) = (done(credits)?, done(debits)?);
    let change = topped_up.checked_mul(topup).zip(deducted.checked_mul(deduct));
    let change = change.and_then(|(credits, debits)| credits.checked_sub(debits));
    let too_large = || Refusal::new("Jumlah terlalu besar");
    let expected = change.and_then(|change| before.checked_add(change)).ok_or_else(too_large)?;
    let actual = balance(caller, own).await?;
    let exponent = caller.rules().await?.currency.exponent;
    Ok(RaceResult {
        expected_balance: float(&expected.into(), exponent),
        actual_balance: float(&actual.into(), exponent),
        has_race_condition: expected != actual,
        message: format!("{topped_up} topup, {deducted} deduct, {} ditolak", i64::from(iterations) - deducted),
    })
}

async fn balance(caller: &Caller, own: &WalletAddress) -> Result<i64, Refusal> {
    Ok(caller.wallet(own).await?["balance"].as_i64().ok_or_else(Declined::internal)?)
}

/// Counts what was done.
fn done(all: Vec<Result<bool, Refusal>>) -> Result<i64, Refusal> {
    all.into_iter().try_fold(0, |count, own| Ok(count + i64::from(own?)))
}

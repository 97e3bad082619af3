//! What random histories must reach: every kind of command that is accepted, every answer, and what happens beside
//! answers. Else a test over them may say nothing.

use std::collections::{BTreeMap, BTreeSet};

/// What was answered to what, and how often.
pub(super) type Answers = BTreeMap<(&'static str, String), u32>;

const ACCEPTED: &str = "archive, bill, buy, close, create, demote, deposit, did, erase, freeze, give, hold, make active, open, pay,
    promote, redeem, refund by amount, refund by lines, reject, release, rename, reverse, send, settle, take, unbill, void";

/// `lines_too_many` is out of reach.
const TO_PURCHASES: &str = "amount_not_positive, amount_too_large, balance_too_large, booked, customer_unknown, known,
    line_out_of_range, lines_sum_mismatch, occurred_in_future, origin_id_conflict, points_too_large, promo_unknown,
    quantity_not_positive, quantity_too_large, risk_blocked, wallet_frozen, would";

/// `lines_too_many`, `refunds_too_many` and a wallet 2^53 below zero are out of reach.
const TO_REFUNDS: &str = "amount_not_positive, amount_too_large, done, known, line_out_of_range,
    refund_exceeds_remainder, refund_id_conflict, refund_line_exceeds_remainder, refund_line_not_bought,
    refund_lines_required, would";

/// `wallets_too_many` and `holds_too_many` are out of reach, `invoice_currency_differs` and `target_currency_differs`
/// need another currency. No history leads to `wallet_held`: what is held stays in its wallet, which then is not empty.
const TO_OPERATIONS: &str = "amount_not_positive, amount_too_large, balance_held, balance_too_large,
    balance_too_small, customer_erased, customer_not_found, done, hold_closed, hold_exceeded, hold_not_found, invoice_amount_differs,
    invoice_cancelled, invoice_expired, invoice_not_found, invoice_paid, invoice_reversed, known, life_out_of_range, occurred_in_future,
    offer_closed, offer_not_found, points_too_few, points_too_large, quantity_out_of_range, reused, risk_blocked,
    risk_check_archived, set aside,
    stock_exhausted, target_balance_too_large, target_wallet_closed, target_wallet_frozen, target_wallet_not_found,
    tier_highest, tier_lowest, tier_none, tier_program_not_found, transfer_target_not_found, transfer_to_itself,
    unchanged, wallet_closed, wallet_frozen, wallet_is_default, wallet_not_empty, wallet_not_found, would";

/// `reversals_too_many` is out of reach, and `balance_too_large` and `points_too_large` nearly so.
const TO_REVERSALS: &str = "balance_held, balance_too_small, done, known, operation_not_reversible,
    operation_reversed, wallet_closed, would";

/// Whatever else refuses an operation may refuse its release; most of it is rare.
const TO_ENDS_OF_REVIEWS: &str = "balance_too_small, done, review_closed, would";

const HAPPENS: &str = "a budget is used up, a campaign is completed, a hold expires, a hold is settled below zero,
    a hold is settled in part, a hold is settled whole, a part comes back, a payment is reversed, a promo declines, a promo pays,
    a purchase is flagged,
    a quota is exhausted, a refund falls short, a refund places lower, a reward in money comes back,
    a reward in points comes back, a sweep writes, a transfer comes back, a unit is returned,
    a wallet goes below zero, all comes back, an activity completes a campaign, cashback for ever,
    cashback with a life, climbs by what was spent, flagged by amount, flagged by count,
    flagged by count of a device, flagged by count of a partner, flagged by sum, flagged by sum of a device,
    flagged by sum of a partner,
    placed by what was spent, placed in a journey, pending points are not spent, pending points come back, points are short, points come back by a reversal, points expire, points for a thing,
    points for money, points of another rule are taken, points that have expired are not taken twice,
    step Downgrade, step FirstTransaction, step Maximum, step None, step Reset, step Restart, step Upgrade, what is released is let be";

fn words(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(',').map(str::trim)
}

fn family(verb: &str) -> &'static str {
    match verb {
        "buy" => "purchases",
        "refund by amount" | "refund by lines" => "refunds",
        "reverse" => "reversals",
        "release" | "reject" => "ends of reviews",
        _ => "operations",
    }
}

/// Takes the code of a refusal, or the first word of another answer.
fn code(answer: &str) -> &str {
    let answer = answer.split(", ").next().unwrap_or(answer);
    answer.strip_prefix("refused ").unwrap_or(answer)
}

/// Says what was not reached.
pub(super) fn missing(answers: &Answers, notes: &BTreeSet<String>) -> Vec<String> {
    let seen: BTreeSet<(&str, &str)> = answers.keys().map(|(verb, answer)| (family(verb), code(answer))).collect();
    let is_accepted =
        |verb: &&str| answers.keys().any(|(own, answer)| own == verb && matches!(&**answer, "done" | "booked"));
    let never = words(ACCEPTED).filter(|verb| !is_accepted(verb));
    let mut missing: Vec<String> = never.map(|verb| format!("{verb} is never accepted")).collect();
    for (family, wanted) in [
        ("purchases", TO_PURCHASES),
        ("refunds", TO_REFUNDS),
        ("operations", TO_OPERATIONS),
        ("reversals", TO_REVERSALS),
        ("ends of reviews", TO_ENDS_OF_REVIEWS),
    ] {
        let never = words(wanted).filter(|code| !seen.contains(&(family, *code)));
        missing.extend(never.map(|code| format!("{code} is never answered to {family}")));
    }
    missing.extend(words(HAPPENS).filter(|what| !notes.contains(*what)).map(|what| format!("never: {what}")));
    missing
}

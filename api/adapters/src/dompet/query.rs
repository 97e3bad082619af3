//! What may be asked for.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};
use kembali_core::Amount;
use kembali_core::risk::{AmountAlone, RiskKind, amount_alone};
use kembali_engine::ReadError;
use serde_json::Value;

use super::answer::Refusal;
use super::caller::Caller;
use super::notices::Notices;
use super::types::{
    FraudCheck, FraudLog, History, MarketplaceNotice, Transaction, User, Wallet, WalletAddress, float, role, wallet,
};
use crate::call::{Declined, in_address};

/// Why something is safe.
const SAFE: &str = "Aman";
/// Rows of a list at most: the newest.
const ROWS_MAX: u64 = 200;
/// Notices of a list at most.
const LISTED_MAX: usize = 200;

/// What may be asked for.
pub(super) struct Query;

#[Object]
impl Query {
    /// Whose a token is.
    async fn my_profile(&self, ctx: &Context<'_>, token: String) -> Result<Option<User>> {
        let caller = ctx.data::<Caller>()?.with_token(&token)?;
        Ok(Some(user(&caller).await?))
    }

    /// The own wallets.
    async fn my_wallets(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<Wallet>>>> {
        let caller = ctx.data::<Caller>()?;
        let (customer, exponent) = (caller.customer().await?, caller.rules().await?.currency.exponent);
        let wallets = caller.wallets(&customer).await?;
        let own = wallets["data"].as_array().into_iter().flatten();
        Ok(Some(own.filter_map(|own| wallet(&customer, own, exponent)).map(Some).collect()))
    }

    /// What was paid in, paid and transferred, the newest first.
    #[graphql(complexity = "50 + child_complexity")]
    async fn my_transactions(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<Transaction>>>> {
        Ok(Some(moved(ctx.data::<Caller>()?).await?.into_iter().map(Some).collect()))
    }

    /// What was looked at before money moved, the newest first. For operators.
    #[graphql(complexity = "20 + child_complexity")]
    async fn get_fraud_logs(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<FraudLog>>>> {
        let caller = ctx.data::<Caller>()?;
        let page = caller.call().get(&format!("/v1/risk-checks?limit={ROWS_MAX}")).await?;
        let exponent = caller.rules().await?.currency.exponent;
        let log = |own: &Value| {
            let (status, usual) = match own["verdict"].as_str().unwrap_or_default() {
                "blocked" => ("FRAUD", ""),
                "suspicious" => ("SUSPICIOUS", ""),
                "in_review" => ("IN_REVIEW", ""),
                _ => ("SAFE", SAFE),
            };
            FraudLog {
                log_id: own["seq"].to_string(),
                user_id: own["customer"].as_str().unwrap_or_default().to_owned(),
                amount: float(&own["amount"], exponent),
                status: status.to_owned(),
                reason: own["rule"].as_str().unwrap_or(usual).to_owned(),
            }
        };
        Ok(Some(page["data"].as_array().into_iter().flatten().map(log).map(Some).collect()))
    }

    /// What the rules say of an amount alone. Nothing is logged of it. For operators.
    async fn check_fraud(&self, ctx: &Context<'_>, user_id: String, amount: f64) -> Result<Option<FraudCheck>> {
        let caller = ctx.data::<Caller>()?;
        caller.check_operator().await?;
        caller.wallets(&user_id).await?;
        let (rules, units) = (caller.rules().await?, caller.minor_units(amount).await?);
        let amount = Amount::new(units).ok_or_else(|| Refusal::new("Jumlah harus positif"))?;
        let (status, rule) = match amount_alone(&rules.risk_rules, RiskKind::Payment, amount) {
            AmountAlone::Safe => ("SAFE", None),
            AmountAlone::Flagged(rule) => ("SUSPICIOUS", Some(rule)),
            AmountAlone::SetAside(rule) => ("IN_REVIEW", Some(rule)),
            AmountAlone::Blocked(rule) => ("FRAUD", Some(rule)),
        };
        let named = rules.risk_rules.iter().find(|own| Some(own.id) == rule).map(|own| own.name.clone());
        let reason = named.unwrap_or_else(|| SAFE.to_owned());
        Ok(Some(FraudCheck { is_fraud: status == "FRAUD", status: status.to_owned(), reason }))
    }

    /// What the marketplace was not told yet: what is given up, and then what is being tried, the oldest first. For operators.
    #[graphql(complexity = "50 + child_complexity")]
    async fn get_marketplace_notices(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<MarketplaceNotice>>>> {
        let caller = ctx.data::<Caller>()?;
        caller.check_operator().await?;
        let notices = notices(ctx)?.ok_or_else(no_marketplace)?;
        let kept = notices.kept(caller.engine()).await.map_err(|error| unread(&error))?;
        let mut open: Vec<_> = kept.deliveries.into_iter().collect();
        open.sort_by_key(|(notice, delivery)| (delivery.due().is_some(), *notice));
        let mut all = Vec::new();
        for (notice, delivery) in open.into_iter().take(LISTED_MAX) {
            let va_number = notices.paid_by(caller.engine(), notice).await;
            all.push(Some(MarketplaceNotice {
                notice_id: notice.0.to_string(),
                // One whose record cannot be read is shown all the same; why, its attempts say.
                va_number: va_number.ok().flatten(),
                attempts: delivery.attempts,
                status: if delivery.due().is_some() { "PENDING" } else { "FAILED" }.to_owned(),
                reason: Some(delivery.reason).filter(|reason| !reason.is_empty()),
            }));
        }
        Ok(Some(all))
    }

    /// The same as `myTransactions`, as rows of a history.
    #[graphql(complexity = "50 + child_complexity")]
    async fn my_history(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<History>>>> {
        let row = |own: Transaction| History {
            history_id: own.transaction_id.clone(),
            transaction_id: own.transaction_id,
            user_id: own.user_id,
            amount: own.amount,
            kind: own.kind,
            status: own.status,
            va_number: own.va_number,
            created_at: own.created_at,
        };
        Ok(Some(moved(ctx.data::<Caller>()?).await?.into_iter().map(row).map(Some).collect()))
    }
}

/// What tells the marketplace, if there is one.
pub(super) fn notices<'a>(ctx: &'a Context<'_>) -> Result<Option<&'a Arc<Notices>>> {
    Ok(ctx.data::<Option<Arc<Notices>>>()?.as_ref())
}

fn unread(error: &ReadError) -> Refusal {
    tracing::error!("notices cannot be read: {error}");
    Declined::internal().into()
}

/// Nothing is told to anybody.
pub(super) fn no_marketplace() -> Refusal {
    Refusal::new("Marketplace tidak dikonfigurasi")
}

/// Shows whoever calls.
pub(super) async fn user(caller: &Caller) -> Result<User, Refusal> {
    let account = caller.call().get_own("/v1/auth/me").await?;
    let text = |name: &str| account[name].as_str().map(str::to_owned);
    Ok(User {
        user_id: text("customer").or_else(|| text("id")),
        username: text("username"),
        fullname: text("username"),
        email: text("username"),
        role: account["role"].as_str().map(|own| role(own).to_owned()),
    })
}

/// Lists what moved in the own wallets, but for what was earned and put right.
async fn moved(caller: &Caller) -> Result<Vec<Transaction>, Refusal> {
    let customer = caller.customer().await?;
    let path = format!("/v1/customers/{}/entries?limit={ROWS_MAX}", in_address(&customer));
    let (page, exponent) = (caller.call().get(&path).await?, caller.rules().await?.currency.exponent);
    let entries = || page["data"].as_array().into_iter().flatten();
    let is_returned = |own: &Value| own["transfer_state"] == "returned";
    // What came back stands before what was sent, so it is there wherever that is.
    let refused: Vec<&Value> = entries().filter(|own| is_returned(own)).map(|own| &own["transfer"]).collect();
    let mut all = Vec::new();
    for own in entries().filter(|own| !is_returned(own)) {
        let kind = match own["operation"].as_str().unwrap_or_default() {
            "deposit" => "DEPOSIT",
            "pay_invoice" => "PAYMENT",
            "transfer" => "TRANSFER",
            _ => continue,
        };
        let va_number = match kind {
            "PAYMENT" => {
                let done = caller.call().get(&format!("/v1/operations/{}", own["seq"])).await?;
                done["operation"]["va_number"].as_str().map(str::to_owned)
            }
            _ => None,
        };
        let number = own["wallet"].as_u64().and_then(|wallet| u16::try_from(wallet).ok()).unwrap_or_default();
        all.push(Transaction {
            transaction_id: own["seq"].to_string(),
            user_id: customer.clone(),
            wallet_id: WalletAddress { customer: customer.clone(), wallet: number }.id(),
            amount: float(&own["amount"], exponent),
            kind: kind.to_owned(),
            va_number,
            status: if refused.contains(&&own["transfer"]) { "REJECTED" } else { "SUCCESS" }.to_owned(),
            created_at: own["received_at"].as_str().unwrap_or_default().to_owned(),
        });
    }
    Ok(all)
}

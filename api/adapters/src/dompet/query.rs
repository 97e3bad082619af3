//! What may be asked for.

use async_graphql::{Context, Object, Result};
use serde_json::Value;

use super::answer::Refusal;
use super::caller::Caller;
use super::types::{FraudLog, History, Transaction, User, Wallet, WalletAddress, float, role, wallet};
use crate::call::in_address;

/// Rows of a list at most: the newest.
const ROWS_MAX: u64 = 200;

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
    async fn my_transactions(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<Transaction>>>> {
        Ok(Some(moved(ctx.data::<Caller>()?).await?.into_iter().map(Some).collect()))
    }

    /// What was looked at before money moved, the newest first. For operators.
    async fn get_fraud_logs(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<FraudLog>>>> {
        let caller = ctx.data::<Caller>()?;
        let page = caller.call().get(&format!("/v1/risk-checks?limit={ROWS_MAX}")).await?;
        let exponent = caller.rules().await?.currency.exponent;
        let log = |own: &Value| {
            let (status, usual) = match own["verdict"].as_str().unwrap_or_default() {
                "blocked" => ("FRAUD", ""),
                "suspicious" => ("SUSPICIOUS", ""),
                "in_review" => ("IN_REVIEW", ""),
                _ => ("SAFE", "Aman"),
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

    /// The same as `myTransactions`, as rows of a history.
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
    let mut all = Vec::new();
    for own in page["data"].as_array().into_iter().flatten() {
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
            status: "SUCCESS".to_owned(),
            created_at: own["received_at"].as_str().unwrap_or_default().to_owned(),
        });
    }
    Ok(all)
}

//! What may be done.

use async_graphql::{Context, Object, Result};
use kembali_core::Seq;
use kembali_http::outbox::Again;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::caller::Caller;
use super::marketplace::Marketplace;
use super::query::{no_marketplace, notices, user};
use super::types::{
    DeleteResponse, HistoryInput, LoginResponse, RaceResult, Transaction, TransactionInput, TransactionType, Wallet,
    WalletAddress, float, wallet,
};
use super::{VA_PREFIX, race};
use crate::call::{Declined, in_address};

/// What may be done.
pub(super) struct Mutation;

#[Object]
impl Mutation {
    /// Registers a customer, who logs in by the e-mail address. Nothing else is kept of people.
    #[graphql(complexity = "20 + child_complexity")]
    async fn register_user(
        &self,
        ctx: &Context<'_>,
        username: String,
        fullname: String,
        email: String,
        password: String,
    ) -> Result<Option<String>> {
        let caller = ctx.data::<Caller>()?;
        for (name, text) in [("username", username), ("fullname", fullname)] {
            if text.trim().is_empty() {
                return Err(Refusal::new(format!("{name} wajib diisi")).into());
            }
        }
        let body = json!({ "tenant": caller.tenant(), "username": email, "password": password });
        caller.call().post_own("/v1/auth/register", &body, None).await?;
        Ok(Some("Registrasi Berhasil".to_owned()))
    }

    /// Logs in.
    #[graphql(complexity = "20 + child_complexity")]
    async fn login_user(&self, ctx: &Context<'_>, email: String, password: String) -> Result<Option<LoginResponse>> {
        let caller = ctx.data::<Caller>()?;
        let body = json!({ "tenant": caller.tenant(), "username": email, "password": password });
        let session = caller.call().post_own("/v1/auth/login", &body, None).await?;
        let token = session["access_token"].as_str().unwrap_or_default();
        Ok(Some(LoginResponse {
            access_token: Some(token.to_owned()),
            token_type: Some("bearer".to_owned()),
            user: Some(user(&caller.with_token(token)?).await?),
        }))
    }

    /// Opens one more wallet.
    async fn create_wallet(&self, ctx: &Context<'_>, wallet_name: String) -> Result<Option<Wallet>> {
        let caller = ctx.data::<Caller>()?;
        let customer = caller.customer().await?;
        let path = format!("/v1/customers/{}/wallets", in_address(&customer));
        let done = caller.call().post(&path, &json!({ "name": wallet_name }), Some(&caller.key()?)).await?;
        let opened = done["effects"].as_array().into_iter().flatten().find(|own| own["type"] == "wallet_opened");
        let number = opened.and_then(|own| own["wallet"].as_u64()).and_then(|number| u16::try_from(number).ok());
        let own = WalletAddress { customer, wallet: number.ok_or_else(|| Refusal::from(Declined::internal()))? };
        Ok(Some(shown(caller, &own).await?))
    }

    /// Closes a wallet that is empty.
    async fn delete_wallet(&self, ctx: &Context<'_>, wallet_id: String) -> Result<Option<DeleteResponse>> {
        let caller = ctx.data::<Caller>()?;
        let closed = close(caller, &wallet_id).await;
        Ok(Some(match closed {
            Ok(name) => DeleteResponse { success: true, message: format!("Wallet '{name}' berhasil dihapus") },
            Err(refusal) => DeleteResponse { success: false, message: refusal.text().to_owned() },
        }))
    }

    /// Moves money: in, which operators do; to whoever sent a bill; or to another wallet.
    #[graphql(complexity = "50 + child_complexity")]
    async fn create_transaction(&self, ctx: &Context<'_>, input: TransactionInput) -> Result<Option<Transaction>> {
        let caller = ctx.data::<Caller>()?;
        let own = address(&input.wallet_id)?;
        let va_number = va_number(&input)?;
        let amount = caller.minor_units(input.amount).await?;
        let (kind, done) = match input.kind {
            TransactionType::Deposit => {
                ("DEPOSIT", caller.operate(&own, "deposits", &json!({ "amount": amount }), None).await?)
            }
            TransactionType::Payment => {
                let body = json!({ "va_number": va_number, "amount": amount });
                let key = caller.key()?;
                if let (Some(notices), Some(number)) = (notices(ctx)?, &va_number) {
                    check_with(notices.marketplace(), caller, &own, (number, amount, &key)).await?;
                }
                ("PAYMENT", caller.operate(&own, "payments", &body, Some(&key)).await?)
            }
            TransactionType::Transfer => {
                let missing = || Refusal::new("Transaksi Ditolak: destinationWalletId wajib diisi untuk tipe TRANSFER");
                let to = address(input.destination_wallet_id.as_deref().ok_or_else(missing)?)?;
                let body = json!({ "to": { "id": to.customer }, "to_wallet": to.wallet, "amount": amount });
                ("TRANSFER", caller.operate(&own, "transfers", &body, None).await?)
            }
        };
        let mut effects = done["effects"].as_array().into_iter().flatten();
        let status = if effects.any(|own| own["type"] == "review_opened") { "PENDING" } else { "SUCCESS" };
        Ok(Some(Transaction {
            transaction_id: done["seq"].to_string(),
            user_id: own.customer.clone(),
            wallet_id: own.id(),
            amount: float(&amount.into(), caller.rules().await?.currency.exponent),
            kind: kind.to_owned(),
            va_number,
            status: status.to_owned(),
            created_at: done["received_at"].as_str().unwrap_or_default().to_owned(),
        }))
    }

    /// What was done stays.
    async fn delete_all_transactions(&self) -> Result<Option<bool>> {
        Err(kept().into())
    }

    /// Sends a bill, as a marketplace, and returns the number that it is paid under.
    #[graphql(name = "generateInvoiceVA")]
    async fn generate_invoice_va(
        &self,
        ctx: &Context<'_>,
        amount: f64,
        description: Option<String>,
    ) -> Result<Option<String>> {
        let caller = ctx.data::<Caller>()?;
        let mut body = json!({ "amount": caller.minor_units(amount).await?, "va_prefix": VA_PREFIX });
        if let Some(description) = description.filter(|text| !text.is_empty()) {
            body["reference"] = description.into();
        }
        // Of which tenant it is, the key says.
        let done = caller.call().post_own("/v1/invoices", &body, Some(&caller.key()?)).await?;
        let mut effects = done["effects"].as_array().into_iter().flatten();
        let number = effects.find_map(|own| own["va_number"].as_str());
        Ok(Some(number.ok_or_else(|| Refusal::from(Declined::internal()))?.to_owned()))
    }

    /// Hides a row of the log of checks. For operators.
    async fn delete_fraud_log(&self, ctx: &Context<'_>, log_id: String) -> Result<Option<String>> {
        let caller = ctx.data::<Caller>()?;
        let path = format!("/v1/risk-checks/{}/archive", in_address(&log_id));
        caller.call().post(&path, &Value::Null, Some(&caller.key()?)).await?;
        Ok(Some("Log berhasil diarsipkan".to_owned()))
    }

    /// Has the marketplace told at once of a paid bill that it was not told of yet, and for another day. For operators.
    #[graphql(complexity = "20 + child_complexity")]
    async fn retry_marketplace_notice(&self, ctx: &Context<'_>, notice_id: String) -> Result<Option<bool>> {
        let Ok(notice) = notice_id.parse() else {
            ctx.data::<Caller>()?.check_operator().await?;
            return Ok(Some(false));
        };
        Ok(Some(retry(ctx, Some(Seq(notice))).await? > 0))
    }

    /// Has the marketplace told of every paid bill that is given up, and returns how many these are. For operators.
    #[graphql(complexity = "20 + child_complexity")]
    async fn retry_failed_marketplace_notices(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        Ok(Some(i32::try_from(retry(ctx, None).await?).unwrap_or(i32::MAX)))
    }

    /// What was done stays.
    async fn delete_history(&self, history_id: String) -> Result<Option<bool>> {
        drop(history_id);
        Err(kept().into())
    }

    /// What happened is written by what happens.
    async fn add_history(&self, input: HistoryInput) -> Result<Option<bool>> {
        drop(input);
        Err(Refusal::new("Riwayat ditulis oleh transaksi").into())
    }

    /// Puts money into a wallet by hand. For operators.
    async fn topup_wallet(&self, ctx: &Context<'_>, wallet_id: String, amount: f64) -> Result<Option<Wallet>> {
        adjust(ctx.data::<Caller>()?, &wallet_id, amount, ("credit", "topupWallet")).await
    }

    /// Takes money out of a wallet by hand. For operators.
    async fn deduct_wallet(&self, ctx: &Context<'_>, wallet_id: String, amount: f64) -> Result<Option<Wallet>> {
        adjust(ctx.data::<Caller>()?, &wallet_id, amount, ("debit", "deductWallet")).await
    }

    /// Tops up and deducts many times at one time, and compares what must be there with what is. For operators.
    #[graphql(complexity = "100 + child_complexity")]
    async fn simulate_race_condition(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        iterations: i32,
        topup_amount: f64,
        deduct_amount: f64,
    ) -> Result<Option<RaceResult>> {
        let caller = ctx.data::<Caller>()?;
        let own = address(&wallet_id)?;
        let amounts = (caller.minor_units(topup_amount).await?, caller.minor_units(deduct_amount).await?);
        Ok(Some(race::run(caller, &own, iterations, amounts).await?))
    }
}

fn address(wallet_id: &str) -> Result<WalletAddress, Refusal> {
    WalletAddress::parse(wallet_id).ok_or_else(|| Refusal::new("Wallet tidak ditemukan"))
}

fn kept() -> Refusal {
    Refusal::new("Riwayat tidak dapat dihapus")
}

/// The number of the bill, which is there with a payment and with nothing else.
fn va_number(input: &TransactionInput) -> Result<Option<String>, Refusal> {
    let number = input.va_number.clone().filter(|number| !number.is_empty());
    let wrong = match (input.kind, &number) {
        (TransactionType::Payment, None) => "Nomor VA wajib diisi untuk tipe PAYMENT",
        (TransactionType::Payment, Some(number)) if !number.starts_with(VA_PREFIX) => {
            "Nomor VA tidak valid (Harus diawali 'DS-8800')"
        }
        (TransactionType::Deposit | TransactionType::Transfer, Some(_)) => {
            "Nomor VA hanya boleh diisi untuk tipe PAYMENT"
        }
        _ => return Ok(number),
    };
    Err(Refusal::new(format!("Transaksi Ditolak: {wrong}")))
}

async fn retry(ctx: &Context<'_>, notice: Option<Seq>) -> Result<usize> {
    let caller = ctx.data::<Caller>()?;
    caller.check_operator().await?;
    let notices = notices(ctx)?.ok_or_else(no_marketplace)?;
    let again = notice.map_or(Again::GivenUp, Again::Of);
    let count = caller.outboxes().again(notices.name(), again).await.map_err(|error| {
        tracing::error!("notices are not tried again: {error}");
        Refusal::from(Declined::internal())
    })?;
    tracing::info!(count, notice = notice.map(|notice| notice.0), "an operator has notices tried again");
    Ok(count)
}

/// Asks the marketplace whether it sent this bill, over this amount, and waits for the money: before any moves.
async fn check_with(
    marketplace: &Marketplace,
    caller: &Caller,
    own: &WalletAddress,
    (va_number, amount, key): (&str, i64, &str),
) -> Result<(), Refusal> {
    // Whoever may not pay it, or has too little, makes nobody ask; and what was done under the key is not asked about again.
    let body = json!({ "va_number": va_number, "amount": amount });
    let (_, is_repeat) = caller.call().propose(&format!("{}/payments", own.path()), &body, key).await?;
    if is_repeat {
        return Ok(());
    }
    let order = marketplace.order_for_customer(va_number).await.map_err(|error| {
        tracing::warn!(va_number, "a bill is not paid, for the marketplace says nothing of it: {error}");
        Refusal::new("Marketplace Connection Error")
    })?;
    let order = order.ok_or_else(|| Refusal::new("VA Not Found"))?;
    if !order.costs(amount, caller.rules().await?.currency.exponent) {
        return Err(Refusal::new("Total harga tidak sesuai dengan tagihan VA"));
    }
    if order.is_paid {
        return Err(Refusal::new("Transaksi Ditolak: Tagihan VA ini sudah lunas sebelumnya."));
    }
    Ok(())
}

async fn shown(caller: &Caller, own: &WalletAddress) -> Result<Wallet, Refusal> {
    let found = caller.wallet(own).await?;
    let exponent = caller.rules().await?.currency.exponent;
    wallet(&own.customer, &found, exponent).ok_or_else(|| Refusal::new("Wallet tidak ditemukan"))
}

async fn close(caller: &Caller, wallet_id: &str) -> Result<String, Refusal> {
    let own = address(wallet_id)?;
    let wallet = shown(caller, &own).await?;
    let closed = caller.call().delete(&own.path()).await;
    let held = "Saldo wallet harus 0 sebelum dihapus";
    let first = "Wallet pertama tidak dapat dihapus";
    closed.map_err(|refusal| refusal.saying("wallet_not_empty", held).saying("wallet_is_default", first))?;
    Ok(wallet.wallet_name)
}

async fn adjust(
    caller: &Caller,
    wallet_id: &str,
    amount: f64,
    (direction, reason): (&str, &str),
) -> Result<Option<Wallet>> {
    let own = address(wallet_id)?;
    let body = json!({ "direction": direction, "amount": caller.minor_units(amount).await?, "reason": reason });
    caller.operate(&own, "adjustments", &body, None).await?;
    Ok(Some(shown(caller, &own).await?))
}

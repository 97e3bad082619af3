//! What the schema is made of.

use async_graphql::{Enum, InputObject, SimpleObject};
use serde_json::Value;

use crate::call::in_address;
use crate::money::number;

/// A person.
#[derive(SimpleObject)]
pub(super) struct User {
    #[graphql(name = "user_id")]
    pub(super) user_id: Option<String>,
    pub(super) username: Option<String>,
    pub(super) fullname: Option<String>,
    pub(super) email: Option<String>,
    pub(super) role: Option<String>,
}

/// A session.
#[derive(SimpleObject)]
pub(super) struct LoginResponse {
    #[graphql(name = "access_token")]
    pub(super) access_token: Option<String>,
    #[graphql(name = "token_type")]
    pub(super) token_type: Option<String>,
    pub(super) user: Option<User>,
}

/// A wallet.
#[derive(SimpleObject)]
pub(super) struct Wallet {
    pub(super) wallet_id: String,
    pub(super) user_id: String,
    pub(super) wallet_name: String,
    pub(super) balance: f64,
    pub(super) status: String,
}

/// Whether something is gone.
#[derive(SimpleObject)]
pub(super) struct DeleteResponse {
    pub(super) success: bool,
    pub(super) message: String,
}

/// What is done with money.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(rename_items = "SCREAMING_SNAKE_CASE")]
pub(super) enum TransactionType {
    Deposit,
    Payment,
    Transfer,
}

/// Money that was moved.
#[derive(SimpleObject)]
pub(super) struct Transaction {
    pub(super) transaction_id: String,
    pub(super) user_id: String,
    pub(super) wallet_id: String,
    pub(super) amount: f64,
    #[graphql(name = "type")]
    pub(super) kind: String,
    pub(super) va_number: Option<String>,
    pub(super) status: String,
    pub(super) created_at: String,
}

/// Money to move.
#[derive(InputObject)]
pub(super) struct TransactionInput {
    pub(super) wallet_id: String,
    pub(super) amount: f64,
    #[graphql(name = "type")]
    pub(super) kind: TransactionType,
    pub(super) va_number: Option<String>,
    /// Where a transfer goes to.
    pub(super) destination_wallet_id: Option<String>,
}

/// What was looked at before money moved.
#[derive(SimpleObject)]
pub(super) struct FraudLog {
    pub(super) log_id: String,
    pub(super) user_id: String,
    pub(super) amount: f64,
    pub(super) status: String,
    pub(super) reason: String,
}

/// A row of history that somebody wishes for.
#[derive(InputObject)]
pub(super) struct HistoryInput {
    pub(super) transaction_id: String,
    pub(super) user_id: String,
    pub(super) amount: f64,
    #[graphql(name = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) va_number: Option<String>,
}

/// What the rules say of an amount.
#[derive(SimpleObject)]
pub(super) struct FraudCheck {
    #[graphql(name = "is_fraud")]
    pub(super) is_fraud: bool,
    pub(super) status: String,
    pub(super) reason: String,
}

/// Money that was moved, as its owner looks back on it.
#[derive(SimpleObject)]
pub(super) struct History {
    pub(super) history_id: String,
    pub(super) transaction_id: String,
    pub(super) user_id: String,
    pub(super) amount: f64,
    #[graphql(name = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) va_number: Option<String>,
    pub(super) created_at: String,
}

/// A paid bill that the marketplace was not told of yet.
#[derive(SimpleObject)]
pub(super) struct MarketplaceNotice {
    pub(super) notice_id: String,
    pub(super) va_number: Option<String>,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// `PENDING` while it is tried, `FAILED` once it is given up.
    pub(super) status: String,
    /// Why the last attempt failed.
    pub(super) reason: Option<String>,
}

/// What came of many top-ups and deductions at one time.
#[derive(SimpleObject)]
pub(super) struct RaceResult {
    pub(super) expected_balance: f64,
    pub(super) actual_balance: f64,
    pub(super) has_race_condition: bool,
    pub(super) message: String,
}

/// Where a wallet is: whose, and which of theirs. Written as one text, which is the id of a wallet in the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WalletAddress {
    pub(super) customer: String,
    pub(super) wallet: u16,
}

impl WalletAddress {
    /// Reads an id; `None` of what is none.
    pub(super) fn parse(id: &str) -> Option<WalletAddress> {
        let (customer, wallet) = id.rsplit_once(':')?;
        let wallet = wallet.parse().ok().filter(|number: &u16| number.to_string() == wallet)?;
        Some(WalletAddress { customer: customer.to_owned(), wallet })
    }

    pub(super) fn id(&self) -> String {
        format!("{}:{}", self.customer, self.wallet)
    }

    /// The native path.
    pub(super) fn path(&self) -> String {
        format!("/v1/customers/{}/wallets/{}", in_address(&self.customer), self.wallet)
    }
}

/// Writes minor units as Dompet does.
pub(super) fn float(minor_units: &Value, exponent: u8) -> f64 {
    number(minor_units.as_i64().unwrap_or_default(), exponent).as_f64().unwrap_or_default()
}

/// Shows a wallet.
pub(super) fn wallet(customer: &str, own: &Value, exponent: u8) -> Option<Wallet> {
    let number = u16::try_from(own["wallet"].as_u64()?).ok()?;
    let status = own["status"].as_str()?;
    let name = own["name"].as_str().unwrap_or(if number == 0 { "Cashback" } else { "" });
    (status != "closed").then(|| Wallet {
        wallet_id: WalletAddress { customer: customer.to_owned(), wallet: number }.id(),
        user_id: customer.to_owned(),
        wallet_name: name.to_owned(),
        balance: float(&own["balance"], exponent),
        status: status.to_ascii_uppercase(),
    })
}

/// What a role is called.
pub(super) fn role(native: &str) -> &str {
    match native {
        "customer" => "Nasabah",
        "admin" => "Admin",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_wallet_says_whose_it_is() {
        let own = WalletAddress { customer: "c676aaa7-77ab-8b8c-8f4c-799e3ef5bfc3".to_owned(), wallet: 3 };
        assert_eq!(WalletAddress::parse(&own.id()), Some(own));
        for wrong in ["", "3", ":", "a:", "a:-1", "a:+1", "a:01", "a:65536", "a:1 "] {
            assert_eq!(WalletAddress::parse(wrong), None, "{wrong}");
        }
        let odd = WalletAddress::parse("a/../b?x:1").expect("some text and a number");
        assert_eq!(odd.path(), "/v1/customers/a%2F%2E%2E%2Fb%3Fx/wallets/1");
    }
}

//! Has a bill sent, as a partner of Dompet's server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// A server that bills are sent by.
#[derive(Clone)]
pub struct Dompet {
    /// Where its GraphQL is.
    pub url: String,
    /// The partner's key.
    pub api_key: String,
    /// The secret of that key.
    pub api_secret: String,
}

/// Who sends the bills, if anybody does.
#[derive(Default)]
pub(crate) struct Billing(Mutex<Option<Dompet>>);

impl Billing {
    pub(crate) fn set(&self, dompet: Dompet) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(dompet);
    }

    pub(crate) fn get(&self) -> Option<Dompet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Dompet {
    /// Has a bill sent, and returns the number that it is paid under. Waits for the answer.
    pub(crate) fn bill(&self, amount: u32) -> Result<String, String> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER_TIME_MAX)).build().new_agent();
        let credentials = BASE64.encode(format!("{}:{}", self.api_key, self.api_secret).as_bytes());
        let query = "mutation($amount: Float!, $description: String) { \
                     generateInvoiceVA(amount: $amount, description: $description) }";
        let body = json!({ "query": query, "variables": { "amount": amount, "description": "Order BlackDoctrine" } });
        let request = agent.post(&self.url).header("Authorization", format!("Basic {credentials}"));
        let request = request.header("Content-Type", "application/json");
        let answer = request.send(body.to_string().as_bytes()).map_err(|error| error.to_string())?;
        let text = answer.into_body().read_to_string().map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match answer["data"]["generateInvoiceVA"].as_str() {
            Some(number) => Ok(number.to_owned()),
            None => Err(answer["errors"][0]["message"].to_string()),
        }
    }
}

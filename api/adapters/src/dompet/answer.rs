//! Why something was not done, in Dompet's words.

use async_graphql::{Error, ErrorExtensions as _};
use hyper::StatusCode;

use crate::call::Declined;

/// What was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    message: String,
    /// The native code, for programs.
    code: Option<String>,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), code: None }
    }

    /// Returns true of this native code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Says it in other words, where the code is this one.
    pub(super) fn saying(self, code: &str, message: &str) -> Refusal {
        if self.is(code) { Refusal { message: message.to_owned(), ..self } } else { self }
    }

    pub(super) fn text(&self) -> &str {
        &self.message
    }
}

/// What Dompet says of native codes.
const WORDS: &[(&str, &str)] = &[
    ("credentials_missing", "Tidak terautentikasi"),
    ("operator_token_missing", "Tidak terautentikasi"),
    ("operator_token_unknown", "Invalid Token"),
    ("token_invalid", "Invalid Token"),
    ("token_expired", "Invalid Token"),
    ("session_ended", "Invalid Token"),
    ("role_insufficient", "Admin Only"),
    ("login_failed", "Invalid Credentials"),
    ("customer_exists", "Email already registered"),
    ("username_taken", "Email already registered"),
    ("customer_not_found", "Wallet tidak ditemukan"),
    ("wallet_not_found", "Wallet tidak ditemukan"),
    ("wallet_closed", "Wallet tidak ditemukan"),
    ("wallet_frozen", "Wallet is frozen. Cannot perform transactions."),
    ("balance_too_small", "Saldo Tidak Mencukupi"),
    ("balance_held", "Saldo Tidak Mencukupi"),
    ("amount_not_positive", "Jumlah harus positif"),
    ("risk_blocked", "Fraud Detected: Transaksi diblokir"),
    ("invoice_not_found", "VA Not Found"),
    ("invoice_paid", "Transaksi Ditolak: Tagihan VA ini sudah lunas sebelumnya."),
    ("invoice_cancelled", "Transaksi Ditolak: Tagihan VA ini tidak berlaku lagi."),
    ("invoice_expired", "Transaksi Ditolak: Tagihan VA ini tidak berlaku lagi."),
    ("invoice_reversed", "Transaksi Ditolak: Tagihan VA ini tidak berlaku lagi."),
    ("invoice_amount_differs", "Total harga tidak sesuai dengan tagihan VA"),
    ("transfer_target_not_found", "Wallet tujuan tidak ditemukan"),
    ("target_wallet_not_found", "Wallet tujuan tidak ditemukan"),
    ("target_wallet_closed", "Wallet tujuan tidak ditemukan"),
    ("target_wallet_frozen", "Wallet tujuan dibekukan"),
    ("transfer_to_itself", "Wallet tujuan harus wallet lain"),
];

impl From<Declined> for Refusal {
    fn from(own: Declined) -> Refusal {
        let Declined { status, code, message, retry_after: _ } = own;
        let known = WORDS.iter().find(|(known, _)| Some(*known) == code.as_deref());
        let message = match known {
            Some((_, words)) => (*words).to_owned(),
            None if status == StatusCode::SERVICE_UNAVAILABLE => "Service Unavailable".to_owned(),
            None => message,
        };
        Refusal { message, code }
    }
}

impl From<Refusal> for Error {
    fn from(own: Refusal) -> Error {
        let error = Error::new(own.message);
        match own.code {
            Some(code) => error.extend_with(|_, more| more.set("code", code)),
            None => error,
        }
    }
}

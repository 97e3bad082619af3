//! The rules of a tenant, read and changed whole, as whoever asks may. What other systems list are parts of them.

use hyper::StatusCode;
use hyper::header::HeaderValue;
use kembali_http::CatalogueFile;
use serde_json::Value;

use crate::call::{Call, Declined, drawn};

/// How often a change is tried anew where somebody else changed the rules meanwhile.
const ATTEMPTS: usize = 5;

/// A version of a tenant's rules, as whoever asks sees them.
pub(crate) struct Rules {
    pub(crate) tenant: String,
    pub(crate) file: CatalogueFile,
    version: Value,
    ids: Value,
}

/// What clients know a rule by that no client named: its number, in the form of a UUID.
pub(crate) fn id_of_number(number: u64) -> String {
    format!("00000000-0000-0000-0000-{number:012x}")
}

/// Returns true of an id that only the number of a rule makes. Nobody may give it to another one.
pub(crate) fn is_of_number(id: &str) -> bool {
    id.starts_with("00000000-0000-0000-0000-")
}

/// Writes a UUID as it is always written, whatever the case of its letters and whether there are hyphens; `None` of other text.
pub(crate) fn uuid(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|letter| *letter != '-').collect();
    let fits = bare.len() == 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) && matches!(text.len(), 32 | 36);
    let bare = fits.then(|| bare.to_ascii_lowercase())?;
    let part = |from: usize, to: usize| bare.get(from..to).unwrap_or_default();
    Some([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

/// Draws an id for what nobody named.
pub(crate) fn new_id() -> Result<String, Declined> {
    let number = (drawn()? & !(0xf << 76) | 4 << 76) & !(0x3 << 62) | 2 << 62;
    uuid(&format!("{number:032x}")).ok_or_else(Declined::internal)
}

impl Rules {
    /// Reads the present rules.
    pub(crate) async fn read<R: From<Declined>>(call: &Call<'_, R>) -> Result<Rules, R> {
        let mut shown = call.get("/v1/catalogue").await?;
        let file = serde_json::from_value(shown["catalogue"].take()).map_err(|_| Declined::internal())?;
        let tenant = shown["tenant"].as_str().unwrap_or_default().to_owned();
        Ok(Rules { tenant, file, version: shown["version"].take(), ids: shown["ids"].take() })
    }

    /// Changes the rules, and reads them again. What somebody else changes meanwhile is not lost.
    pub(crate) async fn change<R: From<Declined>, T>(
        call: &Call<'_, R>,
        mut edit: impl FnMut(&mut Rules) -> Result<T, R>,
    ) -> Result<(Rules, T), R> {
        for _ in 0..ATTEMPTS {
            let mut rules = Rules::read(call).await?;
            let edited = edit(&mut rules)?;
            let body = serde_json::to_value(&rules.file).map_err(|_| Declined::internal())?;
            let path = format!("/v1/catalogue?expected_version={}", rules.version);
            match call.plain().about(&rules.tenant).put(&path, &body).await {
                Ok(_) => return Ok((Rules::read(call).await?, edited)),
                Err(declined) if declined.code.as_deref() == Some("version_conflict") => (),
                Err(declined) => return Err(declined.into()),
            }
        }
        Err(Declined {
            status: StatusCode::CONFLICT,
            code: None,
            message: "The rules are being changed by others. Try again.".to_owned(),
            retry_after: Some(HeaderValue::from_static("1")),
        }
        .into())
    }

    pub(crate) const fn exponent(&self) -> u8 {
        self.file.tenant.currency_exponent
    }

    /// The number of a rule, given the list that it stands in and its name.
    pub(crate) fn number(&self, list: &str, name: &str) -> u64 {
        self.ids[list][name].as_u64().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0e41cc11-5e54-448b-a6ce-9c9a855ad207";

    #[test]
    fn a_uuid_is_written_in_one_way() {
        assert_eq!(uuid("0E41CC11-5E54-448B-A6CE-9C9A855AD207").as_deref(), Some(UUID));
        assert_eq!(uuid("0E41CC115E54448BA6CE9C9A855AD207").as_deref(), Some(UUID));
        for wrong in [
            "",
            "0e41cc11",
            &UUID[1..],
            &format!("{UUID}0"),
            &UUID.replace('0', "g"),
            "-----------------------------------",
        ] {
            assert_eq!(uuid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ids_that_are_drawn_are_no_numbers() {
        assert_eq!(id_of_number(17), "00000000-0000-0000-0000-000000000011");
        assert!(is_of_number(&id_of_number(17)));
        let (one, other) = (new_id().expect("an id"), new_id().expect("an id"));
        assert_eq!((&one[14..15], one.len()), ("4", 36));
        assert!("89ab".contains(&one[19..20]) && one != other, "{one} {other}");
        assert!(!is_of_number(&one));
    }
}

//! `kembali apply`: makes a catalogue file the rules of a tenant, on a running server, and says what changes.
//!
//! What is wrong in a file is shown with its line, whether the file cannot be read or the server refuses it.

mod place;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kembali_http::CatalogueFile;
use serde_json::Value;
use toml::de::DeTable;

use crate::client::{Client, ClientError, Problem, in_address};

/// Why a catalogue was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no catalogue: {problem}\n{line}", path.display())]
    Parse { path: PathBuf, problem: String, line: String },
    #[error("the catalogue is refused ({code}): {detail}\n{line}")]
    Refused { code: String, detail: String, line: String },
    #[error(transparent)]
    Server(#[from] ClientError),
}

/// A catalogue file, read and ready to be sent.
pub(crate) struct Wanted {
    path: PathBuf,
    text: String,
    tenant: String,
    body: Value,
}

/// Reads a catalogue file.
pub(crate) fn read(path: &Path) -> Result<Wanted, ApplyError> {
    let text = fs::read_to_string(path).map_err(|source| ApplyError::Read { path: path.to_path_buf(), source })?;
    parse(path, text)
}

/// Reads the text of a catalogue file.
pub(crate) fn parse(path: &Path, text: String) -> Result<Wanted, ApplyError> {
    let failed = |error: toml::de::Error| {
        let span = error.span().unwrap_or_default();
        ApplyError::Parse {
            path: path.to_path_buf(),
            problem: error.message().to_owned(),
            line: place::show(path, &text, &span, &place::perhaps_keys(&text)),
        }
    };
    let file: CatalogueFile = toml::from_str(&text).map_err(failed)?;
    // Sent as it was read: what the server shows of a catalogue, and so what it writes, has no keys.
    let body = toml::from_str(&text).map_err(failed)?;
    Ok(Wanted { path: path.to_path_buf(), text, tenant: file.tenant.slug, body })
}

impl Wanted {
    /// Shows where in the file a refusal belongs. One that names no place is left as it is.
    fn refused(&self, error: ClientError) -> ApplyError {
        let ClientError::Refused { problem: Problem { code, detail, place, partner }, .. } = &error else {
            return error.into();
        };
        let of_partner = partner.as_ref().map(|slug| format!("partners[{slug}].api_key"));
        let (Some(place), Ok(file)) = (place.clone().or(of_partner), DeTable::parse(&self.text)) else {
            return error.into();
        };
        let span = place::find(&file, &place);
        let line = place::show(&self.path, &self.text, &span, &place::keys(file.get_ref()));
        ApplyError::Refused { code: code.clone(), detail: detail.clone(), line }
    }
}

/// Applies it, and returns what the server says of it.
pub(crate) async fn apply(
    client: &mut Client,
    token: &str,
    wanted: &Wanted,
    dry_run: bool,
) -> Result<Value, ApplyError> {
    let path = format!("/v1/catalogue?tenant={}&dry_run={dry_run}", in_address(&wanted.tenant));
    client.put(&path, token, &wanted.body).await.map_err(|error| wanted.refused(error))
}

/// Writes for a person what the server said.
pub(crate) fn write(answer: &Value, dry_run: bool, out: &mut impl Write) -> io::Result<()> {
    let list = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for change in list("changes") {
        writeln!(out, "  {}", text(&change))?;
    }
    for warning in list("warnings") {
        writeln!(out, "  warning: {}", text(&warning))?;
    }
    let version = answer.get("version").map(Value::to_string).unwrap_or_default();
    match (answer.get("changed").and_then(Value::as_bool), dry_run) {
        (Some(false), _) => writeln!(out, "nothing changes; version {version} holds"),
        (_, true) => writeln!(out, "nothing was changed; this would be version {version}"),
        (_, false) => writeln!(out, "applied; version {version} holds now"),
    }
}

//! `kembali apply`: makes a catalogue file the rules of a tenant, on a running server, and says what changes.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kembali_http::CatalogueFile;
use serde_json::Value;

use crate::client::{Client, ClientError};

/// Why a catalogue was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no catalogue: {source}", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    #[error(transparent)]
    Server(#[from] ClientError),
}

/// A catalogue file, read and ready to be sent.
pub(crate) struct Wanted {
    pub(crate) file: CatalogueFile,
    pub(crate) body: Value,
}

/// Reads a catalogue file.
pub(crate) fn read(path: &Path) -> Result<Wanted, ApplyError> {
    let text = fs::read_to_string(path).map_err(|source| ApplyError::Read { path: path.to_path_buf(), source })?;
    parse(path, &text)
}

/// Reads the text of a catalogue file.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Wanted, ApplyError> {
    let failed = |source| ApplyError::Parse { path: path.to_path_buf(), source: Box::new(source) };
    let file: CatalogueFile = toml::from_str(text).map_err(failed)?;
    // Sent as it was read: what the server shows of a catalogue, and so what it writes, has no keys.
    Ok(Wanted { file, body: toml::from_str(text).map_err(failed)? })
}

/// Applies it, and returns what the server says of it.
pub(crate) async fn apply(
    client: &mut Client,
    token: &str,
    wanted: &Wanted,
    dry_run: bool,
) -> Result<Value, ApplyError> {
    let path = format!("/v1/catalogue?tenant={}&dry_run={dry_run}", wanted.file.tenant.slug);
    Ok(client.put(&path, token, &wanted.body).await?)
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

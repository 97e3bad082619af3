//! `kembali apply`: makes a catalogue file the rules of a tenant, on a running server.
//!
//! It shows what would change and who would see what of it, asks, and then applies exactly that: should the rules have
//! changed meanwhile, it does nothing.
//!
//! What is wrong in a file is shown with its line, whether the file cannot be read or the server refuses it.

mod place;
mod plan;

use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use kembali_http::CatalogueFile;
use serde_json::Value;
use toml::de::DeTable;

use crate::apply::plan::Report;
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
    #[error(
        "the rules were changed by somebody else meanwhile, so this is not what was shown. Nothing was done; run it \
         again to see what it would change now"
    )]
    ChangedMeanwhile,
    #[error(
        "there is no terminal to ask on. Nothing was done; give --yes to apply without being asked, or --dry-run to see \
         the plan alone"
    )]
    NobodyToAsk,
    #[error("nothing was done")]
    Declined,
    #[error("writing the plan: {0}")]
    Write(#[from] io::Error),
}

/// A catalogue file, read and ready to be sent.
pub(crate) struct Wanted {
    path: PathBuf,
    /// The file as it is, to show lines of.
    text: String,
    pub(crate) file: CatalogueFile,
    pub(crate) body: Value,
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
    Ok(Wanted { path: path.to_path_buf(), text, file, body })
}

impl Wanted {
    /// Shows where in the file a refusal belongs. One that names no place is left as it is.
    pub(crate) fn refused(&self, error: ClientError) -> ApplyError {
        let ClientError::Refused { problem: Problem { code, detail, place, partner }, .. } = &error else {
            return error.into();
        };
        if code == "version_conflict" {
            return ApplyError::ChangedMeanwhile;
        }
        let of_partner = partner.as_ref().map(|slug| format!("partners[{slug}].api_key"));
        let line = place.clone().or(of_partner).and_then(|place| self.line_of(&place));
        match line {
            Some(line) => ApplyError::Refused { code: code.clone(), detail: detail.clone(), line },
            None => error.into(),
        }
    }

    /// Shows the line of the file that a place is on.
    pub(crate) fn line_of(&self, place: &str) -> Option<String> {
        let file = DeTable::parse(&self.text).ok()?;
        let span = place::find(&file, place);
        Some(place::show(&self.path, &self.text, &span, &place::keys(file.get_ref())))
    }
}

/// How a catalogue is applied.
pub(crate) struct Options {
    /// Only shows what would happen.
    pub(crate) dry_run: bool,
    /// Does not ask.
    pub(crate) yes: bool,
}

/// Shows what would happen, asks, and applies exactly what was shown.
pub(crate) async fn run(
    client: &mut Client,
    token: &str,
    wanted: &Wanted,
    options: &Options,
    out: &mut impl Write,
) -> Result<(), ApplyError> {
    let plan = send(client, token, wanted, "&dry_run=true").await?;
    plan.write_plan(out)?;
    if !plan.does_something() {
        return Ok(writeln!(out, "nothing changes; version {} holds", plan.version)?);
    }
    if options.dry_run {
        return Ok(writeln!(out, "nothing was changed; this would be version {}", plan.version)?);
    }
    out.flush()?;
    if !options.yes {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(ApplyError::NobodyToAsk);
        }
        // Apart from the plan, which may go into a file.
        if !plan::ask(&mut stdin.lock(), &mut io::stderr())? {
            return Err(ApplyError::Declined);
        }
    }
    let done = send(client, token, wanted, &format!("&expected_version={}", plan.version_before())).await;
    Ok(done?.write_closing(out)?)
}

/// Applies it without asking, and writes what happened.
pub(crate) async fn apply(
    client: &mut Client,
    token: &str,
    wanted: &Wanted,
    out: &mut impl Write,
) -> Result<(), ApplyError> {
    Ok(send(client, token, wanted, "").await?.write_done(out)?)
}

/// Sends it to the server, and returns what that says.
async fn send(client: &mut Client, token: &str, wanted: &Wanted, more: &str) -> Result<Report, ApplyError> {
    let path = format!("/v1/catalogue?tenant={}{more}", in_address(&wanted.file.tenant.slug));
    let answer = client.put(&path, token, &wanted.body).await.map_err(|error| wanted.refused(error))?;
    Ok(serde_json::from_value(answer).map_err(|error| ClientError::Unexpected(error.to_string()))?)
}

//! `kembali export`: writes the rules that a tenant has on a running server as a catalogue file, which can be applied
//! again.

use std::io::{self, Write};

use kembali_http::CatalogueFile;
use serde::Deserialize;

use crate::client::{Client, ClientError, in_address};

/// Why no catalogue was exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Server(#[from] ClientError),
    #[error("the server's catalogue is of another version of kembali: {0}")]
    Form(serde_json::Error),
    #[error("the catalogue cannot be written as TOML: {0}")]
    Toml(Box<toml::ser::Error>),
    #[error("writing the catalogue: {0}")]
    Write(#[from] io::Error),
}

/// What the server shows.
#[derive(Deserialize)]
struct Shown {
    tenant: String,
    version: u32,
    catalogue: CatalogueFile,
}

/// Writes a tenant's rules, the present ones or those of a version.
pub(crate) async fn export(
    client: &mut Client,
    token: &str,
    tenant: &str,
    version: Option<u32>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let version = version.map_or_else(String::new, |version| format!("&version={version}"));
    let answer = client.get(&format!("/v1/catalogue?tenant={}{version}", in_address(tenant)), token).await?;
    let Shown { tenant, version, catalogue } = serde_json::from_value(answer).map_err(ExportError::Form)?;
    let text = catalogue.to_toml().map_err(|error| ExportError::Toml(Box::new(error)))?;
    write!(
        out,
        "\
# The rules of {tenant}, version {version}, as `kembali export` wrote them. `kembali apply` takes this file as it is.
#
# Keys of partners are never written. Applied again, a partner keeps those that it has; to give one more, add api_key
# to its table. Times without an offset are local in the tenant's time zone.

{text}"
    )?;
    Ok(out.flush()?)
}

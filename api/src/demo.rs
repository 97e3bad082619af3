//! `kembali demo`: a server with the sample catalogue and real purchases, and a table of what happened.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kembali_http::{PartnerLimits, PeopleLimits};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::apply::{self, ApplyError};
use crate::client::{Client, ClientError, PartnerKey};
use crate::send::{self, Plan, SendError, Source, Summary};
use crate::serve::{self, ServeError};
use crate::settings::{self, Settings};

const CATALOGUE: &str = include_str!("../demo/journey.toml");
const PURCHASES: &[u8] = include_bytes!("../demo/purchases.ndjson.gz");
const API_KEY: &str = "grocer-demo-key";
const OPERATOR_TOKEN: &str = "demo-operator-token";
/// Known to everybody, so that the ids and the digest of every demo are the same. No ledger of anybody's money has it.
const INSTALLATION_KEY: &[u8; 32] = b"demo key known to all, no secret";
/// Known to everybody too.
const SECRETS_KEY: &[u8; 32] = b"demo key of secrets, none itself";
/// And so is this.
const KEZBEK_ENCRYPT_KEY: &str = "demo key of journey ids";
/// The server is this process; what takes it longer has gone wrong.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Who may look at the dashboard of the demo. Known to everybody too.
const ADMIN: (&str, &str) = ("demo", "demo demo demo");
/// A household of the sample whose journey is worth a look.
const SHOWN_CUSTOMER: &str = "household-72";

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("writing the table: {0}")]
    Write(#[from] io::Error),
}

/// Serves, fills the ledger, shows it, and serves on unless `exit` is set.
pub(crate) fn demo(listen: SocketAddr, data_dir: PathBuf, exit: bool) -> Result<(), DemoError> {
    let settings = Settings {
        listen,
        data_dir,
        shards: NonZeroUsize::MIN,
        resident_max: None,
        generation_bytes: settings::GENERATION_BYTES_DEFAULT,
        free_bytes_min: settings::free_bytes_min_default(settings::GENERATION_BYTES_DEFAULT),
        operator_token: Some(OPERATOR_TOKEN.to_owned()),
        installation_key: Some(*INSTALLATION_KEY),
        secrets_key: Some(*SECRETS_KEY),
        registration: vec!["journey".to_owned()],
        partners: PartnerLimits::default(),
        people: PeopleLimits::default(),
        tls: None,
        webhook_networks: Vec::new(),
        mail: None,
        kezbek: Some(("journey".to_owned(), KEZBEK_ENCRYPT_KEY.to_owned())),
        dompet: Some(("journey".to_owned(), None)),
        loyaltea: true,
        onetap: vec!["journey".to_owned()],
        loyaltea_kafka: None,
    };
    let runtime = serve::runtime()?;
    let ready = runtime.block_on(serve::open(&settings))?;
    let address = ready.address;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = runtime.spawn(ready.run(async {
        // The sender is dropped when the demo ends early; both mean to stop.
        let _ = stopped.await;
    }));
    let url = format!("http://{address}");
    let mut out = io::stdout().lock();
    let client = Client::new(address.into(), ANSWER_TIME_MAX);
    runtime.block_on(fill_and_show(client, &url, &settings.data_dir, &mut out))?;
    if !exit {
        write_next_steps(&url, &mut out)?;
        runtime.block_on(async { serve::told_to_stop().await });
    }
    let _ = stop.send(());
    match runtime.block_on(server) {
        Ok(served) => Ok(served?),
        Err(error) => Err(ServeError::Run(io::Error::other(error)).into()),
    }
}

async fn fill_and_show(mut client: Client, url: &str, data_dir: &Path, out: &mut impl Write) -> Result<(), DemoError> {
    writeln!(out, "Kembali demo at {url}, ledger in {}\n", data_dir.display())?;
    writeln!(out, "Applying the sample catalogue")?;
    let wanted = apply::parse(Path::new("journey.toml"), CATALOGUE.to_owned())?;
    apply::apply(&mut client, OPERATOR_TOKEN, &wanted, out).await?;
    create_admin(&mut client).await?;
    writeln!(out, "\nStreaming real purchases, half a year of 344 households")?;
    out.flush()?;
    let source = Source::of_bytes("purchases.ndjson.gz", PURCHASES)?;
    let plan = Plan { key: PartnerKey { api_key: API_KEY, secret: None }, batch: 1_000, gzip: false, failures_max: 0 };
    let summary = send::send(&mut client, source, &plan).await?;
    let report = client.get("/v1/reports/summary?tenant=journey", OPERATOR_TOKEN).await?;
    let customer = client.get(&format!("/v1/customers?tenant=journey&ref={SHOWN_CUSTOMER}"), OPERATOR_TOKEN).await?;
    write_table(&summary, &report, &customer, out)?;
    Ok(())
}

/// Creates the account for the dashboard, unless an earlier run has.
async fn create_admin(client: &mut Client) -> Result<(), ClientError> {
    let (username, password) = ADMIN;
    let account = json!({ "username": username, "password": password, "role": "admin" });
    match client.post("/v1/accounts?tenant=journey", OPERATOR_TOKEN, &account).await {
        Err(ClientError::Refused { problem, .. }) if problem.code == "username_taken" => Ok(()),
        created => created.map(drop),
    }
}

/// Writes a number with its thousands apart, as 1,234,567.
pub(crate) fn grouped(number: &Value) -> String {
    let digits = number.as_str().map_or_else(|| number.to_string(), str::to_owned);
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.as_bytes()[index - 1] != b'-' {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn write_table(summary: &Summary, report: &Value, customer: &Value, out: &mut impl Write) -> io::Result<()> {
    let number = |key: &str| grouped(&report[key]);
    writeln!(out, "\nWhat happened")?;
    writeln!(out, "  lines sent now      {:>16}", grouped(&summary.lines.into()))?;
    writeln!(out, "    booked now        {:>16}", grouped(&summary.booked.into()))?;
    writeln!(out, "    booked before     {:>16}", grouped(&summary.replayed.into()))?;
    writeln!(out, "  purchases           {:>16}", number("accepted"))?;
    for (code, count) in report["rejected"].as_object().into_iter().flatten() {
        writeln!(out, "  refused             {:>16}  {code}", grouped(count))?;
    }
    writeln!(out, "  customers           {:>16}", number("customers"))?;
    writeln!(out, "  amount              {:>16}  IDR", number("amount"))?;
    writeln!(out, "  cashback by promo   {:>16}  IDR", number("point_transaction"))?;
    writeln!(out, "  cashback by loyalty {:>16}  IDR", number("point_loyalty"))?;
    writeln!(out, "  cashback in all     {:>16}  IDR", number("point_total"))?;
    for promo in report["promos"].as_array().into_iter().flatten() {
        let code = promo["code"].as_str().unwrap_or_default();
        let (used, quota) = (grouped(&promo["used"]), grouped(&promo["quota"]));
        let declined = grouped(&promo["declined_exhausted"]);
        writeln!(out, "  promo {code:<13} {used:>16}  of {quota} used, {declined} came too late")?;
    }
    for (name, count) in report["remarks"].as_object().into_iter().flatten() {
        writeln!(out, "  step {name:<17} {:>13}", grouped(count))?;
    }
    for (name, count) in report["tiers"].as_object().into_iter().flatten() {
        writeln!(out, "  tier {name:<17} {:>13}  customers", grouped(count))?;
    }
    for tier in customer["tiers"].as_array().into_iter().flatten() {
        let (level, count) = (tier["level"].as_str().unwrap_or_default(), grouped(&tier["count"]));
        let (balance, purchases) = (grouped(&customer["balance"]), grouped(&customer["purchases"]));
        writeln!(
            out,
            "\n  {SHOWN_CUSTOMER} has {balance} IDR after {purchases} purchases, and stands at {level} with {count}"
        )?;
    }
    writeln!(out, "\n  as of position {} of the journal\n", report["as_of"])
}

fn write_next_steps(url: &str, out: &mut impl Write) -> io::Result<()> {
    let (username, password) = ADMIN;
    writeln!(
        out,
        "Serving at {url} until you press Ctrl-C.

The dashboard: open {url}/ and log in to tenant `journey` as `{username}` with the password `{password}`.

Try:

  curl -s {url}/v1/purchases -H 'X-Api-Key: {API_KEY}' -H 'Content-Type: application/json' \\
    -d '{{\"origin_id\":\"try-1\",\"customer\":{{\"ref\":\"you\"}},\"amount\":250000,\"quantity\":1}}'

  curl -s '{url}/v1/customers?tenant=journey&ref={SHOWN_CUSTOMER}' -H 'Authorization: Bearer {OPERATOR_TOKEN}'

  curl -s '{url}/v1/promos/JOURNEY2017' -H 'X-Api-Key: {API_KEY}'

  curl -s '{url}/v1/reports/summary?tenant=journey' -H 'Authorization: Bearer {OPERATOR_TOKEN}'"
    )
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        for (number, shown) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (-123_456, "-123,456")]
        {
            assert_eq!(grouped(&number.into()), shown);
        }
    }
}

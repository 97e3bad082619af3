//! Runs the marketplace, so that the server can be tried with it. What it is, the library says.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use kembali_marketplace::{Dompet, Failure, Marketplace};

/// A marketplace to try the server with, which fails as it is told to. It keeps nothing.
#[derive(Parser)]
#[command(name = "kembali-marketplace")]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:7003")]
    listen: SocketAddr,
    /// The GraphQL address of the server that sends its bills.
    #[arg(long, default_value = "http://127.0.0.1:8080/graphql")]
    dompet: String,
    /// The partner's key there.
    #[arg(long, default_value = "key-of-blackdoctrine")]
    api_key: String,
    /// The secret of that key.
    #[arg(long, default_value = "a-secret-of-blackdoctrine")]
    api_secret: String,
    /// How it fails.
    #[arg(long, value_enum, default_value_t = Failure::None)]
    failure: Failure,
    /// Each how manieth request it fails at.
    #[arg(long, default_value_t = 1)]
    every: u64,
}

fn main() -> ExitCode {
    let Options { listen, dompet: url, api_key, api_secret, failure, every } = Options::parse();
    let marketplace = match Marketplace::open(listen) {
        Ok(marketplace) => marketplace,
        Err(error) => {
            // Nobody is told where nobody listens.
            let _ = writeln!(io::stderr(), "{listen} cannot be listened at: {error}");
            return ExitCode::FAILURE;
        }
    };
    marketplace.bill_by(Dompet { url, api_key, api_secret });
    marketplace.fail(failure, every);
    let _ = writeln!(io::stdout(), "the marketplace is at {}", marketplace.url());
    marketplace.wait();
    ExitCode::SUCCESS
}

//! A mail server: where it is, and one mail given to it, step by step.
//!
//! A connection is used again only after an exchange that came to its end: one that was left in the middle would take the answers to one
//! mail for those to the next.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::transport::{SendError, TransportError};

/// Connections to a mail server at one time.
pub(crate) const CONNECTIONS_MAX: usize = 4;
/// How long it may take to take a connection, and a mail from its beginning to its end.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const MAIL_TIME_MAX: Duration = Duration::from_secs(30);
/// What it says of a receiver that it will never take mail for.
const REFUSALS: [u16; 4] = [550, 551, 553, 556];
/// Those of them that are about something else: what may be sent, and how much (RFC 3463).
const OTHER_MATTERS: [&str; 2] = ["5.7.", "5.4."];

/// Where a mail server is, and what opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct MailServer {
    host: String,
    port: u16,
    security: Security,
    /// User and password.
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    None,
    /// TLS from the beginning.
    Tls,
    /// TLS before anything is said that matters.
    StartTls,
}

impl fmt::Debug for MailServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Without what opens it.
impl fmt::Display for MailServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, query) = match self.security {
            Security::None => ("smtp", ""),
            Security::Tls => ("smtps", ""),
            Security::StartTls => ("smtp", "?tls=required"),
        };
        write!(out, "{scheme}://{}:{}{query}", self.host, self.port)
    }
}

impl FromStr for MailServer {
    type Err = String;

    /// Reads a URL. What is wrong with it is not repeated: it may hold a password.
    fn from_str(text: &str) -> Result<MailServer, String> {
        let form = || {
            "must look like smtps://user:password@mail.example, smtp://user:password@mail.example?tls=required, \
             smtp://localhost:25 or file:folder, with other letters than a-z, 0-9 and -._~ in user and password as %XX"
                .to_owned()
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let (security, rest, port) = match (scheme, rest.split_once('?')) {
            ("smtps", None) => (Security::Tls, rest, 465),
            ("smtp", None) => (Security::None, rest, 25),
            ("smtp", Some((rest, "tls=required"))) => (Security::StartTls, rest, 587),
            _ => return Err(form()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (opens, server) = rest.rsplit_once('@').map_or((None, rest), |(opens, server)| (Some(opens), server));
        let (host, port) = match server.rsplit_once(':') {
            Some((host, digits)) if !digits.ends_with(']') => (host, digits.parse().map_err(|_| form())?),
            _ => (server, port),
        };
        let host = host.trim_matches(['[', ']']);
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | ':');
        if host.is_empty() || !host.chars().all(fits) {
            return Err(form());
        }
        let decoded = |text: &str| {
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~%+!$*".contains(letter);
            let text = Some(text).filter(|text| !text.is_empty() && text.chars().all(is_plain))?;
            percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
        };
        let credentials = match opens.map(|opens| opens.split_once(':')) {
            None => None,
            Some(pair) => Some(pair.and_then(|(user, own)| Some((decoded(user)?, decoded(own)?))).ok_or_else(form)?),
        };
        let is_here = host == "localhost" || host == "::1" || host.starts_with("127.");
        if credentials.is_some() && security == Security::None && !is_here {
            return Err("must have ?tls=required, or be smtps://: a password is not sent in the clear".to_owned());
        }
        Ok(MailServer { host: host.to_owned(), port, security, credentials })
    }
}

/// Gives mail to a server.
pub(crate) struct Smtp {
    server: MailServer,
    tls: Option<TlsParameters>,
    /// What it calls itself.
    hello: ClientId,
    room: Semaphore,
    /// Connections whose last exchange came to its end.
    idle: Mutex<Vec<AsyncSmtpConnection>>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Smtp({})", self.server)
    }
}

impl Smtp {
    pub(crate) fn new(server: MailServer, own_domain: &str) -> Result<Smtp, TransportError> {
        let tls = match server.security {
            Security::None => None,
            Security::Tls | Security::StartTls => {
                let parameters = TlsParameters::new(server.host.clone());
                Some(parameters.map_err(|error| TransportError(format!("TLS to {server}: {error}")))?)
            }
        };
        let (hello, room) = (ClientId::Domain(own_domain.to_owned()), Semaphore::new(CONNECTIONS_MAX));
        Ok(Smtp { server, tls, hello, room, idle: Mutex::default() })
    }

    /// Gives it a mail, from and to these addresses.
    pub(crate) async fn send(&self, envelope: (&Address, &Address), message: &[u8]) -> Result<(), SendError> {
        let late = || SendError::Failed("the mail server did not take it in time".to_owned());
        let Ok(_room) = self.room.acquire().await else { return Err(late()) };
        // The library waits for ever once it is connected. What is cut off here takes its connection with it.
        timeout(MAIL_TIME_MAX, self.exchange(envelope, message)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(&self, (from, to): (&Address, &Address), message: &[u8]) -> Result<(), SendError> {
        let mut connection = self.connection().await.map_err(|error| failed(&error))?;
        let is_plain = [from, to].iter().all(|own| AsRef::<str>::as_ref(own).is_ascii());
        let takes_all = connection.server_info().supports_feature(Extension::SmtpUtfEight);
        let parameters = match (is_plain, takes_all) {
            (true, _) => Vec::new(),
            (false, true) => vec![MailParameter::SmtpUtfEight],
            (false, false) => {
                return Err(SendError::Refused("the mail server takes no address with such letters".to_owned()));
            }
        };
        connection.command(Mail::new(Some(from.clone()), parameters)).await.map_err(|error| failed(&error))?;
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|error| refused(&error))?;
        let ready = connection.command(Data).await.map_err(|error| failed(&error))?;
        if !ready.has_code(354) {
            return Err(SendError::Failed(format!("the mail server answered {} to DATA", u16::from(ready.code()))));
        }
        connection.message(message).await.map_err(|error| failed(&error))?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(())
    }

    /// Takes a connection that still answers, or makes one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut idle) = idle else { break };
            if idle.test_connected().await {
                return Ok(idle);
            }
        }
        let address = (self.server.host.as_str(), self.server.port);
        let implicit = self.tls.clone().filter(|_| self.server.security == Security::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_TIME_MAX), &self.hello, implicit, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.server.security == Security::StartTls) {
            connection.starttls(tls, &self.hello).await?;
        }
        if let Some((user, password)) = self.server.credentials.clone() {
            let credentials = Credentials::new(user, password);
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        Ok(connection)
    }
}

/// What a server says beside its number may name the address, and is not repeated.
fn failed(error: &Error) -> SendError {
    if let Some(status) = error.status() {
        return SendError::Failed(format!("the mail server answered {}", u16::from(status)));
    }
    let what = match error {
        error if error.is_timeout() => "did not answer in time",
        error if error.is_tls() => "does not speak TLS that can be believed",
        error if error.is_response() => "answered with something else than SMTP",
        error if error.is_client() => "does not do what is needed: TLS, or a log-in",
        _ => "cannot be reached, or went away",
    };
    SendError::Failed(format!("the mail server {what}"))
}

/// What a server says to the name of a receiver.
fn refused(error: &Error) -> SendError {
    let is_final = error.status().is_some_and(|status| REFUSALS.contains(&u16::from(status)));
    let said = error.to_string();
    match failed(error) {
        SendError::Failed(why) if is_final && !OTHER_MATTERS.iter().any(|own| said.contains(own)) => {
            SendError::Refused(why)
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_mail_server_is() {
        for (url, shown, credentials) in [
            ("smtps://mail.example", "smtps://mail.example:465", None),
            ("smtps://me:s3cret@mail.example:4465/", "smtps://mail.example:4465", Some(("me", "s3cret"))),
            (
                "smtp://me%40x:a%2Fb%3A@mail.example?tls=required",
                "smtp://mail.example:587?tls=required",
                Some(("me@x", "a/b:")),
            ),
            ("smtp://localhost", "smtp://localhost:25", None),
            ("smtp://me:s3cret@127.0.0.1:1025", "smtp://127.0.0.1:1025", Some(("me", "s3cret"))),
            ("smtp://[::1]:1025", "smtp://::1:1025", None),
        ] {
            let server: MailServer = url.parse().expect(url);
            let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
            assert_eq!((format!("{server:?}"), server.credentials), (shown.to_owned(), credentials), "{url}");
        }
        for url in [
            "",
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtp://mail.example?tls=maybe",
            "smtp://mail.example?starttls=required",
            "smtps://mail.example?tls=required",
            "smtps://me@mail.example",
            "smtps://me:@mail.example",
            "smtps://:s3cret@mail.example",
            "smtps://me:12/34@mail.example",
            "smtps://me:12?34@mail.example",
            "smtps://me:12@34@mail.example",
            "smtps://mail.example/inbox",
            "smtps://mail.example:65536",
            "smtps://mail .example",
            // In the clear.
            "smtp://me:s3cret@mail.example",
        ] {
            let wrong = url.parse::<MailServer>().expect_err(url);
            assert!(!wrong.contains("34") && !wrong.contains("s3cret"), "{wrong}");
        }
    }
}

//! Handing mail over: to a mail server, or into a folder.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::compose::Content;

/// How long a mail server may take to take a connection, and a mail from its beginning to its end.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const MAIL_TIME_MAX: Duration = Duration::from_secs(30);
/// Connections to it that are kept.
const CONNECTIONS_MAX: u32 = 4;
/// What a mail server says of a receiver that it will never take mail for.
const REFUSALS: [u16; 5] = [550, 551, 553, 556, 521];

/// Where mail goes.
#[derive(Clone, PartialEq, Eq)]
pub enum TransportUrl {
    /// Into files of this folder, one a mail.
    Folder(PathBuf),
    /// To a mail server: `smtps://user:password@host`, or `smtp://host:25?tls=required`.
    Smtp(String),
}

impl fmt::Debug for TransportUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Without what opens the server.
impl fmt::Display for TransportUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportUrl::Folder(folder) => write!(out, "file:{}", folder.display()),
            TransportUrl::Smtp(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or_default();
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let server = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, server)| server);
                write!(out, "{scheme}://{server}{}", &rest[end..])
            }
        }
    }
}

impl FromStr for TransportUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<TransportUrl, String> {
        if let Some(folder) = text.strip_prefix("file:").filter(|folder| !folder.is_empty()) {
            return Ok(TransportUrl::Folder(folder.into()));
        }
        let url = TransportUrl::Smtp(text.to_owned());
        let is_smtp = text.starts_with("smtp://") || text.starts_with("smtps://");
        // What is wrong with it is not repeated: it may hold a password.
        if is_smtp && AsyncSmtpTransport::<Tokio1Executor>::from_url(text).is_ok() {
            return Ok(url);
        }
        Err("must look like smtps://user:password@mail.example, smtp://localhost:25 or file:folder".to_owned())
    }
}

/// The URL is not one of a mail server.
#[derive(Debug, thiserror::Error)]
#[error("the mail server's URL cannot be used")]
pub struct TransportError;

/// Hands mail over.
pub(crate) enum Transport {
    Folder(PathBuf),
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

impl fmt::Debug for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Transport::Folder(_) => "Transport(folder)",
            Transport::Smtp(_) => "Transport(smtp)",
        })
    }
}

/// Why a mail is not sent. Says nothing of the address.
pub(crate) enum SendError {
    /// It will never be.
    Refused(String),
    /// Not now.
    Failed(String),
}

impl Transport {
    /// Makes ready to send. Must run on the runtime.
    pub(crate) fn new(url: &TransportUrl) -> Result<Transport, TransportError> {
        match url {
            TransportUrl::Folder(folder) => Ok(Transport::Folder(folder.clone())),
            TransportUrl::Smtp(url) => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| TransportError)?;
                let pool = PoolConfig::new().max_size(CONNECTIONS_MAX);
                Ok(Transport::Smtp(builder.timeout(Some(CONNECT_TIME_MAX)).pool_config(pool).build()))
            }
        }
    }

    /// Sends a mail. Its id is the same each time it is sent.
    pub(crate) async fn send(&self, from: &Mailbox, to: &str, id: &str, content: Content) -> Result<(), SendError> {
        let refused = |why: &str| SendError::Refused(why.to_owned());
        let to: Address = to.parse().map_err(|_| refused("the customer's address is none that mail can be sent to"))?;
        let Content { subject, text, html } = content;
        let plain = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text);
        let rich = SinglePart::builder().header(ContentType::TEXT_HTML).body(html);
        let message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            .multipart(MultiPart::alternative().singlepart(plain).singlepart(rich));
        let message = message.map_err(|error| SendError::Failed(format!("the mail cannot be written: {error}")))?;
        match self {
            Transport::Folder(folder) => {
                let written = keep(folder, id, &message.formatted()).await;
                written.map_err(|error| SendError::Failed(format!("writing it into the folder: {error}")))
            }
            // The library itself waits for ever once it is connected.
            Transport::Smtp(server) => match timeout(MAIL_TIME_MAX, server.send(message)).await {
                Err(_) => Err(SendError::Failed("the mail server did not take it in time".to_owned())),
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => {
                    // What it says beside its number may name the address.
                    let Some(status) = error.status() else { return Err(SendError::Failed(unanswered(&error))) };
                    let status: u16 = status.into();
                    let why = format!("the mail server answered {status}");
                    Err(if REFUSALS.contains(&status) { SendError::Refused(why) } else { SendError::Failed(why) })
                }
            },
        }
    }
}

fn unanswered(error: &lettre::transport::smtp::Error) -> String {
    let what = match error {
        error if error.is_timeout() => "did not answer in time",
        error if error.is_tls() => "does not speak TLS that can be believed",
        error if error.is_response() => "answered with something else than SMTP",
        error if error.is_client() => "does not take the mail as it is",
        _ => "cannot be reached, or went away",
    };
    format!("the mail server {what}")
}

/// Writes a file: whole, or not at all.
async fn keep(folder: &PathBuf, id: &str, message: &[u8]) -> io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let (part, whole) = (folder.join(format!(".{id}.part")), folder.join(format!("{id}.eml")));
    let mut file = tokio::fs::File::create(&part).await?;
    file.write_all(message).await?;
    file.sync_all().await?;
    tokio::fs::rename(part, whole).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(subject: &str) -> Content {
        Content { subject: subject.to_owned(), text: "Rp\u{a0}48.000\n.\nend".to_owned(), html: "<p>x</p>".to_owned() }
    }

    fn from() -> Mailbox {
        "Toko Kopi <no-reply@shop.example>".parse().expect("an address")
    }

    #[tokio::test]
    async fn a_mail_is_a_file_of_its_own_name_and_is_never_two() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("mail");
        let transport = Transport::new(&TransportUrl::Folder(folder.clone())).expect("a folder");
        for _ in 0..2 {
            // What is in a subject is no header of its own, whoever wrote it.
            let sent =
                transport.send(&from(), "ann@example.com", "7.journey", content("Hi\r\nBcc: eve@evil.example")).await;
            assert!(sent.is_ok());
        }
        let files: Vec<_> =
            std::fs::read_dir(&folder).expect("a folder").map(|own| own.expect("a file").file_name()).collect();
        assert_eq!(files, ["7.journey.eml"]);
        let text = std::fs::read_to_string(folder.join("7.journey.eml")).expect("it is there");
        for wanted in [
            "From: \"Toko Kopi\" <no-reply@shop.example>",
            "To: ann@example.com",
            "Message-ID: <7.journey@shop.example>",
        ] {
            assert!(text.contains(&format!("{wanted}\r\n")), "{wanted}: {text}");
        }
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let transport = Transport::new(&TransportUrl::Folder(dir.path().to_path_buf())).expect("a folder");
        for wrong in [
            "ann",
            "ann@",
            "@example.com",
            "ann@example.com\r\nBcc: eve@evil.example",
            "ann@example.com, eve@evil.example",
            "a b@c",
        ] {
            let sent = transport.send(&from(), wrong, "7.journey", content("Hi")).await;
            assert!(matches!(sent, Err(SendError::Refused(_))), "{wrong}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }
}

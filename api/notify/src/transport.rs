//! Handing mail over: to a mail server (see [`smtp`](super::smtp)), or into a folder.

use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use crate::compose::Content;
use crate::smtp::{MailServer, Smtp};

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportUrl {
    /// Into files of this folder, one a mail.
    Folder(PathBuf),
    /// To a mail server.
    Smtp(MailServer),
}

/// Without what opens the server.
impl fmt::Display for TransportUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportUrl::Folder(folder) => write!(out, "file:{}", folder.display()),
            TransportUrl::Smtp(server) => server.fmt(out),
        }
    }
}

impl FromStr for TransportUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<TransportUrl, String> {
        match text.strip_prefix("file:") {
            Some("") => Err("names no folder: file:folder".to_owned()),
            Some(folder) => Ok(TransportUrl::Folder(folder.into())),
            None => text.parse().map(TransportUrl::Smtp),
        }
    }
}

/// Why no mail can be sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(pub(crate) String);

/// Hands mail over.
#[derive(Debug)]
pub(crate) enum Transport {
    Folder(PathBuf),
    Smtp(Smtp),
}

/// Why a mail is not sent. Says nothing of the address.
#[derive(Debug)]
pub(crate) enum SendError {
    /// It will never be.
    Refused(String),
    /// Not now.
    Failed(String),
}

impl Transport {
    /// Makes ready to send from an address. Nothing is connected yet.
    pub(crate) fn new(url: &TransportUrl, from: &Mailbox) -> Result<Transport, TransportError> {
        Ok(match url {
            TransportUrl::Folder(folder) => Transport::Folder(folder.clone()),
            TransportUrl::Smtp(server) => Transport::Smtp(Smtp::new(server.clone(), from.email.domain())?),
        })
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
            .to(Mailbox::new(None, to.clone()))
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            .multipart(MultiPart::alternative().singlepart(plain).singlepart(rich));
        let message = message.map_err(|error| SendError::Failed(format!("the mail cannot be written: {error}")))?;
        match self {
            Transport::Folder(folder) => {
                let (folder, id, message) = (folder.clone(), id.to_owned(), message.formatted());
                let written = tokio::task::spawn_blocking(move || keep(&folder, &id, &message)).await;
                let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
                written.map_err(|error| SendError::Failed(format!("writing it into the folder: {error}")))
            }
            Transport::Smtp(server) => server.send((&from.email, &to), &message.formatted()).await,
        }
    }
}

/// Writes a file for its owner alone: whole, or not at all, and durable.
fn keep(folder: &Path, id: &str, message: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (part, whole) = (folder.join(format!(".{id}.part")), folder.join(format!("{id}.eml")));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(message)?;
    file.sync_all()?;
    std::fs::rename(part, whole)?;
    std::fs::File::open(folder)?.sync_all()
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
        let transport = Transport::new(&TransportUrl::Folder(folder.clone()), &from()).expect("a folder");
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
        let transport = Transport::new(&TransportUrl::Folder(dir.path().to_path_buf()), &from()).expect("a folder");
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

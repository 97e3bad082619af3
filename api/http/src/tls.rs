//! The certificate that the server shows, read from two files and read again when they change.
//!
//! Who renews certificates writes new files; nobody has to start the server again. Files that cannot be used leave the certificate
//! that there is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

/// What clients may speak, the better one first.
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The first file has no certificates.
    #[error("{} holds no certificates in PEM", .0.display())]
    Certificate(PathBuf),
    /// The second file has no private key.
    #[error("{} holds no private key in PEM", .0.display())]
    Key(PathBuf),
    /// The key is of a kind that is not known, or another certificate's.
    #[error("the private key does not go with the certificate: {0}")]
    Pair(rustls::Error),
    /// The library refuses its own defaults.
    #[error("setting TLS up: {0}")]
    Setup(rustls::Error),
}

/// The two files of a certificate, and what they held last.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tls({})", self.certificate.display())
    }
}

/// The bytes of both files, and what they are.
struct Pair {
    files: (Vec<u8>, Vec<u8>),
    certified: Arc<CertifiedKey>,
}

struct Shown(RwLock<Pair>);

impl fmt::Debug for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).certified))
    }
}

impl Tls {
    /// Reads a certificate with those that prove it, and its private key, both in PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        let (certificate, key) = (certificate.to_path_buf(), key.to_path_buf());
        let shown = Arc::new(Shown(RwLock::new(pair(&certificate, &key, files(&certificate, &key)?)?)));
        let builder = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Setup)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::<Shown>::clone(&shown));
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        Ok(Tls { certificate, key, shown, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    pub(crate) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Looks at the files, and shows what is in them from the next connection on. Returns true where they have changed.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; what was shown is shown still.
    fn look(&self) -> Result<bool, TlsError> {
        let files = files(&self.certificate, &self.key)?;
        if self.shown.0.read().unwrap_or_else(PoisonError::into_inner).files == files {
            return Ok(false);
        }
        let pair = pair(&self.certificate, &self.key, files)?;
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(true)
    }

    /// Looks at the files for ever.
    pub(crate) async fn keep_looking(self: Arc<Tls>) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let own = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || own.look()).await {
                Ok(Ok(false)) => (),
                Ok(Ok(true)) => tracing::info!("another certificate is shown from now on"),
                // Half of a renewal may be there: the other half is by the next look.
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%error, cause, "the certificate was not renewed; the one before is shown still")
                }
                Err(error) => tracing::error!(%error, "looking at the certificate"),
            }
        }
    }
}

/// Whether a client that has shaken hands speaks HTTP/2.
pub(crate) fn is_http_2(protocol: Option<&[u8]>) -> bool {
    protocol == Some(HTTP_2)
}

fn files(certificate: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_path_buf(), source });
    Ok((read(certificate)?, read(key)?))
}

fn pair(certificate: &Path, key: &Path, files: (Vec<u8>, Vec<u8>)) -> Result<Pair, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files.0).collect();
    let no_certificates = || TlsError::Certificate(certificate.to_path_buf());
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_certificates)?;
    let private = PrivateKeyDer::from_pem_slice(&files.1).map_err(|_| TlsError::Key(key.to_path_buf()))?;
    let certified = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(TlsError::Pair)?;
    Ok(Pair { files, certified: Arc::new(certified) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(dir: &Path) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
        fs::write(&certificate, made.cert.pem()).expect("it is written");
        fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
        (certificate, key)
    }

    fn first(tls: &Tls) -> Vec<u8> {
        tls.shown.0.read().expect("no panic").certified.cert[0].to_vec()
    }

    #[test]
    fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let (certificate, key) = write(dir.path());
        let tls = Tls::load(&certificate, &key).expect("a certificate");
        let before = first(&tls);
        assert_eq!((tls.look().ok(), first(&tls) == before), (Some(false), true));
        let old_key = fs::read(&key).expect("a key");
        write(dir.path());
        let new_key = fs::read(&key).expect("a key");
        // Half of a renewal.
        fs::write(&key, old_key).expect("it is written");
        assert!(matches!(tls.look(), Err(TlsError::Pair(_))));
        assert_eq!(first(&tls), before);
        fs::write(&key, new_key).expect("it is written");
        assert_eq!((tls.look().ok(), first(&tls) == before), (Some(true), false));
        for (path, text) in [(&certificate, ""), (&certificate, "-----BEGIN CERTIFICATE-----\n!\n"), (&key, "no key")] {
            let kept = fs::read(path).expect("it is there");
            fs::write(path, text).expect("it is written");
            assert!(matches!(tls.look(), Err(TlsError::Certificate(_) | TlsError::Key(_))), "{text}");
            fs::write(path, kept).expect("it is written");
        }
        assert_eq!(tls.look().ok(), Some(false));
        assert!(matches!(Tls::load(&dir.path().join("none"), &key), Err(TlsError::Read { .. })));
    }
}

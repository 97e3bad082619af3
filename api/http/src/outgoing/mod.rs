//! Other servers: where they are, and a connection to one, by TLS where its address says so. What is said over it is its caller's.

mod networks;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::http::uri::Authority;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub use self::networks::{Network, Networks};

/// How long a connection may take to come up, and as long again to shake hands.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a connection to a server lasts that a stranger has named.
const LIFE_OF_A_STRANGER_MAX: Duration = Duration::from_secs(30);

/// A connection that takes one request at a time.
pub type Connection = SendRequest<Full<Bytes>>;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// The host and port, as they were written.
    authority: String,
    /// What to connect to: without a port, 80 is meant, or 443 with TLS.
    host_and_port: String,
    /// What the server's certificate must be for, of a server that is spoken to by TLS.
    tls_name: Option<ServerName<'static>>,
}

impl ServerUrl {
    /// The host and port as they were written, for the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns true where the server is spoken to by TLS.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.tls_name.is_some()
    }

    /// Returns the address, where the URL names one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let (host, _) = self.host_and_port.rsplit_once(':')?;
        host.trim_matches(['[', ']']).parse().ok()
    }
}

impl From<SocketAddr> for ServerUrl {
    fn from(address: SocketAddr) -> ServerUrl {
        ServerUrl { authority: address.to_string(), host_and_port: address.to_string(), tls_name: None }
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<ServerUrl, String> {
        let form = || "must look like http://127.0.0.1:8080 or https://kembali.example".to_owned();
        let (rest, is_encrypted) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err(form()),
        };
        let authority: Authority = rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| form())?;
        let text = authority.as_str();
        // A port that is none is not told from one that is not there.
        let after_host = text.strip_prefix(authority.host()).ok_or_else(form)?;
        let port = authority.port_u16();
        if text.contains('@') || authority.host().is_empty() || (port.is_none() && !after_host.is_empty()) {
            return Err(form());
        }
        let host_and_port = format!("{}:{}", authority.host(), port.unwrap_or(if is_encrypted { 443 } else { 80 }));
        let name = || ServerName::try_from(authority.host().trim_matches(['[', ']']).to_owned()).map_err(|_| form());
        let tls_name = if is_encrypted { Some(name()?) } else { None };
        Ok(ServerUrl { authority: text.to_owned(), host_and_port, tls_name })
    }
}

/// Where requests to a server go: the server, and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUrl {
    /// The server.
    pub server: ServerUrl,
    /// The path, with what is behind it; begins with a slash.
    pub path: String,
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.server.is_encrypted() { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.server.authority, self.path)
    }
}

impl FromStr for TargetUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<TargetUrl, String> {
        let form = || "must look like http://127.0.0.1:7003/graphql or https://shop.example/graphql".to_owned();
        let scheme = url.find("://").ok_or_else(form)? + "://".len();
        let (server, path) = url.split_at(url[scheme..].find('/').map_or(url.len(), |slash| scheme + slash));
        let path = if path.is_empty() { "/" } else { path };
        let is_path = path.parse::<hyper::http::uri::PathAndQuery>().is_ok() && !path.contains('#');
        let server = server.parse().ok().filter(|_| is_path).ok_or_else(form)?;
        Ok(TargetUrl { server, path: path.to_owned() })
    }
}

/// Why certificates cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is not what it must be.
    #[error("{} cannot be used as certificates to believe: {said}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        said: String,
    },
    /// There are none.
    #[error("there are no certificates to believe ({0}); name a file that has some")]
    None(String),
    /// What rustls says.
    #[error("setting TLS up: {0}")]
    Tls(rustls::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It cannot be reached.
    #[error("the server at {authority} cannot be reached: {source}")]
    Unreachable {
        /// Its host and port.
        authority: String,
        /// Why.
        source: io::Error,
    },
    /// It is nowhere that one may connect to.
    // Who named it is not told the address: what names stand for within a network is nobody else's business.
    #[error("{authority} is where no connection is made to: {why}")]
    Forbidden {
        /// Its host and port.
        authority: String,
        /// Why.
        why: &'static str,
    },
    /// It is reached, and went away.
    #[error("the server at {authority} went away: {source}")]
    Broken {
        /// Its host and port.
        authority: String,
        /// Why.
        source: hyper::Error,
    },
}

/// What certificates are believed for.
#[derive(Clone)]
pub struct Roots(TlsConnector);

impl fmt::Debug for Roots {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Roots")
    }
}

impl Roots {
    /// Reads certificates to believe: those in `ca_file`, or, without that, those that the system knows.
    ///
    /// # Errors
    ///
    /// [`RootsError`].
    pub fn load(ca_file: Option<&Path>) -> Result<Roots, RootsError> {
        tls_connector(ca_file).map(Roots)
    }
}

/// A server that connections are made to.
#[derive(Clone)]
pub struct Remote {
    url: ServerUrl,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Where it may be, of one that a stranger has named.
    networks: Option<Arc<Networks>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Remote({})", self.url.host_and_port)
    }
}

impl Remote {
    /// Makes ready to connect to a server. One that speaks TLS must have a certificate that is believed for a reason in `ca_file`, or,
    /// without that, for one that the system knows.
    ///
    /// # Errors
    ///
    /// [`RootsError`].
    pub fn new(url: ServerUrl, ca_file: Option<&Path>) -> Result<Remote, RootsError> {
        let tls = match &url.tls_name {
            Some(name) => Some((tls_connector(ca_file)?, name.clone())),
            None => None,
        };
        Ok(Remote { url, tls, networks: None })
    }

    /// Makes ready to connect to a server that a stranger has named: only where `networks` allow.
    #[must_use]
    pub fn named_by_stranger(url: ServerUrl, roots: &Roots, networks: Arc<Networks>) -> Remote {
        let tls = url.tls_name.as_ref().map(|name| (roots.0.clone(), name.clone()));
        Remote { url, tls, networks: Some(networks) }
    }

    /// Connects. Must run on the runtime, which drives the connection.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let authority = || self.url.host_and_port.clone();
        let unreachable = |source| ConnectError::Unreachable { authority: authority(), source };
        let late = |_| unreachable(io::ErrorKind::TimedOut.into());
        let connecting = async {
            let Some(networks) = &self.networks else {
                return TcpStream::connect(&self.url.host_and_port).await.map_err(unreachable);
            };
            // Looked up once: what is connected to is what was looked at.
            let found: Vec<SocketAddr> = lookup_host(&self.url.host_and_port).await.map_err(unreachable)?.collect();
            for address in found.iter().map(SocketAddr::ip) {
                let is_encrypted = self.tls.is_some();
                let forbidden = |why| ConnectError::Forbidden { authority: authority(), why };
                networks.check(address, is_encrypted).map_err(forbidden)?;
            }
            TcpStream::connect(&found[..]).await.map_err(unreachable)
        };
        let stream = timeout(CONNECT_TIME_MAX, connecting).await.map_err(late)??;
        stream.set_nodelay(true).map_err(unreachable)?;
        // A stranger's server has one answer to give, and does not keep the connection.
        let life_max = if self.networks.is_some() { LIFE_OF_A_STRANGER_MAX } else { Duration::MAX };
        let connection = match &self.tls {
            None => over(stream, life_max).await,
            Some((tls, name)) => {
                let shaken = timeout(CONNECT_TIME_MAX, tls.connect(name.clone(), stream)).await;
                over(shaken.map_err(late)?.map_err(unreachable)?, life_max).await
            }
        };
        connection.map_err(|source| ConnectError::Broken { authority: authority(), source })
    }
}

/// Speaks HTTP/1.1 over a stream, for so long at most.
async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    life_max: Duration,
) -> Result<Connection, hyper::Error> {
    let (connection, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // Its failure is what the request under way reports.
        let _ = timeout(life_max, driver).await;
    });
    Ok(connection)
}

/// Makes what shakes hands with a server by TLS.
fn tls_connector(ca_file: Option<&Path>) -> Result<TlsConnector, RootsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let wrong = |said: String| RootsError::File { path: path.to_path_buf(), said };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        None => {
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
            if let Some(error) = native.errors.first().filter(|_| roots.is_empty()) {
                return Err(RootsError::None(error.to_string()));
            }
        }
    }
    if roots.is_empty() {
        return Err(RootsError::None("none was found".to_owned()));
    }
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(RootsError::Tls)?;
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_server_is() {
        for (url, connect) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("http://kembali.example", "kembali.example:80"),
            ("http://[::1]", "[::1]:80"),
            ("http://[::1]:9", "[::1]:9"),
            ("https://kembali.example", "kembali.example:443"),
            ("https://127.0.0.1:8443/", "127.0.0.1:8443"),
            ("https://[::1]", "[::1]:443"),
        ] {
            assert_eq!(url.parse::<ServerUrl>().expect(url).host_and_port, connect);
        }
        for url in [
            "",
            "localhost:8080",
            "https://",
            "https://a_b..c",
            "ftp://localhost",
            "http://",
            "http:///",
            "http://:80",
            "http://a/b",
            "http://a//",
            "http://a?b",
            "http://a:b",
            "http://a:",
            "http://a:65536",
            "http://user@a",
            "https://a@a:443",
            "http://a b",
        ] {
            assert!(url.parse::<ServerUrl>().is_err(), "{url}");
        }
    }

    #[test]
    fn where_requests_go() {
        for (url, connect, path) in [
            ("http://127.0.0.1:7003/graphql", "127.0.0.1:7003", "/graphql"),
            ("https://shop.example", "shop.example:443", "/"),
            ("http://a/b/c?d=/e", "a:80", "/b/c?d=/e"),
        ] {
            let target: TargetUrl = url.parse().expect(url);
            assert_eq!((target.server.host_and_port.as_str(), target.path.as_str()), (connect, path));
            assert_eq!(target.to_string().parse().as_ref(), Ok(&target));
        }
        for url in [
            "",
            "://",
            "/graphql",
            "shop.example/graphql",
            "ftp://a/b",
            "http:///b",
            "http://a/b c",
            "http://a/#b",
            "http://a?b",
        ] {
            assert!(url.parse::<TargetUrl>().is_err(), "{url}");
        }
    }
}

//! The server with a certificate, over real sockets: both versions of HTTP, the event stream, and those who do nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Harness, KEY, TOKEN, purchase};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kembali_http::{ServerConfig, Tls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// A server that has a certificate, and the certificate.
struct Shop {
    harness: Harness,
    certificate: CertificateDer<'static>,
}

impl Shop {
    async fn start(configure: impl FnOnce(&mut ServerConfig)) -> Shop {
        let files = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = Tls::load(&certificate, &key).unwrap();
        let harness = Harness::start_with(|config| {
            config.tls = Some(Arc::new(tls));
            configure(config);
        });
        Shop { harness: harness.await, certificate: CertificateDer::from_pem_file(certificate).unwrap() }
    }

    /// Shakes hands, offering one protocol.
    async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.harness.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn http_2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect("h2").await);
        let (requests, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        requests
    }
}

fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("X-Api-Key", KEY)
        .header("Content-Type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_serve_the_same() {
    let shop = Shop::start(|_| ()).await;
    let mut http_2 = shop.http_2().await;
    let booked = http_2.send_request(request("POST", "/v1/purchases", &purchase("T-1", 250_000, 1, 1))).await.unwrap();
    assert_eq!((booked.status().as_u16(), booked.version()), (201, Version::HTTP_2));
    assert_eq!(booked.headers()["strict-transport-security"], "max-age=31536000");
    let booked = text(booked).await;

    let stream = TokioIo::new(shop.connect("http/1.1").await);
    let (mut http_1, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let again = http_1.send_request(request("POST", "/v1/purchases", &purchase("T-1", 250_000, 1, 1))).await.unwrap();
    assert_eq!((again.status().as_u16(), again.version()), (201, Version::HTTP_11));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(text(again).await, booked, "the stored answer");

    // Many at once over one connection.
    let sent: Vec<_> = (0..100)
        .map(|number| {
            http_2.send_request(request("POST", "/v1/purchases", &purchase(&format!("M-{number}"), 1_000, 1, 1)))
        })
        .collect();
    for answer in futures_util::future::join_all(sent).await {
        assert_eq!(answer.unwrap().status(), 201);
    }
    // What is refused before it is read is told all the same.
    let large = " ".repeat(8 * 1024 * 1024);
    let refused = http_2.send_request(request("POST", "/v1/purchases", &large)).await.unwrap();
    assert_eq!(refused.status(), 413);
    assert!(text(refused).await.contains("body_too_large"));
    // What cannot be had by HTTP/2 says how it is had.
    let upgrade = http_2.send_request(request("GET", "/v1/stream", "")).await.unwrap();
    assert_eq!(upgrade.status(), 426);
    shop.harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_stream_comes_by_tls_too() {
    let shop = Shop::start(|_| ()).await;
    let mut request = "wss://localhost/v1/stream?tenant=journey".into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let (mut events, _) = client_async(request, shop.connect("http/1.1").await).await.unwrap();
    let ready = futures_util::StreamExt::next(&mut events).await.unwrap().unwrap();
    assert!(ready.to_text().unwrap().contains("\"op\":\"ready\""), "{ready}");
    drop(events);
    shop.harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_no_tls_is_not_answered() {
    let shop = Shop::start(|_| ()).await;
    let mut plain = TcpStream::connect(shop.harness.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    // An alert at most.
    let _ = plain.read_to_end(&mut read).await;
    assert!(!read.starts_with(b"HTTP"), "{read:?}");
    shop.harness.stop().await;
}

/// One who does not shake hands, one who says nothing then, one who has asked once and is silent since.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_nothing_is_cut_off() {
    let shop = Shop::start(|config| config.limits.head_time_max = Duration::from_millis(200)).await;
    let mut silent = TcpStream::connect(shop.harness.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 64]).await.unwrap_or(0), 0);
    for protocol in ["h2", "http/1.1"] {
        let mut shaken = shop.connect(protocol).await;
        let mut read = Vec::new();
        let _ = shaken.read_to_end(&mut read).await;
    }
    let mut asked = shop.http_2().await;
    assert_eq!(asked.send_request(request("GET", "/healthz", "")).await.unwrap().status(), 200);
    while asked.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    shop.harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_before_a_stop() {
    let mut shop = Shop::start(|_| ()).await;
    let mut http_2 = shop.http_2().await;
    // Its body comes after the server was told to stop.
    let (mut body, sent) = http_body_util::channel::Channel::<Bytes>::new(1);
    let stream = TokioIo::new(shop.connect("h2").await);
    let (mut slow, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let head = request("POST", "/v1/purchases", "").map(|_| sent);
    let answer = tokio::spawn(slow.send_request(head));
    assert_eq!(http_2.send_request(request("GET", "/healthz", "")).await.unwrap().status(), 200);
    let text = purchase("S-1", 1_000, 1, 1);
    // There is room for one part: once the second is in, the first is on its way, and the request is open.
    body.send_data(Bytes::from(text[..10].to_owned())).await.unwrap();
    body.send_data(Bytes::from(text[10..20].to_owned())).await.unwrap();
    shop.harness.tell_to_stop();
    body.send_data(Bytes::from(text[20..].to_owned())).await.unwrap();
    drop(body);
    assert_eq!(answer.await.unwrap().unwrap().status(), 201);
    shop.harness.served().await;
}

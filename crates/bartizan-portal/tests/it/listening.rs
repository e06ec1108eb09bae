//! Real sockets: TLS, live news, health, an end in good order.

use std::sync::Arc;
use std::time::Duration;

use bartizan_contract::path;
use bartizan_portal::{Listener, Reach};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::world::{World, batch, call};

#[tokio::test]
async fn health_says_alive_and_ready_until_the_end() {
    let world = World::new().await;
    assert_eq!(world.browser().get("/livez").await.body, "alive\n");
    assert_eq!(world.browser().get("/readyz").await.body, "ready\n");
    world.portal.serve(Vec::new(), async {}).await.unwrap();
    assert_eq!(world.browser().get("/livez").await.status, 200);
    assert_eq!(world.browser().get("/readyz").await.problem(), (503, "unavailable".into()));
}

#[tokio::test]
async fn it_speaks_tls_and_a_silent_client_holds_up_nobody() {
    let world = World::new().await;
    let made = rcgen::generate_simple_self_signed(vec!["portal.test".into()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let portal = world.portal.clone();
    let listeners = vec![Listener::Tls(listener, Arc::new(server))];
    let served =
        tokio::spawn(async move { portal.serve(listeners, async { drop(stopped.await) }).await });

    let silent = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("portal.test").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let answer = get(&mut stream, "/livez", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("alive\n"), "{answer}");
    drop((silent, stream));
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

/// What a proxy before the portal takes for one message, the portal takes for one message too.
#[tokio::test]
async fn a_message_whose_length_is_in_doubt_is_refused() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let portal = world.portal.clone();
    let served = tokio::spawn(async move {
        portal.serve(vec![Listener::Plain(listener)], async { drop(stopped.await) }).await
    });
    for odd in [
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: +4\r\n",
        "content-length: 4, 5\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "content-length : 4\r\n",
        "x: a\r\n b\r\n",
        "x: a\0b\r\n",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("POST /sign-in HTTP/1.1\r\nhost: portal.test\r\n{odd}\r\nabcde");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{odd:?}: {answer}");
    }
    // A length beside chunks does not count: the message is over where they end, and with it the connection.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let both = "content-length: 90\r\ntransfer-encoding: chunked\r\n";
    let request = format!("GET /livez HTTP/1.1\r\nhost: portal.test\r\n{both}\r\n0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "alive\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(stream);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn behind_a_proxy_that_was_named_each_client_counts_for_itself() {
    let proxies = vec!["127.0.0.1".parse().unwrap()];
    let world = World::within(Reach { proxies, ..Reach::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let portal = world.portal.clone();
    let served = tokio::spawn(async move {
        portal.serve(vec![Listener::Plain(listener)], async { drop(stopped.await) }).await
    });
    let guess = async |client: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let form = "email=a@acme.test&password=wrong";
        let request = format!(
            "POST /sign-in HTTP/1.1\r\nhost: portal.test\r\nsec-fetch-site: same-origin\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
             x-forwarded-for: {client}\r\nconnection: close\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    for number in 0..5 {
        // What the client says itself stands before what the proxy adds.
        assert_eq!(guess(&format!("203.0.113.{number}, 192.0.2.1")).await, "401");
    }
    assert_eq!(guess("192.0.2.1").await, "429");
    assert_eq!(guess("192.0.2.2").await, "401");
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn news_reach_the_tenant_alone_and_shutdown_ends_the_stream() {
    let world = World::new().await;
    let (acme, globex) = (world.device(world.acme, 1).await, world.device(world.globex, 2).await);
    let browser = world.member(world.acme, "a@acme.test").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let portal = world.portal.clone();
    let served = tokio::spawn(async move {
        portal.serve(vec![Listener::Plain(listener)], async { drop(stopped.await) }).await
    });

    let mut stream = TcpStream::connect(address).await.unwrap();
    let cookie = format!("cookie: {}\r\n", browser.cookie);
    send(&mut stream, "/events", &cookie).await;
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.contains("text/event-stream"), "{head}");
    // GLOBEX's news come first; what ACME then sees is its own first event.
    assert_eq!(globex.post(path::ALERTS, &batch(0..1)).await.status, 200);
    assert_eq!(acme.post(path::ALERTS, &batch(0..1)).await.status, 200);
    let event = read_until(&mut stream, "\n\n").await;
    assert!(event.contains("event: alerts\ndata: 1\n"), "{event}");

    stop.send(()).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(!rest.contains("alerts"), "{rest}");
    let ended = tokio::time::timeout(Duration::from_secs(5), served).await;
    ended.expect("streams end at once").unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    let late =
        call(&acme.router, acme.request("GET", path::POLICY, Some(&acme.access_token), Vec::new()));
    assert!([200, 503].contains(&late.await.status.as_u16()));
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

async fn get(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    path: &str,
    headers: &str,
) -> String {
    send(stream, path, headers).await;
    read_until(stream, "alive\n").await
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), path: &str, headers: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: portal.test\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).ends_with(end) {
        let octet = stream.read_u8().await.unwrap();
        text.push(octet);
    }
    String::from_utf8(text).unwrap()
}

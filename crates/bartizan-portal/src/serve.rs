//! Listening: connections with or without TLS, each with time limits, and an end in good order.
//!
//! A loop of our own over hyper's HTTP/1.1 instead of `axum::serve`, which has no limit on how long a
//! client takes over its headers. Handshakes run in the connection's task, so a slow one holds up nobody, and a client that
//! sends or takes nothing loses its place (`connections`, `patience`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::connections::{Arriving, Place, Places};
use crate::patience::Patient;
use crate::request::ClientAddress;

/// Where to listen, and how.
pub enum Listener {
    /// HTTP, for loopback or behind a proxy that ends TLS.
    Plain(TcpListener),
    /// HTTPS.
    Tls(TcpListener, Arc<rustls::ServerConfig>),
}

/// Serves until `closing` says so, then until the last connection ends or ten seconds are over.
pub async fn serve(router: Router, listeners: Vec<Listener>, closing: watch::Receiver<bool>) {
    let places = Places::new(MAX_CONNECTIONS);
    let mut loops = JoinSet::new();
    for listener in listeners {
        let server =
            Server { router: router.clone(), places: places.clone(), closing: closing.clone() };
        loops.spawn(server.accept(listener));
    }
    let mut closing = closing;
    closed(&mut closing).await;
    while loops.join_next().await.is_some() {}
    if tokio::time::timeout(GRACE, places.empty()).await.is_err() {
        tracing::warn!("connections were cut at shutdown");
    }
}

struct Server {
    router: Router,
    places: Places,
    closing: watch::Receiver<bool>,
}

impl Server {
    async fn accept(self, listener: Listener) {
        let (listener, tls) = match listener {
            Listener::Plain(listener) => (listener, None),
            Listener::Tls(listener, config) => (listener, Some(TlsAcceptor::from(config))),
        };
        let mut closing = self.closing.clone();
        loop {
            let next = async {
                let (stream, peer) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => return Some(Err(error)),
                };
                // Meanwhile others wait in the kernel.
                let place = self.places.enter(peer.ip()).await?;
                Some(Ok((stream, peer, place)))
            };
            let next = tokio::select! {
                () = closed(&mut closing) => return,
                next = next => next,
            };
            match next {
                None => return,
                Some(Ok((stream, peer, place))) => {
                    // A connection that cannot be told not to wait still works.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection {
                        router: self.router.clone(),
                        peer,
                        closing: self.closing.clone(),
                        place,
                    };
                    match tls.clone() {
                        None => tokio::spawn(connection.http(stream)),
                        Some(tls) => tokio::spawn(connection.https(stream, tls)),
                    };
                }
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept");
                    // Mostly out of file descriptors: wait until some are given back.
                    self.places.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    closing: watch::Receiver<bool>,
    place: Place,
}

impl Connection {
    async fn https(mut self, stream: tokio::net::TcpStream, tls: TlsAcceptor) {
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)) => handshake,
            () = closed(&mut self.closing) => return,
            () = self.place.turn.ended() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "handshake failed");
            }
            Err(_) => tracing::debug!("handshake took too long"),
        }
    }

    async fn http(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let address = ClientAddress(self.peer.ip());
        let router = self.router;
        let turn = Arc::clone(&self.place.turn);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(address);
            let turn = Arc::clone(&turn);
            let request = request.map(|body| Arriving::new(body, Arc::clone(&turn)));
            let answer = router.clone().call(request);
            async move {
                let answer = answer.await;
                turn.wait();
                answer
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_LIMIT)
            .max_header_size(MAX_HEADER)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(Patient::new(stream, TAKING_LIMIT)), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.place.turn.ended() => {
                tracing::debug!("connection gave way to another");
                return;
            }
            () = closed(&mut self.closing) => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "connection failed");
        }
    }
}

/// Waits until the portal shuts down.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the portal is gone, which is an end too.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// A file descriptor and some 20 KiB each.
const MAX_CONNECTIONS: u32 = 8_192;
/// More than browsers with their cookies and devices with their tokens send.
const MAX_HEADER: usize = 32 * 1024;
/// Of what comes in and of what goes out, for each connection.
const MAX_BUFFER: usize = 64 * 1024;
/// How long a client may take nothing of its answer.
const TAKING_LIMIT: Duration = Duration::from_secs(30);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Also how long a connection may be idle.
const HEADER_LIMIT: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a service manager waits before it kills.
const GRACE: Duration = Duration::from_secs(10);

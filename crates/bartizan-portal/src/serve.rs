//! Listening: connections with or without TLS, each with time limits, and an end in good order.
//!
//! A loop of our own over hyper's HTTP/1.1 instead of `axum::serve`, which has no limit on how long a
//! client takes over its headers. Handshakes run in the connection's task, so a slow one holds up nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

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
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut loops = JoinSet::new();
    for listener in listeners {
        let server = Server {
            router: router.clone(),
            connections: Arc::clone(&connections),
            closing: closing.clone(),
        };
        loops.spawn(server.accept(listener));
    }
    let mut closing = closing;
    closed(&mut closing).await;
    while loops.join_next().await.is_some() {}
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    if tokio::time::timeout(GRACE, connections.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were cut at shutdown");
    }
}

struct Server {
    router: Router,
    connections: Arc<Semaphore>,
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
                // A permit first: beyond the bound, connections wait in the kernel.
                let permit = Arc::clone(&self.connections).acquire_owned().await.ok()?;
                Some((permit, listener.accept().await))
            };
            let next = tokio::select! {
                () = closed(&mut closing) => return,
                next = next => next,
            };
            match next {
                None => return,
                Some((permit, Ok((stream, peer)))) => {
                    // A connection that cannot be told not to wait still works.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection {
                        router: self.router.clone(),
                        peer,
                        closing: self.closing.clone(),
                        _permit: permit,
                    };
                    match tls.clone() {
                        None => tokio::spawn(connection.http(stream)),
                        Some(tls) => tokio::spawn(connection.https(stream, tls)),
                    };
                }
                Some((_, Err(error))) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept");
                    // Mostly out of file descriptors: wait until some are given back.
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
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn https(mut self, stream: tokio::net::TcpStream, tls: TlsAcceptor) {
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)) => handshake,
            () = closed(&mut self.closing) => return,
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
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(address);
            router.clone().call(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_LIMIT)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
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
const MAX_CONNECTIONS: usize = 8_192;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Also how long a connection may be idle.
const HEADER_LIMIT: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a service manager waits before it kills.
const GRACE: Duration = Duration::from_secs(10);

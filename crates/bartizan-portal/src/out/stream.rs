//! Delivery to syslog over TCP or TLS (RFC 6587, RFC 5425): messages with their length before them, a connection for
//! each batch.
//!
//! Syslog acknowledges nothing. So when all is written the connection is ended in good order, and only when the receiver
//! ends it as well, all is taken as delivered: it has read everything by then. One that breaks off has not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::exchange::Exchange;
use super::line::framed;
use super::net::{self, LIMIT, Stream, Trouble, Trust, broke};
use super::settings::{Protection, Settings};

/// Sends messages, in their order.
pub(crate) async fn send(
    settings: &Settings,
    trust: &Trust,
    messages: &[String],
    exchange: &mut Exchange,
) -> Result<(), Trouble> {
    let host = settings.host.as_str();
    let stream = net::connect(host, settings.port, settings.allow_private, exchange).await?;
    let mut stream: Stream = match settings.protection {
        Protection::Tls => net::secure(stream, host, trust, exchange).await?,
        Protection::Plain if settings.allow_plain => Box::new(stream),
        Protection::Plain | Protection::StartTls => {
            return Err(Trouble::down("this sink does not allow to go there without TLS"));
        }
    };
    let mut octets = Vec::new();
    for message in messages {
        exchange.us(message);
        octets.extend(framed(message));
    }
    let written = timeout(LIMIT * 2, async {
        stream.write_all(&octets).await?;
        stream.shutdown().await
    });
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(broke(host, &error)),
        Err(_) => return Err(Trouble::down(format!("{host} does not read within 20 s"))),
    }
    let mut answer = [0; 1_024];
    loop {
        match timeout(LIMIT, stream.read(&mut answer)).await {
            Ok(Ok(0)) => {
                exchange.them("(end of the connection: it has read everything)");
                return Ok(());
            }
            // Nothing is to be said; whatever it is, it is not the end.
            Ok(Ok(_)) => {}
            // Without the farewell of TLS, but after ours: some receivers close so.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(broke(host, &error)),
            Err(_) => {
                let why =
                    format!("{host} does not end the connection within 10 s after all was sent");
                return Err(Trouble::down(why));
            }
        }
    }
}

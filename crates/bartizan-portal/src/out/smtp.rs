//! Delivery by SMTP (RFC 5321): one message to some recipients, with STARTTLS (RFC 3207) or TLS from the start, and
//! AUTH PLAIN or LOGIN (RFC 4954).
//!
//! A client of our own, because the conversation is shown to whoever tries a sink, and connections are ours to check.
//!
//! # Invariants
//! - A password goes over TLS, or to this machine itself.
//! - After STARTTLS nothing counts that was said before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::exchange::Exchange;
use super::net::{self, LIMIT, Stream, Trouble, Trust, broke};
use super::settings::{Protection, Secrets, Settings};

/// Sends one message.
pub(crate) async fn send(
    settings: &Settings,
    secrets: &Secrets,
    trust: &Trust,
    message: &[u8],
    exchange: &mut Exchange,
) -> Result<(), Trouble> {
    let host = settings.host.as_str();
    let stream = net::connect(host, settings.port, settings.allow_private, exchange).await?;
    let is_here = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
    let mut talk = match settings.protection {
        Protection::Tls => {
            let stream = net::secure(stream, host, trust, exchange).await?;
            let mut talk = Talk::new(host, stream, exchange);
            talk.greeted().await?;
            talk
        }
        Protection::StartTls => {
            let mut plain = Talk::new(host, stream, exchange);
            plain.greeted().await?;
            let offers = plain.hello().await?;
            if !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
                return Err(Trouble::down(format!("{host} does not offer STARTTLS")));
            }
            plain.ask("STARTTLS").await?.expect(220, host)?;
            let (stream, exchange) = plain.end_plain()?;
            let stream = net::secure(stream, host, trust, exchange).await?;
            Talk::new(host, stream, exchange)
        }
        Protection::Plain if is_here || settings.allow_plain => {
            let mut talk = Talk::new(host, Box::new(stream) as Stream, exchange);
            talk.greeted().await?;
            talk
        }
        Protection::Plain => {
            return Err(Trouble::down(format!(
                "{host} is another machine, and this sink does not allow to go there without TLS"
            )));
        }
    };
    let offers = talk.hello().await?;
    if !settings.user.is_empty() {
        if settings.protection == Protection::Plain && !is_here {
            return Err(Trouble::down("a password goes over TLS only"));
        }
        talk.sign_in(&offers, &settings.user, &secrets.password).await?;
    }
    talk.ask(&format!("MAIL FROM:<{}>", settings.from)).await?.expect(250, host)?;
    let mut refusals = Vec::new();
    for to in &settings.to {
        let reply = talk.ask(&format!("RCPT TO:<{to}>")).await?;
        if !matches!(reply.code, 250..252) {
            refusals.push(reply);
        }
    }
    if let (true, Some(refusal)) = (refusals.len() == settings.to.len(), refusals.first()) {
        return Err(refusal.trouble(host));
    }
    talk.ask("DATA").await?.expect(354, host)?;
    talk.data(message).await?.accepted(host)?;
    // Whatever it says now, the message is its own.
    let _ = talk.ask("QUIT").await;
    Ok(())
}

/// A conversation.
struct Talk<'a, S> {
    host: &'a str,
    stream: S,
    read: Vec<u8>,
    exchange: &'a mut Exchange,
}

/// What a server says to a command.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn expect(self, code: u16, host: &str) -> Result<Self, Trouble> {
        if self.code == code { Ok(self) } else { Err(Trouble::down(self.said(host))) }
    }

    /// Takes the answer to a message.
    fn accepted(self, host: &str) -> Result<Self, Trouble> {
        if self.code == 250 { Ok(self) } else { Err(self.trouble(host)) }
    }

    /// 5yz will not change by asking again.
    fn trouble(&self, host: &str) -> Trouble {
        let said = self.said(host);
        if 500 <= self.code { Trouble::Refused(said) } else { Trouble::down(said) }
    }

    fn said(&self, host: &str) -> String {
        format!("{host} says {} {}", self.code, self.lines.join(" "))
    }
}

impl<'a> Talk<'a, TcpStream> {
    /// Gives the connection back for TLS. What came already was said by whoever stands between.
    fn end_plain(self) -> Result<(TcpStream, &'a mut Exchange), Trouble> {
        if self.read.is_empty() {
            Ok((self.stream, self.exchange))
        } else {
            Err(Trouble::down(format!("{} says more before TLS than it may", self.host)))
        }
    }
}

impl<'a, S: net::Duplex> Talk<'a, S> {
    fn new(host: &'a str, stream: S, exchange: &'a mut Exchange) -> Self {
        Self { host, stream, read: Vec::new(), exchange }
    }

    async fn greeted(&mut self) -> Result<(), Trouble> {
        let host = self.host;
        self.reply().await?.expect(220, host).map(drop)
    }

    /// Says hello; returns what the server offers.
    async fn hello(&mut self) -> Result<Vec<String>, Trouble> {
        let host = self.host;
        let reply = self.ask("EHLO bartizan.invalid").await?.expect(250, host)?;
        Ok(reply.lines.into_iter().skip(1).collect())
    }

    async fn sign_in(
        &mut self,
        offers: &[String],
        user: &str,
        password: &str,
    ) -> Result<(), Trouble> {
        let host = self.host;
        let auth = offers.iter().find_map(|offer| {
            let upper = offer.to_ascii_uppercase();
            upper.strip_prefix("AUTH").map(str::to_owned)
        });
        let auth =
            auth.ok_or_else(|| Trouble::down(format!("{host} does not let anybody sign in")))?;
        let mechanisms: Vec<_> = auth.split(['=', ' ']).collect();
        if mechanisms.contains(&"PLAIN") {
            let secret = STANDARD.encode(format!("\0{user}\0{password}"));
            self.say(&format!("AUTH PLAIN {secret}"), "AUTH PLAIN •••").await?;
        } else if mechanisms.contains(&"LOGIN") {
            self.ask("AUTH LOGIN").await?.expect(334, host)?;
            self.say(&STANDARD.encode(user), "•••").await?;
            self.reply().await?.expect(334, host)?;
            self.say(&STANDARD.encode(password), "•••").await?;
        } else {
            return Err(Trouble::down(format!(
                "{host} takes neither AUTH PLAIN nor AUTH LOGIN, but{auth}"
            )));
        }
        self.reply().await?.expect(235, host).map(drop)
    }

    /// Sends a message, and the dot that ends it.
    async fn data(&mut self, message: &[u8]) -> Result<Reply, Trouble> {
        let mut octets = Vec::with_capacity(message.len() + 8);
        for line in message.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                octets.push(b'.');
            }
            octets.extend_from_slice(line);
        }
        octets.extend_from_slice(b".\r\n");
        self.exchange.us(&String::from_utf8_lossy(message));
        self.exchange.us(".");
        self.write(&octets).await?;
        self.reply().await
    }

    async fn ask(&mut self, command: &str) -> Result<Reply, Trouble> {
        self.say(command, command).await?;
        self.reply().await
    }

    async fn say(&mut self, line: &str, shown: &str) -> Result<(), Trouble> {
        self.exchange.us(shown);
        self.write(format!("{line}\r\n").as_bytes()).await
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Trouble> {
        let written = timeout(LIMIT, async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broke(self.host, &error)),
            Err(_) => Err(self.slow()),
        }
    }

    async fn reply(&mut self) -> Result<Reply, Trouble> {
        loop {
            match parse(&self.read) {
                Parsed::Whole(reply, length) => {
                    self.read.drain(..length);
                    for line in &reply.lines {
                        self.exchange.them(&format!("{} {line}", reply.code));
                    }
                    return Ok(reply);
                }
                Parsed::Part if self.read.len() < LONGEST => {}
                Parsed::Part | Parsed::Wrong => {
                    return Err(Trouble::down(format!("{} does not speak SMTP", self.host)));
                }
            }
            let mut chunk = [0; 4_096];
            let read = match timeout(LIMIT * 3, self.stream.read(&mut chunk)).await {
                Ok(Ok(0)) => {
                    return Err(Trouble::down(format!("{} closed the connection", self.host)));
                }
                Ok(Ok(read)) => read,
                Ok(Err(error)) => return Err(broke(self.host, &error)),
                Err(_) => return Err(self.slow()),
            };
            self.read.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }

    fn slow(&self) -> Trouble {
        Trouble::down(format!("{} does not answer in time", self.host))
    }
}

enum Parsed {
    /// A reply, and how many octets it takes.
    Whole(Reply, usize),
    Part,
    Wrong,
}

/// RFC 5321 §4.2: lines of a code, a hyphen unless it is the last, and text.
fn parse(octets: &[u8]) -> Parsed {
    let (mut lines, mut length) = (Vec::new(), 0);
    let mut code = None;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if !line.ends_with(b"\n") {
            return Parsed::Part;
        }
        length += line.len();
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        let Some((digits, rest)) = text.split_at_checked(3) else { return Parsed::Wrong };
        let is_code = digits.bytes().all(|octet| octet.is_ascii_digit());
        let Some(number) = digits.parse().ok().filter(|_| is_code) else { return Parsed::Wrong };
        if code.is_some_and(|before| before != number) {
            return Parsed::Wrong;
        }
        code = Some(number);
        lines.push(rest.get(1..).unwrap_or_default().to_owned());
        match rest.as_bytes().first() {
            None | Some(b' ') => return Parsed::Whole(Reply { code: number, lines }, length),
            Some(b'-') => {}
            Some(_) => return Parsed::Wrong,
        }
    }
    Parsed::Part
}

/// Reads replies, for the fuzzer: whatever comes, it ends within what came.
pub(crate) fn fuzz(octets: &[u8]) {
    if let Parsed::Whole(reply, length) = parse(octets) {
        assert!(length <= octets.len() && reply.code < 1_000 && !reply.lines.is_empty());
    }
}

/// Octets of a reply.
const LONGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_reply_has_a_last_line() {
        check("250 fine\r\n", Some((250, &["fine"])));
        check("250\r\n", Some((250, &[""])));
        check(
            "250-mail.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n220 more",
            Some((250, &["mail.example", "STARTTLS", "AUTH PLAIN"])),
        );
        check("250-one\r\n", None);
        check("250 fin", None);
        check("", None);
        for wrong in [
            "25 fine\r\n",
            "HTTP/1.1 400\r\n",
            "250-a\r\n251 b\r\n",
            "250+a\r\n",
            "\r\n",
            "+25 x\r\n",
        ] {
            assert!(matches!(parse(wrong.as_bytes()), Parsed::Wrong), "{wrong}");
        }
    }

    #[test]
    fn the_committed_corpus_is_replayed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/smtp_reply");
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(5 < files);
    }

    #[track_caller]
    fn check(text: &str, expected: Option<(u16, &[&str])>) {
        let found = match parse(text.as_bytes()) {
            Parsed::Whole(reply, _) => Some(reply),
            Parsed::Part => None,
            Parsed::Wrong => panic!("{text}"),
        };
        let expected = expected.map(|(code, lines)| Reply {
            code,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        });
        assert_eq!(found, expected, "{text}");
    }
}

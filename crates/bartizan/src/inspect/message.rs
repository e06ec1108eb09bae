//! One message that can carry a name, and how it is printed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tls,
    Quic,
    Http,
    Dns,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Http => "http",
            Self::Dns => "dns",
        }
    }
}

/// The transport that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) kind: Kind,
    /// Lower case, without port, brackets and trailing dot.
    pub(super) host: Option<String>,
    pub(super) alpn: Vec<String>,
    pub(super) has_ech: bool,
    pub(super) path: Option<String>,
}

impl Said {
    /// A message that carries no name.
    pub(super) fn nothing(kind: Kind) -> Self {
        Self { kind, host: None, alpn: Vec::new(), has_ech: false, path: None }
    }
}

/// A message and where it was seen.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The number of the frame with which it was whole.
    pub(super) frame: u64,
    pub(super) transport: Transport,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    pub(super) said: Said,
}

impl Message {
    pub(super) fn as_json(&self) -> Value {
        json!({
            "frame": self.frame,
            "l4": match self.transport { Transport::Tcp => "tcp", Transport::Udp => "udp" },
            "src": self.src.ip(),
            "sport": self.src.port(),
            "dst": self.dst.ip(),
            "dport": self.dst.port(),
            "kind": self.said.kind.as_str(),
            "host": self.said.host,
            "alpn": self.said.alpn,
            "ech": self.said.has_ech,
            "path": self.said.path,
        })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (src, dst) = (self.src.to_string(), self.dst.to_string());
        let host = self.said.host.as_deref().unwrap_or("-");
        write!(
            out,
            "{:>7}  {:<4}  {src:<21}  {dst:<21}  {host}",
            self.frame,
            self.said.kind.as_str()
        )?;
        if let Some(path) = &self.said.path {
            write!(out, "{path}")?;
        }
        if !self.said.alpn.is_empty() {
            write!(out, "  {}", self.said.alpn.join(","))?;
        }
        if self.said.has_ech { write!(out, "  ech") } else { Ok(()) }
    }
}

/// Writes octets that should be text: what is not printable ASCII becomes `\ddd`, as in zone files
/// (RFC 1035 §5.1).
pub(super) fn printable(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for octet in octets {
        if octet.is_ascii_graphic() {
            text.push(char::from(octet.to_ascii_lowercase()));
        } else {
            text.push_str(&format!("\\{octet:03}"));
        }
    }
    text
}

/// Brings a host to its form in the output; `None` if nothing is left of it.
pub(super) fn host(octets: &[u8]) -> Option<String> {
    let host = octets.strip_suffix(b".").unwrap_or(octets);
    let text = printable(host);
    // One form for an address too, such as `::1` for `0:0:0:0:0:0:0:1`.
    Some(text.parse::<IpAddr>().map_or(text, |address| address.to_string()))
        .filter(|host| !host.is_empty())
}

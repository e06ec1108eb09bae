//! How questions and answers stand in the octets of a connection: DNS over TLS, or over HTTPS.

use super::http2::Http2;

/// One of the two, with what it remembers of its connection.
pub(super) enum Framing {
    /// RFC 7858: a message after its length, known by its id.
    Tls(Tls),
    /// RFC 8484: a request a message.
    Https(Http2),
}

/// A question on this connection.
pub(super) type Tag = u32;

/// An answer to it, or that there will be none.
pub(super) type Found = (Tag, Option<Vec<u8>>);

/// The other side does not keep to the protocol, or ends it.
#[derive(Debug)]
pub(super) struct Broken;

impl Framing {
    /// Writes a question; `None` if the connection has no room for it at the moment.
    pub(super) fn ask(&mut self, query: &[u8], out: &mut Vec<u8>) -> Option<Tag> {
        match self {
            Self::Tls(tls) => Some(tls.ask(query, out)),
            Self::Https(http) => http.ask(query, out),
        }
    }

    /// Forgets a question that nobody waits for.
    pub(super) fn forget(&mut self, tag: Tag, out: &mut Vec<u8>) {
        match self {
            // A late answer finds nobody.
            Self::Tls(_) => {}
            Self::Https(http) => http.forget(tag, out),
        }
    }

    /// Takes what came, returns what it answers, and writes what the protocol wants said.
    pub(super) fn receive(
        &mut self,
        octets: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Vec<Found>, Broken> {
        match self {
            Self::Tls(tls) => tls.receive(octets),
            Self::Https(http) => http.receive(octets, out),
        }
    }
}

/// A connection of DNS over TLS.
#[derive(Default)]
pub(super) struct Tls {
    asked: u16,
    received: Vec<u8>,
}

impl Tls {
    /// Ids count up, so that no two questions under way share one.
    fn ask(&mut self, query: &[u8], out: &mut Vec<u8>) -> Tag {
        self.asked = self.asked.wrapping_add(1);
        let len = u16::try_from(query.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&self.asked.to_be_bytes());
        out.extend_from_slice(query.get(2..usize::from(len)).unwrap_or_default());
        self.asked.into()
    }

    fn receive(&mut self, octets: &[u8]) -> Result<Vec<Found>, Broken> {
        self.received.extend_from_slice(octets);
        let (mut found, mut taken) = (Vec::new(), 0);
        while let Some((len, rest)) = self.received.get(taken..).and_then(<[u8]>::split_first_chunk)
            && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*len)))
        {
            let (id, _) = message.split_first_chunk().ok_or(Broken)?;
            found.push((u16::from_be_bytes(*id).into(), Some(message.to_vec())));
            taken += len.len() + message.len();
        }
        self.received.drain(..taken);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_however_they_are_cut() {
        let mut tls = Tls::default();
        let mut sent = Vec::new();
        let tags = [tls.ask(&[7, 7, 1, 2], &mut sent), tls.ask(&[7, 7, 3], &mut sent)];
        assert_eq!(sent, [0, 4, 0, 1, 1, 2, 0, 3, 0, 2, 3]);
        for size in 1..=sent.len() {
            let mut tls = Tls::default();
            let found: Vec<_> =
                sent.chunks(size).flat_map(|part| tls.receive(part).unwrap()).collect();
            let expected = [(tags[0], Some(vec![0, 1, 1, 2])), (tags[1], Some(vec![0, 2, 3]))];
            assert_eq!(found, expected, "{size}");
        }
        assert!(Tls::default().receive(&[0, 1, 7]).is_err());
    }
}

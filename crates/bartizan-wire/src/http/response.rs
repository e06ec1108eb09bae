//! The head of an HTTP/1 response: its status, and where it leads.

use super::{fields, head};
use crate::reading::{MAX_HELLO_LEN, Reading};

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    status: u16,
    head: &'a [u8],
}

impl<'a> ResponseHead<'a> {
    /// Returns the status (RFC 9110 §15).
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns where a redirection leads (RFC 9110 §10.2.2), as it is spelled.
    #[must_use]
    pub fn location(&self) -> Option<&'a str> {
        let mut all = fields(self.head);
        let (_, value) = all.find(|(name, _)| name.eq_ignore_ascii_case(b"Location"))?;
        std::str::from_utf8(value).ok()
    }
}

/// Reads the head of the response at the beginning of what a server sends.
#[must_use]
pub fn read_response(stream: &[u8]) -> Reading<ResponseHead<'_>> {
    let stream = stream.get(..MAX_HELLO_LEN).unwrap_or(stream);
    let begins = stream.iter().zip(VERSION).all(|(octet, expected)| octet == expected);
    if !begins {
        return Reading::Not;
    }
    let more = if stream.len() < MAX_HELLO_LEN { Reading::More } else { Reading::Not };
    let Some(line_end) = stream.iter().position(|octet| *octet == b'\n') else { return more };
    let Some(status) = status(stream.get(..line_end).unwrap_or_default()) else {
        return Reading::Not;
    };
    match head(stream, line_end) {
        Some(head) => Reading::Done(ResponseHead { status, head }),
        None => more,
    }
}

/// Reads the status line (RFC 9112 §4).
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(VERSION)?;
    let [b'0'..=b'9', b' ', digits @ ..] = rest else { return None };
    let (digits, rest) = digits.split_first_chunk::<3>()?;
    let ends = rest.first().is_none_or(|octet| !octet.is_ascii_alphanumeric());
    let text = std::str::from_utf8(digits).ok().filter(|_| ends)?;
    text.parse().ok().filter(|status| (100..600).contains(status))
}

const VERSION: &[u8] = b"HTTP/1.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_its_status_and_where_it_leads() {
        check(
            b"HTTP/1.1 302 Found\r\nA: b\r\nLOCATION:  http://a.test/\r\n\r\nx",
            Some((302, Some("http://a.test/"))),
        );
        check(b"HTTP/1.0 204\n\n", Some((204, None)));
        check(b"HTTP/1.1 511 Network Authentication Required\r\n\r\n", Some((511, None)));
        for octets in [
            &b"HTTP/2 200\r\n\r\n"[..],
            b"HTTP/1.1 20\r\n\r\n",
            b"HTTP/1.1 2000\r\n\r\n",
            b"HTTP/1.1 999\r\n\r\n",
            b"SSH-2.0\r\n",
        ] {
            check(octets, None);
        }
    }

    #[test]
    fn a_part_of_a_head_asks_for_more() {
        let whole = b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n";
        for len in 0..whole.len() {
            assert_eq!(read_response(&whole[..len]), Reading::More, "{len}");
        }
        let endless = [whole.get(..18).unwrap(), &[b'x'; MAX_HELLO_LEN]].concat();
        assert_eq!(read_response(&endless), Reading::Not);
    }

    #[track_caller]
    fn check(octets: &[u8], expected: Option<(u16, Option<&str>)>) {
        let read = match read_response(octets) {
            Reading::Done(head) => Some((head.status(), head.location())),
            Reading::Not => None,
            Reading::More => panic!("wants more"),
        };
        assert_eq!(read, expected);
    }
}

//! As much of HTTP/2 (RFC 9113) as it takes to post small messages and read small answers.
//!
//! # What it does not do
//! - Read header fields but the status: nothing else matters (RFC 8484 §4.2.1), so no compression table is kept.
//! - Follow redirects, speak HTTP/1.1 or take pushed answers.
//!
//! # Invariants
//! - At most [`STREAMS`] requests under way, and [`MAX_MESSAGE`] octets of each answer.
//! - A request goes out only where both windows of the server have room for it.

use std::collections::BTreeMap;

use super::framing::{Broken, Found, Tag};

/// A connection on which messages are posted to one resource.
pub(super) struct Http2 {
    /// The header fields that are the same for each request, compressed.
    fields: Vec<u8>,
    started: bool,
    next_stream: u32,
    streams: BTreeMap<u32, Stream>,
    received: Vec<u8>,
    /// Octets that the server takes, on the connection and on each stream that is opened.
    window: i64,
    stream_window: i64,
    /// Octets that were taken from the server and not told.
    taken: u32,
}

#[derive(Default)]
struct Stream {
    /// Absent until the header came.
    is_ok: Option<bool>,
    body: Vec<u8>,
}

impl Http2 {
    /// Starts a connection; nothing is sent before the first request.
    pub(super) fn new(authority: &str, path: &str) -> Self {
        // RFC 7541 appendix A, by number: ":method: POST" and ":scheme: https".
        let mut fields = vec![0x83, 0x87];
        for (name, value) in [
            (AUTHORITY, authority),
            (PATH, path),
            (CONTENT_TYPE, MESSAGE_TYPE),
            (ACCEPT, MESSAGE_TYPE),
        ] {
            push_field(&mut fields, name, value);
        }
        Self {
            fields,
            started: false,
            next_stream: 1,
            streams: BTreeMap::new(),
            received: Vec::new(),
            window: DEFAULT_WINDOW,
            stream_window: DEFAULT_WINDOW,
            taken: 0,
        }
    }

    /// Posts a message; `None` where there is no room for it.
    pub(super) fn ask(&mut self, query: &[u8], out: &mut Vec<u8>) -> Option<Tag> {
        let len = i64::try_from(query.len()).ok()?;
        if STREAMS <= self.streams.len() || self.window.min(self.stream_window) < len {
            return None;
        }
        if !self.started {
            self.started = true;
            out.extend_from_slice(PREFACE);
            // No table to be compressed with, and nothing pushed (§6.5.2).
            push_frame(out, SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        }
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut fields = self.fields.clone();
        push_field(&mut fields, CONTENT_LENGTH, &query.len().to_string());
        push_frame(out, HEADERS, END_HEADERS, stream, &fields);
        // RFC 8484 §4.1: with an id of zero, equal questions are equal.
        let mut body = query.to_vec();
        if let Some(id) = body.first_chunk_mut() {
            *id = [0; 2];
        }
        push_frame(out, DATA, END_STREAM, stream, &body);
        self.window -= len;
        self.streams.insert(stream, Stream::default());
        Some(stream)
    }

    /// Takes what came; returns what it answers.
    pub(super) fn receive(
        &mut self,
        octets: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Vec<Found>, Broken> {
        let mut received = std::mem::take(&mut self.received);
        received.extend_from_slice(octets);
        let (mut found, mut rest) = (Vec::new(), received.as_slice());
        while let Some((&[l2, l1, l0, kind, flags, s3, s2, s1, s0], after)) =
            rest.split_first_chunk()
        {
            let len = usize::try_from(u32::from_be_bytes([0, l2, l1, l0])).map_err(|_| Broken)?;
            if MAX_FRAME < len {
                return Err(Broken);
            }
            let Some((payload, after)) = after.split_at_checked(len) else { break };
            let stream = u32::from_be_bytes([s3, s2, s1, s0]) & !RESERVED;
            found.extend(self.frame(kind, flags, stream, payload, out)?);
            rest = after;
        }
        self.received = rest.to_vec();
        Ok(found)
    }

    /// Ends a request that nobody waits for.
    pub(super) fn forget(&mut self, stream: Tag, out: &mut Vec<u8>) {
        if self.streams.remove(&stream).is_some() {
            push_frame(out, RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
        }
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Found>, Broken> {
        match kind {
            DATA => {
                self.give_back(payload.len(), out);
                let body = unpadded(flags, payload)?;
                if let Some(open) = self.streams.get_mut(&stream) {
                    open.body.extend_from_slice(body);
                    if MAX_MESSAGE < open.body.len() {
                        return Err(Broken);
                    }
                }
                Ok(self.ended(flags, stream))
            }
            HEADERS => {
                let fields = unpadded(flags, payload)?;
                // §6.2: a priority stands before them.
                let fields = if flags & PRIORITY == 0 { Some(fields) } else { fields.get(5..) };
                if let Some(open) = self.streams.get_mut(&stream) {
                    // A second block is of trailers.
                    open.is_ok = open.is_ok.or(Some(is_ok(fields.ok_or(Broken)?)));
                }
                Ok(self.ended(flags, stream))
            }
            RST_STREAM => Ok(self.streams.remove(&stream).map(|_| (stream, None))),
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    let &[k1, k0, v3, v2, v1, v0] = setting else { continue };
                    if u16::from_be_bytes([k1, k0]) == INITIAL_WINDOW_SIZE {
                        self.stream_window = u32::from_be_bytes([v3, v2, v1, v0]).into();
                    }
                }
                push_frame(out, SETTINGS, ACK, 0, &[]);
                Ok(None)
            }
            PING if flags & ACK == 0 => {
                push_frame(out, PING, ACK, 0, payload);
                Ok(None)
            }
            WINDOW_UPDATE if stream == 0 => {
                let more = payload.first_chunk().ok_or(Broken)?;
                self.window += i64::from(u32::from_be_bytes(*more) & !RESERVED);
                Ok(None)
            }
            // What is under way is asked on another connection.
            GOAWAY | PUSH_PROMISE => Err(Broken),
            // §5.5: what is not known is passed over.
            _ => Ok(None),
        }
    }

    /// Tells the server from time to time that what it sent was taken.
    fn give_back(&mut self, len: usize, out: &mut Vec<u8>) {
        self.taken = self.taken.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        if GIVE_BACK <= self.taken {
            push_frame(out, WINDOW_UPDATE, 0, 0, &self.taken.to_be_bytes());
            self.taken = 0;
        }
    }

    fn ended(&mut self, flags: u8, stream: u32) -> Option<Found> {
        if flags & END_STREAM == 0 {
            return None;
        }
        let ended = self.streams.remove(&stream)?;
        let is_answer = ended.is_ok == Some(true) && !ended.body.is_empty();
        Some((stream, is_answer.then_some(ended.body)))
    }
}

/// Tells whether a block of header fields begins with the status 200. A server may spell it in four ways (RFC 7541
/// §6): by number, or as text behind the name's number, plain or in Huffman's code, to be remembered or not.
fn is_ok(mut fields: &[u8]) -> bool {
    // The size of the table that is not used may be said first.
    while let Some((first, rest)) = fields.split_first()
        && first & 0xe0 == 0x20
    {
        fields = rest;
    }
    match fields {
        [0x88, ..] => true,
        [0x08 | 0x18 | 0x48, rest @ ..] => {
            rest.starts_with(b"\x03200") || rest.starts_with(&[0x82, 0x10, 0x01])
        }
        _ => false,
    }
}

fn unpadded(flags: u8, payload: &[u8]) -> Result<&[u8], Broken> {
    if flags & PADDED == 0 {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(Broken)?;
    let len = rest.len().checked_sub(padding.into()).ok_or(Broken)?;
    rest.get(..len).ok_or(Broken)
}

fn push_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, l2, l1, l0] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(&[l2, l1, l0, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Writes a field whose name has a number, not to be remembered (RFC 7541 §6.2.2).
fn push_field(fields: &mut Vec<u8>, name: usize, value: &str) {
    push_number(fields, 4, name);
    push_number(fields, 7, value.len());
    fields.extend_from_slice(value.as_bytes());
}

/// RFC 7541 §5.1.
fn push_number(fields: &mut Vec<u8>, prefix_bits: u32, number: usize) {
    let full = (1_usize << prefix_bits) - 1;
    fields.push(u8::try_from(number.min(full)).unwrap_or(u8::MAX));
    let Some(mut left) = number.checked_sub(full) else { return };
    while 0x80 <= left {
        fields.push(u8::try_from((left % 0x80) | 0x80).unwrap_or(u8::MAX));
        left /= 0x80;
    }
    fields.push(u8::try_from(left).unwrap_or(u8::MAX));
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const MESSAGE_TYPE: &str = "application/dns-message";
/// Numbers of names in RFC 7541 appendix A.
const AUTHORITY: usize = 1;
const PATH: usize = 4;
const ACCEPT: usize = 19;
const CONTENT_LENGTH: usize = 28;
const CONTENT_TYPE: usize = 31;
/// RFC 9113 §6, §7.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 0x01;
const ACK: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
const CANCEL: u32 = 8;
const RESERVED: u32 = 0x8000_0000;
const INITIAL_WINDOW_SIZE: u16 = 4;
const DEFAULT_WINDOW: i64 = 65_535;
/// What a server may send in one without being allowed more.
const MAX_FRAME: usize = 16_384;
const MAX_MESSAGE: usize = 65_535;
/// Half of the window that the server has of us.
const GIVE_BACK: u32 = 32_768;
/// §6.5.2 recommends that servers allow no fewer than 100.
const STREAMS: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_posted_after_the_preface() {
        let (mut http, mut out) = (Http2::new("dns.example", "/dns-query"), Vec::new());
        assert_eq!(http.ask(&[7, 7, 1, 0], &mut out), Some(1));
        assert!(out.starts_with(PREFACE));
        assert!(out.ends_with(&[0, 0, 4, DATA, END_STREAM, 0, 0, 0, 1, 0, 0, 1, 0]));
        let before = out.len();
        assert_eq!(http.ask(&[7, 7, 1, 0], &mut out), Some(3));
        assert!(!out[before..].starts_with(PREFACE));
        // As RFC 7541 §5.1 has it in its examples.
        let mut number = Vec::new();
        push_number(&mut number, 5, 1_337);
        push_number(&mut number, 5, 10);
        assert_eq!(number, [31, 154, 10, 10]);
    }

    #[test]
    fn an_answer_is_found_however_it_is_cut() {
        let mut sent = Vec::new();
        push_frame(&mut sent, SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
        push_frame(&mut sent, HEADERS, END_HEADERS, 1, &[0x20, 0x88, 0x5f]);
        push_frame(&mut sent, DATA, 0, 1, &[0, 0]);
        push_frame(&mut sent, PING, 0, 0, &[9; 8]);
        push_frame(&mut sent, DATA, END_STREAM | PADDED, 1, &[2, 5, 6, 0, 0]);
        push_frame(&mut sent, 0x42, 0, 1, b"unknown");
        for size in 1..=sent.len() {
            let (mut http, mut out) = asked();
            out.clear();
            let found: Vec<_> =
                sent.chunks(size).flat_map(|part| http.receive(part, &mut out).unwrap()).collect();
            assert_eq!(found, [(1, Some(vec![0, 0, 5, 6]))], "{size}");
            assert_eq!(http.stream_window, 65_536);
            let mut expected = Vec::new();
            push_frame(&mut expected, SETTINGS, ACK, 0, &[]);
            push_frame(&mut expected, PING, ACK, 0, &[9; 8]);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn what_is_not_200_is_no_answer() {
        for (fields, ok) in [
            ([0x88].as_slice(), true),
            (b"\x08\x03200", true),
            (&[0x48, 0x82, 0x10, 0x01], true),
            (b"\x08\x03503", false),
            (&[0x8d], false),
            (&[], false),
        ] {
            let (mut http, mut sent) = asked();
            sent.clear();
            push_frame(&mut sent, HEADERS, END_HEADERS, 1, fields);
            push_frame(&mut sent, DATA, END_STREAM, 1, &[7]);
            let found = http.receive(&sent, &mut Vec::new()).unwrap();
            assert_eq!(found, [(1, ok.then(|| vec![7]))], "{fields:02x?}");
        }
        let (mut http, mut sent) = asked();
        sent.clear();
        push_frame(&mut sent, RST_STREAM, 0, 1, &[0; 4]);
        assert_eq!(http.receive(&sent, &mut Vec::new()).unwrap(), [(1, None)]);
    }

    #[test]
    fn no_more_is_sent_than_the_server_takes() {
        let (mut http, mut out) = (Http2::new("dns.example", "/"), Vec::new());
        let query = [0; 1_000];
        let fit = (0..).take_while(|_| http.ask(&query, &mut out).is_some()).count();
        assert_eq!(fit, 65);
        let mut more = Vec::new();
        push_frame(&mut more, WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes());
        http.receive(&more, &mut out).unwrap();
        let fit = (0..).take_while(|_| http.ask(&query, &mut out).is_some()).count();
        assert_eq!(fit, STREAMS - 65);
    }

    #[test]
    fn a_request_that_nobody_waits_for_makes_room() {
        let (mut http, mut out) = asked();
        out.clear();
        http.forget(1, &mut out);
        http.forget(1, &mut out);
        assert_eq!(out, [0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
        assert!(http.streams.is_empty());
    }

    proptest! {
        #[test]
        fn no_octets_panic(parts in vec(vec(any::<u8>(), 0..40), 0..20), kind in 0_u8..9, flags in any::<u8>()) {
            let (mut http, mut out) = asked();
            for part in &parts {
                let mut frame = Vec::new();
                push_frame(&mut frame, kind, flags, 1, part);
                let _ = http.receive(&frame, &mut out);
                let _ = http.receive(part, &mut out);
            }
        }
    }

    fn asked() -> (Http2, Vec<u8>) {
        let (mut http, mut out) = (Http2::new("dns.example", "/dns-query"), Vec::new());
        http.ask(&[0; 12], &mut out);
        (http, out)
    }
}

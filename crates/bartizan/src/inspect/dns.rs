//! The name that a DNS message asks for.
//!
//! Reads the questions of a query or a response (RFC 1035 §4.1) and shows it as it is spelled, which the
//! engine never does: it judges host names only.

use crate::inspect::message::{Kind, Said, printable};

/// Reads a message on a port where DNS is spoken: one for each name asked for, which is one but in tests of
/// resolvers. Without a question that can be read, there is no host.
pub(super) fn read(message: &[u8]) -> Vec<Said> {
    let Some(&[_, _, _, _, q1, q0, _, _, _, _, _, _]) = message.first_chunk::<HEADER_LEN>() else {
        return Vec::new();
    };
    let mut said: Vec<Said> = Vec::new();
    let mut at = HEADER_LEN;
    for _ in 0..u16::from_be_bytes([q1, q0]).min(MAX_QUESTIONS) {
        let Some((name, end)) = name(message, at) else { break };
        // Type and class belong to the question.
        at = end + 4;
        if message.len() < at {
            break;
        }
        let host = Some(if name.is_empty() { ".".to_owned() } else { name });
        if said.iter().all(|said| said.host != host) {
            said.push(Said { host, ..Said::nothing(Kind::Dns) });
        }
    }
    if said.is_empty() {
        said.push(Said::nothing(Kind::Dns));
    }
    said
}

/// Reads a message that must be one in full: on another port, few octets at random are.
pub(super) fn read_strictly(message: &[u8]) -> Option<Vec<Said>> {
    let [_, _, flags, _, q1, q0, a1, a0, n1, n0, r1, r0]: [u8; HEADER_LEN] =
        *message.first_chunk()?;
    let is_standard_query = flags & 0x78 == 0;
    if !is_standard_query || [q1, q0] != [0, 1] {
        return None;
    }
    let records: u32 =
        [[a1, a0], [n1, n0], [r1, r0]].map(u16::from_be_bytes).map(u32::from).iter().sum();
    let (_, mut at) = name(message, HEADER_LEN)?;
    let class = u16::from_be_bytes(*message.get(at + 2..)?.first_chunk()?);
    at += 4;
    for _ in 0..records {
        (_, at) = name(message, at)?;
        let [_, _, _, _, _, _, _, _, l1, l0]: [u8; 10] = *message.get(at..)?.first_chunk()?;
        at += 10 + usize::from(u16::from_be_bytes([l1, l0]));
    }
    if at != message.len() || !matches!(class, 1 | 3 | 4 | 255) {
        return None;
    }
    Some(read(message))
}

/// Reads a name; returns it and where what follows it begins.
fn name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut at, mut end) = (start, None);
    let (mut text, mut octets) = (String::new(), 0);
    // A name has at most 127 labels, and no more pointers are of use.
    for _ in 0..256 {
        let len = *message.get(at)?;
        match len {
            0 => return Some((text, end.unwrap_or(at + 1))),
            // RFC 1035 §3.1: 255 octets with the lengths.
            1..=63 if MAX_NAME_LEN < octets + usize::from(len) => return None,
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(len))?;
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&printable(label));
                at += 1 + usize::from(len);
                octets += 1 + usize::from(len);
            }
            192.. => {
                end = end.or(Some(at + 2));
                at = usize::from(len & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            }
            64..=191 => return None,
        }
    }
    None
}

/// RFC 1035 §4.1.1.
const HEADER_LEN: usize = 12;
const MAX_NAME_LEN: usize = 253;
/// No server answers more than one; this is to show that there are more.
const MAX_QUESTIONS: u16 = 16;

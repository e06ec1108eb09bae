//! `bartizan inspect`: the names in a capture, as the tunnel would see them.
//!
//! Prints a line for each message that can carry a name: ClientHello over TCP and QUIC, HTTP request, DNS
//! query and response. [docs/inspect.md](../../../docs/inspect.md) says what is read and what is not.
//!
//! - `capture` reads files, `link` finds IP packets in frames, `flows` puts them together, and `talk` reads what
//!   one side of a connection says. The parsers are those of `bartizan-wire`.

mod capture;
mod dns;
mod flows;
mod link;
mod message;
mod segment;
mod stream;
mod talk;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

use crate::inspect::capture::Capture;
use crate::inspect::flows::Flows;
use crate::inspect::message::Message;
use crate::out;

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A capture, pcap or pcapng
    file: PathBuf,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let name = args.file.display();
    let file = File::open(&args.file).with_context(|| format!("cannot open {name}"))?;
    let mut capture = Capture::open(BufReader::new(file)).with_context(|| name.to_string())?;
    let mut output = BufWriter::new(io::stdout().lock());
    if !args.json {
        let _ = writeln!(output, "  frame  kind  {:<21}  {:<21}  host", "from", "to");
    }
    let mut print = |messages: Vec<Message>| {
        for message in messages {
            // A reader that has seen enough, such as `head`, is no failure.
            let _ = if args.json {
                writeln!(output, "{}", message.as_json())
            } else {
                writeln!(output, "{message}")
            };
        }
    };
    let mut flows = Flows::default();
    let mut unread_links = BTreeSet::new();
    let epoch = epoch();
    let outcome = loop {
        let frame = match capture.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        if !link::is_known(frame.link) {
            unread_links.insert(frame.link);
        }
        let Some(packet) = link::ip_packet(frame.link, &frame.octets) else { continue };
        let mut packet = packet.to_vec();
        link::mend(&mut packet);
        print(flows.hear(&packet, frame.number, epoch + frame.at));
    };
    print(flows.finish());
    let _ = output.flush();
    for link in unread_links {
        out::note(&format!("bartizan: {name}: frames of link type {link} are not read"));
    }
    outcome.with_context(|| name.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Returns what the times of a capture are counted from: fragments are kept for a time.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing but differences of a capture's own times matters"
)]
fn epoch() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_behind_any_magic_are_read_to_an_end(
            magic in prop::sample::select(MAGICS.to_vec()), octets in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let file = [&magic[..], &octets].concat();
            if let Ok(mut capture) = Capture::open(&file[..]) {
                while let Ok(Some(frame)) = capture.next_frame() {
                    prop_assert!(frame.octets.len() <= file.len());
                }
            }
        }

        #[test]
        fn any_packets_are_heard(
            packets in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u32>(), any::<bool>(), payload()), 0..40),
        ) {
            let mut flows = Flows::default();
            let mut heard = 0;
            let sent: usize = packets.iter().map(|packet| packet.4.len()).sum();
            for (frame, (is_tcp, near, far, is_dns, payload)) in (1..).zip(&packets) {
                let number = if *near < 128 { u32::from(*near) } else { *far };
                let mut packet = packet(*is_tcp, number, *is_dns, payload);
                link::mend(&mut packet);
                heard += flows.hear(&packet, frame, epoch()).len();
            }
            heard += flows.finish().len();
            // Every message has octets of its own.
            prop_assert!(heard <= sent);
        }
    }

    /// Protocols, whole, cut and mixed.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            &b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03",
            b"\x17\x03\x03\x00\x02ab",
            b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
            b"\x00\x11\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",
            b"\xc3\x00\x00\x00\x01\x08original\x00\x00\x40\x20",
        ]);
        let noise = prop::collection::vec(any::<u8>(), 0..60);
        (known, noise, any::<prop::sample::Index>()).prop_map(|(known, noise, cut)| {
            let mut payload = known[..=cut.index(known.len())].to_vec();
            payload.extend(noise);
            payload
        })
    }

    fn packet(is_tcp: bool, number: u32, is_dns: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, if is_tcp { 6 } else { 17 }, 0, 0];
        packet.extend([192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0, if is_dns { 53 } else { 80 }]);
        if is_tcp {
            packet.extend(number.to_be_bytes());
            packet.extend([0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
        } else {
            packet.extend([0, 0, 0, 0]);
        }
        packet.extend(payload);
        packet
    }

    const MAGICS: [[u8; 4]; 8] = [
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x34, 0xcd, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xcd, 0x34],
        [0x0a, 0x0d, 0x0d, 0x0a],
        [0, 0, 0, 0],
    ];
}

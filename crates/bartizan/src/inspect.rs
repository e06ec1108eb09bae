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

//! All connections of a capture: takes packets, and yields messages.
//!
//! # Invariants
//! - At most [`MAX_STREAMS`] directions of TCP and [`MAX_HELLOS`] of QUIC are followed; of too many, the half
//!   that was seen longest ago is forgotten.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use bartizan_wire::fragment::Reassembler;
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::quic::{HelloReader, QuicInitial};
use bartizan_wire::{ParseError, Reading};

use crate::inspect::dns;
use crate::inspect::message::{Kind, Message, Said, Transport};
use crate::inspect::segment::Segment;
use crate::inspect::stream::Stream;
use crate::inspect::talk::said_by_hello;

/// What is followed.
#[derive(Default)]
pub(super) struct Flows {
    fragments: Reassembler,
    streams: BTreeMap<Direction, Stream>,
    hellos: BTreeMap<Direction, Hello>,
}

/// From whom to whom.
type Direction = (SocketAddr, SocketAddr);

/// The hello of one QUIC connection.
struct Hello {
    reader: Box<HelloReader>,
    /// What was said: the same hello comes again when it was lost, and after a Retry.
    said: Option<Said>,
    last_frame: u64,
}

impl Flows {
    /// Takes an IP packet; yields the messages that are whole with it.
    pub(super) fn hear(&mut self, packet: &[u8], frame: u64, now: Instant) -> Vec<Message> {
        match IpPacket::parse(packet) {
            Ok(packet) => self.hear_packet(&packet, frame),
            Err(ParseError::Fragment) => match self.fragments.push(packet, now) {
                Some(whole) => IpPacket::parse(&whole)
                    .map_or_else(|_| Vec::new(), |packet| self.hear_packet(&packet, frame)),
                None => Vec::new(),
            },
            Err(ParseError::Malformed { .. }) => Vec::new(),
        }
    }

    /// Yields the messages behind gaps that nothing closed.
    pub(super) fn finish(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for (direction, stream) in &mut self.streams {
            messages.extend(messages_of(*direction, stream.finish()));
        }
        messages.sort_by_key(|message| message.frame);
        messages
    }

    fn hear_packet(&mut self, packet: &IpPacket<'_>, frame: u64) -> Vec<Message> {
        match packet.protocol() {
            Protocol::Tcp => self.hear_segment(packet, frame),
            Protocol::Udp => self.hear_datagram(packet, frame).unwrap_or_default(),
            Protocol::Other(_) => Vec::new(),
        }
    }

    fn hear_segment(&mut self, packet: &IpPacket<'_>, frame: u64) -> Vec<Message> {
        let Some(segment) = Segment::parse(packet.payload()) else { return Vec::new() };
        let src = SocketAddr::new(packet.src(), segment.src_port);
        let dst = SocketAddr::new(packet.dst(), segment.dst_port);
        let mut messages = Vec::new();
        if let (Some(octet), Some(stream)) =
            (segment.acknowledged, self.streams.get_mut(&(dst, src)))
        {
            messages.extend(messages_of((dst, src), stream.acknowledge(octet)));
        }
        make_room(&mut self.streams, MAX_STREAMS, |stream| stream.last_frame);
        let is_dns_port = [segment.src_port, segment.dst_port].contains(&DNS_PORT);
        let stream =
            self.streams.entry((src, dst)).or_insert_with(|| Stream::new(&segment, is_dns_port));
        messages.extend(messages_of((src, dst), stream.hear(&segment, frame)));
        messages
    }

    /// Reads a datagram without its checksum, which the network card may have had to fill in.
    fn hear_datagram(&mut self, packet: &IpPacket<'_>, frame: u64) -> Option<Vec<Message>> {
        let (src_port, dst_port) = packet.ports()?;
        let [_, _, _, _, l1, l0, _, _, rest @ ..] = packet.payload() else { return None };
        let len = usize::from(u16::from_be_bytes([*l1, *l0])).checked_sub(UDP_HEADER_LEN);
        let payload = len.and_then(|len| rest.get(..len)).unwrap_or(rest);
        let src = SocketAddr::new(packet.src(), src_port);
        let dst = SocketAddr::new(packet.dst(), dst_port);
        let ports = [src_port, dst_port];
        let said = if ports.contains(&DNS_PORT) {
            dns::read(payload)
        } else if ports.iter().any(|port| OTHER_NAME_PORTS.contains(port)) {
            Vec::new()
        } else if QuicInitial::parse(payload).is_some() {
            self.hear_initial((src, dst), payload, frame).into_iter().collect()
        } else {
            dns::read_strictly(payload)?
        };
        let message = |said| Message { frame, transport: Transport::Udp, src, dst, said };
        Some(said.into_iter().map(message).collect())
    }

    fn hear_initial(&mut self, direction: Direction, datagram: &[u8], frame: u64) -> Option<Said> {
        make_room(&mut self.hellos, MAX_HELLOS, |hello| hello.last_frame);
        let hello = self.hellos.entry(direction).or_insert_with(|| Hello {
            reader: Box::default(),
            said: None,
            last_frame: frame,
        });
        hello.last_frame = frame;
        match hello.reader.push(datagram) {
            Reading::Done(whole) => {
                hello.reader.restart();
                let said = said_by_hello(Kind::Quic, &whole);
                let is_again = hello.said.replace(said.clone()).as_ref() == Some(&said);
                (!is_again).then_some(said)
            }
            Reading::More => None,
            Reading::Not => {
                hello.reader.restart();
                None
            }
        }
    }
}

fn messages_of((src, dst): Direction, heard: Vec<(u64, Said)>) -> impl Iterator<Item = Message> {
    heard.into_iter().map(move |(frame, said)| Message {
        frame,
        transport: Transport::Tcp,
        src,
        dst,
        said,
    })
}

/// Forgets the half that was seen longest ago, once there are as many as may be.
fn make_room<T>(flows: &mut BTreeMap<Direction, T>, most: usize, last_frame: fn(&T) -> u64) {
    if most <= flows.len() {
        let mut frames: Vec<u64> = flows.values().map(last_frame).collect();
        let (_, median, _) = frames.select_nth_unstable(most / 2);
        let median = *median;
        flows.retain(|_, flow| median < last_frame(flow));
    }
}

const DNS_PORT: u16 = 53;
/// Multicast DNS, LLMNR and `NetBIOS` look like DNS, and ask the neighborhood.
const OTHER_NAME_PORTS: [u16; 3] = [5_353, 5_355, 137];
const UDP_HEADER_LEN: usize = 8;
const MAX_STREAMS: usize = 65_536;
/// 20 KB each.
const MAX_HELLOS: usize = 2_048;

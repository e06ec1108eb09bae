//! Notices that the device is on another network: what Linux says of links, addresses and default routes (rtnetlink(7)).
//!
//! The kernel repeats itself, such as with each router advertisement: only what differs from what was known is a
//! change. All of it is asked for once at the start.
//!
//! # What it does not do
//! - Read names of interfaces or follow rules: routes beside the main table are ours or somebody's own affair.
//! - Say what the network is like now: whoever is told looks.
//!
//! # Invariants
//! - A change is told once it was quiet for [`QUIET`], or after [`AT_MOST`]: a network comes up in many steps.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// What listens to the kernel.
pub(crate) struct Links {
    socket: OwnedFd,
    known: Known,
    /// What is asked for next, once the answer before is whole.
    to_ask: &'static [u16],
    unsettled: Option<Unsettled>,
}

#[derive(Clone, Copy)]
struct Unsettled {
    since: Instant,
    last: Instant,
}

impl Links {
    /// Begins to listen.
    ///
    /// # Errors
    /// The kernel does not let us.
    pub(crate) fn listen() -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        let mut links = Self { socket, known: Known::default(), to_ask: &DUMPS, unsettled: None };
        links.ask()?;
        Ok(links)
    }

    /// Takes what the kernel has said.
    pub(crate) fn hear(&mut self, now: Instant) {
        let mut buffer = [0; 16_384];
        loop {
            let changed = match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((len, _)) => {
                    let heard = self.known.hear(buffer.get(..len).unwrap_or_default());
                    if heard.is_whole && self.ask().is_err() {
                        self.to_ask = &[];
                    }
                    // Until all was asked for it is no news.
                    heard.changed && self.to_ask.is_empty() && !heard.is_answer
                }
                Err(Errno::INTR) => false,
                // It said more than there was room for: anything may have changed.
                Err(Errno::NOBUFS) => true,
                Err(_) => return,
            };
            if changed {
                let since = self.unsettled.map_or(now, |unsettled| unsettled.since);
                self.unsettled = Some(Unsettled { since, last: now });
            }
        }
    }

    /// Tells, once, that the network has changed and settled.
    pub(crate) fn take_change(&mut self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now) && self.unsettled.take().is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.unsettled.map(|Unsettled { since, last }| (last + QUIET).min(since + AT_MOST))
    }

    fn ask(&mut self) -> io::Result<()> {
        let Some((kind, rest)) = self.to_ask.split_first() else { return Ok(()) };
        self.to_ask = rest;
        // `struct nlmsghdr`, and a family with what pads it: any.
        let mut octets = Vec::with_capacity(HEADER_LEN + 4);
        octets.extend_from_slice(&20_u32.to_ne_bytes());
        octets.extend_from_slice(&kind.to_ne_bytes());
        octets.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        octets.extend_from_slice(&OURS.to_ne_bytes());
        octets.extend_from_slice(&[0; 8]);
        rustix::net::send(&self.socket, &octets, SendFlags::empty())?;
        Ok(())
    }
}

impl AsRawFd for Links {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// What there is of links, addresses and default routes.
#[derive(Debug, Default)]
struct Known {
    /// Links that carry something.
    up: BTreeSet<u32>,
    /// Link and address.
    addresses: BTreeSet<(u32, Vec<u8>)>,
    /// Attributes of routes to everywhere: by which link and which router.
    defaults: BTreeSet<(u8, Vec<u8>, Vec<u8>)>,
}

/// What a datagram of the kernel held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    changed: bool,
    /// It answers what we asked for.
    is_answer: bool,
    /// That answer is whole.
    is_whole: bool,
}

impl Known {
    /// Reads a datagram: messages one after the other.
    fn hear(&mut self, mut octets: &[u8]) -> Heard {
        let mut heard = Heard::default();
        while let Some(header) = octets.get(..HEADER_LEN) {
            let len = usize::try_from(u32_at(header, 0)).unwrap_or(0);
            let Some(body) = octets.get(HEADER_LEN..len) else { return heard };
            heard.is_answer |= u32_at(header, 8) == OURS;
            match u16_at(header, 4) {
                kind @ (RTM_NEWLINK | RTM_DELLINK) => {
                    heard.changed |= self.link(kind == RTM_NEWLINK, body);
                }
                kind @ (RTM_NEWADDR | RTM_DELADDR) => {
                    heard.changed |= self.address(kind == RTM_NEWADDR, body);
                }
                kind @ (RTM_NEWROUTE | RTM_DELROUTE) => {
                    heard.changed |= self.route(kind == RTM_NEWROUTE, body);
                }
                NLMSG_DONE => heard.is_whole = true,
                // What we asked for is refused: go on without.
                NLMSG_ERROR => heard.is_whole = heard.is_answer,
                _ => {}
            }
            octets = octets.get(aligned(len)..).unwrap_or_default();
        }
        heard
    }

    /// `struct ifinfomsg`.
    fn link(&mut self, is_there: bool, body: &[u8]) -> bool {
        if body.len() < 16 {
            return false;
        }
        let (index, flags) = (u32_at(body, 4), u32_at(body, 8));
        if flags & IFF_LOOPBACK != 0 {
            return false;
        }
        set(&mut self.up, index, is_there && flags & IFF_RUNNING != 0)
    }

    /// `struct ifaddrmsg`.
    fn address(&mut self, is_there: bool, body: &[u8]) -> bool {
        let Some(attributes) = body.get(8..) else { return false };
        let Some(address) = attribute(attributes, IFA_ADDRESS) else { return false };
        // An address of a link alone says nothing of the network.
        if matches!(address, [0xfe, 0x80..=0xbf, ..]) {
            return false;
        }
        set(&mut self.addresses, (u32_at(body, 4), address.to_vec()), is_there)
    }

    /// `struct rtmsg`.
    fn route(&mut self, is_there: bool, body: &[u8]) -> bool {
        let (Some([family, 0, _, _, RT_TABLE_MAIN, ..]), Some(attributes)) =
            (body.first_chunk::<12>(), body.get(12..))
        else {
            return false;
        };
        let part = |kind| attribute(attributes, kind).unwrap_or_default().to_vec();
        set(&mut self.defaults, (*family, part(RTA_OIF), part(RTA_GATEWAY)), is_there)
    }
}

/// Puts something into a set or takes it out; tells whether that is a change.
fn set<T: Ord>(all: &mut BTreeSet<T>, one: T, is_there: bool) -> bool {
    if is_there { all.insert(one) } else { all.remove(&one) }
}

/// Finds an attribute (`struct rtattr`).
fn attribute(mut octets: &[u8], wanted: u16) -> Option<&[u8]> {
    while octets.len() >= ATTRIBUTE_LEN {
        let len = usize::from(u16_at(octets, 0));
        let value = octets.get(ATTRIBUTE_LEN..len)?;
        if u16_at(octets, 2) == wanted {
            return Some(value);
        }
        octets = octets.get(aligned(len)..)?;
    }
    None
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    let found = octets.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |octets| u16::from_ne_bytes(*octets))
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    let found = octets.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |octets| u32::from_ne_bytes(*octets))
}

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
const DUMPS: [u16; 3] = [18, 22, 26];
/// The number of our requests, by which answers are told from news, whose number is 0.
const OURS: u32 = 1;
const HEADER_LEN: usize = 16;
const ATTRIBUTE_LEN: usize = 4;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RT_TABLE_MAIN: u8 = 254;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const IFA_ADDRESS: u16 = 1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
/// How long nothing may have changed for: the last step, a resolver by DHCP, follows within this.
const QUIET: Duration = Duration::from_millis(500);
/// How long it is waited for quiet.
const AT_MOST: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_a_change() {
        let mut known = Known::default();
        for (message, changed) in [
            (link(RTM_NEWLINK, 2, IFF_RUNNING), true),
            (link(RTM_NEWLINK, 2, IFF_RUNNING | 1), false),
            (link(RTM_NEWLINK, 2, 1), true),
            (link(RTM_NEWLINK, 1, IFF_RUNNING | IFF_LOOPBACK), false),
            (address(RTM_NEWADDR, &[192, 0, 2, 2]), true),
            (address(RTM_NEWADDR, &[192, 0, 2, 2]), false),
            (address(RTM_NEWADDR, &[&[0xfe, 0x80][..], &[1; 14]].concat()), false),
            (address(RTM_DELADDR, &[192, 0, 2, 2]), true),
            (route(RTM_NEWROUTE, 0, RT_TABLE_MAIN), true),
            (route(RTM_NEWROUTE, 24, RT_TABLE_MAIN), false),
            (route(RTM_NEWROUTE, 0, 53), false),
            (route(RTM_DELROUTE, 0, RT_TABLE_MAIN), true),
            (link(RTM_DELLINK, 2, IFF_RUNNING), false),
        ] {
            assert_eq!(known.hear(&message).changed, changed, "{message:?}");
        }
    }

    #[test]
    fn the_kernel_is_heard_and_it_is_quiet_where_nothing_happens() {
        let mut links = Links::listen().unwrap();
        let now = crate::clock::Clock::new().now();
        while !links.to_ask.is_empty() || links.known.up.is_empty() {
            links.hear(now);
            if links.to_ask.is_empty() {
                break;
            }
        }
        assert_eq!(links.deadline(), None);
        assert!(!links.take_change(now + AT_MOST));
    }

    #[test]
    fn broken_messages_are_passed_over() {
        let whole = [address(RTM_NEWADDR, &[1; 4]), route(RTM_NEWROUTE, 0, RT_TABLE_MAIN)].concat();
        for at in 0..whole.len() {
            for value in [0, 1, 4, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                let _ = Known::default().hear(&broken);
                let _ = Known::default().hear(&broken[..at]);
            }
        }
    }

    fn link(kind: u16, index: u32, flags: u32) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        message(kind, &body)
    }

    fn address(kind: u16, address: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 24, 0, 0];
        body.extend(2_u32.to_ne_bytes());
        // An attribute before it that is nobody's.
        body.extend([6_u16.to_ne_bytes(), 9_u16.to_ne_bytes()].concat());
        body.extend([1, 2, 0, 0]);
        let len = u16::try_from(ATTRIBUTE_LEN + address.len()).unwrap();
        body.extend([len.to_ne_bytes(), IFA_ADDRESS.to_ne_bytes()].concat());
        body.extend(address);
        message(kind, &body)
    }

    fn route(kind: u16, prefix_len: u8, table: u8) -> Vec<u8> {
        let mut body = vec![2, prefix_len, 0, 0, table, 0, 0, 0, 0, 0, 0, 0];
        body.extend([8_u16.to_ne_bytes(), RTA_OIF.to_ne_bytes()].concat());
        body.extend(2_u32.to_ne_bytes());
        message(kind, &body)
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut octets = u32::try_from(HEADER_LEN + body.len()).unwrap().to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend([0; 10]);
        octets.extend(body);
        octets
    }
}

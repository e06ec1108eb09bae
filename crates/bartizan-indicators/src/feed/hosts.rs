//! `hosts` files: an address, then names.

use std::net::IpAddr;

use super::entry;
use super::report::Unread;
use crate::normal::Host;
use crate::pattern::Pattern;

/// Tells whether a line is one of such a file.
pub(super) fn is_line(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words.next().is_some_and(|word| word.parse::<IpAddr>().is_ok())
        && words.next().is_some_and(|word| matches!(Host::parse(word), Ok(Host::Name(_))))
}

/// Hands out the names of a line.
pub(super) fn entries(line: &str, each: &mut dyn FnMut(Pattern)) -> Result<(), Unread> {
    let line = line.split('#').next().unwrap_or(line);
    let mut words = line.split_ascii_whitespace();
    if words.next().is_none_or(|word| word.parse::<IpAddr>().is_err()) {
        return Err(Unread::Because("does not start with an address"));
    }
    let (mut any, mut any_of_others) = (false, false);
    for word in words {
        any = true;
        if !OWN_NAMES.contains(&word) {
            each(entry::pattern(word)?);
            any_of_others = true;
        }
    }
    match (any, any_of_others) {
        (false, _) => Err(Unread::Because("has an address but no name")),
        (true, false) => Err(Unread::SaysNothing),
        (true, true) => Ok(()),
    }
}

/// What such a file says about its own machine.
const OWN_NAMES: [&str; 12] = [
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "broadcasthost",
    "0.0.0.0",
];

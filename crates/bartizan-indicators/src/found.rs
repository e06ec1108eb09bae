//! What a look-up found: every indicator that matched, the winning one first.
//!
//! # Precedence
//! 1. The organization's own indicators beat those of feeds.
//! 2. The longer match wins: one with a path before one without, then the longer path, then the longer name;
//!    of networks the longer prefix.
//! 3. At equal length Allow before Warn before Block before Audit, then the graver category.
//!
//! An indicator that has expired is not among the matches.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use bartizan_model::{IndicatorAction, IndicatorCategory, Severity};
use ipnet::IpNet;

/// The matches of one look-up, at least one, the winning one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    matches: [Match<'a>; MATCHES],
    len: usize,
}

/// An indicator that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// What of the question matched.
    pub entry: Entry<'a>,
    /// What is to be done.
    pub action: IndicatorAction,
    /// Why it is listed.
    pub category: IndicatorCategory,
    /// Who listed it.
    pub source: Source<'a>,
}

/// The entry that matched, as parts of what was asked for. Written as a [`crate::pattern::Pattern`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A name and everything under it.
    Domain(&'a str),
    /// A name alone.
    Host(&'a str),
    /// Everything under a name.
    Subdomains(&'a str),
    /// A host with everything under it, and a path.
    Url {
        /// A name, or an address as URLs spell it.
        host: UrlHost<'a>,
        /// Starts with a slash; with the query where that is listed too.
        path: &'a str,
    },
    /// An address.
    Address(IpAddr),
    /// A network that holds the address.
    Network(IpNet),
}

/// The host of a URL that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlHost<'a> {
    /// The name asked for, or a parent of it.
    Name(&'a str),
    /// The address asked for.
    Address(IpAddr),
}

/// Who listed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// The feed of this name.
    Feed(&'a str),
    /// The organization itself.
    Tenant(OwnIndicator<'a>),
}

/// What the organization says about an indicator of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnIndicator<'a> {
    /// As the portal numbers it.
    pub id: u64,
    /// Of its alerts.
    pub title: &'a str,
    /// Of its alerts.
    pub severity: Severity,
    /// Whether it raises alerts at all.
    pub generate_alert: bool,
}

impl<'a> Found<'a> {
    pub(crate) fn one(found: Match<'a>) -> Self {
        Self { matches: [found; MATCHES], len: 1 }
    }

    /// Adds a match. Beyond [`MATCHES`] the one with the least precedence goes.
    pub(crate) fn add(found: &mut Option<Self>, new: Match<'a>) {
        let Some(found) = found else {
            *found = Some(Self::one(new));
            return;
        };
        let place = found.iter().position(|known| new.precedes(known)).unwrap_or(found.len);
        if let Some(tail) = found.matches.get_mut(place..).filter(|tail| !tail.is_empty()) {
            tail.rotate_right(1);
            if let Some(first) = tail.first_mut() {
                *first = new;
            }
            found.len = MATCHES.min(found.len + 1);
        }
    }

    /// Returns the one that decides.
    #[must_use]
    pub fn winner(&self) -> &Match<'a> {
        let [winner, ..] = &self.matches;
        winner
    }

    /// Yields all matches in the order of precedence, at most [`MATCHES`].
    pub fn iter(&self) -> impl Iterator<Item = &Match<'a>> {
        self.matches.iter().take(self.len)
    }
}

impl Match<'_> {
    /// Tells whether this one decides where both match.
    fn precedes(&self, other: &Self) -> bool {
        let layer = |found: &Self| match found.source {
            Source::Tenant(_) => 0,
            Source::Feed(_) => 1,
        };
        let order = layer(self)
            .cmp(&layer(other))
            .then_with(|| other.entry.length().cmp(&self.entry.length()))
            .then_with(|| self.action.cmp(&other.action))
            .then_with(|| other.category.cmp(&self.category));
        order == Ordering::Less
    }
}

impl Entry<'_> {
    /// Returns how much of the question it names: octets of path, then of the name or bits of the address.
    pub(crate) fn length(&self) -> (usize, usize) {
        match self {
            Self::Domain(name) | Self::Host(name) | Self::Subdomains(name) => (0, name.len()),
            Self::Url { host: UrlHost::Name(name), path } => (path.len(), name.len()),
            Self::Url { host: UrlHost::Address(_), path } => (path.len(), 0),
            Self::Address(_) => (0, usize::from(u8::MAX)),
            Self::Network(network) => (0, usize::from(network.prefix_len())),
        }
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => out.write_str(name),
            Self::Host(name) => write!(out, "={name}"),
            Self::Subdomains(name) => write!(out, "*.{name}"),
            Self::Url { host: UrlHost::Name(name), path } => write!(out, "{name}{path}"),
            Self::Url { host: UrlHost::Address(IpAddr::V4(address)), path } => {
                write!(out, "{address}{path}")
            }
            Self::Url { host: UrlHost::Address(IpAddr::V6(address)), path } => {
                write!(out, "[{address}]{path}")
            }
            Self::Address(address) => address.fmt(out),
            Self::Network(network) => network.fmt(out),
        }
    }
}

/// Matches that are kept of one look-up. A name has rarely more than four listed parents.
pub const MATCHES: usize = 8;

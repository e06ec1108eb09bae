//! What happens in the tunnel, as numbers for people and programs: part of `status.json`, and what `agent forward` prints.
//!
//! Nothing in here tells who talked to whom.

use std::collections::BTreeMap;

use bartizan_engine::{Stats, TunnelStats};
use serde::{Deserialize, Serialize};

/// What happened since the program started, and what is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TunnelStatus {
    /// What is known of the network: `open`, `captive portal` or `unknown`.
    pub network: String,
    /// Times that the network was found to want a person to sign in first.
    pub captive_portals: u64,
    /// Lookups that went out in plain since the resolver of the policy could not be reached.
    pub plain_lookups: u64,
    /// TCP connections at this moment.
    pub tcp_flows: usize,
    /// Sockets of applications for datagrams at this moment.
    pub udp_mappings: usize,
    /// TCP connections that applications asked for.
    pub tcp_opened: u64,
    /// Of these, those that the other end refused or could not be reached at.
    pub tcp_failed: u64,
    /// Octets of TCP from applications.
    pub octets_up: u64,
    /// Octets of TCP to applications.
    pub octets_down: u64,
    /// Datagrams and echoes from applications.
    pub datagrams_up: u64,
    /// Datagrams and echoes to applications.
    pub datagrams_down: u64,
    /// Name lookups.
    pub lookups: u64,
    /// Verdicts that stopped something, by what was stopped.
    pub stopped: BTreeMap<String, u64>,
    /// Connections whose first octets were held until they could be judged.
    pub held: u64,
    /// What was lost, or given up for something else, by reason; without those that never happened.
    pub dropped: BTreeMap<String, u64>,
}

impl TunnelStatus {
    pub(crate) fn of(
        lookups: &Stats,
        tunnel: &TunnelStats,
        tcp_flows: usize,
        udp_mappings: usize,
    ) -> Self {
        let named = |counts: &[(&str, u64)]| {
            let happened = counts.iter().filter(|(_, count)| 0 < *count);
            happened.map(|(what, count)| ((*what).to_owned(), *count)).collect()
        };
        Self {
            network: String::new(),
            captive_portals: lookups.captive_portals,
            plain_lookups: lookups.upstream_fallback,
            tcp_flows,
            udp_mappings,
            tcp_opened: tunnel.tcp_opened,
            tcp_failed: tunnel.tcp_refused + tunnel.tcp_unreachable,
            octets_up: tunnel.octets_up,
            octets_down: tunnel.octets_down,
            datagrams_up: tunnel.datagrams_up,
            datagrams_down: tunnel.datagrams_down,
            lookups: lookups.queries(),
            stopped: named(&[
                ("lookups", lookups.blocked),
                ("connections", tunnel.tcp_stopped),
                ("datagrams", tunnel.datagrams_stopped),
                ("pages", lookups.pages),
                ("names by policy", lookups.refused_by_policy),
            ]),
            held: tunnel.held,
            dropped: named(&[
                ("malformed", tunnel.dropped_malformed + lookups.dropped_malformed),
                ("other protocol", tunnel.dropped_protocol),
                ("too many attempts", tunnel.dropped_syn),
                ("no memory", tunnel.dropped_no_chunk),
                ("no socket", tunnel.dropped_no_socket),
                ("socket full", tunnel.dropped_full),
                ("connections for younger ones", tunnel.tcp_evicted),
                ("mappings for younger ones", tunnel.mappings_evicted),
                ("application gone", tunnel.tcp_vanished),
                ("held too long", tunnel.held_too_long),
                ("lookups for younger ones", lookups.dropped_table_full),
                ("resolver failed", lookups.upstream_failed),
                ("resolver silent", lookups.upstream_timeout),
                ("damaged indicator files", lookups.indicators_damaged),
            ]),
        }
    }
}

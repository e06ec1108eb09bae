//! The TUN interface, and the routes that bring questions, or all traffic, into it.
//!
//! # Invariants
//! - Unless all traffic is wanted, only packets to port 53 of the given resolvers come in; the resolvers stay reachable
//!   otherwise, as the home router that is one of them must.
//! - What carries our mark, and what goes to a network that the device is on, never comes in.
//! - [`Routes`] removes its rules when dropped. If the program is killed, the rules that stay point at
//!   an empty table, which the kernel passes over; the next start removes them.

use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd;

use anyhow::Context;
use bartizan_host::Packets;
use bartizan_host::tunnel::MTU;

use crate::iproute::ip;

/// The rules that are in force; dropping it takes them back.
#[derive(Debug)]
pub(crate) struct Routes;

/// Opens the interface and routes the questions to these resolvers into it.
///
/// # Errors
/// No right to do so, or no `ip` command.
pub(crate) fn open(name: &str, resolvers: &[IpAddr]) -> anyhow::Result<(Packets, Routes)> {
    let builder = tun_rs::DeviceBuilder::new().name(name).mtu(MTU).offload(true);
    let device = builder.build_sync().with_context(|| {
        format!("cannot open the tunnel interface {name}: this needs root or CAP_NET_ADMIN, and /dev/net/tun")
    })?;
    let fd = device.as_fd().try_clone_to_owned()?;
    let cuts_datagrams = device.udp_gso();
    // The kernel keeps the interface for as long as any copy of the descriptor is open.
    drop(device);

    let routes = Routes;
    Routes::remove();
    ip(&["address", "add", "198.18.0.1/32", "dev", name])?;
    ip(&["link", "set", name, "txqueuelen", TX_QUEUE, "up"])?;
    // Answers come in by this interface from an address that is routed elsewhere: loosen the check.
    let loose = fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "2");
    if let Err(error) = loose {
        tracing::warn!(error = %error, "cannot loosen rp_filter; answers may be dropped");
    }
    for family in ["-4", "-6"] {
        let routed = (|| {
            if family == "-6" {
                ip(&["-6", "address", "add", "fd62:6172:7469::1/128", "dev", name, "nodad"])?;
            }
            ip(&[family, "route", "replace", "default", "dev", name, "table", TABLE])
        })();
        // A machine without IPv6 has nothing of it to protect.
        if family == "-4" || families(resolvers).contains(&"-6") {
            routed?;
        }
    }
    for resolver in resolvers {
        lead("add", resolver)?;
    }
    Ok((Packets::Vnet { fd, cuts_datagrams }, routes))
}

/// Has questions to other resolvers come in, in place of those to the ones before.
///
/// # Errors
/// A rule cannot be made; the ones that there are stay.
pub(crate) fn follow(routed: &mut Vec<IpAddr>, resolvers: &[IpAddr]) -> anyhow::Result<()> {
    for resolver in resolvers {
        if !routed.contains(resolver) {
            lead("add", resolver)?;
            routed.push(*resolver);
        }
    }
    // One that is gone already is gone.
    routed.retain(|resolver| resolvers.contains(resolver) || lead("del", resolver).is_err());
    Ok(())
}

/// Adds or deletes the rules that lead questions to a resolver into the tunnel.
fn lead(how: &str, resolver: &IpAddr) -> anyhow::Result<()> {
    let (family, to) = match resolver {
        IpAddr::V4(address) => ("-4", format!("{address}/32")),
        IpAddr::V6(address) => ("-6", format!("{address}/128")),
    };
    for protocol in ["udp", "tcp"] {
        ip(&[
            family, "rule", how, "pref", PREFERENCE, "to", &to, "ipproto", protocol, "dport", "53",
            "lookup", TABLE,
        ])?;
    }
    Ok(())
}

/// Has all traffic come into the tunnel, or lookups only.
///
/// # Errors
/// A rule cannot be made.
pub(crate) fn route_all(all: bool) -> anyhow::Result<()> {
    Routes::remove_at(ALL_PREFERENCE);
    Routes::remove_at(NEAR_PREFERENCE);
    if !all {
        return Ok(());
    }
    for family in ["-4", "-6"] {
        let near = [
            family,
            "rule",
            "add",
            "pref",
            NEAR_PREFERENCE,
            "lookup",
            "main",
            "suppress_prefixlength",
            "0",
        ];
        let far = [
            family,
            "rule",
            "add",
            "pref",
            ALL_PREFERENCE,
            "not",
            "fwmark",
            MARK_TEXT,
            "lookup",
            TABLE,
        ];
        let routed = ip(&near).and_then(|_| ip(&far));
        if family == "-4" {
            routed?;
        }
    }
    Ok(())
}

impl Routes {
    fn remove() {
        for preference in [ALL_PREFERENCE, NEAR_PREFERENCE, PREFERENCE] {
            Self::remove_at(preference);
        }
    }

    fn remove_at(preference: &str) {
        for family in ["-4", "-6"] {
            // Bounded: two rules a resolver, and nobody has hundreds.
            for _ in 0..256 {
                if ip(&[family, "rule", "del", "pref", preference]).is_err() {
                    break;
                }
            }
        }
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        Self::remove();
    }
}

fn families(resolvers: &[IpAddr]) -> Vec<&'static str> {
    let mut families = Vec::new();
    if resolvers.iter().any(IpAddr::is_ipv4) {
        families.push("-4");
    }
    if resolvers.iter().any(IpAddr::is_ipv6) {
        families.push("-6");
    }
    families
}

/// A table and a place among the rules that nobody else is likely to use.
const TABLE: &str = "5353";
const PREFERENCE: &str = "5353";
/// After lookups: what goes to a network that the device is on goes there.
const NEAR_PREFERENCE: &str = "5354";
const ALL_PREFERENCE: &str = "5355";
/// By which our own packets are known: "BT".
pub(crate) const MARK: u32 = 0x4254;
pub(crate) const MARK_TEXT: &str = "0x4254";
/// The kernel's 500 packets are less than a burst of eight connections.
pub(crate) const TX_QUEUE: &str = "5000";

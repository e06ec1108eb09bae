//! Which resolvers the system asks, and by which interface they are reached.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context, bail};

use crate::iproute::ip;
use crate::tun::MARK_TEXT;

/// Reads the system's resolvers.
///
/// # Errors
/// There are none that can be taken over.
pub(crate) fn of_the_system() -> anyhow::Result<Vec<IpAddr>> {
    let conf =
        fs::read_to_string(RESOLV_CONF).with_context(|| format!("cannot read {RESOLV_CONF}"))?;
    let mut found = nameservers(&conf);
    if found.iter().all(IpAddr::is_loopback) {
        // systemd-resolved answers on this machine and says here whom it asks itself.
        found =
            fs::read_to_string(SYSTEMD_RESOLVED).map(|conf| nameservers(&conf)).unwrap_or_default();
    }
    found.retain(|resolver| !resolver.is_loopback());
    if found.is_empty() {
        bail!(
            "{RESOLV_CONF} names no resolver outside of this machine; name one with --resolver, such as the router's address"
        );
    }
    Ok(found)
}

/// Asks the kernel by which interface an address is reached, past the tunnel.
///
/// # Errors
/// There is no route to it.
pub(crate) fn uplink(to: IpAddr) -> anyhow::Result<String> {
    let printed = ip(&["-json", "route", "get", &to.to_string(), "mark", MARK_TEXT])?;
    let routes: serde_json::Value = serde_json::from_slice(&printed).unwrap_or_default();
    match routes.pointer("/0/dev").and_then(serde_json::Value::as_str) {
        Some(interface) => Ok(interface.to_owned()),
        None => bail!("there is no route to the resolver {to}"),
    }
}

fn nameservers(conf: &str) -> Vec<IpAddr> {
    conf.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
        .collect()
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const SYSTEMD_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_and_the_rest_is_not() {
        let conf = "# a\nsearch example.test\nnameserver 192.0.2.53\n nameserver\t2001:db8::53\nnameserver fe80::1%eth0\noptions edns0\n";
        let expected: [IpAddr; 2] =
            ["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()];
        assert_eq!(nameservers(conf), expected);
    }
}

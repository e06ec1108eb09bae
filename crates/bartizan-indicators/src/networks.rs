//! A table of networks: which ones an address lies in, longest prefix first.
//!
//! For each prefix length that occurs the networks are sorted, so that a look-up is a binary search a length.
//! Of each network the table keeps a number, which says where more is known about it.
//!
//! # Layout
//! 34 numbers of 4 octets (130 for IPv6): where the records of prefix length 0, 1, … begin, and their number.
//! Then the records: address (4 or 16 octets, big-endian) and number (4 octets), ascending by length, then address.
//! A table without records has no octets at all.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::container::{Container, Damaged};

/// Where a table lies in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: usize,
    pub(crate) len: usize,
}

/// The tables for both families.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Networks {
    pub(crate) v4: Place,
    pub(crate) v6: Place,
}

impl Networks {
    /// Calls `each` for every network that holds the address, longest prefix first.
    pub(crate) fn holding(
        &self,
        file: &Container,
        address: IpAddr,
        mut each: impl FnMut(IpNet, u32) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let (place, bits) = match address {
            IpAddr::V4(_) => (self.v4, 32),
            IpAddr::V6(_) => (self.v6, 128),
        };
        if place.len == 0 {
            return Ok(());
        }
        for prefix_len in (0..=bits).rev() {
            // A prefix length of at most that of the family is always right.
            let network = IpNet::new(address, prefix_len).map_err(|_| Damaged)?.trunc();
            if let Some(number) = find(file, place, network)? {
                each(network, number)?;
            }
        }
        Ok(())
    }
}

fn find(file: &Container, place: Place, network: IpNet) -> Result<Option<u32>, Damaged> {
    let address_len = usize::from(network.max_prefix_len()) / 8;
    let index = usize::from(network.prefix_len()) * 4;
    let start = |at: usize| -> Result<usize, Damaged> {
        let octets = file.array::<4>(place.at + at)?;
        usize::try_from(u32::from_le_bytes(octets)).map_err(|_| Damaged)
    };
    let (mut low, mut high) = (start(index)?, start(index + 4)?);
    let records_at = place.at + (usize::from(network.max_prefix_len()) + 2) * 4;
    let (v4, v6);
    let sought: &[u8] = match network.network() {
        IpAddr::V4(address) => {
            v4 = address.octets();
            &v4
        }
        IpAddr::V6(address) => {
            v6 = address.octets();
            &v6
        }
    };
    while low < high {
        let middle = low + (high - low) / 2;
        let at = middle
            .checked_mul(address_len + 4)
            .and_then(|at| at.checked_add(records_at))
            .ok_or(Damaged)?;
        match file.body(at, address_len)?.cmp(sought) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                return Ok(Some(u32::from_le_bytes(file.array(at + address_len)?)));
            }
        }
    }
    Ok(None)
}

/// Writes the table of one family. `networks` hold no network twice.
#[cfg(feature = "build")]
pub(crate) fn encode(networks: &[(IpNet, u32)], is_v6: bool) -> Vec<u8> {
    let mut rows: Vec<_> = networks
        .iter()
        .filter(|(network, _)| matches!(network, IpNet::V6(_)) == is_v6)
        .map(|(network, number)| (network.prefix_len(), network.network(), *number))
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    rows.sort_unstable();
    let bits: u8 = if is_v6 { 128 } else { 32 };
    let mut octets = Vec::new();
    for prefix_len in 0..=bits + 1 {
        let before = rows.iter().filter(|(len, _, _)| *len < prefix_len).count();
        octets.extend_from_slice(&u32::try_from(before).unwrap_or(u32::MAX).to_le_bytes());
    }
    for (_, address, number) in rows {
        match address {
            IpAddr::V4(address) => octets.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => octets.extend_from_slice(&address.octets()),
        }
        octets.extend_from_slice(&number.to_le_bytes());
    }
    octets
}

//! Which devices a version that is being rolled out has reached.
//!
//! Each device has a place between 0 and 10,000 for each version of each policy: the upper bits of a SHA-256 over
//! the three. Those below the percentage have the version. Nothing is stored, and every portal process agrees.
//!
//! # Invariants
//! - A device never flaps: a version's percentage that grows only adds devices (property).
//! - At 0 % no device has it, at 100 % every one.
//! - Places of two versions are independent, so that it is not always the same devices that come first.

use std::fmt;

use bartizan_model::DeviceId;
use sha2::{Digest as _, Sha256};

/// A policy, of all its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u128);

/// A share of devices: 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// Every device.
    pub const ALL: Self = Self(100);

    /// Takes a number of up to 100.
    #[must_use]
    pub fn new(percent: u8) -> Option<Self> {
        (percent <= Self::ALL.0).then_some(Self(percent))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} %", self.0)
    }
}

/// Whether the device is among the first `percent` to get this version.
#[must_use]
pub fn has_reached(policy: PolicyId, version: u64, device: DeviceId, percent: Percent) -> bool {
    place(policy, version, device) < u32::from(percent.0) * PLACES_A_PERCENT
}

/// Returns a number below 10,000.
fn place(policy: PolicyId, version: u64, device: DeviceId) -> u32 {
    let digest = Sha256::new()
        .chain_update(LABEL)
        .chain_update(policy.0.to_be_bytes())
        .chain_update(version.to_be_bytes())
        .chain_update(device.0.to_be_bytes())
        .finalize();
    let start = digest.iter().take(4).fold(0_u64, |start, octet| (start << 8) | u64::from(*octet));
    // A 32-bit fraction times the number of places: below it, so it always fits.
    u32::try_from((start * u64::from(100 * PLACES_A_PERCENT)) >> 32).unwrap_or(0)
}

const LABEL: &[u8] = b"bartizan policy roll-out 1";
const PLACES_A_PERCENT: u32 = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_is_about_as_large_as_it_says() {
        for percent in [1, 5, 20, 50, 99] {
            let percent = Percent::new(percent).unwrap();
            let reached = (0..20_000_u128)
                .filter(|device| has_reached(PolicyId(7), 3, DeviceId(*device), percent))
                .count();
            let expected = 200 * usize::from(percent.get());
            assert!(reached.abs_diff(expected) < 300, "{reached} devices at {percent}");
        }
    }

    #[test]
    fn places_are_the_same_everywhere_and_always() {
        // A change here would move devices of roll-outs that are under way.
        let places: Vec<u32> =
            (1..=4).map(|device| place(PolicyId(1), 2, DeviceId(device))).collect();
        assert_eq!(places, GOLDEN);
    }

    proptest! {
        #[test]
        fn a_share_that_grows_only_adds_devices(
            policy: u128, version: u64, device: u128, less in 0_u8..=100, more in 0_u8..=100,
        ) {
            let (less, more) = (less.min(more), less.max(more));
            let reached = |percent| {
                has_reached(PolicyId(policy), version, DeviceId(device), Percent::new(percent).unwrap())
            };
            prop_assert!(!reached(less) || reached(more));
            prop_assert!(!reached(0));
            prop_assert!(reached(100));
        }
    }

    const GOLDEN: [u32; 4] = [823, 8_623, 2_015, 1_000];
}

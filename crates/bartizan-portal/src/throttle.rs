//! Guessing passwords is slow: after a few failures one has to wait, each time twice as long.
//!
//! Counted by account and address, and by address alone. An attempt counts as a failure from its
//! beginning, so that many at once are no way around; success takes it back.
//!
//! # Invariants
//! - At most [`CAPACITY`] entries; the one that failed longest ago goes first.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bartizan_model::UnixMillis;
use sha2::{Digest as _, Sha256};

/// Who failed how often.
#[derive(Default)]
pub(crate) struct Throttle {
    entries: Mutex<BTreeMap<Subject, Entry>>,
}

/// Whom failures are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Address(IpAddr),
    /// The account by the hash of what was typed, so that passwords typed into the wrong field are not kept.
    Account([u8; 32], IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    failed_at: UnixMillis,
}

/// An attempt that may be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    account: Subject,
    address: Subject,
}

impl Throttle {
    /// Lets an attempt be made, or says how long to wait.
    pub(crate) fn begin(
        &self,
        email: &str,
        address: IpAddr,
        now: UnixMillis,
    ) -> Result<Attempt, Duration> {
        let address = network(address);
        let account = Sha256::digest(email.trim().to_ascii_lowercase()).into();
        let attempt = Attempt {
            account: Subject::Account(account, address),
            address: Subject::Address(address),
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = [attempt.account, attempt.address]
            .into_iter()
            .filter_map(|subject| entries.get(&subject)?.wait(subject, now))
            .max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        for subject in [attempt.account, attempt.address] {
            make_room(&mut entries, subject);
            let entry = entries.entry(subject).or_insert(Entry { failures: 0, failed_at: now });
            if FORGOTTEN_AFTER_MS < now.0.saturating_sub(entry.failed_at.0) {
                entry.failures = 0;
            }
            entry.failures = entry.failures.saturating_add(1);
            entry.failed_at = now;
        }
        Ok(attempt)
    }

    /// Takes back what an attempt counted. The address keeps its earlier failures: one account of one's
    /// own must not be a way to guess at others'.
    pub(crate) fn succeeded(&self, attempt: Attempt) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&attempt.account);
        if let Some(entry) = entries.get_mut(&attempt.address) {
            entry.failures = entry.failures.saturating_sub(1);
        }
    }
}

impl Entry {
    fn wait(self, subject: Subject, now: UnixMillis) -> Option<Duration> {
        let allowed = match subject {
            Subject::Account(..) => FAILURES_PER_ACCOUNT,
            Subject::Address(_) => FAILURES_PER_ADDRESS,
        };
        let over = self.failures.checked_sub(allowed)?;
        let wait_ms = FIRST_WAIT_MS.saturating_mul(1 << over.min(16)).min(LONGEST_WAIT_MS);
        let left_ms = self.failed_at.0.saturating_add(wait_ms).checked_sub(now.0)?;
        (0 < left_ms).then(|| Duration::from_millis(left_ms))
    }
}

fn make_room(entries: &mut BTreeMap<Subject, Entry>, subject: Subject) {
    if entries.len() < CAPACITY || entries.contains_key(&subject) {
        return;
    }
    let oldest = entries.iter().min_by_key(|(_, entry)| entry.failed_at).map(|(oldest, _)| *oldest);
    if let Some(oldest) = oldest {
        entries.remove(&oldest);
    }
}

/// An IPv6 subscriber has a /64, so its lower half says nothing (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        IpAddr::V4(v4) => IpAddr::V4(v4),
    }
}

pub(crate) const FAILURES_PER_ACCOUNT: u32 = 5;
/// An office behind one address mistypes more often than a person.
pub(crate) const FAILURES_PER_ADDRESS: u32 = 20;
pub(crate) const FIRST_WAIT_MS: u64 = 30_000;
/// Quarter of an hour: a guesser makes about a hundred tries a day.
pub(crate) const LONGEST_WAIT_MS: u64 = 900_000;
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;
/// Some 100 octets each: 1 MiB.
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn waits_double_and_are_forgotten() {
        let throttle = Throttle::default();
        let mut now = NOW;
        for _ in 0..5 {
            assert!(try_once(&throttle, "a", 1, now).is_ok());
        }
        for wait in [30, 60, 120, 240, 480, 900, 900] {
            assert_eq!(try_once(&throttle, "A ", 1, now).unwrap_err(), Duration::from_secs(wait));
            now += wait * 1_000;
            assert!(try_once(&throttle, "a", 1, now).is_ok());
        }
        now += FORGOTTEN_AFTER_MS + 1;
        for _ in 0..5 {
            assert!(try_once(&throttle, "a", 1, now).is_ok());
        }
    }

    #[test]
    fn another_address_is_not_held_up_and_many_accounts_are_no_way_around() {
        let throttle = Throttle::default();
        for number in 0..20 {
            assert!(try_once(&throttle, &format!("m{number}"), 1, NOW).is_ok());
        }
        assert!(try_once(&throttle, "m99", 1, NOW).is_err());
        assert!(try_once(&throttle, "m99", 2, NOW).is_ok());
    }

    #[test]
    fn success_clears_the_account() {
        let throttle = Throttle::default();
        for _ in 0..50 {
            let attempt = try_once(&throttle, "a", 1, NOW).unwrap();
            throttle.succeeded(attempt);
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let throttle = Throttle::default();
        // Two entries each, and a few more than there is room for.
        for number in 0..CAPACITY as u64 / 2 + 10 {
            let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64));
            throttle.begin("a", address, UnixMillis(NOW + number)).unwrap();
        }
        assert_eq!(throttle.entries.lock().unwrap().len(), CAPACITY);
    }

    fn try_once(throttle: &Throttle, email: &str, host: u8, now: u64) -> Result<Attempt, Duration> {
        throttle.begin(email, IpAddr::from([192, 0, 2, host]), UnixMillis(now))
    }
}

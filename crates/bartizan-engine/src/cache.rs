//! Answers that are kept for whoever asks the same again.
//!
//! Kept are whole messages without what is for one client only (id, spelling, OPT record); a reply is one of
//! them with its times to live counted down. Nothing is judged here: indicators and policy may have changed
//! since, so names, aliases and addresses are judged each time an answer is handed out.
//!
//! An answer past its time stays for [`limits::STALE_FOR`], for when nobody answers any more (RFC 8767).
//!
//! # Invariants
//! - At most [`limits::CACHE_ENTRIES`] answers and [`limits::CACHE_OCTETS`]; for one more, those that were not
//!   asked for longest leave.
//! - A hit takes nothing of the heap.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bartizan_model::MAX_NAME_LEN;
use bartizan_wire::dns::{self, DnsQuery};

use crate::limits;

/// What makes two questions the same: name in any case, type, class, flags, and who is asked.
pub(crate) struct Key {
    octets: [u8; Self::MAX_LEN],
    len: usize,
}

impl Key {
    /// Flags, resolver, type and class, then the longest name in labels.
    const MAX_LEN: usize = 1 + 16 + 2 + 2 + MAX_NAME_LEN + 2;

    /// Makes the key of a question; `None` for one whose answer is for nobody else. Each resolver has answers of
    /// its own, since inside of an organization they differ.
    pub(crate) fn of(query: &DnsQuery<'_>, resolver: IpAddr) -> Option<Self> {
        if !query.is_shareable() {
            return None;
        }
        let resolver = match resolver {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let [t1, t0] = query.qtype().to_be_bytes();
        let [c1, c0] = query.qclass().to_be_bytes();
        let fixed = [query.flags(), t1, t0, c1, c0];
        let parts = [fixed.as_slice(), &resolver, query.spelled_name()];
        let mut key = Self { octets: [0; Self::MAX_LEN], len: 0 };
        for part in parts {
            key.octets.get_mut(key.len..)?.get_mut(..part.len())?.copy_from_slice(part);
            key.len += part.len();
        }
        // Lengths of labels are below 64, so that only letters are touched.
        key.octets.get_mut(key.len - query.spelled_name().len()..)?.make_ascii_lowercase();
        Some(key)
    }

    fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// The answers that are kept.
#[derive(Default)]
pub(crate) struct Cache {
    entries: BTreeMap<Box<[u8]>, Entry>,
    octets: usize,
    /// Counts up with each use.
    uses: u64,
}

struct Entry {
    message: Box<[u8]>,
    stored_at: Instant,
    expires_at: Instant,
    used: u64,
}

impl Cache {
    /// Keeps an answer without OPT record for as long as it may be kept, at most [`limits::CACHE_FOR`].
    pub(crate) fn store(&mut self, key: &Key, message: Vec<u8>, lifetime_s: u32, now: Instant) {
        if limits::CACHED_ANSWER_OCTETS < message.len() {
            return;
        }
        self.remove(key.as_slice());
        self.octets += cost(key.as_slice(), &message);
        self.uses += 1;
        let lifetime = Duration::from_secs(lifetime_s.into()).min(limits::CACHE_FOR);
        let entry = Entry {
            message: message.into_boxed_slice(),
            stored_at: now,
            expires_at: now + lifetime,
            used: self.uses,
        };
        self.entries.insert(key.as_slice().into(), entry);
        while limits::CACHE_ENTRIES < self.entries.len() || limits::CACHE_OCTETS < self.octets {
            self.evict(now);
        }
    }

    /// Writes the answer that is kept, as old as it is; says whether there is one within its time.
    pub(crate) fn fetch(&mut self, key: &Key, now: Instant, into: &mut Vec<u8>) -> bool {
        let Some(entry) =
            self.entries.get_mut(key.as_slice()).filter(|entry| now < entry.expires_at)
        else {
            return false;
        };
        self.uses += 1;
        entry.used = self.uses;
        let age = now.saturating_duration_since(entry.stored_at).as_secs();
        into.clear();
        into.extend_from_slice(&entry.message);
        dns::count_down(into, u32::try_from(age).unwrap_or(u32::MAX));
        true
    }

    /// Writes the answer that is kept whether or not its time is over.
    pub(crate) fn fetch_stale(&self, key: &Key, now: Instant, into: &mut Vec<u8>) -> bool {
        let Some(entry) = self.entries.get(key.as_slice()).filter(|entry| entry.is_of_use(now))
        else {
            return false;
        };
        into.clear();
        into.extend_from_slice(&entry.message);
        dns::set_ttls(into, limits::STALE_TTL_S);
        true
    }

    /// Tells whether there is anything to fall back on.
    pub(crate) fn has_stale(&self, key: &Key, now: Instant) -> bool {
        self.entries.get(key.as_slice()).is_some_and(|entry| entry.is_of_use(now))
    }

    /// Forgets all: the network or the policy is another.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.octets = 0;
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.octets -= cost(&key, &entry.message);
        }
    }

    /// Lets one answer go: one that is of no use any more, else the one that was used longest ago.
    fn evict(&mut self, now: Instant) {
        let victim =
            self.entries.iter().min_by_key(|(_, entry)| (entry.is_of_use(now), entry.used));
        if let Some(key) = victim.map(|(key, _)| key.clone()) {
            self.remove(&key);
        }
    }
}

impl Entry {
    fn is_of_use(&self, now: Instant) -> bool {
        now < self.expires_at + limits::STALE_FOR
    }
}

fn cost(key: &[u8], message: &[u8]) -> usize {
    key.len() + message.len() + limits::CACHE_BOOKKEEPING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_by_all_that_makes_a_question() {
        let (mut cache, start) = (Cache::default(), t0());
        let first = resolver(1);
        cache.store(&key("good.test", 1, first), answer("good.test", 1, 60), 60, start);
        assert!(hit(&mut cache, &key("GOOD.test", 1, first), start));
        assert!(!hit(&mut cache, &key("good.test", 28, first), start));
        assert!(!hit(&mut cache, &key("good.test", 1, resolver(2)), start));
        assert!(!hit(&mut cache, &key("a.good.test", 1, first), start));
        let mut checking_disabled = query("good.test", 1);
        checking_disabled[3] |= 0x10;
        assert!(!hit(&mut cache, &key_of(&checking_disabled, first).unwrap(), start));
        cache.clear();
        assert!(!hit(&mut cache, &key("good.test", 1, first), start));
        assert_eq!(cache.octets, 0);
    }

    #[test]
    fn times_to_live_are_counted_down_and_end() {
        let (mut cache, start) = (Cache::default(), t0());
        let key = key("good.test", 1, resolver(1));
        cache.store(&key, answer("good.test", 1, 60), 60, start);
        let mut found = Vec::new();
        for (after, expected) in [(0, 60), (1, 59), (59, 1)] {
            assert!(cache.fetch(&key, start + s(after), &mut found));
            assert_eq!(ttl(&found), expected);
        }
        assert!(!cache.fetch(&key, start + s(60), &mut found));
        for (after, expected) in [(60, true), (3_659, true), (3_660, false)] {
            let found = &mut Vec::new();
            assert_eq!(cache.fetch_stale(&key, start + s(after), found), expected, "{after}");
            assert_eq!(cache.has_stale(&key, start + s(after)), expected, "{after}");
            assert!(!expected || ttl(found) == 30);
        }
    }

    #[test]
    fn nothing_is_kept_longer_than_an_hour() {
        let (mut cache, start) = (Cache::default(), t0());
        let key = key("good.test", 1, resolver(1));
        cache.store(&key, answer("good.test", 1, 90_000), 90_000, start);
        assert!(hit(&mut cache, &key, start + s(3_599)));
        assert!(!hit(&mut cache, &key, start + s(3_600)));
    }

    #[test]
    fn the_answers_that_nobody_asks_for_leave_first() {
        let (mut cache, start) = (Cache::default(), t0());
        let named = |number: usize| key(&format!("n{number}.test"), 1, resolver(1));
        let fill = |cache: &mut Cache, number: usize| {
            let name = format!("n{number}.test");
            cache.store(&named(number), answer(&name, 1, 60), 60, start);
        };
        for number in 0..limits::CACHE_ENTRIES {
            fill(&mut cache, number);
        }
        assert!(hit(&mut cache, &named(0), start));
        fill(&mut cache, limits::CACHE_ENTRIES);
        assert!(hit(&mut cache, &named(0), start), "was used");
        assert!(!hit(&mut cache, &named(1), start), "was not");
        assert_eq!(cache.entries.len(), limits::CACHE_ENTRIES);
    }

    #[test]
    fn large_answers_do_not_outgrow_the_limit() {
        let (mut cache, start) = (Cache::default(), t0());
        for number in 0..500 {
            let name = format!("n{number}.test");
            let mut large = answer(&name, 1, 60);
            large.resize(limits::CACHED_ANSWER_OCTETS, 0);
            cache.store(&key(&name, 1, resolver(1)), large, 60, start);
            let counted: usize =
                cache.entries.iter().map(|(key, entry)| cost(key, &entry.message)).sum();
            assert_eq!(cache.octets, counted);
            assert!(counted <= limits::CACHE_OCTETS);
        }
        assert!(100 < cache.entries.len());
        let too_large = vec![0; limits::CACHED_ANSWER_OCTETS + 1];
        let key = key("large.test", 1, resolver(1));
        cache.store(&key, too_large, 60, start);
        assert!(!hit(&mut cache, &key, start));
    }

    fn hit(cache: &mut Cache, key: &Key, now: Instant) -> bool {
        cache.fetch(key, now, &mut Vec::new())
    }

    fn key(name: &str, qtype: u8, resolver: IpAddr) -> Key {
        key_of(&query(name, qtype), resolver).unwrap()
    }

    fn key_of(query: &[u8], resolver: IpAddr) -> Option<Key> {
        Key::of(&DnsQuery::parse(query).unwrap(), resolver)
    }

    fn query(name: &str, qtype: u8) -> Vec<u8> {
        let mut octets = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            octets.push(u8::try_from(label.len()).unwrap());
            octets.extend(label.as_bytes());
        }
        octets.extend([0, 0, qtype, 0, 1]);
        octets
    }

    fn answer(name: &str, qtype: u8, ttl: u32) -> Vec<u8> {
        let mut octets = query(name, qtype);
        (octets[2], octets[7]) = (0x81, 1);
        octets.extend([0xc0, 12, 0, qtype, 0, 1]);
        octets.extend(ttl.to_be_bytes());
        octets.extend([0, 4, 192, 0, 2, 7]);
        octets
    }

    fn ttl(answer: &[u8]) -> u32 {
        u32::from_be_bytes(*answer[..answer.len() - 6].last_chunk().unwrap())
    }

    fn resolver(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[expect(clippy::disallowed_methods, reason = "only differences to it matter")]
    fn t0() -> Instant {
        Instant::now()
    }
}

//! What is under way, found by key or by slot in constant time, with the times when it is due.
//!
//! # Invariants
//! - A key and a slot belong to each other until the entry is removed; the slot's generation then changes.
//! - Of entries that were used in different seconds, [`Table::oldest`] names the one used first.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::marker::PhantomData;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

/// Milliseconds since the engine began.
pub(crate) type Millis = u64;

/// What knows its own key: a table has no copy of it.
pub(crate) trait Keyed<K> {
    fn key(&self) -> K;
}

/// A table of at most `max` entries.
pub(crate) struct Table<K, T> {
    max: usize,
    hasher: SipHasher13,
    index: HashTable<u16>,
    slots: Vec<Slot<T>>,
    free: Vec<u16>,
    due: BTreeSet<Due>,
    newest: u16,
    oldest: u16,
    key: PhantomData<K>,
}

/// When a slot is due: milliseconds in 48 bits, then the slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due(u64);

impl Due {
    fn new(at: Millis, slot: u16) -> Self {
        Self(at << 16 | u64::from(slot))
    }

    fn at(self) -> Millis {
        self.0 >> 16
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower 16 bits are the slot")]
    fn slot(self) -> u16 {
        self.0 as u16
    }
}

struct Slot<T> {
    entry: Option<T>,
    generation: u16,
    older: u16,
    newer: u16,
    /// In seconds; the order of use is kept as exact as that.
    used_at: u32,
    /// As in `due`; [`NEVER`] where it is not there.
    due_at: Millis,
}

impl<K: Eq + Hash, T: Keyed<K>> Table<K, T> {
    /// The key keeps others from choosing what collides.
    pub(crate) fn new(max: usize, key: [u8; 16]) -> Self {
        Self {
            max,
            hasher: SipHasher13::new_with_key(&key),
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            due: BTreeSet::new(),
            newest: NONE,
            oldest: NONE,
            key: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.max <= self.index.len()
    }

    pub(crate) fn find(&self, key: &K) -> Option<u16> {
        let slots = &self.slots;
        self.index
            .find(hash(&self.hasher, key), |slot| key_at(slots, *slot).as_ref() == Some(key))
            .copied()
    }

    pub(crate) fn get(&self, slot: u16) -> Option<&T> {
        self.slots.get(usize::from(slot))?.entry.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u16) -> Option<&mut T> {
        self.slots.get_mut(usize::from(slot))?.entry.as_mut()
    }

    /// Returns the generation of what is or will be in a slot.
    pub(crate) fn generation(&self, slot: u16) -> u16 {
        self.slots.get(usize::from(slot)).map_or(0, |slot| slot.generation)
    }

    /// Adds an entry that is made for its slot and generation; `None` where the table is full. Its key must be new.
    pub(crate) fn insert(&mut self, now: Millis, make: impl FnOnce(u16, u16) -> T) -> Option<u16> {
        if self.is_full() {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u16::try_from(self.slots.len()).ok().filter(|slot| *slot != NONE)?;
                if self.slots.len() == self.slots.capacity() {
                    self.slots.reserve_exact(SLOTS_AT_ONCE);
                }
                self.slots.push(Slot {
                    entry: None,
                    generation: 0,
                    older: NONE,
                    newer: NONE,
                    used_at: 0,
                    due_at: NEVER,
                });
                slot
            }
        };
        let value = make(slot, self.generation(slot));
        let place = self.slots.get_mut(usize::from(slot))?;
        let at = hash(&self.hasher, &value.key());
        place.entry = Some(value);
        place.used_at = seconds(now);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(at, slot, |slot| {
            key_at(slots, *slot).map_or(0, |key| hash(hasher, &key))
        });
        self.link_newest(slot);
        Some(slot)
    }

    pub(crate) fn remove(&mut self, slot: u16) -> Option<T> {
        let place = self.slots.get_mut(usize::from(slot))?;
        let value = place.entry.take()?;
        place.generation = place.generation.wrapping_add(1);
        if place.due_at != NEVER {
            self.due.remove(&Due::new(place.due_at, slot));
            place.due_at = NEVER;
        }
        let at = hash(&self.hasher, &value.key());
        if let Ok(found) = self.index.find_entry(at, |other| *other == slot) {
            found.remove();
        }
        self.unlink(slot);
        self.free.push(slot);
        Some(value)
    }

    /// Notes that an entry was used.
    pub(crate) fn touch(&mut self, slot: u16, now: Millis) {
        let Some(place) = self.slots.get_mut(usize::from(slot)) else { return };
        if place.used_at != seconds(now) {
            place.used_at = seconds(now);
            self.unlink(slot);
            self.link_newest(slot);
        }
    }

    /// Returns the entry that was not used for the longest time.
    pub(crate) fn oldest(&self) -> Option<u16> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Sees to it that [`Table::take_due`] gives an entry out at this time or before.
    pub(crate) fn schedule(&mut self, slot: u16, at: Millis) {
        let Some(place) = self.slots.get_mut(usize::from(slot)) else { return };
        if place.due_at <= at {
            return;
        }
        if place.due_at != NEVER {
            self.due.remove(&Due::new(place.due_at, slot));
        }
        place.due_at = at;
        self.due.insert(Due::new(at, slot));
    }

    /// Returns an entry whose time has come, one at a time; it is to be scheduled again.
    pub(crate) fn take_due(&mut self, now: Millis) -> Option<u16> {
        let due = *self.due.first()?;
        if now < due.at() {
            return None;
        }
        self.due.pop_first();
        let slot = due.slot();
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            place.due_at = NEVER;
        }
        Some(slot)
    }

    /// Returns when [`Table::take_due`] may have something.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|due| due.at())
    }

    fn link_newest(&mut self, slot: u16) {
        let newest = std::mem::replace(&mut self.newest, slot);
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            (place.older, place.newer) = (newest, NONE);
        }
        match self.slots.get_mut(usize::from(newest)) {
            Some(place) => place.newer = slot,
            None => self.oldest = slot,
        }
    }

    fn unlink(&mut self, slot: u16) {
        let Some(place) = self.slots.get(usize::from(slot)) else { return };
        let (older, newer) = (place.older, place.newer);
        match self.slots.get_mut(usize::from(older)) {
            Some(place) => place.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(usize::from(newer)) {
            Some(place) => place.older = older,
            None => self.newest = older,
        }
    }
}

fn hash<K: Hash>(hasher: &SipHasher13, key: &K) -> u64 {
    let mut hasher = *hasher;
    key.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

fn key_at<K, T: Keyed<K>>(slots: &[Slot<T>], slot: u16) -> Option<K> {
    Some(slots.get(usize::from(slot))?.entry.as_ref()?.key())
}

fn seconds(at: Millis) -> u32 {
    u32::try_from(at / 1_000).unwrap_or(u32::MAX)
}

/// No slot.
const NONE: u16 = u16::MAX;
/// Not scheduled.
pub(crate) const NEVER: Millis = Millis::MAX;
/// Doubling a large table would hold it three times for a moment.
const SLOTS_AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed<Self> for &str {
        fn key(&self) -> Self {
            self
        }
    }

    #[test]
    fn the_one_not_used_for_the_longest_time_is_the_oldest() {
        let mut table = Table::new(3, [7; 16]);
        let a = table.insert(0, |_, _| "a").unwrap();
        let b = table.insert(1_000, |_, _| "b").unwrap();
        let c = table.insert(2_000, |_, _| "c").unwrap();
        assert_eq!(table.insert(3_000, |_, _| "d"), None);
        assert_eq!(table.oldest(), Some(a));
        table.touch(a, 4_000);
        assert_eq!(table.oldest(), Some(b));
        table.remove(b);
        assert_eq!(table.oldest(), Some(c));
        assert_eq!((table.find(&"b"), table.find(&"c"), table.len()), (None, Some(c), 2));
    }

    #[test]
    fn a_slot_that_is_used_again_has_another_generation() {
        let mut table = Table::new(3, [7; 16]);
        let first = table.insert(0, |_, _| "a").unwrap();
        let generation = table.generation(first);
        table.remove(first);
        let second = table.insert(0, |_, _| "b").unwrap();
        assert_eq!(first, second);
        assert_ne!(generation, table.generation(second));
    }

    #[test]
    fn entries_are_due_once_and_in_order() {
        let mut table = Table::new(3, [7; 16]);
        let a = table.insert(0, |_, _| "a").unwrap();
        let b = table.insert(0, |_, _| "b").unwrap();
        table.schedule(a, 100);
        table.schedule(b, 50);
        // Later than it is due already: it is given out at the earlier time, and says then when it wants to be.
        table.schedule(b, 200);
        assert_eq!((table.next_due(), table.take_due(49)), (Some(50), None));
        assert_eq!((table.take_due(50), table.take_due(50)), (Some(b), None));
        table.remove(a);
        assert_eq!(table.next_due(), None);
    }
}

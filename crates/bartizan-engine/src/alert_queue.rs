//! Alerts that the portal has not taken yet, oldest first.
//!
//! The host puts an alert on its disk before it goes in here, and takes it off the disk once it has
//! come out: the queue is the memory of what the disk holds.
//!
//! # Invariants
//! - At most [`CAPACITY`] alerts. At the bound the oldest goes and is counted: what happens now matters
//!   more than what happened first.
//! - An alert leaves only when the portal has said what became of it.

use std::collections::VecDeque;

use bartizan_model::{Alert, AlertId};

use crate::limits::{ALERT_BATCH, ALERT_QUEUE as CAPACITY};

/// The queue; see the module.
#[derive(Debug, Default)]
pub(crate) struct AlertQueue {
    waiting: VecDeque<Alert>,
    dropped: u64,
}

impl AlertQueue {
    /// Adds an alert. Returns the one that had to go for it, so that the host can forget it too.
    pub(crate) fn push(&mut self, alert: Alert) -> Option<AlertId> {
        let victim = if self.waiting.len() < CAPACITY { None } else { self.waiting.pop_front() };
        self.waiting.push_back(alert);
        self.dropped += u64::from(victim.is_some());
        victim.map(|alert| alert.id)
    }

    /// Returns the oldest alerts, as many as one upload takes.
    pub(crate) fn batch(&self) -> Vec<Alert> {
        self.waiting.iter().take(ALERT_BATCH).cloned().collect()
    }

    /// Removes what the portal has taken or will never take.
    pub(crate) fn remove(&mut self, settled: &[AlertId]) {
        self.waiting.retain(|alert| !settled.contains(&alert.id));
    }

    /// Returns how many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tells whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns how many alerts had to go because too many were waiting.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use bartizan_model::{Detector, UnixMillis};

    use super::*;

    #[test]
    fn at_the_bound_the_oldest_goes_and_is_named() {
        let mut queue = AlertQueue::default();
        for id in 0..CAPACITY as u128 {
            assert_eq!(queue.push(alert(id)), None);
        }
        assert_eq!(queue.push(alert(u128::MAX)), Some(AlertId(0)));
        assert_eq!((queue.batch()[0].id, queue.dropped()), (AlertId(1), 1));
    }

    #[test]
    fn only_what_is_settled_leaves() {
        let mut queue = AlertQueue::default();
        for id in 1..=3 {
            queue.push(alert(id));
        }
        queue.remove(&[AlertId(2), AlertId(9)]);
        assert_eq!(queue.batch().iter().map(|alert| alert.id.0).collect::<Vec<_>>(), [1, 3]);
    }

    fn alert(id: u128) -> Alert {
        Alert {
            id: AlertId(id),
            detector: Detector::WebPhishingBlocked,
            host: None,
            matched: None,
            action: bartizan_model::IndicatorAction::Block,
            first_seen: UnixMillis(0),
            last_seen: UnixMillis(0),
            count: 1,
            indicator_epoch: 0,
        }
    }
}

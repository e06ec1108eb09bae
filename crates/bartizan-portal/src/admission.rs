//! How much work of devices is taken on at once, and what is let in first.
//!
//! After an outage all devices come back together. What is beyond the bound is refused before anything is spent on it,
//! with a time to come back that differs from one to the next, so that they do not come together again.
//!
//! # Invariants
//! - Alerts are let in while anything is, and check-ins while less urgent requests are not any more.
//! - A request holds its place from before its signatures are checked until it is answered; one that waits for its body
//!   holds none before its device has proven itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_contract::path;

use crate::error::ApiError;
use crate::random;

/// Requests of devices that are under way.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    under_way: Arc<AtomicUsize>,
    refused: AtomicUsize,
}

/// A place among them, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Admission {
    /// Lets a request to this path in, or says when to come back.
    pub(crate) fn enter(&self, path: &str) -> Result<Place, ApiError> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.under_way));
        if before < room(path) {
            return Ok(place);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(come_back_later(BUSY))
    }

    /// Returns how many are under way, and how many were refused since the start.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.under_way.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says why nothing can be done now, and when to come back.
pub(crate) fn come_back_later(why: &str) -> ApiError {
    let mut error = ApiError::unavailable();
    why.clone_into(&mut error.detail);
    // Without randomness all come back at once, as late as possible.
    let spread = random::<2>().map_or(u16::MAX, u16::from_be_bytes);
    let more = u64::from(spread) * (LATEST_S - EARLIEST_S) / u64::from(u16::MAX);
    error.retry_after = Some(EARLIEST_S + more);
    error
}

/// How many may be under way when a request to this path comes.
fn room(path: &str) -> usize {
    match path {
        path::ALERTS => MOST,
        // A device that comes back needs a token before it can send alerts.
        path::CHECKIN | path::TOKEN => MOST / 4 * 3,
        _ => MOST / 2,
    }
}

/// What who is refused is told.
pub(crate) const BUSY: &str = "the portal has too much to do now; try again later";
/// About a second of work; below the number of connections that are served.
pub(crate) const MOST: usize = 4_096;
const EARLIEST_S: u64 = 30;
const LATEST_S: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_come_before_check_ins_and_those_before_the_rest() {
        let admission = Admission::default();
        let mut places = Vec::new();
        let mut fill = |path, most: usize| {
            while let Ok(place) = admission.enter(path) {
                places.push(place);
            }
            assert_eq!(admission.load().0, most, "{path}");
        };
        fill(path::REPORT, MOST / 2);
        fill(path::CHECKIN, MOST / 4 * 3);
        fill(path::ALERTS, MOST);
        assert_eq!(admission.load().1, 3);
        places.pop();
        assert!(admission.enter(path::TOKEN).is_err());
        assert!(admission.enter(path::ALERTS).is_ok());
        drop(places);
        assert_eq!(admission.load().0, 0);
    }

    #[test]
    fn who_is_refused_comes_back_within_five_minutes_and_not_together() {
        let waits: Vec<_> = (0..200).map(|_| come_back_later(BUSY).retry_after.unwrap()).collect();
        assert!(waits.iter().all(|wait| (EARLIEST_S..=LATEST_S).contains(wait)));
        // Two hundred draws of 271 seconds: fewer than a hundred different ones do not come by chance.
        let different: std::collections::BTreeSet<_> = waits.iter().collect();
        assert!(100 <= different.len(), "{waits:?}");
    }
}

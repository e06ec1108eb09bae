//! The places of connections: how many there may be at once, and which one gives way to a newcomer when all are taken.
//!
//! A connection waits while its client has something to do: to finish the handshake, to send a request whole, to take the
//! answer, to ask again. It works from when a request has come whole until its answer is made. Clients that send an octet a
//! minute or nothing at all cost no more than a place, and lose it first.
//!
//! # Invariants
//! - What works is not ended for others.
//! - Who gives way is of the network that has most of those that wait, and waits longest there: whoever opens connections
//!   by the thousand loses their own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All places. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    most: u32,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits, by network and by since when.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    networks: BTreeMap<IpAddr, BTreeMap<u64, Arc<Notify>>>,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// To be shared with what the connection does.
    pub(crate) turn: Arc<Turn>,
    _permit: OwnedSemaphorePermit,
}

/// Whether a connection works or waits, and since when.
#[derive(Debug)]
pub(crate) struct Turn {
    waiting: Arc<Mutex<Waiting>>,
    network: IpAddr,
    end: Arc<Notify>,
    /// Its number among those that wait.
    number: Mutex<Option<u64>>,
}

impl Places {
    pub(crate) fn new(most: u32) -> Self {
        let free = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(0)));
        Self { free, most, waiting: Arc::default() }
    }

    /// Finds a place for a connection from this address; `None` once they are closed.
    pub(crate) async fn enter(&self, from: IpAddr) -> Option<Place> {
        let permit = loop {
            let free = Arc::clone(&self.free);
            if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
                break permit;
            }
            self.make_room();
            // Where all work, one of them soon waits.
            if let Ok(permit) = tokio::time::timeout(PAUSE, free.acquire_owned()).await {
                break permit.ok()?;
            }
        };
        let turn = Turn {
            waiting: Arc::clone(&self.waiting),
            network: network(from),
            end: Arc::default(),
            number: Mutex::new(None),
        };
        turn.wait();
        Some(Place { turn: Arc::new(turn), _permit: permit })
    }

    /// Tells the connection that gives way first to end.
    pub(crate) fn make_room(&self) {
        lock(&self.waiting).end_one();
    }

    /// Returns when no connection is left.
    pub(crate) async fn empty(&self) {
        // An error means that they are closed, which is an end too.
        let _ = self.free.acquire_many(self.most).await;
    }
}

impl Waiting {
    /// Tells one to end.
    fn end_one(&mut self) {
        // Of as many, the network whose oldest waits longest.
        let most = self.networks.iter_mut().max_by_key(|(_, waiting)| {
            (waiting.len(), std::cmp::Reverse(waiting.first_key_value().map(|(number, _)| *number)))
        });
        let Some((network, waiting)) = most else { return };
        let network = *network;
        if let Some((_, end)) = waiting.pop_first() {
            end.notify_one();
        }
        if waiting.is_empty() {
            self.networks.remove(&network);
        }
    }
}

impl Turn {
    /// Notes that the connection has work to do.
    pub(crate) fn work(&self) {
        if let Some(number) = lock(&self.number).take() {
            let mut waiting = lock(&self.waiting);
            if let Some(of_network) = waiting.networks.get_mut(&self.network) {
                of_network.remove(&number);
                if of_network.is_empty() {
                    waiting.networks.remove(&self.network);
                }
            }
        }
    }

    /// Notes that it is the client's turn, from now on.
    pub(crate) fn wait(&self) {
        self.work();
        let mut waiting = lock(&self.waiting);
        let number = waiting.next;
        waiting.next += 1;
        let of_network = waiting.networks.entry(self.network).or_default();
        of_network.insert(number, Arc::clone(&self.end));
        *lock(&self.number) = Some(number);
    }

    /// Returns when the connection has to give way.
    pub(crate) async fn ended(&self) {
        self.end.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turn.work();
    }
}

/// A request's body, which says when it has come whole.
#[derive(Debug)]
pub(crate) struct Arriving {
    body: Incoming,
    turn: Arc<Turn>,
}

impl Arriving {
    pub(crate) fn new(body: Incoming, turn: Arc<Turn>) -> Self {
        if body.is_end_stream() {
            turn.work();
        }
        Self { body, turn }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.turn.work();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What counts as one: an address of IPv4, or the 64 bits of IPv6 that a subscriber is given.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let first = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(first.into())
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait before another is asked to end.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn who_has_most_that_wait_gives_way_and_who_works_does_not() {
        let places = Places::new(4);
        let enter = async |text: &str| places.enter(text.parse().unwrap()).await.unwrap();
        let honest = enter("192.0.2.1").await;
        let many = [
            enter("2001:db8::1").await,
            enter("2001:db8::2").await,
            enter("2001:db8::ffff:0:0:3").await,
        ];
        many[0].turn.work();
        places.make_room();
        assert!(!is_ended(&honest));
        assert_eq!(many.iter().map(is_ended).collect::<Vec<_>>(), [false, true, false]);
        // One of each is left: the one that waits longer.
        places.make_room();
        assert!(is_ended(&honest));
        many[0].turn.wait();
        places.make_room();
        assert_eq!(many.iter().map(is_ended).collect::<Vec<_>>(), [false, false, true]);
    }

    #[tokio::test]
    async fn a_newcomer_finds_a_place_once_somebody_has_left() {
        let places = Places::new(1);
        let first = places.enter("192.0.2.1".parse().unwrap()).await.unwrap();
        let mut second = std::pin::pin!(places.enter("192.0.2.2".parse().unwrap()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(is_ended(&first));
        drop(first);
        drop(second.await.unwrap());
        assert!(lock(&places.waiting).networks.is_empty());
    }

    fn is_ended(place: &Place) -> bool {
        let ended = std::pin::pin!(place.turn.ended());
        ended.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

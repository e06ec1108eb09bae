//! QUIC connections whose ClientHello is being gathered, or was judged and may not be.
//!
//! A hello takes several datagrams since post-quantum key shares. They pass as they come, all but the one that
//! completes a hello that is stopped: without it the server cannot answer anything that matters, and the client is
//! told to give up. A verdict is kept for a while, for whatever the client sends again: it is told again, since it takes
//! no close for one once it heard of the server meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bartizan_wire::Reading;
use bartizan_wire::quic::{CloseReason, HelloReader, QuicClose};
use bartizan_wire::tls::ClientHello;

use crate::limits;
use crate::splice::Datagram;

/// The connections under way, the oldest first.
#[derive(Default)]
pub(crate) struct Hellos {
    open: VecDeque<Box<Gathering>>,
    /// One that is done, so that hellos of one datagram take nothing of the heap.
    spare: Option<Box<Gathering>>,
    stopped: VecDeque<Stopped>,
}

struct Stopped {
    ends: Ends,
    until: Instant,
    close: Option<QuicClose>,
}

/// Client and server.
pub(crate) type Ends = (SocketAddr, SocketAddr);

struct Gathering {
    ends: Ends,
    since: Instant,
    reader: HelloReader,
}

impl Hellos {
    /// Says what happens to a datagram if a hello between these ends was stopped a while ago.
    pub(crate) fn stopped(
        &mut self,
        ends: Ends,
        datagram: &[u8],
        now: Instant,
    ) -> Option<Datagram> {
        while self.stopped.pop_front_if(|stopped| stopped.until <= now).is_some() {}
        let stopped = self.stopped.iter().find(|stopped| stopped.ends == ends)?;
        Some(stopped.answer(datagram))
    }

    /// Stops the hello that was read last, between these ends; says what happens to its last datagram.
    pub(crate) fn stop(&mut self, ends: Ends, datagram: &[u8], now: Instant) -> Datagram {
        if limits::STOPPED_HELLOS <= self.stopped.len() {
            self.stopped.pop_front();
        }
        let close = self.spare.as_ref().and_then(|gathering| gathering.reader.close());
        let stopped = Stopped { ends, until: now + limits::STOPPED_FOR, close };
        let answer = stopped.answer(datagram);
        self.stopped.push_back(stopped);
        answer
    }

    /// Reads a datagram with an Initial between these ends, with those before it.
    pub(crate) fn read(
        &mut self,
        ends: Ends,
        datagram: &[u8],
        now: Instant,
    ) -> Reading<ClientHello> {
        let known = self.open.iter().position(|open| open.ends == ends);
        let mut gathering = match known {
            Some(at) => self.open.remove(at),
            None if limits::HELLOS <= self.open.len() => self.open.pop_front(),
            None => self.spare.take(),
        }
        .unwrap_or_else(|| Box::new(Gathering { ends, since: now, reader: HelloReader::new() }));
        if known.is_none() || gathering.since + limits::STOPPED_FOR <= now {
            (gathering.ends, gathering.since) = (ends, now);
            gathering.reader.restart();
        }
        let reading = gathering.reader.push(datagram);
        if matches!(reading, Reading::More) {
            self.open.push_back(gathering);
        } else {
            self.spare = Some(gathering);
        }
        reading
    }
}

impl Stopped {
    /// Only what is no Initial packet goes without an answer.
    fn answer(&self, datagram: &[u8]) -> Datagram {
        let close =
            self.close.and_then(|close| close.write(datagram, CloseReason::ConnectionRefused));
        close.map_or(Datagram::Drop, Datagram::Answer)
    }
}

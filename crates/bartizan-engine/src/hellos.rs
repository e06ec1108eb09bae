//! QUIC connections whose ClientHello is being gathered, or was judged and may not be.
//!
//! A hello takes several datagrams since post-quantum key shares. They pass as they come, all but the one that
//! completes a hello that is stopped: without it the server cannot answer anything that matters, and the client is
//! told to give up. A verdict is kept for a while, for whatever the client sends again.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bartizan_wire::Reading;
use bartizan_wire::quic::HelloReader;
use bartizan_wire::tls::ClientHello;

use crate::limits;

/// The connections under way, the oldest first.
#[derive(Default)]
pub(crate) struct Hellos {
    open: VecDeque<Box<Gathering>>,
    /// One that is done, so that hellos of one datagram take nothing of the heap.
    spare: Option<Box<Gathering>>,
    stopped: VecDeque<(Ends, Instant)>,
}

/// Client and server.
pub(crate) type Ends = (SocketAddr, SocketAddr);

struct Gathering {
    ends: Ends,
    since: Instant,
    reader: HelloReader,
}

impl Hellos {
    /// Tells whether a hello between these ends was stopped a while ago.
    pub(crate) fn is_stopped(&mut self, ends: Ends, now: Instant) -> bool {
        while self.stopped.pop_front_if(|(_, until)| *until <= now).is_some() {}
        self.stopped.iter().any(|(stopped, _)| *stopped == ends)
    }

    /// Keeps in mind that a hello between these ends was stopped.
    pub(crate) fn stop(&mut self, ends: Ends, now: Instant) {
        if limits::STOPPED_HELLOS <= self.stopped.len() {
            self.stopped.pop_front();
        }
        self.stopped.push_back((ends, now + limits::STOPPED_FOR));
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

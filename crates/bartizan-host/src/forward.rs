//! Just the tunnel: no portal, no files, no alerts that go anywhere. For measuring, and for embedding elsewhere.

use std::io;
use std::sync::mpsc::{Receiver, channel};

use bartizan_indicators::IndicatorFile;
use bartizan_model::{Mode, Policy};

use crate::clock::Clock;
use crate::packets::Packets;
use crate::tunnel::{Command, Event, Route, Tunnel};
use crate::tunnel_status::TunnelStatus;

/// What the tunnel needs.
pub struct Forward {
    /// Where packets come from and go to.
    pub packets: Packets,
    /// How sockets leave, and where resolvers really are.
    pub route: Route,
    /// What is listed.
    pub indicators: Option<IndicatorFile>,
}

/// A tunnel that runs.
pub struct Forwarder {
    tunnel: Tunnel,
    events: Receiver<Event>,
}

impl Forwarder {
    /// Starts the tunnel.
    ///
    /// # Errors
    /// The descriptor or a thread cannot be had.
    pub fn start(setup: Forward) -> io::Result<Self> {
        let (sender, events) = channel();
        let Forward { packets, route, indicators } = setup;
        let tunnel =
            Tunnel::start(packets, Vec::new(), route, None, None, Clock::new(), move |event| {
                // Nobody listens any more only while everything ends.
                let _ = sender.send(event);
            })?;
        tunnel.tell(Command::Policy(Policy { mode: Mode::Tunnel, ..Policy::default() }));
        if let Some(file) = indicators {
            tunnel.tell(Command::Indicators(Box::new(file)));
        }
        Ok(Self { tunnel, events })
    }

    /// Returns a function that stops it, from any thread.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        self.tunnel.stopper()
    }

    /// Returns a function that tells what happened so far, from any thread.
    pub fn status(&self) -> impl Fn() -> TunnelStatus + Send + 'static {
        let snapshot = self.tunnel.snapshots();
        move || snapshot().tunnel()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The interface is gone, or the engine failed.
    pub fn wait(self) -> io::Result<()> {
        for event in &self.events {
            match event {
                Event::Ended(ended) => return ended,
                // Others lead packets out: there is nothing to look at.
                Event::NetworkChanged => self.tunnel.tell(Command::Network(None)),
                Event::Alert(_) | Event::Mistake(_) | Event::Passes(_) | Event::Protection => {}
            }
        }
        Ok(())
    }
}

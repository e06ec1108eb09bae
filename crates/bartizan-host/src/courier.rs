//! The courier thread: has one conversation with the portal at a time, so that nobody else waits.

use std::io;
use std::sync::mpsc::{Sender, channel};

use crate::portal::{Job, Outcome, PortalClient};

/// The courier thread, from outside. It ends when this is dropped, after what it is doing.
pub(crate) struct Courier {
    jobs: Sender<Job>,
}

impl Courier {
    pub(crate) fn start(
        mut client: PortalClient,
        done: impl Fn(Outcome) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, waiting) = channel::<Job>();
        std::thread::Builder::new().name("courier".into()).spawn(move || {
            for job in waiting {
                done(client.perform(job));
            }
        })?;
        Ok(Self { jobs })
    }

    /// Gives it something to do.
    pub(crate) fn send(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            tracing::error!("the courier has ended");
        }
    }
}

//! The courier thread: has one conversation with the portal at a time, so that nobody else waits.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};

use bartizan_engine::sync::Failure;

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
                let outcome = catch_unwind(AssertUnwindSafe(|| client.perform(job)));
                done(outcome.unwrap_or_else(|_| Outcome {
                    result: Err(Failure::Unreachable),
                    news: None,
                    problem: Some("talking to the portal failed; see the log".to_owned()),
                }));
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

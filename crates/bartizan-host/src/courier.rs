//! The courier thread: has one conversation with the portal at a time, so that nobody else waits.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};

use bartizan_engine::sync::Failure;
use bartizan_model::DomainName;

use crate::portal::{Job, Outcome, PortalClient};
use crate::report::report_mistake;

/// What there is to say to the portal.
enum Errand {
    /// Something that the schedule asked for; its outcome is told.
    Job(Job),
    /// A person says that this host is stopped by mistake. Nobody waits for the outcome.
    Mistake(DomainName),
}

/// The courier thread, from outside. It ends when this is dropped, after what it is doing.
pub(crate) struct Courier {
    errands: Sender<Errand>,
}

impl Courier {
    pub(crate) fn start(
        mut client: PortalClient,
        done: impl Fn(Outcome) + Send + 'static,
    ) -> io::Result<Self> {
        let (errands, waiting) = channel();
        std::thread::Builder::new().name("courier".into()).spawn(move || {
            for errand in waiting {
                let run = AssertUnwindSafe(|| match errand {
                    Errand::Job(job) => Some(client.perform(job)),
                    Errand::Mistake(host) => {
                        report_mistake(&mut client, &host);
                        None
                    }
                });
                let outcome = catch_unwind(run).transpose();
                let Some(outcome) = outcome else { continue };
                done(outcome.unwrap_or_else(|_| Outcome {
                    result: Err(Failure::Unreachable),
                    news: None,
                    problem: Some("talking to the portal failed; see the log".to_owned()),
                }));
            }
        })?;
        Ok(Self { errands })
    }

    /// Gives it something to do.
    pub(crate) fn send(&self, job: Job) {
        self.go(Errand::Job(job));
    }

    /// Has it tell the portal that a person thinks a host is stopped by mistake.
    pub(crate) fn send_mistake(&self, host: DomainName) {
        self.go(Errand::Mistake(host));
    }

    fn go(&self, errand: Errand) {
        if self.errands.send(errand).is_err() {
            tracing::error!("the courier has ended");
        }
    }
}

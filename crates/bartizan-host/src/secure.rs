//! The port to a resolver that proves who it is: DNS over TLS or HTTPS, as policy names it.
//!
//! What speaks TLS is given from outside ([`crate::Setup`]), so that this crate stays free of it. It runs on a thread
//! of its own, and neither side waits for the other: questions go there, answers come back through [`Answers`].

use std::fmt;
use std::io;
use std::sync::Arc;

// Whoever implements the port needs no more of the crates below than these.
pub use bartizan_engine::{UpstreamFailed, UpstreamId};
pub use bartizan_model::{DnsUpstream, SecureResolver};

/// Puts questions to the resolver that policy names.
pub trait SecureUpstream: Send {
    /// Takes a resolver into use in place of the one before; for [`DnsUpstream::System`] none is.
    fn turn_to(&mut self, upstream: &DnsUpstream);

    /// Has connections leave by this interface from now on; those of before are gone.
    fn leave_by(&mut self, uplink: Option<&str>);

    /// Puts a question, a message without length; its answer comes through [`Answers`], or that there is none. The
    /// same id may come again once it has failed.
    ///
    /// # Errors
    /// It cannot take any more, or nobody is to be asked.
    fn ask(&mut self, id: UpstreamId, query: Vec<u8>) -> Result<(), UpstreamFailed>;
}

/// Starts what speaks TLS, once there is somebody to give answers to.
pub trait StartSecureUpstream: Send {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started, such as for want of a thread.
    fn start(self: Box<Self>, answers: Answers) -> io::Result<Box<dyn SecureUpstream>>;
}

/// Takes answers to the thread that asked.
#[derive(Clone)]
pub struct Answers(Arc<Take>);

type Take = dyn Fn(UpstreamId, Result<Vec<u8>, UpstreamFailed>) + Send + Sync;

impl Answers {
    /// Makes it of a function that is called for each answer, on a thread that must not wait.
    #[must_use]
    pub fn new(
        take: impl Fn(UpstreamId, Result<Vec<u8>, UpstreamFailed>) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(take))
    }

    /// Hands over the answer to a question: a message with the id that the question had, or that there is none.
    pub fn give(&self, id: UpstreamId, answer: Result<Vec<u8>, UpstreamFailed>) {
        (self.0)(id, answer);
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Answers")
    }
}

//! The shell around the engine: it does what the engine only decides.
//!
//! Four threads, no shared state but channels and one snapshot:
//!
//! - **tunnel** ([`tunnel`]) reads packets, drives [`bartizan_engine::Engine`] and asks the resolvers;
//! - **control** ([`control`]) drives [`bartizan_engine::sync::Sync`], owns the files ([`state`]) and
//!   puts alerts on disk ([`spool`]) before they are queued;
//! - **courier** ([`courier`]) does one blocking conversation with the portal at a time ([`portal`]);
//! - **asks** waits for what a person at the device asks ([`pass()`]).
//!
//! Where policy names a resolver that is asked over TLS, what speaks TLS ([`secure`]) has a fifth; a probe of the network
//! ([`Probe`]) has one while it lasts.
//!
//! Beside them, [`report()`] sends what a person says about a site, and [`feedback()`] what they say about anything,
//! whether or not a device runs.
//!
//! Works over any file descriptor that gives and takes one IP packet a call ([`Packets`]): a Linux TUN, an iOS
//! utun, or one end of a socket pair. What differs by system, such as opening the TUN and speaking HTTP, is
//! given from outside ([`Setup`]).

mod ask;
mod attest;
pub mod clock;
mod complaint;
pub mod control;
mod courier;
mod feedback;
mod forward;
mod indicators;
#[cfg(target_os = "linux")]
mod links;
#[cfg(target_vendor = "apple")]
#[path = "links_apple.rs"]
mod links;
mod net;
mod packets;
mod path_mtu;
pub mod portal;
mod probe;
mod random;
mod report;
pub mod secure;
mod spin;
pub mod spool;
pub mod state;
mod train;
pub mod tunnel;
mod tunnel_status;
mod uplink;
mod upstream;
pub mod utun;
mod vnet;

pub use ask::{Passed, pass};
pub use attest::{Attest, Attested};
pub use control::{Device, Setup, Status};
pub use feedback::{feedback, feedback_list};
pub use forward::{Forward, Forwarder};
pub use packets::Packets;
pub use portal::Hardware;
pub use probe::Probe;
pub use report::{Sent, report};
pub use tunnel_status::TunnelStatus;

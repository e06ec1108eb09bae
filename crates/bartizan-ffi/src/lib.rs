//! The device as an iPhone app calls it: functions in C's manner over [`bartizan_host`], and two that the app
//! brings along: one speaks HTTP, the other, if there is one, has Apple's App Attest vouch for the device's key.
//!
//! | Function | What it does |
//! |---|---|
//! | [`bartizan_start`](c::bartizan_start) | starts the device over a utun |
//! | [`bartizan_status`](c::bartizan_status) | tells how it is, as JSON |
//! | [`bartizan_stop`](c::bartizan_stop) | stops it and waits until it has |
//! | [`bartizan_reply`](c::bartizan_reply) | called by the app's function: what the portal answered |
//! | [`bartizan_attested`](c::bartizan_attested) | called by the app's other function: what Apple vouched for |
//!
//! What crosses is octets: JSON in [`device::Start`] and [`http::Head`], bodies as they are. Packets do not cross; the
//! engine reads the utun itself. Builds and is tested on Linux too.
//!
//! # What it does not do
//! - Open the utun, set routes, speak TLS: the system does, by the app.
//! - Log: there is nobody to read it yet.
//!
//! # Invariants
//! - All unsafe code is in [`c`].
//! - No call waits for the network, but [`bartizan_stop`](c::bartizan_stop) for the threads to end.

pub mod c;
pub mod device;
pub mod http;

//! Wall-clock stamps.

/// Milliseconds since the Unix epoch, as some machine's clock had it.
///
/// For stamps that people read and for ids; never compared with a monotonic `Instant`. A stamp from
/// another machine is a claim, not a fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMillis(pub u64);

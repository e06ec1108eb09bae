//! The one place where a device draws random numbers.

/// Draws random octets from the operating system.
///
/// # Panics
/// If the system has no source of randomness, which Linux and iOS do not let happen after boot: no
/// key may be made without it.
#[expect(
    clippy::expect_used,
    reason = "without randomness no key is safe, and there is nothing to fall back to"
)]
pub(crate) fn octets<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).expect("the operating system gives random octets");
    octets
}

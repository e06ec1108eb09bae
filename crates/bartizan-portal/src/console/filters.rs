//! Filters that templates apply by name.

#![expect(unreachable_pub, reason = "the attribute writes a public struct for each")]

use std::fmt::Display;

use super::format;

/// Makes visible what would not be seen: for every text that a device or a request brought.
#[askama::filter_fn]
pub(crate) fn shown<T: Display>(value: T, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(format::visible(&value.to_string()))
}

/// As [`shown`], for text of several lines.
#[askama::filter_fn]
pub(crate) fn shown_lines<T: Display>(value: T, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(format::visible_lines(&value.to_string()))
}

/// Shortens in the middle.
#[askama::filter_fn]
pub(crate) fn middle<T: Display>(
    value: T,
    _: &dyn askama::Values,
    limit: usize,
) -> askama::Result<String> {
    Ok(format::middle(&value.to_string(), limit))
}

/// Groups the digits of a number.
#[askama::filter_fn]
pub(crate) fn grouped(value: &u64, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(format::grouped(*value))
}

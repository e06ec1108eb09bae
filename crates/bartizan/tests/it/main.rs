//! The programs as a person runs them, and the two halves together.
//!
//! Tests in `slow` drive namespaces, browsers and feeds of real size; `cargo xtask test` says which of
//! them cannot run and why.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod captive;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod console;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod feedback;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod own_indicators;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod report;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod support;

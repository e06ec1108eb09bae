//! The indicator file: names that are listed, in a form that a phone can hold.
//!
//! A device only reads: [`IndicatorFile::open`] verifies, [`IndicatorFile::lookup`] answers. The
//! portal and the command line also write, behind the feature `build`, in this order: [`unpack`] looks through
//! compression, [`feed`] reads threat feeds, [`guard`] holds back what no feed may block, [`compile`] puts both together, and
//! [`build`] lays out and signs the file.
//!
//! The format is version [`FORMAT_VERSION`] (`docs/indicator-format.md`). Nothing outside this crate
//! knows its layout, so that it can change behind these few functions.

pub mod normal;
pub mod pattern;

#[cfg(feature = "build")]
pub mod feed;
#[cfg(feature = "build")]
pub mod guard;

#[cfg(feature = "build")]
pub mod compile;
#[cfg(feature = "build")]
pub mod unpack;

#[cfg(feature = "build")]
pub mod build;
mod file;

pub use file::{FORMAT_VERSION, IndicatorFile, Match, OpenError, fuzz_open};

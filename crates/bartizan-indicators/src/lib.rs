//! Indicators: what is listed, in a form that a phone can hold.
//!
//! A device only reads: [`IndicatorFile::open`] and [`TenantFile::open`] verify, [`Indicators`] answers, [`delta`]
//! leads from one indicator file to the next. The portal and the command line also write, behind the feature
//! `build`, in this order: [`feed`] reads threat feeds, [`guard`] holds back what no feed may block, [`compile`] puts
//! both together, and [`build`] lays out and signs the file.
//!
//! [`normal`] and [`pattern`] say in one form what a feed lists and what a device sees; both sides come there.
//!
//! The format is version [`FORMAT_VERSION`] (`docs/indicator-format.md`). Nothing outside this crate
//! knows its layout, so that it can change behind these few functions.

pub mod normal;
pub mod pattern;

mod bits;
mod body;
mod container;
pub mod delta;
pub mod explain;
mod file;
pub mod found;
mod fuse;
mod lookup;
#[cfg(feature = "map")]
pub mod mapping;
mod networks;
mod shard;
pub mod tenant;

#[cfg(feature = "build")]
pub mod feed;
#[cfg(feature = "build")]
pub mod guard;

#[cfg(feature = "build")]
pub mod compile;

#[cfg(feature = "build")]
pub mod build;

pub use container::{Damaged, Octets, OpenError};
pub use file::{FORMAT_VERSION, IndicatorFile, fuzz_open};
pub use lookup::Indicators;
pub use tenant::TenantFile;

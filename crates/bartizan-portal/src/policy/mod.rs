//! Policies: what can be decided, what is decided for whom, and the files that carry it to an MDM.
//!
//! [`schema`] is the one table of keys; [`form`] is a document as a form; [`settings`] a document of some of them; [`rollout`] and [`effective`]
//! say what a device gets out of several documents; [`engine`] is the part that its engine goes by; [`managed_config`] and [`mobileconfig`] write files for an
//! MDM; [`reference`](mod@reference) writes the table down for people.
//!
//! # What it does not do
//! - Store, sign or serve anything: documents come in as values and go out as text.
//! - Read a clock or draw randomness: the same documents give the same policy and the same files.

pub mod effective;
pub mod engine;
pub mod form;
pub mod managed_config;
pub mod mobileconfig;
pub mod reference;
pub mod rollout;
pub mod schema;
pub mod settings;
pub mod value;

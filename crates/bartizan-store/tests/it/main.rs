//! The store as its callers see it, each test on a database of its own.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod enrollment;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod indicators;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod world;
#[cfg(test)]
mod writer;

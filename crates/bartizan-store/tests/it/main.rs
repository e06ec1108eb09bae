//! The store as its callers see it, each test on a database of its own: SQLite. `tests/postgres` runs the same on
//! PostgreSQL, without what is about SQLite's file.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod enrollment;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod file;
#[cfg(test)]
mod indicators;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod triage;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod upkeep;
#[cfg(test)]
mod world;
#[cfg(test)]
mod writer;
#[cfg(test)]
use sqlite::{Place, place};

//! The store as its callers see it, each test on a database of its own: SQLite. `tests/postgres` runs the same on
//! PostgreSQL, without what is about SQLite's file.

#[cfg(test)]
mod alert_jobs;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod applications;
#[cfg(test)]
mod attestation;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod audited;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod enrollment;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod feedback;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod file;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod incidents;
#[cfg(test)]
mod indicators;
#[cfg(test)]
mod licenses;
#[cfg(test)]
mod members;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod screening;
#[cfg(test)]
mod sight;
#[cfg(test)]
mod sight_sorting;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod stopped;
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

#[cfg(test)]
#[path = "."]
mod slow {
    mod bulk_rate;
    mod many_tenants;
}

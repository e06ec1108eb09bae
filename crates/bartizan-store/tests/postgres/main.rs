//! The same tests as `tests/it`, on PostgreSQL: each in a database of its own on the server that
//! `BARTIZAN_TEST_POSTGRES` names (`cargo xtask test` starts one).

#[cfg(test)]
mod server;
#[cfg(test)]
#[path = "../it/world.rs"]
mod world;
#[cfg(test)]
use server::{Place, place};

#[cfg(test)]
#[path = "../it"]
mod slow {
    #[path = "."]
    mod postgres {
        mod alert_jobs;
        mod alerts;
        mod applications;
        mod attestation;
        mod audit;
        mod bulk_rate;
        mod devices;
        mod directory;
        mod enrollment;
        mod exceptions;
        mod feedback;
        mod feeds;
        mod guard;
        mod incidents;
        mod indicators;
        mod licenses;
        mod many_tenants;
        mod members;
        mod merge;
        mod operators;
        mod passkeys;
        mod policy;
        mod screening;
        mod sight;
        mod sight_sorting;
        mod sign_in;
        mod sinks;
        mod stopped;
        mod tenancy;
        mod triage;
        mod upkeep;
        #[path = "../postgres/walls.rs"]
        mod walls;
        mod writer;
    }
}

//! Tests that cross rooms: one module per promise or room, one binary for all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alert_docs;
mod allocations;
mod api_down;
mod architecture;
mod cli;
mod crashes;
mod dead_letters;
mod defender_reads;
mod defender_scan;
mod documents;
mod kafka;
mod lost_answers;
mod membership;
mod mutants;
mod orders;
mod outages;
mod reload;
mod safety;
mod schemas;
mod stops;
mod support;
mod takeover;
mod zombies;

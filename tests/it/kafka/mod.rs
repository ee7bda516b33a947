//! The Kafka room against a broker.

mod admin;
mod intake;
mod ledger;
mod outages;
mod produce;
mod raw;
mod standby;

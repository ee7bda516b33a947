//! The Kafka room against a broker.

mod ledger;

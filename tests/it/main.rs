//! The integration tests: one binary, because the Kafka client links slowly.

mod architecture;
mod cli;
mod documents;

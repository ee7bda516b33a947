//! Topics: reading alerts, appending to the ledger and reading it back, dead letters.
//!
//! The only room that names `rdkafka`. It knows what a ledger record is and nothing of what it means.

mod admin;
mod alerts;
mod ask;
mod client;
mod dead_letters;
mod embedded;
mod error;
mod group;
mod ledger;
mod panics;
mod produce;
mod producer;
mod progress;
#[cfg(test)]
mod progress_tests;
mod record;
mod replay;
mod scan;
mod settings;
#[cfg(test)]
mod settings_tests;

pub use admin::{TopicsReport, ensure_topics};
pub use alerts::{AlertsConsumer, AlertsInput, Commit};
pub use client::{Cluster, refused_settings};
pub use dead_letters::{DeadLetter, MAX_DETAIL, dead_letter_headers};
pub use embedded::EmbeddedBroker;
pub use error::KafkaError;
pub use group::{Assigned, Committed, MAX_COMMIT_METADATA};
pub use ledger::{LedgerConsumer, LedgerInput, LedgerRecord, LedgerWriter, cloud_event_headers};
pub use produce::{ProduceReport, produce_lines};
pub use producer::Delivery;
pub use progress::{CommitPoint, Progress, RecordOutcomes, Tally};
pub use record::ConsumedRecord;
pub use replay::{KeptRecord, MAX_REPLAYS, ReplayWriter, replayed_letter, replayed_source};
pub use scan::{RecordStream, ScanExtent, Watermarks, committed, read_all, watermarks};
pub use settings::{ClusterSettings, LedgerSettings, Settings};

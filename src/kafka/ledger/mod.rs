//! The ledger's topic: appending to it and reading it back.

mod reader;
mod writer;

pub use reader::{LedgerConsumer, LedgerInput, LedgerRecord};
pub use writer::{LedgerWriter, cloud_event_headers};

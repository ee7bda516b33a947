//! One ledger record: the envelope around an [`EventBody`], and its JSON form.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::EventBody;

/// Version of the record layout that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Oldest reader that folds this build's records correctly.
pub const MIN_READER: u32 = 1;

/// One record of the ledger. Immutable once written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanEvent {
    /// Layout version of the writer.
    pub schema_version: u32,
    /// Oldest reader version that may fold this record; an older one stops dispatching and says so.
    pub min_reader: u32,
    /// When the writer decided it (UTC).
    pub time: Timestamp,
    /// Entra tenant id.
    pub tenant: String,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// A ledger record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON of the expected layout.
    #[error("not a ledger record: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer version whose records this build would fold wrongly.
    #[error(
        "the record needs reader version {needed}, this build is version {SCHEMA_VERSION}; upgrade before it dispatches"
    )]
    TooNew {
        /// The record's `min_reader`.
        needed: u32,
    },
}

impl EventError {
    /// Stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_record",
            Self::TooNew { .. } => "record_too_new",
        }
    }
}

impl ScanEvent {
    /// A record of this build's layout.
    #[must_use]
    pub fn new(time: Timestamp, tenant: impl Into<String>, body: impl Into<EventBody>) -> Self {
        Self { schema_version: SCHEMA_VERSION, min_reader: MIN_READER, time, tenant: tenant.into(), body: body.into() }
    }

    /// The JSON that goes into the topic.
    ///
    /// # Errors
    /// Never for records built by this crate; the type leaves it to `serde_json` to say so.
    pub fn to_json(&self) -> Result<Vec<u8>, EventError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads a record, looking at `min_reader` before anything else so that a record of a later layout is refused by
    /// version and not by a missing field.
    ///
    /// # Errors
    /// [`EventError::TooNew`] or [`EventError::Malformed`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(default)]
            min_reader: u32,
        }
        let version: Version = serde_json::from_slice(bytes)?;
        if version.min_reader > SCHEMA_VERSION {
            return Err(EventError::TooNew { needed: version.min_reader });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Identity of the record for consumers that de-duplicate: the CloudEvents `id`. Two appends of the same fact (a
    /// redelivered request, a repeated terminal) have the same one.
    #[must_use]
    pub fn id(&self) -> String {
        self.body.identity(self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Genesis;

    #[test]
    fn a_record_for_a_newer_reader_is_refused_by_its_version_whatever_it_says() {
        let body = Genesis { log_id: "log".to_owned(), partition: 0, partitions: 1 };
        let mut event = ScanEvent::new(Timestamp::UNIX_EPOCH, "contoso", body);
        let read = |event: &ScanEvent| ScanEvent::from_json(&event.to_json().expect("JSON"));
        event.schema_version += 1;
        assert_eq!(read(&event).expect("a newer writer that this reader may fold"), event);
        event.min_reader += 1;
        let needed = event.min_reader;
        assert!(matches!(read(&event), Err(EventError::TooNew { needed: found }) if found == needed));
        let unknown = format!(r#"{{"min_reader":{needed},"event":"of a later layout"}}"#);
        assert!(matches!(ScanEvent::from_json(unknown.as_bytes()), Err(EventError::TooNew { .. })));
    }
}

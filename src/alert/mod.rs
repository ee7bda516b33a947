//! What an alert is, whatever format it arrived in.
//!
//! This room knows nothing of Kafka, rules or Defender: one file per wire format turns bytes into
//! [`Alert`] values, and everything to the right of it sees only those.

mod model;

pub use model::{Alert, Device, FileInfo, Format, Mitre, Severity, Threat, User};

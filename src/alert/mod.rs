//! What an alert is, whatever format it arrived in.
//!
//! This room knows nothing of Kafka, rules or Defender: one file per wire format turns bytes into
//! [`Alert`] values, and everything to the right of it sees only those.
//!
//! [`decode`] is the way in. It has no state, does no I/O and never panics, whatever the bytes are.

mod contract;
mod decode;
mod devices;
mod error;
mod fields;
mod graph;
mod json;
mod limits;
mod mde;
mod model;
mod own;
mod path;
mod recognise;
mod settings;

#[cfg(test)]
mod tests;

pub use contract::AlertContract;
pub use decode::{Decoded, decode, decode_own};
pub use error::{DecodeError, DecodeReason, Position};
pub use model::{Alert, Device, FileInfo, Format, Mitre, Severity, Threat, User};
pub use own::field_called;
pub use settings::{DecodeOptions, Settings};

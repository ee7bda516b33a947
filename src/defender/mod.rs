//! The client of Microsoft Defender for Endpoint: authentication, hosts per cloud, the scan call, the lists and look-ups
//! around it, and the table of error answers.
//!
//! What a caller must know of the scan call: [`Client::run_antivirus_scan`] writes at most one request, never repeats it
//! and never follows a redirect. Its answer separates what is certain ([`ScanAnswer::Refused`], [`ScanAnswer::NotSent`])
//! from what is not ([`ScanAnswer::InDoubt`]); only the certain ones may be followed by another attempt without a look at
//! the list of machine actions.

mod action;
mod answer;
mod auth;
mod client;
mod error;
mod gate;
mod hosts;
mod http;
mod machine;
mod roles;
mod settings;
mod text;

#[cfg(test)]
mod tests;

pub use action::{ActionStatus, MachineAction, RUN_ANTIVIRUS_SCAN};
pub use answer::{NotSent, Refusal, ScanAnswer};
pub use auth::{TokenAnswer, TokenRequest};
pub use client::{Client, ScanRequest};
pub use error::{ApiError, DefenderError};
pub use gate::LeaveBy;
pub use hosts::{Cloud, Hosts};
pub use machine::{Machine, is_machine_id};
pub use roles::Roles;
pub use settings::Settings;

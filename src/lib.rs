//! alert-responder: from alert events on Kafka to antivirus scans by Microsoft Defender for Endpoint, with proof.
//!
//! `ARCHITECTURE.md` describes the rooms and the life of one alert.

pub mod alert;
pub mod cli;
pub mod config;
pub mod defender;
pub mod event;
pub mod kafka;
pub mod rules;
pub mod scheduler;
pub mod simulator;
pub mod telemetry;
pub mod worker;

//! The worker: wires the rooms, owns every task, and stops them in order.

mod account;
mod calls;
mod decide;
mod dispatch;
mod lane;
mod position;
mod settings;

pub use decide::{Decider, INTAKE_CLAIM, RecordDecision};
pub use dispatch::Leftover;
pub use settings::Settings;

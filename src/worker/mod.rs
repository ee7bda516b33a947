//! The worker: wires the rooms, owns every task, and stops them in order.

mod account;
mod authority;
mod calls;
mod decide;
mod dispatch;
mod error;
pub mod intake;
mod intake_account;
mod intents;
mod kill_switch;
mod lane;
#[cfg(test)]
mod lane_tests;
mod order_desk;
mod orders;
mod position;
mod reload;
mod run;
mod settings;
mod signals;
mod tasks;

pub use decide::{Decider, INTAKE_CLAIM, dead_letter_reason};
pub use dispatch::DispatchEnd;
pub use error::WorkerError;
pub use intake::{Decide, RecordDecision, Recorded};
pub use orders::{OrderError, append_orders, caps_to_rearm, check_tripped, read_state, silences_of};
pub use reload::{Reload, RulesHandle};
pub use run::{Leftover, Worker};
pub use settings::Settings;

//! The worker: wires the rooms, owns every task, and stops them in order.

mod account;
mod authority;
mod calls;
mod decide;
mod dispatch;
pub mod intake;
mod intake_account;
mod lane;
mod position;
mod reload;
mod run;
mod settings;

pub use decide::{Decider, INTAKE_CLAIM, dead_letter_reason};
pub use dispatch::DispatchEnd;
pub use intake::{Decide, RecordDecision};
pub use reload::{Reload, RulesHandle};
pub use run::{Leftover, Worker, WorkerError};
pub use settings::Settings;

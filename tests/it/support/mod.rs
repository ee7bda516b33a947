//! What the tests share.

pub(crate) mod account;
pub(crate) mod broker;
mod embedded_worker;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod scene;
pub(crate) mod simulator;

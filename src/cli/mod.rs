//! The cli room.

pub mod decode;
pub mod ledger_audit;
pub mod ledger_tail;
pub mod schemas;

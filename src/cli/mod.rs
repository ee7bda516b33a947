//! One file per command; the only room that prints.

pub mod decode;
pub mod rules_check;
pub mod rules_explain;
pub mod schemas;

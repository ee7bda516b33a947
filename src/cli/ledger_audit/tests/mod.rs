//! Logs written by hand: a clean life, and one planted violation for each check. And logs that the real scheduler wrote.

mod broker;
mod builder;
mod clean;
mod driven;
mod planted;
mod topics;

//! The scheduler, one guard and one answer at a time; `simulation` holds the same promises over random histories.

mod answers;
mod bench;
mod breaker;
mod counts;
mod doubt;
mod estimate;
mod growth;
mod guards;
mod ownership;
mod pace;
mod replay;
mod simulation;

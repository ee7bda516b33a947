//! The scheduler, one guard and one answer at a time; `simulation` holds the same promises over random histories.

mod answers;
mod asks;
mod bench;
mod breaker;
mod carried;
mod counts;
mod covered;
mod doubt;
mod estimate;
mod growth;
mod guards;
mod last_look;
mod ownership;
mod pace;
mod portions;
mod reads;
mod replay;
mod settings;
mod silences;
mod simulation;
mod trips;
mod unfit;

//! `dead-letters`: records that could not be decoded, and the way back.

mod list;
mod replay;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use super::time::duration;
use super::{CliError, Context};
use crate::event::DeadLetterReason;
use crate::kafka::{Cluster, KafkaError, KeptRecord, RecordStream, ScanExtent, Settings, watermarks};

pub use list::ListArgs;
pub use replay::{Outcome, ReplayArgs, ReplayReport, ReplayedLetter, replay};

/// The commands about dead letters.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show what could not be decoded, and why.
    List(ListArgs),
    /// Send records back to the alerts topic, where every rule and limit applies to them.
    Replay(ReplayArgs),
}

/// Runs the command.
///
/// # Errors
/// Topics that cannot be read; records that could not be sent (5).
pub fn run(command: &Command, context: &mut Context) -> Result<(), CliError> {
    match command {
        Command::List(args) => list::run(args, context),
        Command::Replay(args) => replay::run(args, context),
    }
}

/// Which dead letters are meant. Each option that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selection {
    /// Only these reasons (`not_json`, `invalid`, …); may be given several times.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub reason: Vec<DeadLetterReason>,
    /// Only from this offset of the dead letters on.
    #[arg(long, value_name = "OFFSET")]
    pub from: Option<i64>,
    /// Only up to this offset of the dead letters, itself included.
    #[arg(long, value_name = "OFFSET")]
    pub to: Option<i64>,
    /// Only this partition of the dead letters.
    #[arg(long, value_name = "PARTITION")]
    pub partition: Option<i32>,
    /// Only those of the recent past (`90m`, `24h`, `3d`).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub since: Option<Duration>,
}

impl Selection {
    /// Whether a letter is meant.
    #[must_use]
    pub fn admits(&self, letter: &KeptRecord, now: Timestamp) -> bool {
        let since = self.since.and_then(|since| now.checked_sub(since).ok());
        (self.reason.is_empty() || self.reason.iter().any(|reason| reason.as_str() == letter.reason))
            && self.from.is_none_or(|from| letter.offset >= from)
            && self.to.is_none_or(|to| letter.offset <= to)
            && self.partition.is_none_or(|partition| letter.partition == partition)
            && since.is_none_or(|since| letter.time.is_some_and(|time| time >= since))
    }

    /// Whether nothing narrows it.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.reason.is_empty()
            && self.from.is_none()
            && self.to.is_none()
            && self.partition.is_none()
            && self.since.is_none()
    }
}

fn reason(text: &str) -> Result<DeadLetterReason, String> {
    let known = DeadLetterReason::ALL.iter().copied().find(|reason| reason.as_str() == text);
    known.ok_or_else(|| {
        let all: Vec<&str> = DeadLetterReason::ALL.iter().map(|reason| reason.as_str()).collect();
        format!("there are {}", all.join(", "))
    })
}

/// Calls `take` for each letter that is meant, in the order of offsets within each partition.
async fn read(
    settings: &Settings,
    selection: &Selection,
    now: Timestamp,
    mut take: impl FnMut(KeptRecord),
) -> Result<(), KafkaError> {
    let topic = &settings.dead_letters_topic;
    match watermarks(settings, Cluster::Ledger, topic).await {
        // Some clusters make it with the first dead letter.
        Err(KafkaError::TopicMissing { .. }) => return Ok(()),
        marks => drop(marks?),
    }
    let extent = selection.from.map_or(ScanExtent::Everything, ScanExtent::EverythingFrom);
    let mut records = RecordStream::open(settings, Cluster::Ledger, topic, extent).await?;
    while let Some(record) = records.next().await {
        let record = record?;
        let place = (record.partition, record.offset);
        match KeptRecord::from_record(record) {
            Some(letter) if selection.admits(&letter, now) => take(letter),
            Some(_) => {}
            None => tracing::warn!(
                partition = place.0,
                offset = place.1,
                "A record is no dead letter of ours; it is left out."
            ),
        }
    }
    Ok(())
}

/// The beginning of a record's value, on one line.
fn excerpt(payload: Option<&[u8]>, longest: usize) -> String {
    let Some(payload) = payload else { return "(nothing)".to_owned() };
    // Four bytes a character at most.
    let begin = payload.get(..longest.saturating_mul(4)).unwrap_or(payload);
    let text = String::from_utf8_lossy(begin);
    let mut shown: String = text.chars().take(longest).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > longest || begin.len() < payload.len() {
        shown.push('…');
    }
    shown
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

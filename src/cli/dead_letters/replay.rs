//! `dead-letters replay`: back to the alerts topic, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Selection, one_line, read};
use crate::cli::{CliError, ConfigArgs, Context, Exit, OutputFormat, load_rules, load_sections, runtime};
use crate::event::{EventBody, Mode};
use crate::kafka::{
    Cluster, KafkaError, KeptRecord, RecordStream, ReplayWriter, ScanExtent, Settings, replayed_letter, replayed_source,
};
use crate::worker::{Decider, RecordDecision};

/// Options of `dead-letters replay`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReplayArgs {
    /// Which ones.
    #[command(flatten)]
    pub selection: Selection,
    /// All there are; without it, say which ones.
    #[arg(long)]
    pub all: bool,
    /// Send nothing; show what would be sent, and what the rules would decide.
    #[arg(long)]
    pub dry_run: bool,
    /// Also send what was replayed before, and what is a dead letter for the second time.
    ///
    /// What was replayed is known from the alerts topic, as far as it still holds the records: beyond its retention nobody can
    /// tell.
    #[arg(long)]
    pub again: bool,
    /// Most that are sent; what is left alone does not count.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub limit: usize,
    /// The configuration: topics, and for a dry run the rules.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the alerts topic again.
    Sent {
        /// Partition of the alerts topic.
        alerts_partition: i32,
        /// Its offset there.
        alerts_offset: i64,
    },
    /// It would be sent (dry run).
    WouldSend {
        /// What the rules would decide, one line for each observation.
        decisions: Vec<String>,
    },
    /// It was sent before.
    AlreadyReplayed {
        /// Partition of the alerts topic.
        alerts_partition: i32,
        /// Its offset there.
        alerts_offset: i64,
    },
    /// Its record has another dead letter, which is meant as well: one of them is enough.
    SameRecord {
        /// Partition of that dead letter.
        letter_partition: i32,
        /// Its offset.
        letter_offset: i64,
    },
    /// It is a dead letter for the second time: sending it once more would only turn in a circle.
    DeadAgain,
    /// Its content was too large to be kept; it can only be found where it was read.
    NotKept,
    /// It was not acknowledged; it may be in the topic all the same.
    Failed {
        /// Why.
        error: String,
    },
    /// More were meant than `--limit` allows.
    BeyondLimit,
}

/// A letter, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayedLetter {
    /// Partition of the dead letter.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it was a dead letter.
    pub reason: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of all of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReplayReport {
    /// One by one.
    pub letters: Vec<ReplayedLetter>,
}

impl ReplayReport {
    /// How many ended in a way that `which` says yes to.
    pub fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.letters.iter().filter(|letter| which(&letter.outcome)).count()
    }
}

pub(super) fn run(args: &ReplayArgs, context: &mut Context) -> Result<(), CliError> {
    if args.selection.is_everything() && !args.all {
        return Err(CliError::Usage(
            "say which ones: --reason, --from, --to, --partition or --since; or --all".to_owned(),
        ));
    }
    let sections: &[&str] = if args.dry_run { &["kafka", "alerts", "rules"] } else { &["kafka"] };
    let config = load_sections(args.config.config.as_deref(), sections, context)?;
    let decider = match args.dry_run {
        false => None,
        true => {
            let rules = Arc::new(load_rules(&config.rules.directory)?);
            Some(Decider {
                options: config.alerts.options(rules.needs_raw()),
                rules,
                tenant: config.defender.tenant_id.clone(),
                mode: config.mode,
                topic: config.kafka.alerts_topic.clone(),
            })
        }
    };
    let replaying = replay(args, &config.kafka, decider.as_ref(), Timestamp::now());
    let report = runtime()?.block_on(replaying).map_err(anyhow::Error::new)?;
    for letter in &report.letters {
        match context.output {
            OutputFormat::Json => context.json_line(letter)?,
            OutputFormat::Text => context.line(text(letter))?,
        }
    }
    let failed = report.count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    if context.output == OutputFormat::Text {
        let sent = report.count(|outcome| matches!(outcome, Outcome::Sent { .. } | Outcome::WouldSend { .. }));
        let left = report.letters.len() - sent - failed;
        let word = if args.dry_run { "would be sent" } else { "sent" };
        context.line(format!("{sent} {word}, {left} left alone, {failed} failed"))?;
    }
    if failed == 0 { Ok(()) } else { Err(CliError::Reported(Exit::InputErrors)) }
}

/// Sends what is meant, or, with a decider, says what would become of it.
///
/// # Errors
/// Topics that cannot be read. What could not be sent is in the report.
pub async fn replay(
    args: &ReplayArgs,
    kafka: &Settings,
    decider: Option<&Decider>,
    now: Timestamp,
) -> Result<ReplayReport, KafkaError> {
    let mut is_any = false;
    read(kafka, &args.selection, now, |_| is_any = true).await?;
    let before = if args.again || !is_any { SentBefore::default() } else { SentBefore::read(kafka).await? };
    let mut plan = Plan { again: args.again, limit: args.limit, before, meant: BTreeMap::new() };
    let mut judged = Vec::new();
    read(kafka, &args.selection, now, |letter| {
        let outcome = plan.left_alone(&letter);
        // The content of those alone that are sent is kept in memory.
        judged.push((told(&letter), outcome.ok_or(letter)));
    })
    .await?;
    let writer = ReplayWriter::new(kafka)?;
    let mut report = ReplayReport::default();
    for (told, judged) in judged {
        let outcome = match (judged, decider) {
            (Ok(outcome), _) => outcome,
            (Err(letter), Some(decider)) => {
                Outcome::WouldSend { decisions: decisions(&decider.decide_at(&letter.record(), &[], now)) }
            }
            (Err(letter), None) => match writer.replay(&letter).await {
                Ok((alerts_partition, alerts_offset)) => Outcome::Sent { alerts_partition, alerts_offset },
                Err(error) => Outcome::Failed { error: error.to_string() },
            },
        };
        report.letters.push(told(outcome));
    }
    Ok(report)
}

/// A letter without its content, once it is known what became of it.
fn told(letter: &KeptRecord) -> impl FnOnce(Outcome) -> ReplayedLetter + use<> {
    let (partition, offset, reason) = (letter.partition, letter.offset, letter.reason.clone());
    move |outcome| ReplayedLetter { partition, offset, reason, outcome }
}

/// Which letters are sent: each record once, however many dead letters it has, and at most so many.
pub(super) struct Plan {
    pub(super) again: bool,
    pub(super) limit: usize,
    pub(super) before: SentBefore,
    /// The letters that are sent, by the record that they keep.
    pub(super) meant: BTreeMap<String, (i32, i64)>,
}

impl Plan {
    /// Why a letter is not sent; `None` for one that is.
    pub(super) fn left_alone(&mut self, letter: &KeptRecord) -> Option<Outcome> {
        if letter.position_only {
            return Some(Outcome::NotKept);
        }
        if letter.replays > 0 && !self.again {
            return Some(Outcome::DeadAgain);
        }
        let source = letter.source();
        let place = (letter.partition, letter.offset);
        if let Some((alerts_partition, alerts_offset)) = self.before.place_of(&source, place) {
            return Some(Outcome::AlreadyReplayed { alerts_partition, alerts_offset });
        }
        if let Some((letter_partition, letter_offset)) = self.meant.get(&source).copied() {
            return Some(Outcome::SameRecord { letter_partition, letter_offset });
        }
        if self.meant.len() >= self.limit {
            return Some(Outcome::BeyondLimit);
        }
        self.meant.insert(source, place);
        None
    }
}

/// What stands in the alerts topic as a replay: where, by the record that was sent and by its dead letter, which is all that
/// versions before told.
#[derive(Debug, Default)]
pub(super) struct SentBefore {
    pub(super) sources: BTreeMap<String, (i32, i64)>,
    pub(super) letters: BTreeMap<(i32, i64), (i32, i64)>,
}

impl SentBefore {
    async fn read(kafka: &Settings) -> Result<Self, KafkaError> {
        let mut found = Self::default();
        let topic = &kafka.alerts_topic;
        let mut records = RecordStream::open(kafka, Cluster::Alerts, topic, ScanExtent::Everything).await?;
        while let Some(record) = records.next().await {
            let record = record?;
            let place = (record.partition, record.offset);
            if let Some(letter) = replayed_letter(&record, &kafka.dead_letters_topic) {
                found.letters.insert(letter, place);
                found.sources.extend(replayed_source(&record).map(|source| (source.to_owned(), place)));
            }
        }
        Ok(found)
    }

    fn place_of(&self, source: &str, letter: (i32, i64)) -> Option<(i32, i64)> {
        self.sources.get(source).or_else(|| self.letters.get(&letter)).copied()
    }
}

/// What the rules decide, in words.
fn decisions(decision: &RecordDecision) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((reason, detail)) = &decision.dead_letter {
        lines.push(format!("dead letter again, {reason}: {detail}"));
    }
    for event in decision.requested.iter().chain(&decision.failed) {
        match &event.body {
            EventBody::Requested(asked) => {
                let alerts: Vec<&str> = asked.alerts.iter().map(|alert| alert.id.as_str()).collect();
                let device = asked.device.name.as_ref().unwrap_or(&asked.device.id);
                let shadow = if asked.mode == Mode::Shadow { ", in shadow" } else { "" };
                let (alerts, rules) = (alerts.join(", "), asked.rule_ids.join(", "));
                lines.push(format!("alert {alerts}: {} scan of {device} by rule {rules}{shadow}", asked.scan_type));
            }
            EventBody::Failed(failed) => {
                lines.push(format!("failed, {}: {}", failed.reason, failed.detail.as_deref().unwrap_or_default()));
            }
            _ => {}
        }
    }
    lines.extend(decision.skipped.iter().map(|reason| format!("skipped, {reason}")));
    lines.iter().map(|line| one_line(line)).collect()
}

fn text(letter: &ReplayedLetter) -> String {
    let what = match &letter.outcome {
        Outcome::Sent { alerts_partition, alerts_offset } => format!("sent, now {alerts_partition}@{alerts_offset}"),
        Outcome::WouldSend { decisions } => format!("would be sent: {}", decisions.join("; ")),
        Outcome::AlreadyReplayed { alerts_partition, alerts_offset } => {
            format!("left alone: it was replayed as {alerts_partition}@{alerts_offset}; --again sends it once more")
        }
        Outcome::SameRecord { letter_partition, letter_offset } => {
            format!("left alone: {letter_partition}@{letter_offset} is a dead letter of the same record")
        }
        Outcome::DeadAgain => "left alone: a replay became this dead letter; --again sends it once more".to_owned(),
        Outcome::NotKept => "left alone: it was too large to be kept; see where it was read".to_owned(),
        Outcome::Failed { error } => format!("not sent: {error}"),
        Outcome::BeyondLimit => "left alone: beyond --limit".to_owned(),
    };
    one_line(&format!("{}@{}  {}  {what}", letter.partition, letter.offset, letter.reason))
}

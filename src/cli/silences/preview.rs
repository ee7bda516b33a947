//! `silences preview`: what a silence would have held back.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::matcher;
use crate::cli::time::duration;
use crate::cli::{CliError, ConfigArgs, Context, OutputFormat, load_sections, runtime};
use crate::event::{EventBody, Requested, ScanEvent, Silence, SilenceMatcher};
use crate::kafka::{self, Cluster, KafkaError, LedgerRecord, RecordStream, ScanExtent};
use crate::scheduler::holds_back;

/// Options of `silences preview`.
#[derive(Debug, clap::Args)]
pub struct PreviewArgs {
    /// What the silence would match, as for `silences add`.
    #[arg(value_name = "FIELD=VALUE", required = true, value_parser = matcher)]
    pub matchers: Vec<SilenceMatcher>,
    /// How far back to look (`90m`, `24h`, `3d`).
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub since: Duration,
    /// Most requests that are shown; all are counted.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub limit: usize,
    /// The configuration: the ledger.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// One request that would have been held back.
#[derive(Debug, Serialize)]
struct Held {
    time: Timestamp,
    device_id: String,
    device_name: Option<String>,
    alerts: Vec<String>,
    rules: Vec<String>,
    mode: &'static str,
}

/// What the ledger shows.
#[derive(Debug, Default, Serialize)]
struct Preview {
    requests: u64,
    held_back: u64,
    /// The latest of them.
    examples: Vec<Held>,
}

/// Runs the command.
///
/// # Errors
/// A ledger that cannot be read.
pub(super) fn run(args: &PreviewArgs, context: &mut Context) -> Result<(), CliError> {
    let config = load_sections(args.config.config.as_deref(), &["kafka"], context)?;
    let since = Timestamp::now().saturating_sub(args.since).unwrap_or(Timestamp::MIN);
    let preview = runtime()?.block_on(read(args, &config.kafka, since)).map_err(anyhow::Error::new)?;
    if context.output == OutputFormat::Json {
        return context.json(&preview);
    }
    context.line(format!(
        "{} of {} requests since {since} would have been held back.",
        preview.held_back, preview.requests
    ))?;
    for held in &preview.examples {
        let device = held.device_name.as_ref().unwrap_or(&held.device_id);
        let line = format!(
            "{}  {device}  alert {}  rule {}  {}",
            held.time,
            held.alerts.join(", "),
            held.rules.join(", "),
            held.mode
        );
        context.line(line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>())?;
    }
    let more = preview.held_back.saturating_sub(preview.examples.len() as u64);
    if more > 0 { context.line(format!("… and {more} before them")) } else { Ok(()) }
}

async fn read(args: &PreviewArgs, kafka: &kafka::Settings, since: Timestamp) -> Result<Preview, KafkaError> {
    let silence = Silence {
        id: String::new(),
        matchers: args.matchers.clone(),
        starts_at: Timestamp::MIN,
        ends_at: Timestamp::MAX,
        author: String::new(),
        comment: String::new(),
    };
    let mut preview = Preview::default();
    let mut records = RecordStream::open(kafka, Cluster::Ledger, &kafka.ledger_topic, ScanExtent::Everything).await?;
    while let Some(record) = records.next().await {
        if let Ok(event) = LedgerRecord::from(record?).event {
            look(&mut preview, &silence, &event, since, args.limit);
        }
    }
    Ok(preview)
}

fn look(preview: &mut Preview, silence: &Silence, event: &ScanEvent, since: Timestamp, limit: usize) {
    let EventBody::Requested(requested) = &event.body else { return };
    if event.time < since {
        return;
    }
    preview.requests += 1;
    if !holds_back(silence, requested, &requested.device, event.time) {
        return;
    }
    preview.held_back += 1;
    preview.examples.push(held(event.time, requested));
    if preview.examples.len() > limit {
        preview.examples.remove(0);
    }
}

fn held(time: Timestamp, requested: &Requested) -> Held {
    Held {
        time,
        device_id: requested.device.id.clone(),
        device_name: requested.device.name.clone(),
        alerts: requested.alerts.iter().map(|alert| alert.id.clone()).collect(),
        rules: requested.rule_ids.clone(),
        mode: requested.mode.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matches_lately_counts() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/examples/scan-event/valid/requested.json");
        let event = ScanEvent::from_json(&std::fs::read(path).expect("an example")).expect("a record");
        let EventBody::Requested(requested) = &event.body else { panic!("a request") };
        let name = requested.device.name.clone().expect("a name");
        let silence = |value: &str| Silence {
            id: String::new(),
            matchers: vec![matcher(&format!("device.name={value}")).expect("a matcher")],
            starts_at: Timestamp::MIN,
            ends_at: Timestamp::MAX,
            author: String::new(),
            comment: String::new(),
        };
        let mut preview = Preview::default();
        look(&mut preview, &silence(&name), &event, Timestamp::MIN, 1);
        look(&mut preview, &silence("*"), &event, Timestamp::MIN, 1);
        look(&mut preview, &silence("other"), &event, Timestamp::MIN, 1);
        look(&mut preview, &silence(&name), &event, Timestamp::MAX, 1);
        assert_eq!((preview.requests, preview.held_back, preview.examples.len()), (3, 2, 1));
    }
}

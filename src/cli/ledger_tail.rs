//! `ledger tail`: the ledger as a readable stream.

mod describe;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

pub use describe::describe;

use crate::event::{AlertRef, EventBody, EventError, ScanEvent};
use crate::kafka::{self, Cluster, KafkaError, LedgerRecord, RecordStream, ScanExtent};

/// Show the ledger, one line per record.
///
/// As text it says in plain words what happened; as JSON each line is the record as it is, with its partition and offset.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LedgerTailArgs {
    /// Configuration file (YAML). Without one, the defaults and the environment hold.
    #[arg(long, value_name = "FILE", env = "ALERT_RESPONDER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where to begin: `beginning`, `end` or an offset.
    #[arg(long, value_name = "WHERE", default_value = "beginning")]
    pub from: From,
    /// Go on with what is written later. `--from end` always does.
    #[arg(long, short)]
    pub follow: bool,
    /// What to show of it.
    #[command(flatten)]
    pub filter: Filter,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    /// The oldest record that is left.
    #[default]
    Beginning,
    /// What is written from now on.
    End,
    /// This offset, in every partition.
    Offset(i64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self::Beginning),
            "end" => Ok(Self::End),
            offset => match offset.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => Err("wants `beginning`, `end` or an offset (0 or more)".to_owned()),
            },
        }
    }
}

/// Which records to show. Each option that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Only records about this device: its machine id, or its name.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Only records about this scan.
    #[arg(long, value_name = "SCAN_ID")]
    pub scan: Option<String>,
    /// Only records that name this alert.
    #[arg(long, value_name = "ALERT_ID")]
    pub alert: Option<String>,
    /// Only these events (`requested`, `finished`, …); may be given several times.
    #[arg(long, value_name = "EVENT", value_parser = clap::builder::PossibleValuesParser::new(EventBody::NAMES))]
    pub event: Vec<String>,
}

impl Filter {
    /// Whether the record is shown.
    #[must_use]
    pub fn admits(&self, event: &ScanEvent) -> bool {
        let body = &event.body;
        let device = |wanted: &String| {
            body.device().is_some_and(|device| {
                device.id.eq_ignore_ascii_case(wanted)
                    || device.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            })
        };
        self.device.as_ref().is_none_or(device)
            && self.scan.as_deref().is_none_or(|wanted| body.scan_id() == Some(wanted))
            && self.alert.as_ref().is_none_or(|wanted| alerts_of(body).iter().any(|alert| alert.id == *wanted))
            && (self.event.is_empty() || self.event.iter().any(|wanted| wanted == body.name()))
    }

    /// Whether records that cannot be read are shown: only where nothing is asked of them.
    #[must_use]
    pub fn admits_unreadable(&self) -> bool {
        self.device.is_none() && self.scan.is_none() && self.alert.is_none() && self.event.is_empty()
    }
}

fn alerts_of(body: &EventBody) -> &[AlertRef] {
    match body {
        EventBody::Requested(body) => &body.alerts,
        EventBody::Intent(body) => &body.alerts,
        EventBody::Accepted(body) => &body.alerts,
        EventBody::Joined(body) => &body.alerts,
        EventBody::Shadowed(body) => &body.alerts,
        EventBody::Suppressed(body) => &body.alerts,
        EventBody::Failed(body) => &body.alerts,
        EventBody::Finished(body) => &body.alerts,
        EventBody::Genesis(_)
        | EventBody::Claim(_)
        | EventBody::Control(_)
        | EventBody::Carried(_)
        | EventBody::Withdrawn(_)
        | EventBody::AttemptFailed(_) => &[],
    }
}

/// One record to show.
#[derive(Debug)]
pub struct TailLine {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// What it says, or why that cannot be read.
    pub event: Result<ScanEvent, EventError>,
}

impl TailLine {
    /// The line for people, without a line break.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.event {
            Ok(event) => describe(event),
            Err(error) => {
                format!("--:--:-- {:<14} {}@{}: {error}", error.code(), self.partition, self.offset)
            }
        }
    }

    /// The line for programs: the record as it is, with `partition` and `offset`.
    ///
    /// # Errors
    /// Never for records that were read.
    pub fn json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Line<'a> {
            partition: i32,
            offset: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<String>,
            #[serde(flatten)]
            event: Option<&'a ScanEvent>,
        }
        let error = self.event.as_ref().err().map(ToString::to_string);
        serde_json::to_string(&Line {
            partition: self.partition,
            offset: self.offset,
            error,
            event: self.event.as_ref().ok(),
        })
    }
}

/// Shows the ledger of this configuration: calls `show` for each record, until the end, or for ever, or until `show` says
/// that it had enough (`false`).
///
/// # Errors
/// A ledger that does not exist, no answer from the cluster.
pub async fn tail(
    args: &LedgerTailArgs,
    kafka: &kafka::Settings,
    mut show: impl FnMut(&TailLine) -> bool,
) -> Result<(), KafkaError> {
    let extent = match args.from {
        From::End => ScanExtent::FromEnd,
        From::Beginning if args.follow => ScanExtent::FromBeginning,
        From::Beginning => ScanExtent::Everything,
        From::Offset(offset) if args.follow => ScanExtent::FollowFrom(offset),
        From::Offset(offset) => ScanExtent::EverythingFrom(offset),
    };
    let mut records = RecordStream::open(kafka, Cluster::Ledger, &kafka.ledger_topic, extent).await?;
    while let Some(record) = records.next().await {
        let LedgerRecord { partition, offset, event, .. } = record?.into();
        let shown = match &event {
            Ok(event) => args.filter.admits(event),
            Err(_) => args.filter.admits_unreadable(),
        };
        if shown && !show(&TailLine { partition, offset, event }) {
            break;
        }
    }
    Ok(())
}

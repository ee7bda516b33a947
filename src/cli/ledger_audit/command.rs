//! Feeds the audit from Kafka.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{Audit, AuditOptions, AuditReport, CommittedTally};
use crate::alert::{self, DecodeOptions, decode};
use crate::event::DeadLetterReason;
use crate::kafka::{self, Cluster, ConsumedRecord, KafkaError, LedgerRecord, RecordStream, ScanExtent};
use crate::scheduler;

/// Recompute the balance from the topics, and name every promise that the ledger breaks.
///
/// Reads the committed counts of intake, the ledger, the dead letters and, as far as they are still there, the alerts. It
/// changes nothing and may run beside the worker. The exit code is 5 when something does not add up.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LedgerAuditArgs {
    /// Configuration file (YAML). Without one, the defaults and the environment hold.
    #[arg(long, value_name = "FILE", env = "ALERT_RESPONDER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Do not read the alerts topic: faster, and the committed counts are then believed.
    #[arg(long)]
    pub skip_alerts: bool,
    /// The worker runs and has nothing left to do, or should not have: a request that still waits five minutes after its
    /// age limit is then a violation.
    #[arg(long)]
    pub at_rest: bool,
    /// Quota and total cap have not changed since the log began: judge what former owners did by them too. Otherwise the
    /// latest owner alone is judged by them, as a change of the configuration brings a new one.
    #[arg(long)]
    pub every_owner: bool,
    /// Violations listed of each kind, and requests in flight listed. All are counted.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub list: usize,
}

/// Audits the ledger of this configuration.
///
/// # Errors
/// A topic that does not exist (but for the dead letters), no answer from a cluster.
pub async fn audit(
    args: &LedgerAuditArgs,
    kafka: &kafka::Settings,
    scheduler: &scheduler::Settings,
    alerts: &alert::Settings,
) -> anyhow::Result<AuditReport> {
    let mut options = AuditOptions::new(&kafka.alerts_topic, &scheduler.quota);
    (options.listed_violations, options.listed_in_flight) = (args.list, args.list);
    options.blast_radius = Some((scheduler.blast_radius.devices, scheduler.blast_radius.per));
    options.every_owner = args.every_owner;
    options.at_rest = args.at_rest.then(jiff::Timestamp::now);
    let mut audit = Audit::new(options);
    // The commits first: what they count is durable by then, so everything read after them must show it.
    let commits = kafka::committed(kafka, Cluster::Alerts, &kafka.group_id, &kafka.alerts_topic)
        .await
        .context("reading what intake has committed")?;
    for (partition, committed) in commits {
        audit.committed(partition, committed.offset, CommittedTally::from_metadata(&committed.metadata));
    }
    let positions = kafka::committed(kafka, Cluster::Ledger, &kafka.dispatch_group_id(), &kafka.ledger_topic)
        .await
        .context("reading what dispatch has committed")?;
    let own = kafka.ledger.partition;
    if let Some(claim) = positions.get(&own).and_then(|committed| claim_of(&committed.metadata)) {
        audit.ledger_claim(own, &claim);
    }
    read_ledger(&mut audit, kafka).await.context("reading the ledger")?;
    read_dead_letters(&mut audit, kafka).await.context("reading the dead letters")?;
    if args.skip_alerts {
        audit.note("the alerts topic was not read: the committed observations are believed");
    } else {
        read_alerts(&mut audit, kafka, &alerts.options(false)).await.context("reading the alerts")?;
    }
    Ok(audit.finish())
}

/// The claim in the metadata of dispatch's commit.
fn claim_of(metadata: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Position {
        claim: Option<String>,
    }
    serde_json::from_str::<Position>(metadata).ok()?.claim
}

/// Reads the partition of this configuration's tenant. Those of others belong to workers with their own commits, quota and
/// caps, to which this configuration says nothing.
async fn read_ledger(audit: &mut Audit, kafka: &kafka::Settings) -> anyhow::Result<()> {
    let (topic, partition) = (&kafka.ledger_topic, kafka.ledger.partition);
    let marks = kafka::watermarks(kafka, Cluster::Ledger, topic).await?;
    let Some(own) = marks.iter().find(|marks| marks.partition == partition) else {
        anyhow::bail!("`{topic}` has no partition {partition}; set kafka.ledger.partition to that of the tenant");
    };
    if own.low > 0 {
        audit.ledger_begins_late();
    }
    let extent = ScanExtent::PartitionFrom { partition, offset: own.low };
    let mut records = RecordStream::open(kafka, Cluster::Ledger, topic, extent).await?;
    while let Some(record) = records.next().await {
        let record = LedgerRecord::from(record?);
        audit.ledger_record(record.partition, record.offset, record.event.as_ref());
    }
    Ok(())
}

async fn read_dead_letters(audit: &mut Audit, kafka: &kafka::Settings) -> Result<(), KafkaError> {
    let topic = &kafka.dead_letters_topic;
    let marks = match kafka::watermarks(kafka, Cluster::Ledger, topic).await {
        // Some clusters make it with the first dead letter.
        Err(KafkaError::TopicMissing { .. }) => {
            audit.note("there is no topic of dead letters yet");
            return Ok(());
        }
        marks => marks?,
    };
    if marks.iter().any(|marks| marks.low > 0) {
        audit.dead_letters_begin_late();
    }
    let mut records = RecordStream::open(kafka, Cluster::Ledger, topic, ScanExtent::Everything).await?;
    while let Some(record) = records.next().await {
        let record = record?;
        match dead_letter(&record) {
            Some((topic, partition, offset, reason)) => audit.dead_letter(topic, partition, offset, reason),
            None => audit.note(format!(
                "dead letters {}@{}: not a dead letter of ours (the headers do not say what it is)",
                record.partition, record.offset
            )),
        }
    }
    Ok(())
}

/// Which record it keeps and why, by the headers that the worker added. They come after those of the record, which may have
/// been a dead letter itself: the last ones count.
fn dead_letter(record: &ConsumedRecord) -> Option<(&str, i32, i64, DeadLetterReason)> {
    let header = |name: &str| {
        let (_, value) = record.headers.iter().rev().find(|(header, _)| header == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    };
    let reason = header("alert_responder_reason")?;
    Some((
        header("alert_responder_topic")?,
        header("alert_responder_partition")?.parse().ok()?,
        header("alert_responder_offset")?.parse().ok()?,
        DeadLetterReason::ALL.iter().copied().find(|known| known.as_str() == reason)?,
    ))
}

async fn read_alerts(audit: &mut Audit, kafka: &kafka::Settings, options: &DecodeOptions) -> Result<(), KafkaError> {
    for marks in kafka::watermarks(kafka, Cluster::Alerts, &kafka.alerts_topic).await? {
        audit.alerts_partition(marks.partition, marks.low);
    }
    let mut records = RecordStream::open(kafka, Cluster::Alerts, &kafka.alerts_topic, ScanExtent::Everything).await?;
    while let Some(record) = records.next().await {
        let record = record?;
        let bytes = record.payload.as_deref().unwrap_or_default();
        audit.alerts_record(record.partition, record.offset, observations(bytes, options));
    }
    Ok(())
}

/// Observations in a record: (alert, device) pairs, one for an alert without a device, one for what cannot be decoded.
fn observations(bytes: &[u8], options: &DecodeOptions) -> u32 {
    let Ok(decoded) = decode(bytes, options) else { return 1 };
    let count: usize = decoded.iter().map(|decoded| decoded.alert.devices.len().max(1)).sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}

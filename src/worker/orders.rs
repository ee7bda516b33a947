//! Orders of operators: the one place that writes them into the ledger, and what the ledger says of them.
//!
//! An order is a `control` record in the tenant's partition. Any replica and any command may append one; every fold obeys it.

use std::time::Duration;

use jiff::Timestamp;

use super::position::PositionMetadata;
use crate::event::{Control, ControlAction, EventError, ScanEvent, Silence};
use crate::kafka::{
    Cluster, KafkaError, LedgerRecord, LedgerWriter, RecordStream, ScanExtent, Settings as KafkaSettings, committed,
    watermarks,
};
use crate::scheduler::State;

/// Longest wait for the acknowledgement of an order: somebody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an order was not given, or the ledger could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Kafka. After [`KafkaError::NotAcknowledged`] the order may be in the ledger all the same.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The topic is not laid out as the configuration says: the order would go where nobody reads it.
    #[error("topic `{topic}` has {found} partitions, and kafka.ledger.partitions says {configured}")]
    Partitions {
        /// The ledger's topic.
        topic: String,
        /// Partitions that it has.
        found: usize,
        /// Partitions that it should have.
        configured: i32,
    },
    /// A record that this version must not fold.
    #[error("offset {offset}: {source}")]
    Record {
        /// Offset of the record.
        offset: i64,
        /// Why.
        source: EventError,
    },
}

impl OrderError {
    /// Stable code for logs and answers.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Kafka(error) => error.code(),
            Self::Partitions { .. } => "ledger_partitions",
            Self::Record { source, .. } => source.code(),
        }
    }
}

/// Appends orders to the tenant's ledger and waits until every in-sync replica has them: their offsets, in the same order.
///
/// # Errors
/// [`OrderError`]; orders before the one that failed are in the ledger.
pub async fn append_orders(
    kafka: &KafkaSettings,
    tenant: &str,
    orders: Vec<Control>,
    now: Timestamp,
) -> Result<Vec<i64>, OrderError> {
    // Asked first, since librdkafka waits for a topic that is not there as it waits for a broker that is away.
    check_partitions(kafka).await?;
    let settings = KafkaSettings { delivery_timeout: kafka.delivery_timeout.min(PATIENCE), ..kafka.clone() };
    let writer = LedgerWriter::new(&settings)?;
    let mut offsets = Vec::new();
    for order in orders {
        let (author, action) = (order.author.clone(), action_name(&order.control));
        let comment = order.comment.clone().unwrap_or_default();
        let offset = writer.append(kafka.ledger.partition, &ScanEvent::new(now, tenant, order)).await?;
        tracing::warn!(order = action, author, comment, offset, "An order was written into the ledger.");
        offsets.push(offset);
    }
    Ok(offsets)
}

async fn check_partitions(kafka: &KafkaSettings) -> Result<(), OrderError> {
    let found = watermarks(kafka, Cluster::Ledger, &kafka.ledger_topic).await?.len();
    if i32::try_from(found) == Ok(kafka.ledger.partitions) {
        return Ok(());
    }
    Err(OrderError::Partitions { topic: kafka.ledger_topic.clone(), found, configured: kafka.ledger.partitions })
}

/// What is ordered, in a word.
pub(super) const fn action_name(action: &ControlAction) -> &'static str {
    match action {
        ControlAction::Halted => "halt",
        ControlAction::Resumed => "resume",
        ControlAction::Tripped { .. } => "trip",
        ControlAction::Rearmed { .. } => "re-arm",
        ControlAction::SilenceSet { .. } => "set silence",
        ControlAction::SilenceEnded { .. } => "end silence",
    }
}

/// What the tenant's ledger folds to now, read from where the dispatch group would begin. Nothing is joined or committed.
///
/// # Errors
/// A ledger that cannot be reached or read.
pub async fn read_state(kafka: &KafkaSettings) -> Result<State, OrderError> {
    let partition = kafka.ledger.partition;
    let commits = committed(kafka, Cluster::Ledger, &kafka.dispatch_group_id(), &kafka.ledger_topic).await?;
    let position = commits.get(&partition);
    let claim = position.and_then(|position| PositionMetadata::from_text(&position.metadata).claim);
    let extent = position.map_or(ScanExtent::Everything, |position| ScanExtent::EverythingFrom(position.offset));
    let mut records = RecordStream::open(kafka, Cluster::Ledger, &kafka.ledger_topic, extent).await?;
    let mut state = State::starting_under(claim);
    while let Some(record) = records.next().await {
        let record = LedgerRecord::from(record?);
        if record.partition != partition {
            continue;
        }
        match record.event {
            Ok(event) => drop(state.apply(record.offset, &event)),
            Err(source @ EventError::TooNew { .. }) => {
                return Err(OrderError::Record { offset: record.offset, source });
            }
            // Every fold leaves it out.
            Err(EventError::Malformed(_)) => {}
        }
    }
    Ok(state)
}

/// Silences in force or to come, those that end first first.
#[must_use]
pub fn silences_of(state: &State, now: Timestamp) -> Vec<Silence> {
    let all = state.orders.silences.values().map(|(silence, _)| silence);
    let mut left: Vec<Silence> = all.filter(|silence| silence.ends_at > now).cloned().collect();
    left.sort_by(|one, other| (one.ends_at, &one.id).cmp(&(other.ends_at, &other.id)));
    left
}

/// The caps that an order to re-arm everything is about: those that are tripped, and always the cap on all rules together.
#[must_use]
pub fn caps_to_rearm(state: &State) -> Vec<Option<String>> {
    let rules = state.orders.tripped.keys().filter(|cap| cap.is_some()).cloned();
    std::iter::once(None).chain(rules).collect()
}

/// That the cap of a rule is tripped, so that an order to re-arm it changes something.
///
/// # Errors
/// It is not: a message that names the caps that are.
pub fn check_tripped(state: &State, rule_id: &str) -> Result<(), String> {
    if state.orders.is_tripped(Some(rule_id)) {
        return Ok(());
    }
    let tripped: Vec<_> =
        state.orders.tripped.keys().map(|cap| cap.as_deref().unwrap_or("the one on all rules together")).collect();
    let those =
        if tripped.is_empty() { "no cap is".to_owned() } else { format!("tripped are: {}", tripped.join(", ")) };
    Err(format!("the cap of rule `{rule_id}` is not tripped; {those}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Claim;

    #[test]
    fn only_a_cap_that_is_tripped_is_re_armed_by_name() {
        let mut state = State::default();
        let claim = Claim { claim: "c-1".to_owned(), owner: "worker-0".to_owned(), version: "1".to_owned() };
        let trip = |rule_id: Option<&str>| Control {
            control: ControlAction::Tripped {
                rule_id: rule_id.map(str::to_owned),
                claim: "c-1".to_owned(),
                devices: 5,
                per_seconds: 3600,
            },
            author: "worker-0".to_owned(),
            comment: None,
        };
        state.apply(0, &ScanEvent::new(Timestamp::UNIX_EPOCH, "t", claim));
        assert_eq!(check_tripped(&state, "wide"), Err("the cap of rule `wide` is not tripped; no cap is".to_owned()));
        state.apply(1, &ScanEvent::new(Timestamp::UNIX_EPOCH, "t", trip(Some("wide"))));
        state.apply(2, &ScanEvent::new(Timestamp::UNIX_EPOCH, "t", trip(None)));
        assert_eq!(check_tripped(&state, "wide"), Ok(()));
        let refused = check_tripped(&state, "wid").expect_err("no such cap");
        assert_eq!(refused, "the cap of rule `wid` is not tripped; tripped are: the one on all rules together, wide");
    }
}

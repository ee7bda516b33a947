//! Appending to the ledger and reading it back.

use std::time::Duration;

use alert_responder::event::{Claim, EventBody, ScanEvent};
use alert_responder::kafka::{
    Assigned, Cluster, Committed, KafkaError, LedgerConsumer, LedgerInput, LedgerWriter, RecordStream, ScanExtent,
    committed, read_all, watermarks,
};
use jiff::Timestamp;

use crate::support::broker::Broker;

const TENANT: &str = "b1d4a1a4-0000-4000-8000-000000000001";
const PATIENCE: Duration = Duration::from_secs(60);

fn claim(name: &str) -> ScanEvent {
    let body = Claim { claim: name.to_owned(), owner: "test".to_owned(), version: "0".to_owned() };
    ScanEvent::new(Timestamp::UNIX_EPOCH, TENANT, body)
}

fn claim_name(event: &ScanEvent) -> &str {
    match &event.body {
        EventBody::Claim(claim) => &claim.claim,
        other => panic!("not a claim: {other:?}"),
    }
}

/// The next input that is not passing trouble.
async fn next(consumer: &mut LedgerConsumer) -> LedgerInput {
    loop {
        let input = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("an input in time");
        match input {
            LedgerInput::Error(error) if error.is_retryable() => {}
            LedgerInput::HighWatermark { .. } => {}
            input => return input,
        }
    }
}

async fn assigned(consumer: &mut LedgerConsumer) -> Assigned {
    match next(consumer).await {
        LedgerInput::Assigned(assigned) => assigned,
        other => panic!("not an assignment: {other:?}"),
    }
}

async fn names(consumer: &mut LedgerConsumer, count: usize) -> Vec<(i64, String)> {
    let mut names = Vec::new();
    while names.len() < count {
        match next(consumer).await {
            LedgerInput::Record(record) => {
                names.push((record.offset, claim_name(&record.event.expect("a ledger record")).to_owned()));
            }
            other => panic!("not a record: {other:?}"),
        }
    }
    names
}

#[tokio::test]
async fn appends_are_read_back_in_the_order_of_the_calls() {
    let broker = Broker::start(1).await;
    let writer = LedgerWriter::new(&broker.settings).unwrap();
    let deliveries: Vec<_> = (0..500).map(|number| writer.enqueue(0, &claim(&number.to_string())).unwrap()).collect();
    for (number, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.await.unwrap(), (0, i64::try_from(number).unwrap()));
    }
    assert_eq!(writer.append(0, &claim("500")).await.unwrap(), 500);

    let mut consumer = LedgerConsumer::join(&broker.settings).unwrap();
    let assigned = assigned(&mut consumer).await;
    assert_eq!((assigned.partition, assigned.low_watermark, assigned.high_watermark), (0, 0, 501));
    assert_eq!(assigned.committed, None);
    assert!(consumer.is_assigned(0));
    consumer.start_from(0, assigned.start()).unwrap();
    let read = names(&mut consumer, 501).await;
    assert!(
        read.iter().enumerate().all(|(number, (offset, name))| {
            *offset == i64::try_from(number).unwrap() && *name == number.to_string()
        })
    );

    // What is appended now is read back as well: the barrier that the owner's claim rests on.
    writer.append(0, &claim("mine")).await.unwrap();
    assert_eq!(names(&mut consumer, 1).await, [(501, "mine".to_owned())]);
    consumer.close(PATIENCE).await;

    let records = read_all(&broker.settings, Cluster::Ledger, &broker.settings.ledger_topic).await.unwrap();
    assert_eq!(records.len(), 502);
    assert_eq!(records[0].key.as_deref(), Some(TENANT.as_bytes()));
    let event = claim("0");
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", event.id().as_str()),
        ("ce_type", "com.alert-responder.scan.claim.v1"),
        ("ce_time", "1970-01-01T00:00:00Z"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(records[0].header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_commit_comes_back_with_its_metadata_and_reading_goes_on_there() {
    let broker = Broker::start(1).await;
    let writer = LedgerWriter::new(&broker.settings).unwrap();
    for number in 0..10 {
        writer.append(0, &claim(&number.to_string())).await.unwrap();
    }
    let mut first = LedgerConsumer::join(&broker.settings).unwrap();
    let start = assigned(&mut first).await;
    first.start_from(0, start.start()).unwrap();
    names(&mut first, 10).await;
    first.commit(0, 7, r#"{"v":1,"note":"é"}"#).await.unwrap();
    let too_large = first.commit(0, 8, &"x".repeat(1025)).await.unwrap_err();
    assert!(matches!(too_large, KafkaError::MetadataTooLarge { .. }), "{too_large}");
    assert!(matches!(first.commit(3, 8, "").await.unwrap_err(), KafkaError::NotAssigned { partition: 3 }));
    first.close(PATIENCE).await;

    let expected = Committed { offset: 7, metadata: r#"{"v":1,"note":"é"}"#.to_owned() };
    let settings = &broker.settings;
    let outside =
        committed(settings, Cluster::Ledger, &settings.dispatch_group_id(), &settings.ledger_topic).await.unwrap();
    assert_eq!(outside.get(&0), Some(&expected));
    let marks = watermarks(settings, Cluster::Ledger, &settings.ledger_topic).await.unwrap();
    assert_eq!((marks[0].low, marks[0].high), (0, 10));

    let mut second = LedgerConsumer::join(&broker.settings).unwrap();
    let resumed = assigned(&mut second).await;
    assert_eq!(resumed.committed, Some(expected));
    assert!(!resumed.is_out_of_range());
    second.start_from(0, resumed.start()).unwrap();
    assert_eq!(names(&mut second, 3).await.first().unwrap().0, 7);
    // The owner may look further back than its commit.
    second.start_from(0, 2).unwrap();
    let again: Vec<i64> = names(&mut second, 8).await.into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(again, (2..10).collect::<Vec<_>>());
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_commit_beyond_the_log_is_reported_and_not_skipped() {
    let broker = Broker::start(1).await;
    let writer = LedgerWriter::new(&broker.settings).unwrap();
    writer.append(0, &claim("only")).await.unwrap();
    let mut first = LedgerConsumer::join(&broker.settings).unwrap();
    assigned(&mut first).await;
    first.commit(0, 4711, "").await.unwrap();
    first.close(PATIENCE).await;

    let mut second = LedgerConsumer::join(&broker.settings).unwrap();
    let found = assigned(&mut second).await;
    assert!(found.is_out_of_range());
    assert_eq!(found.committed.as_ref().map(|committed| committed.offset), Some(4711));
    // Nothing is read on its own: the caller decides.
    second.start_from(0, found.start()).unwrap();
    assert_eq!(names(&mut second, 1).await, [(0, "only".to_owned())]);
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn one_member_owns_the_partition_and_the_next_takes_over() {
    let broker = Broker::start(1).await;
    let writer = LedgerWriter::new(&broker.settings).unwrap();
    writer.append(0, &claim("before")).await.unwrap();
    let mut first = LedgerConsumer::join(&broker.settings).unwrap();
    let start = assigned(&mut first).await;
    first.start_from(0, start.start()).unwrap();
    names(&mut first, 1).await;
    first.commit(0, 1, "first").await.unwrap();

    let mut second = LedgerConsumer::join(&broker.settings).unwrap();
    let closing = first.close(PATIENCE);
    let (taken, ()) = tokio::join!(assigned(&mut second), closing);
    assert_eq!(taken.committed, Some(Committed { offset: 1, metadata: "first".to_owned() }));
    second.start_from(0, taken.start()).unwrap();
    writer.append(0, &claim("after")).await.unwrap();
    assert_eq!(names(&mut second, 1).await, [(1, "after".to_owned())]);
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_record_that_is_none_of_ours_is_handed_over_as_such() {
    let broker = Broker::start(1).await;
    let writer = LedgerWriter::new(&broker.settings).unwrap();
    let mut newer = claim("from the future");
    newer.min_reader = 99;
    writer.append(0, &newer).await.unwrap();
    let mut consumer = LedgerConsumer::join(&broker.settings).unwrap();
    let start = assigned(&mut consumer).await;
    consumer.start_from(0, start.start()).unwrap();
    match next(&mut consumer).await {
        LedgerInput::Record(record) => assert_eq!(record.event.unwrap_err().code(), "record_too_new"),
        other => panic!("not a record: {other:?}"),
    }
    consumer.close(PATIENCE).await;
}

#[tokio::test]
async fn a_tail_sees_what_is_appended_after_it_began() {
    let broker = Broker::start(1).await;
    let writer = LedgerWriter::new(&broker.settings).unwrap();
    writer.append(0, &claim("old")).await.unwrap();
    let topic = &broker.settings.ledger_topic;
    let mut tail = RecordStream::open(&broker.settings, Cluster::Ledger, topic, ScanExtent::FromEnd).await.unwrap();
    writer.append(0, &claim("new")).await.unwrap();
    let record = tokio::time::timeout(PATIENCE, tail.next()).await.expect("in time").unwrap().unwrap();
    assert_eq!(claim_name(&ScanEvent::from_json(&record.payload.unwrap()).unwrap()), "new");
}

#[tokio::test]
async fn an_outage_neither_loses_nor_reorders_appends() {
    let broker = Broker::start(1).await;
    let Some(embedded) = &broker.embedded else { return };
    let writer = LedgerWriter::new(&broker.settings).unwrap();
    writer.append(0, &claim("0")).await.unwrap();
    embedded.set_up(false);
    let waiting: Vec<_> = (1..50).map(|number| writer.enqueue(0, &claim(&number.to_string())).unwrap()).collect();
    embedded.set_up(true);
    for (number, delivery) in waiting.into_iter().enumerate() {
        assert_eq!(delivery.await.unwrap(), (0, i64::try_from(number).unwrap() + 1));
    }
}

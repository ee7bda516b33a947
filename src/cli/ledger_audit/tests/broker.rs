//! The commands against a broker: what was appended is audited and shown.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::builder::{Log, at};
use crate::cli::ledger_audit::{LedgerAuditArgs, ViolationCode, audit};
use crate::cli::ledger_tail::{From, LedgerTailArgs, tail};
use crate::event::{DeadLetterReason, EventBody, SuppressedReason};
use crate::kafka::{ConsumedRecord, DeadLetter, EmbeddedBroker, LedgerWriter, Settings};

async fn written(log: &Log) -> (EmbeddedBroker, Settings) {
    let topics = [("alerts", 2), ("alert-responder.scans", 1), ("alert-responder.dead-letters", 1)];
    let broker = EmbeddedBroker::start(&topics).unwrap();
    let settings = broker.settings();
    let writer = LedgerWriter::new(&settings).unwrap();
    for (_, event) in &log.records {
        writer.append(0, event).await.unwrap();
    }
    let record = ConsumedRecord {
        partition: 1,
        offset: 4,
        timestamp: None,
        key: None,
        payload: Some(b"{".to_vec()),
        headers: vec![("alert_responder_topic".to_owned(), Some(b"another".to_vec()))],
    };
    let reason = DeadLetterReason::NotJson;
    let letter = DeadLetter { topic: "alerts", record: &record, reason, detail: "", time: at(0), position_only: false };
    writer.enqueue_dead_letter(&letter).unwrap().await.unwrap();
    (broker, settings)
}

#[tokio::test]
async fn the_ledger_of_a_broker_is_audited() {
    let mut log = Log::begun();
    log.whole_scan("s1", "r10");
    log.requested("r11");
    log.suppressed(&["r11"], SuppressedReason::Cooldown);
    let planted = log.suppressed(&["r11"], SuppressedReason::TooOld);
    // With the same first request it would have the identity of the record before: a repetition.
    if let crate::event::EventBody::Suppressed(body) = &mut log.records.last_mut().unwrap().1.body {
        body.request_ids.insert(0, "r12".to_owned());
    }
    let (_broker, settings) = written(&log).await;
    let args = LedgerAuditArgs { list: 20, ..LedgerAuditArgs::default() };
    let report = audit(&args, &settings, &Default::default(), &Default::default()).await.unwrap();
    assert_eq!(report.ledger[0].records, 9);
    assert_eq!(report.violation_counts[&ViolationCode::SecondTerminal], 1);
    assert!(report.violations.iter().all(|violation| violation.offsets.last() == Some(&planted)));
    assert!(report.notes.iter().any(|note| note.contains("alerts partition 1: nothing is committed")));
    assert_eq!(report.exit_code(), 5);
}

/// What intake of a group has committed, without the group.
fn commit(settings: &Settings, group: &str, offset: i64, tally: &str) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &settings.bootstrap_servers).set("group.id", group);
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("alerts", 0, Offset::Offset(offset)).unwrap();
    list.find_partition("alerts", 0).unwrap().set_metadata(tally);
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

/// Two tenants, each with its group and its partition of one ledger, read the same alerts.
#[tokio::test]
async fn each_tenant_is_judged_by_its_own_partition() {
    let topics = [("alerts", 1), ("alert-responder.scans", 2), ("alert-responder.dead-letters", 1)];
    let broker = EmbeddedBroker::start(&topics).unwrap();
    let mut settings = broker.settings();
    settings.ledger.partitions = 2;
    let writer = LedgerWriter::new(&settings).unwrap();
    let mut planted = 0;
    for (partition, ids, tally) in [
        (0, ["r10", "r11"], r#"{"v":1,"b":10,"r":2,"o":2,"q":2}"#),
        (1, ["r11", "r12"], r#"{"v":1,"b":10,"r":3,"o":3,"q":2,"s":{"no_rule":1}}"#),
    ] {
        let mut log = Log::begun();
        let EventBody::Genesis(genesis) = &mut log.records[0].1.body else { panic!() };
        genesis.partition = partition;
        for id in ids {
            log.requested(id);
        }
        if partition == 1 {
            planted = log.suppressed(&["r12"], SuppressedReason::TooOld);
        }
        for (_, event) in &mut log.records {
            event.tenant = format!("tenant-{partition}");
            writer.append(partition, event).await.unwrap();
        }
        commit(&settings, &format!("tenant-{partition}"), 13, tally);
    }
    let args = LedgerAuditArgs { list: 20, skip_alerts: true, ..LedgerAuditArgs::default() };
    for partition in [0, 1] {
        settings.group_id = format!("tenant-{partition}");
        settings.ledger.partition = partition;
        let report = audit(&args, &settings, &Default::default(), &Default::default()).await.unwrap();
        let found: Vec<_> = report.violations.iter().map(|found| (found.code, found.offsets.clone())).collect();
        let expected = match partition {
            0 => vec![],
            _ => vec![(ViolationCode::SuppressedWithoutCause, vec![planted - 1, planted])],
        };
        assert_eq!(found, expected, "{:#?}", report.violations);
        let lanes: Vec<_> = report.ledger.iter().map(|lane| (lane.partition, lane.tenant.clone())).collect();
        assert_eq!(lanes, [(partition, Some(settings.group_id.clone()))]);
        assert_eq!((report.alerts.len(), report.requests.made, report.unaccounted), (1, 2, 0));
    }
    (settings.ledger.partitions, settings.ledger.partition) = (3, 2);
    let error = audit(&args, &settings, &Default::default(), &Default::default()).await.unwrap_err();
    assert!(format!("{error:#}").contains("has no partition 2"), "{error:#}");
}

#[tokio::test]
async fn the_ledger_of_a_broker_is_shown() {
    let mut log = Log::begun();
    log.whole_scan("s1", "r10");
    let (_broker, settings) = written(&log).await;
    let mut args = LedgerTailArgs { from: From::Offset(2), ..LedgerTailArgs::default() };
    args.filter.alert = Some("10".to_owned());
    let mut lines = Vec::new();
    tail(&args, &settings, |line| {
        lines.push((line.offset, line.text()));
        true
    })
    .await
    .unwrap();
    assert_eq!(lines.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert!(lines[3].1.ends_with("Quick succeeded, for alert 10 [scan s1] action action-1"), "{lines:?}");

    // Following goes on until whoever looks has enough.
    args.follow = true;
    let mut seen = 0;
    tail(&args, &settings, |_| {
        seen += 1;
        seen < 3
    })
    .await
    .unwrap();
    assert_eq!(seen, 3);
}

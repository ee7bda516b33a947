//! The commands against a broker: what was appended is audited and shown.

use super::builder::{Log, at};
use crate::cli::ledger_audit::{LedgerAuditArgs, ViolationCode, audit};
use crate::cli::ledger_tail::{From, LedgerTailArgs, tail};
use crate::event::{DeadLetterReason, SuppressedReason};
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

//! The balance of the alerts topic.

use super::builder::Log;
use crate::cli::ledger_audit::{Audit, AuditOptions, AuditReport, CommittedTally, ViolationCode, render_text};
use crate::event::*;

/// Offsets 10 to 15 of partition 0: two requests, a failure of intake, two skipped, one dead letter.
const TALLY: &str =
    r#"{"v":1,"b":10,"r":6,"o":6,"q":2,"f":{"evaluation_error":1},"s":{"no_rule":2},"d":{"not_json":1}}"#;

struct Topics {
    log: Log,
    tally: &'static str,
    dead_letters: Vec<(i64, DeadLetterReason)>,
    dead_letters_late: bool,
    ledger_late: bool,
    low: i64,
    observations: Vec<(i64, u32)>,
}

impl Topics {
    fn balanced() -> Self {
        let mut log = Log::begun();
        log.whole_scan("s1", "r10");
        log.requested("r11");
        log.suppressed(&["r11"], SuppressedReason::Cooldown);
        log.failed_at_intake("r12");
        // Beyond the commit: intake is still at work.
        log.requested("r16");
        Self {
            log,
            tally: TALLY,
            // A dead letter may be written twice, and once more for a record that is not committed.
            dead_letters: vec![
                (15, DeadLetterReason::NotJson),
                (15, DeadLetterReason::NotJson),
                (17, DeadLetterReason::NotUtf8),
            ],
            dead_letters_late: false,
            ledger_late: false,
            low: 8,
            observations: (8..18).map(|offset| (offset, 1)).collect(),
        }
    }

    fn audit(&self) -> AuditReport {
        let mut audit = Audit::new(AuditOptions::default());
        audit.committed(0, 16, CommittedTally::from_metadata(self.tally));
        self.log.tell(&mut audit);
        for (offset, reason) in &self.dead_letters {
            audit.dead_letter("alerts", 0, *offset, *reason);
            audit.dead_letter("another topic", 0, 11, *reason);
        }
        if self.ledger_late {
            audit.ledger_begins_late();
        }
        if self.dead_letters_late {
            audit.dead_letters_begin_late();
        }
        audit.alerts_partition(0, self.low);
        for (offset, count) in &self.observations {
            audit.alerts_record(0, *offset, *count);
        }
        audit.finish()
    }

    fn assert_codes(&self, expected: &[ViolationCode]) -> AuditReport {
        let report = self.audit();
        let codes: Vec<_> = report.violations.iter().map(|violation| violation.code).collect();
        assert_eq!(codes, expected, "{:#?}", report.violations);
        report
    }
}

#[test]
fn a_balanced_partition() {
    let report = Topics::balanced().assert_codes(&[]);
    assert_eq!((report.unaccounted, report.exit_code()), (0, 0));
    assert_eq!(report.alerts[0].observed_in_topic, Some(6));
    let text = render_text(&report);
    assert!(text.contains("6 observed = 2 requested + 1 failed + 2 skipped + 1 dead-lettered"), "{text}");
    assert!(text.ends_with("Balanced: every promise that the log can show is kept.\n"), "{text}");
}

#[test]
fn counts_that_do_not_add_up() {
    let mut topics = Topics::balanced();
    topics.tally =
        r#"{"v":1,"b":10,"r":6,"o":7,"q":2,"f":{"evaluation_error":1},"s":{"no_rule":2},"d":{"not_json":1}}"#;
    topics.low = 11;
    let report = topics.assert_codes(&[ViolationCode::Unbalanced]);
    assert_eq!((report.unaccounted, report.exit_code()), (1, 5));
}

#[test]
fn a_request_that_never_reached_the_ledger() {
    let mut topics = Topics::balanced();
    topics.tally =
        r#"{"v":1,"b":10,"r":6,"o":6,"q":3,"f":{"evaluation_error":1},"s":{"no_rule":1},"d":{"not_json":1}}"#;
    let report = topics.assert_codes(&[ViolationCode::RequestsDiffer]);
    assert_eq!(report.unaccounted, 1);
    assert!(report.violations[0].message.contains("3 requests were committed, and the ledger holds 2"));
    // A ledger that begins late may have lost it to retention.
    topics.log.records.iter_mut().for_each(|(offset, _)| *offset += 100);
    topics.log.records.remove(0);
    topics.assert_codes(&[]);
}

#[test]
fn an_emptied_ledger_has_not_lost_what_expired() {
    let mut topics = Topics::balanced();
    topics.log.records.clear();
    let empty = [ViolationCode::RequestsDiffer, ViolationCode::RequestsDiffer];
    assert_eq!(topics.assert_codes(&empty).unaccounted, 3);
    topics.ledger_late = true;
    let report = topics.assert_codes(&[]);
    assert_eq!((report.unaccounted, report.exit_code()), (0, 0));
    assert!(report.notes.iter().any(|note| note.contains("the ledger begins late")), "{:?}", report.notes);
}

#[test]
fn a_request_that_was_committed_as_something_else() {
    let mut topics = Topics::balanced();
    topics.log.requested("r13");
    topics.assert_codes(&[ViolationCode::RequestsDiffer]);
}

#[test]
fn a_failure_of_intake_that_never_reached_the_ledger() {
    let mut topics = Topics::balanced();
    topics.tally =
        r#"{"v":1,"b":10,"r":6,"o":6,"q":2,"f":{"evaluation_error":2},"s":{"no_rule":1},"d":{"not_json":1}}"#;
    topics.assert_codes(&[ViolationCode::RequestsDiffer]);
}

#[test]
fn a_dead_letter_that_is_missing() {
    let mut topics = Topics::balanced();
    topics.dead_letters.clear();
    let report = topics.assert_codes(&[ViolationCode::DeadLettersDiffer]);
    assert!(report.violations[0].message.contains("(not_json)"), "{:?}", report.violations);
    topics.dead_letters_late = true;
    topics.assert_codes(&[]);
}

#[test]
fn a_dead_letter_too_many() {
    let mut topics = Topics::balanced();
    topics.dead_letters.push((13, DeadLetterReason::TooDeep));
    topics.assert_codes(&[ViolationCode::DeadLettersDiffer]);
}

#[test]
fn observations_that_nobody_counted() {
    let mut topics = Topics::balanced();
    topics.observations[4].1 = 3;
    let report = topics.assert_codes(&[ViolationCode::ObservationsDiffer]);
    assert_eq!(report.unaccounted, 2);
    // Nothing can be said once the topic has let records go.
    topics.low = 11;
    topics.observations.retain(|(offset, _)| *offset >= 11);
    topics.assert_codes(&[]);
}

#[test]
fn more_requests_than_observations_in_a_record() {
    let mut topics = Topics::balanced();
    topics.observations[3].1 = 0;
    topics.observations[2].1 = 2;
    let report = topics.assert_codes(&[ViolationCode::ObservationsDiffer]);
    assert!(report.violations[0].message.starts_with("alerts 0@11"), "{:?}", report.violations);
}

#[test]
fn a_commit_without_counts_is_named() {
    let mut topics = Topics::balanced();
    for foreign in ["", "{}", r#"{"v":2,"b":0,"o":0,"q":0}"#] {
        topics.tally = foreign;
        let report = topics.assert_codes(&[]);
        assert!(report.notes.iter().any(|note| note.contains("carries no counts of ours")), "{:?}", report.notes);
    }
}

/// The examples of `docs/ledger.md` are what the command prints.
#[test]
fn the_documents_show_what_is_printed() {
    let balanced = render_text(&Topics::balanced().audit());
    let mut topics = Topics::balanced();
    topics.log.now += 60;
    topics.log.requested("r17");
    topics.log.control(ControlAction::Halted);
    topics.log.intent("s2", 1, &["r16", "r17"]);
    topics.log.accepted("s2", 1, &["r16", "r17"], "action-2");
    topics.dead_letters.clear();
    let violated = render_text(&topics.audit());
    let documents = include_str!("../../../../docs/ledger.md");
    assert!(documents.contains(&balanced), "docs/ledger.md lacks this:\n{balanced}");
    assert!(documents.contains(&violated), "docs/ledger.md lacks this:\n{violated}");
    for code in ViolationCode::ALL {
        assert!(documents.contains(&format!("`{code}`")), "docs/ledger.md says nothing of {code}");
    }
    for event in EventBody::NAMES {
        assert!(documents.contains(&format!("| `{event}` |")), "docs/ledger.md says nothing of {event}");
    }
    assert!(documents.contains(include_str!("../../ledger_tail/golden.txt")), "docs/ledger.md lacks the lines of tail");
}

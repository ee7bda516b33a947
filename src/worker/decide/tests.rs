use super::*;

const RULE: &str = "
title: Malware
id: 0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77
logsource: { category: alert }
detection: { malware: { category: Malware }, condition: malware }
level: high
response: { scan: Quick, comment: 'due to alert {{ alert.id }}', mode: live }
";

fn decider(mode: Mode) -> Decider {
    Decider {
        rules: Arc::new(RuleSet::from_sources([("rule.yml", RULE)]).unwrap()),
        options: DecodeOptions::default(),
        tenant: "tenant-a".to_owned(),
        mode,
        topic: "alerts".to_owned(),
    }
}

fn record(payload: &str) -> ConsumedRecord {
    ConsumedRecord {
        partition: 3,
        offset: 42,
        timestamp: None,
        key: None,
        payload: Some(payload.as_bytes().to_vec()),
        headers: vec![(
            "traceparent".to_owned(),
            Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec()),
        )],
    }
}

fn decide(payload: &str) -> RecordDecision {
    decider(Mode::Live).decide_at(&record(payload), &[], Timestamp::UNIX_EPOCH)
}

#[test]
fn each_observation_ends_in_one_place() {
    let id = "a".repeat(40);
    let skipped = |payload: &str| decide(payload).skipped;
    assert_eq!(skipped(r#"{"id":1,"category":"Phishing","device":{"name":"ws"}}"#), [SkippedReason::NoRule]);
    assert_eq!(skipped(r#"{"id":1,"category":"Malware"}"#), [SkippedReason::NoDevice]);
    assert_eq!(skipped(r#"{"id":1,"category":"Malware","device":{"name":"ws"}}"#), [SkippedReason::AmbiguousDevice]);
    assert_eq!(
        skipped(r#"{"id":1,"category":"Malware","device":{"id":"349f2c58-095a-5a0b-9c82-7f6c55c016de"}}"#),
        [SkippedReason::BadDeviceId]
    );
    assert_eq!(
        skipped(&format!(r#"{{"id":1,"category":"Malware","status":"Resolved","device":{{"id":"{id}"}}}}"#)),
        [SkippedReason::AlertClosed]
    );
    assert_eq!(
        skipped(&format!(r#"{{"id":1,"category":"Malware","tenant":"other","device":{{"id":"{id}"}}}}"#)),
        [SkippedReason::OtherTenant]
    );
    assert_eq!(decide("{").dead_letter.unwrap().0, DeadLetterReason::NotJson);
    assert_eq!(decide("{").skipped.len(), 0);
}

#[test]
fn a_redelivery_asks_again_under_the_same_id() {
    let payload = format!(
        r#"{{"id":3212,"category":"Malware","devices":[{{"id":"{}"}},{{"id":"{}"}}]}}"#,
        "A".repeat(40),
        "b".repeat(40)
    );
    let ids = |decision: &RecordDecision| -> Vec<String> {
        let bodies = decision.requested.iter().map(|event| match &event.body {
            crate::event::EventBody::Requested(body) => body,
            other => panic!("{other:?}"),
        });
        bodies.map(|body| format!("{} {} {:?}", body.request_ids[0], body.device.id, body.trace_id)).collect()
    };
    let first = decide(&payload);
    assert!(first.is_balanced() && first.observed == 2);
    assert_ne!(ids(&first)[0], ids(&first)[1]);
    assert_eq!(ids(&first), ids(&decide(&payload)));
    let rules = Arc::new(RuleSet::from_sources([("rule.yml", &RULE.replace("level: high", "level: low"))]).unwrap());
    let by_other_rules = Decider { rules, ..decider(Mode::Live) };
    assert_ne!(by_other_rules.rules.hash(), decider(Mode::Live).rules.hash());
    let again = by_other_rules.decide_at(&record(&payload), &[], Timestamp::UNIX_EPOCH);
    assert_eq!(ids(&first), ids(&again), "whatever the rules are by then");
    assert!(ids(&first)[0].contains("4bf92f3577b34da6a3ce929d0e0e4736"));
}

fn identities(events: &[ScanEvent]) -> Vec<String> {
    let ids = events.iter().map(|event| match &event.body {
        crate::event::EventBody::Requested(body) => &body.request_ids[0],
        crate::event::EventBody::Failed(body) => &body.request_ids[0],
        other => panic!("{other:?}"),
    });
    ids.cloned().collect()
}

#[test]
fn what_the_ledger_holds_already_stands_whatever_the_rules_are_by_then() {
    let [one, two, three] = ["a", "b", "c"].map(|letter| letter.repeat(40));
    let payload =
        format!(r#"{{"id":1,"category":"Malware","devices":[{{"id":"{one}"}},{{"id":"{two}"}},{{"id":"{three}"}}]}}"#);
    let ids = identities(&decide(&payload).requested);
    let recorded = |id: &str, failed| Recorded { request_id: id.to_owned(), alert_id: "1".to_owned(), failed };
    let known = [recorded(&ids[0], None), recorded(&ids[1], Some(FailedReason::EvaluationError))];

    let wants_nothing = RULE.replace("category: Malware }", "category: Phishing }");
    let rules = Arc::new(RuleSet::from_sources([("rule.yml", wants_nothing.as_str())]).unwrap());
    let other_rules = Decider { rules, ..decider(Mode::Live) };
    let again = other_rules.decide_at(&record(&payload), &known, Timestamp::UNIX_EPOCH);
    assert_eq!((again.recorded.as_slice(), &again.skipped[..]), (&known[..], &[SkippedReason::NoRule][..]));
    let outcomes = again.outcomes();
    assert_eq!((outcomes.observed, outcomes.requested), (3, 1));
    assert_eq!(outcomes.failed, [FailedReason::EvaluationError]);
    assert!(again.is_balanced() && again.requested.is_empty() && again.failed.is_empty());

    // By the same rules only what is missing is asked for.
    let completed = decider(Mode::Live).decide_at(&record(&payload), &known[..1], Timestamp::UNIX_EPOCH);
    assert_eq!(identities(&completed.requested), ids[1..]);
    assert_eq!((completed.outcomes().requested, completed.is_balanced()), (3, true));

    // An offset of a topic that was made anew holds another alert.
    let other = Recorded { alert_id: "2".to_owned(), ..known[0].clone() };
    let anew = decider(Mode::Live).decide_at(&record(&payload), &[other], Timestamp::UNIX_EPOCH);
    assert_eq!((anew.recorded.len(), anew.requested.len()), (0, 3));

    // Since then less is decoded: the letter is for the rest.
    let letter = decider(Mode::Live).decide_at(&record("{"), &known, Timestamp::UNIX_EPOCH);
    assert_eq!((letter.observed, letter.is_balanced(), letter.dead_letter.is_some()), (3, true, true));
}

#[test]
fn every_device_whose_scan_cannot_be_described_has_an_identity_of_its_own() {
    let needs_a_user = RULE.replace("due to alert {{ alert.id }}", "{{ alert.title }}");
    let rules = Arc::new(RuleSet::from_sources([("rule.yml", needs_a_user.as_str())]).unwrap());
    let one = "a".repeat(40);
    let payload = format!(
        r#"{{"id":1,"title":"\u200b","category":"Malware","devices":[{{"id":"{one}"}},{{"name":"ws-1"}},{{"name":"ws-2"}},{{"id":"bad"}}]}}"#
    );
    let needy = Decider { rules, ..decider(Mode::Live) };
    let decision = needy.decide_at(&record(&payload), &[], Timestamp::UNIX_EPOCH);
    let mut ids = identities(&decision.failed);
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), decision.is_balanced()), (4, true));
    let crate::event::EventBody::Failed(first) = &decision.failed[0].body else { panic!() };
    assert_eq!(
        (&first.device.id, &first.request_ids),
        (&one, &vec![identities(&decide(&payload).requested)[0].clone()])
    );
}

#[test]
fn a_worker_in_shadow_overrules_live_rules() {
    let payload = format!(r#"{{"id":1,"category":"Malware","device":{{"id":"{}"}}}}"#, "a".repeat(40));
    let decision = decider(Mode::Shadow).decide_at(&record(&payload), &[], Timestamp::UNIX_EPOCH);
    let crate::event::EventBody::Requested(body) = &decision.requested[0].body else { panic!() };
    assert_eq!(body.mode, Mode::Shadow);
}

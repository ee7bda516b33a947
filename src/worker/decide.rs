//! What becomes of one record of the alerts topic: decode, evaluate, and nothing else. Pure but for the clock it is given.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::intake::{Decide, RecordDecision, Recorded};
use crate::alert::{Alert, DecodeOptions, DecodeReason, Decoded, Device, Format, decode};
use crate::defender::is_machine_id;
use crate::event::{
    AlertRef, DeadLetterReason, DeviceRef, Failed, FailedReason, Mode, Requested, ScanEvent, SkippedReason,
};
use crate::kafka::ConsumedRecord;
use crate::rules::{Decision, RuleSet, ScanDecision};

/// Ownership that intake writes where a rule could not be evaluated: no claim is needed for what no call follows.
pub const INTAKE_CLAIM: &str = "intake";

/// Decides about records by one rule set.
#[derive(Debug, Clone)]
pub struct Decider {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// How records are decoded.
    pub options: DecodeOptions,
    /// The tenant that this worker serves.
    pub tenant: String,
    /// The worker's own mode; `shadow` overrules live rules.
    pub mode: Mode,
    /// Topic that the records come from.
    pub topic: String,
}

impl Decide for Decider {
    fn decide(&self, record: &ConsumedRecord, recorded: &[Recorded]) -> RecordDecision {
        self.decide_at(record, recorded, Timestamp::now())
    }
}

impl Decider {
    /// Decides about one record, but for the observations that are `recorded` already. The same record always makes requests
    /// of the same ids.
    #[must_use]
    pub fn decide_at(&self, record: &ConsumedRecord, recorded: &[Recorded], now: Timestamp) -> RecordDecision {
        let payload = record.payload.as_deref().unwrap_or_default();
        match decode(payload, &self.options) {
            Ok(decoded) => self.decide_decoded(record, &decoded, recorded, now),
            // The options that decode have changed: what was recorded stands, and the letter is for the rest.
            Err(error) => RecordDecision {
                observed: u32::try_from(recorded.len() + 1).unwrap_or(u32::MAX),
                recorded: recorded.to_vec(),
                ..RecordDecision::dead_letter(dead_letter_reason(error.reason()), error.to_string())
            },
        }
    }

    /// The second half of [`Self::decide_at`]: decides about the alerts of a record, for whoever has them decoded already.
    #[must_use]
    pub fn decide_decoded(
        &self,
        record: &ConsumedRecord,
        decoded: &[Decoded],
        recorded: &[Recorded],
        now: Timestamp,
    ) -> RecordDecision {
        let mut observing = Observing { decider: self, record, recorded, now, decision: RecordDecision::default() };
        for Decoded { index, alert } in decoded {
            observing.decision.alerts.push(alert.format);
            if alert.devices.is_empty() {
                observing.observe(&Observation { index: *index, alert, device: None, ordinal: 0 });
            }
            for (ordinal, device) in alert.devices.iter().enumerate() {
                observing.observe(&Observation { index: *index, alert, device: Some(device), ordinal });
            }
        }
        let mut decision = observing.decision;
        decision.observed = u32::try_from(decision.listed()).unwrap_or(u32::MAX);
        decision
    }
}

/// An alert with one of its devices, or an alert without any.
struct Observation<'a> {
    /// Place of the alert in its record.
    index: u32,
    alert: &'a Alert,
    device: Option<&'a Device>,
    /// Place of the device in its alert.
    ordinal: usize,
}

/// One record while it is decided.
struct Observing<'a> {
    decider: &'a Decider,
    record: &'a ConsumedRecord,
    recorded: &'a [Recorded],
    now: Timestamp,
    decision: RecordDecision,
}

impl Observing<'_> {
    fn observe(&mut self, observation: &Observation<'_>) {
        let Observation { alert, device, .. } = *observation;
        if let Some(recorded) = self.recorded(observation) {
            self.decision.recorded.push(recorded);
            return;
        }
        if alert.tenant.as_ref().is_some_and(|tenant| !tenant.eq_ignore_ascii_case(&self.decider.tenant)) {
            self.decision.skipped.push(SkippedReason::OtherTenant);
            return;
        }
        if alert.is_closed() {
            self.decision.skipped.push(SkippedReason::AlertClosed);
            return;
        }
        let nameless = Device::default();
        // Rules come before the look at the device: that a wanted scan has no device is worth more than that an unwanted
        // one has none.
        let evaluation = self.decider.rules.evaluate(alert, device.unwrap_or(&nameless), self.now);
        self.decision.matches.extend(evaluation.matches);
        match evaluation.decision {
            Decision::NoRule => self.decision.skipped.push(SkippedReason::NoRule),
            Decision::Filtered => self.decision.skipped.push(SkippedReason::Filtered),
            Decision::EvaluationError { rule_ids, detail } => {
                let failed = self.failed(observation, &rule_ids, &detail);
                self.decision.failed.push(failed);
            }
            Decision::Scan(scan) => match device_of(alert.format, device) {
                Ok(device) => {
                    let requested = self.requested(observation, device, scan);
                    self.decision.requested.push(requested);
                }
                Err(reason) => self.decision.skipped.push(reason),
            },
        }
    }

    /// What an owner before us has written of an observation. The alert must be the same too: the offsets of a topic that was
    /// made anew are those of other records.
    fn recorded(&self, observation: &Observation<'_>) -> Option<Recorded> {
        if self.recorded.is_empty() {
            return None;
        }
        let id = self.request_id(observation);
        let is_it = |recorded: &&Recorded| recorded.request_id == id && recorded.alert_id == observation.alert.id;
        self.recorded.iter().find(is_it).cloned()
    }

    fn requested(&self, observation: &Observation<'_>, device: DeviceRef, scan: ScanDecision) -> ScanEvent {
        let Self { decider, record, now, .. } = *self;
        let alert = observation.alert;
        // A source whose clock is ahead must not make its alerts live longer.
        let raised = alert.created_at.or(record.timestamp).unwrap_or(now).min(now);
        let body = Requested {
            request_ids: vec![self.request_id(observation)],
            device,
            alerts: vec![self.alert_ref(observation)],
            rule_ids: scan.rule_ids,
            ruleset: decider.rules.hash().to_owned(),
            scan_type: scan.scan_type,
            priority: scan.priority,
            comment: scan.comment,
            mode: scan.mode.min(decider.mode),
            alert_created_at: alert.created_at,
            expires_at: raised.saturating_add(scan.max_alert_age).unwrap_or(Timestamp::MAX),
            cooldown_seconds: scan.cooldown.as_secs(),
            limits: scan.limits,
            terms: scan.terms,
            trace_id: record.header("traceparent").and_then(trace_id),
        };
        ScanEvent::new(now, decider.tenant.clone(), body)
    }

    fn failed(&self, observation: &Observation<'_>, rule_ids: &[String], detail: &str) -> ScanEvent {
        let Observation { alert, device, .. } = *observation;
        let nameless = Device::default();
        let device = device_of(alert.format, device)
            .unwrap_or_else(|_| device_ref(alert.format, device.unwrap_or(&nameless), ""));
        let body = Failed {
            device_unfit_until: None,
            scan_type: None,
            cooldown_until: None,
            claim: INTAKE_CLAIM.to_owned(),
            scan_id: None,
            request_ids: vec![self.request_id(observation)],
            device,
            alerts: vec![self.alert_ref(observation)],
            reason: FailedReason::EvaluationError,
            detail: Some(format!("{}: {detail}", rule_ids.join(", "))),
        };
        ScanEvent::new(self.now, self.decider.tenant.clone(), body)
    }

    fn alert_ref(&self, observation: &Observation<'_>) -> AlertRef {
        let Observation { index, alert, .. } = *observation;
        AlertRef {
            id: alert.id.clone(),
            title: alert.title.clone(),
            severity: alert.severity,
            topic: self.decider.topic.clone(),
            partition: self.record.partition,
            offset: self.record.offset,
            index,
        }
    }

    /// Identity of an observation: where it was read, not what it says, so that a redelivery is known again whatever the
    /// rules are by then.
    fn request_id(&self, observation: &Observation<'_>) -> String {
        let mut hash = Sha256::new();
        hash.update(self.decider.topic.as_bytes());
        hash.update([0]);
        hash.update(self.record.partition.to_be_bytes());
        hash.update(self.record.offset.to_be_bytes());
        hash.update(observation.index.to_be_bytes());
        match observation.device.map(|device| &device.id) {
            Some(Some(id)) => hash.update(id.to_lowercase().as_bytes()),
            // Several devices of an alert can be without an id, and each is an observation of its own.
            Some(None) => hash.update(format!("#{}", observation.ordinal).as_bytes()),
            None => {}
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The device to scan, or why there is none.
fn device_of(format: Format, device: Option<&Device>) -> Result<DeviceRef, SkippedReason> {
    let device = device.ok_or(SkippedReason::NoDevice)?;
    match &device.id {
        Some(id) if is_machine_id(&id.to_lowercase()) => Ok(device_ref(format, device, &id.to_lowercase())),
        Some(_) => Err(SkippedReason::BadDeviceId),
        // A name or an address is no identity: several devices can share it.
        None if device.name.is_some() || !device.ip.is_empty() => Err(SkippedReason::AmbiguousDevice),
        None => Err(SkippedReason::NoDevice),
    }
}

fn device_ref(format: Format, device: &Device, id: &str) -> DeviceRef {
    // Tags of Graph evidence are those of the evidence: they need not be all that the machine carries, so a protection
    // must not take them for the whole.
    let tags = device.tags.clone().filter(|_| format == Format::AlertResponder);
    DeviceRef { id: id.to_owned(), name: device.name.clone(), group: device.group.clone(), tags }
}

/// The trace id of a W3C `traceparent`.
fn trace_id(traceparent: &str) -> Option<String> {
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_lowercase())
}

/// The word of a decoding error among the reasons of dead letters.
#[must_use]
pub const fn dead_letter_reason(reason: DecodeReason) -> DeadLetterReason {
    match reason {
        DecodeReason::NotUtf8 => DeadLetterReason::NotUtf8,
        DecodeReason::NotJson => DeadLetterReason::NotJson,
        DecodeReason::UnknownFormat => DeadLetterReason::UnknownFormat,
        DecodeReason::Invalid => DeadLetterReason::Invalid,
        DecodeReason::TooLarge => DeadLetterReason::TooLarge,
        DecodeReason::TooDeep => DeadLetterReason::TooDeep,
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            skipped(r#"{"id":1,"category":"Malware","device":{"name":"ws"}}"#),
            [SkippedReason::AmbiguousDevice]
        );
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
        let rules =
            Arc::new(RuleSet::from_sources([("rule.yml", &RULE.replace("level: high", "level: low"))]).unwrap());
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
        let payload = format!(
            r#"{{"id":1,"category":"Malware","devices":[{{"id":"{one}"}},{{"id":"{two}"}},{{"id":"{three}"}}]}}"#
        );
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
}

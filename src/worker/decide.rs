//! What becomes of one record of the alerts topic: decode, evaluate, and nothing else. Pure but for the clock it is given.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::intake::{Decide, RecordDecision};
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
    fn decide(&self, record: &ConsumedRecord) -> RecordDecision {
        self.decide_at(record, Timestamp::now())
    }
}

impl Decider {
    /// Decides about one record. The same record always makes requests of the same ids.
    #[must_use]
    pub fn decide_at(&self, record: &ConsumedRecord, now: Timestamp) -> RecordDecision {
        let payload = record.payload.as_deref().unwrap_or_default();
        let decoded = match decode(payload, &self.options) {
            Ok(decoded) => decoded,
            Err(error) => return RecordDecision::dead_letter(dead_letter_reason(error.reason()), error.to_string()),
        };
        self.decide_decoded(record, &decoded, now)
    }

    /// The second half of [`Self::decide_at`]: decides about the alerts of a record, for whoever has them decoded already.
    #[must_use]
    pub fn decide_decoded(&self, record: &ConsumedRecord, decoded: &[Decoded], now: Timestamp) -> RecordDecision {
        let mut decision = RecordDecision::default();
        for Decoded { index, alert } in decoded {
            decision.alerts.push(alert.format);
            if alert.devices.is_empty() {
                self.observe(record, *index, alert, None, now, &mut decision);
            }
            for device in &alert.devices {
                self.observe(record, *index, alert, Some(device), now, &mut decision);
            }
        }
        let observed = decision.requested.len() + decision.failed.len() + decision.skipped.len();
        decision.observed = u32::try_from(observed).unwrap_or(u32::MAX);
        decision
    }

    fn observe(
        &self,
        record: &ConsumedRecord,
        index: u32,
        alert: &Alert,
        device: Option<&Device>,
        now: Timestamp,
        decision: &mut RecordDecision,
    ) {
        if alert.tenant.as_ref().is_some_and(|tenant| !tenant.eq_ignore_ascii_case(&self.tenant)) {
            decision.skipped.push(SkippedReason::OtherTenant);
            return;
        }
        if alert.is_closed() {
            decision.skipped.push(SkippedReason::AlertClosed);
            return;
        }
        let nameless = Device::default();
        // Rules come before the look at the device: that a wanted scan has no device is worth more than that an unwanted
        // one has none.
        let evaluation = self.rules.evaluate(alert, device.unwrap_or(&nameless), now);
        decision.matches.extend(evaluation.matches);
        let scan = match evaluation.decision {
            Decision::NoRule => {
                decision.skipped.push(SkippedReason::NoRule);
                return;
            }
            Decision::Filtered => {
                decision.skipped.push(SkippedReason::Filtered);
                return;
            }
            Decision::EvaluationError { rule_ids, detail } => {
                let device = device_ref(alert.format, device.unwrap_or(&nameless), "");
                decision.failed.push(self.failed(record, index, alert, device, &rule_ids, detail, now));
                return;
            }
            Decision::Scan(scan) => scan,
        };
        match device_of(alert.format, device) {
            Ok(device) => decision.requested.push(self.requested(record, index, alert, device, scan, now)),
            Err(reason) => decision.skipped.push(reason),
        }
    }

    fn requested(
        &self,
        record: &ConsumedRecord,
        index: u32,
        alert: &Alert,
        device: DeviceRef,
        scan: ScanDecision,
        now: Timestamp,
    ) -> ScanEvent {
        // A source whose clock is ahead must not make its alerts live longer.
        let raised = alert.created_at.or(record.timestamp).unwrap_or(now).min(now);
        let body = Requested {
            request_ids: vec![self.request_id(record, index, &device.id)],
            device,
            alerts: vec![self.alert_ref(record, index, alert)],
            rule_ids: scan.rule_ids,
            ruleset: self.rules.hash().to_owned(),
            scan_type: scan.scan_type,
            priority: scan.priority,
            comment: scan.comment,
            mode: scan.mode.min(self.mode),
            alert_created_at: alert.created_at,
            expires_at: raised.saturating_add(scan.max_alert_age).unwrap_or(Timestamp::MAX),
            cooldown_seconds: scan.cooldown.as_secs(),
            limits: scan.limits,
            terms: scan.terms,
            trace_id: record.header("traceparent").and_then(trace_id),
        };
        ScanEvent::new(now, self.tenant.clone(), body)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the record")]
    fn failed(
        &self,
        record: &ConsumedRecord,
        index: u32,
        alert: &Alert,
        device: DeviceRef,
        rule_ids: &[String],
        detail: String,
        now: Timestamp,
    ) -> ScanEvent {
        let body = Failed {
            device_unfit_until: None,
            scan_type: None,
            cooldown_until: None,
            claim: INTAKE_CLAIM.to_owned(),
            scan_id: None,
            request_ids: vec![self.request_id(record, index, &device.id)],
            device,
            alerts: vec![self.alert_ref(record, index, alert)],
            reason: FailedReason::EvaluationError,
            detail: Some(format!("{}: {detail}", rule_ids.join(", "))),
        };
        ScanEvent::new(now, self.tenant.clone(), body)
    }

    fn alert_ref(&self, record: &ConsumedRecord, index: u32, alert: &Alert) -> AlertRef {
        AlertRef {
            id: alert.id.clone(),
            title: alert.title.clone(),
            severity: alert.severity,
            topic: self.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            index,
        }
    }

    /// Identity of an observation: where it was read, not what it says, so that a redelivery is known again whatever the
    /// rules are by then.
    fn request_id(&self, record: &ConsumedRecord, index: u32, device_id: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.topic.as_bytes());
        hash.update([0]);
        hash.update(record.partition.to_be_bytes());
        hash.update(record.offset.to_be_bytes());
        hash.update(index.to_be_bytes());
        hash.update(device_id.as_bytes());
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
        decider(Mode::Live).decide_at(&record(payload), Timestamp::UNIX_EPOCH)
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
        let again = by_other_rules.decide_at(&record(&payload), Timestamp::UNIX_EPOCH);
        assert_eq!(ids(&first), ids(&again), "whatever the rules are by then");
        assert!(ids(&first)[0].contains("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn a_worker_in_shadow_overrules_live_rules() {
        let payload = format!(r#"{{"id":1,"category":"Malware","device":{{"id":"{}"}}}}"#, "a".repeat(40));
        let decision = decider(Mode::Shadow).decide_at(&record(&payload), Timestamp::UNIX_EPOCH);
        let crate::event::EventBody::Requested(body) = &decision.requested[0].body else { panic!() };
        assert_eq!(body.mode, Mode::Shadow);
    }
}

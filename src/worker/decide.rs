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
mod tests;

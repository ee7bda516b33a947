//! What intake does with an alert and a device, asked of the code that does it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::alert::{Alert, DecodeOptions, Decoded, Device};
use crate::event::{Mode, SkippedReason};
use crate::kafka::ConsumedRecord;
use crate::rules::RuleSet;
use crate::worker::{Decider, RecordDecision};

/// Decides about one alert with one of its devices, or with none.
pub(super) fn decide(decider: &Decider, alert: &Alert, device: Option<&Device>, now: Timestamp) -> RecordDecision {
    let record =
        ConsumedRecord { partition: 0, offset: 0, timestamp: None, key: None, payload: None, headers: Vec::new() };
    // Without a tenant in the configuration none is foreign.
    let tenant = alert.tenant.clone().filter(|_| !decider.tenant.is_empty());
    let alone = Alert { devices: device.cloned().into_iter().collect(), tenant, ..alert.clone() };
    decider.decide_decoded(&record, &[Decoded { index: 0, alert: alone }], &[], now)
}

/// Why nothing would be scanned whatever the rules say; `None` where they have the say.
pub(super) fn skipped(
    rules: &Arc<RuleSet>,
    alert: &Alert,
    device: Option<&Device>,
    now: Timestamp,
) -> Option<SkippedReason> {
    let decider = Decider {
        rules: Arc::clone(rules),
        options: DecodeOptions::default(),
        tenant: String::new(),
        mode: Mode::Live,
        topic: String::new(),
    };
    let reason = decide(&decider, alert, device, now).skipped.first().copied();
    reason.filter(|reason| !matches!(reason, SkippedReason::NoRule | SkippedReason::Filtered))
}

/// The reason, for people.
pub(super) const fn because(reason: SkippedReason) -> &'static str {
    match reason {
        SkippedReason::NoDevice => "it names no device",
        SkippedReason::AmbiguousDevice => "it tells no device id, and devices can share a name or an address",
        SkippedReason::BadDeviceId => "the device id is not Defender's: 40 hexadecimal digits",
        SkippedReason::AlertClosed => "its source has closed it",
        SkippedReason::OtherTenant => "it is of another tenant",
        SkippedReason::NoRule => "no rule matches",
        SkippedReason::Filtered => "filters take its matches back",
    }
}

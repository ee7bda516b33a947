//! Requests that a person wants held back for a while.

use jiff::Timestamp;

use super::Scheduler;
use super::state::Request;
use super::wildcard::Wildcard;
use crate::event::{DeviceRef, Requested, Silence, SilenceField, SilenceMatcher};

/// Whether a silence holds a request back at `now`: it is in force, and every one of its matchers matches. `device` is
/// all that is known of the request's device. A field that is not told never matches, and a silence without matchers
/// holds nothing back.
#[must_use]
pub fn holds_back(silence: &Silence, requested: &Requested, device: &DeviceRef, now: Timestamp) -> bool {
    silence.starts_at <= now
        && now < silence.ends_at
        && !silence.matchers.is_empty()
        && silence.matchers.iter().all(|matcher| matches(matcher, requested, device))
}

fn matches(matcher: &SilenceMatcher, requested: &Requested, device: &DeviceRef) -> bool {
    let wildcard = match matcher.field {
        SilenceField::DeviceName => Wildcard::for_name(&matcher.value),
        _ => Wildcard::new(&matcher.value),
    };
    let Some(wildcard) = wildcard else { return false };
    let told = |text: &Option<String>| text.as_deref().is_some_and(|text| wildcard.matches(text));
    match matcher.field {
        SilenceField::Rule => requested.rule_ids.iter().any(|rule| wildcard.matches(rule)),
        SilenceField::DeviceId => wildcard.matches(&device.id),
        SilenceField::DeviceName => told(&device.name),
        SilenceField::DeviceGroup => told(&device.group),
        SilenceField::DeviceTag => device.tags.iter().flatten().any(|tag| wildcard.matches(tag.trim())),
        SilenceField::AlertId => requested.alerts.iter().any(|alert| wildcard.matches(&alert.id)),
        SilenceField::AlertTitle => requested.alerts.iter().any(|alert| told(&alert.title)),
        SilenceField::AlertSeverity => requested.alerts.iter().any(|alert| wildcard.matches(alert.severity.as_str())),
    }
}

impl Scheduler {
    /// The silence that holds a request back now, if any: the first by its id.
    pub(super) fn silence_of(
        &self,
        device_id: &str,
        request_id: &str,
        request: &Request,
        now: Timestamp,
    ) -> Option<&Silence> {
        let silences = &self.state.orders.silences;
        if silences.is_empty() {
            return None;
        }
        let device = self.device_ref(device_id, &[request_id.to_owned()]);
        silences.values().map(|(silence, _)| silence).find(|silence| holds_back(silence, &request.asked, &device, now))
    }

    /// Whether a silence holds any of these requests back now.
    pub(super) fn is_any_silenced(&self, device_id: &str, request_ids: &[String], now: Timestamp) -> bool {
        request_ids.iter().any(|id| {
            self.state.requests.get(id).is_some_and(|request| self.silence_of(device_id, id, request, now).is_some())
        })
    }
}

/// What a `suppressed` record says of a silence.
pub(super) fn told(silence: &Silence) -> String {
    format!("silence {} of {}, until {}: {}", silence.id, silence.author, silence.ends_at, silence.comment)
}

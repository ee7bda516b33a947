//! Guards: what must have held an intent back, and what a guard that held something back must have seen.
//!
//! A guard is judged at the time of the record, by what its writer had certainly read: the request itself, and every
//! record before the claim under which it writes.

use jiff::Timestamp;

use super::lane::{Device, Lane, Place, key};
use super::radius::asking;
use super::requests::{A_DAY, Request, describe};
use super::violation::ViolationCode;
use crate::event::{
    DeviceRef, Failed, FailedReason, Finished, FinishedStatus, Intent, Outcome, Requested, ScanType, Suppressed,
    SuppressedReason,
};

/// Ended scans of one device that may cover an alert: the worker remembers no more.
const ENDED_SCANS: usize = 8;

/// Refusals of one device that are known: only the longest can forbid a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfit {
    pub(super) reason: FailedReason,
    pub(super) until: Timestamp,
    pub(super) offset: i64,
}

/// A scan that ended with success, and what it covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndedScan {
    began_at: Timestamp,
    ended_at: Timestamp,
    scan_type: ScanType,
}

impl Device {
    pub(super) fn unfit(&mut self, reason: FailedReason, until: Timestamp, offset: i64) {
        if self.unfit.is_none_or(|known| known.until <= until) {
            self.unfit = Some(Unfit { reason, until, offset });
        }
    }

    /// A scan that ended and may cover alerts.
    pub(super) fn ended(&mut self, body: &Finished, at: Timestamp) {
        let Some(began_at) = body.began_at.filter(|_| body.status == FinishedStatus::Succeeded) else { return };
        if self.ended.len() >= ENDED_SCANS {
            self.ended.remove(0);
        }
        self.ended.push(EndedScan { began_at, ended_at: at, scan_type: body.scan_type });
    }

    /// A rest that some record speaks of, whether or not the record counts.
    pub(super) fn may_rest(&mut self, until: Timestamp) {
        self.rests_until = self.rests_until.max(Some(until));
    }
}

impl Lane {
    /// What an open request asks, where the log holds its record.
    pub(super) fn asked(&self, id: &str) -> Option<&Requested> {
        self.requests.get(&key(id))?.open.as_ref()?.asked.as_deref()
    }

    /// An offset up to which the writer of a record about these requests had certainly read the log.
    pub(super) fn seen(&self, ids: &[String]) -> i64 {
        let requests = ids.iter().filter_map(|id| self.requests.get(&key(id)));
        // Without its first record in the log, it may have been read long before.
        let first = |request: &&Request| request.open.as_ref().is_some_and(|open| open.asked.is_some());
        requests.filter(first).map(|request| request.offset).max().max(self.claimed_at).unwrap_or(-1)
    }

    /// Age, threshold, fitness of the device and the rest after the scan.
    pub(super) fn check_intent_guards(&mut self, body: &Intent, place: &mut Place<'_>) {
        let Intent { scan_id, .. } = body;
        for id in &body.request_ids {
            let Some(request) = self.requests.get(&key(id)) else { continue };
            let made = request.offset;
            let Some((asked, reach)) =
                request.open.as_ref().and_then(|open| Some((open.asked.as_deref()?, open.reach)))
            else {
                continue;
            };
            let expires_at = asked.expires_at;
            if expires_at <= place.time {
                self.violation(ViolationCode::IntentForExpired, &[made], place, || {
                    format!("scan {scan_id} covers request {id}, which was too old from {expires_at} on")
                });
            }
            if reach.below {
                self.violation(ViolationCode::IntentBelowThreshold, &[made], place, || {
                    format!("scan {scan_id} covers request {id}, which awaits a threshold that was not reached")
                });
            }
            if asked.terms.outside_active_time.is_some() {
                self.violation(ViolationCode::IntentOutsideActiveTime, &[made], place, || {
                    format!("scan {scan_id} covers request {id}, whose rules were not active")
                });
            }
        }
        let unfit = self.device(&body.device.id).unfit.filter(|unfit| unfit.until > place.time);
        if let Some(unfit) = unfit {
            self.violation(ViolationCode::IntentForUnfitDevice, &[unfit.offset], place, || {
                let (device, until) = (&body.device.id, unfit.until);
                format!("scan {scan_id} of device {device}, which is left alone until {until} ({})", unfit.reason)
            });
        }
        self.check_rest_asked(body, place);
    }

    /// The rest after the scan is what its requests ask for: as it is the first time, else grown and never beyond the
    /// longest.
    fn check_rest_asked(&self, body: &Intent, place: &mut Place<'_>) {
        let asked: Vec<&Requested> = body.request_ids.iter().filter_map(|id| self.asked(id)).collect();
        if asked.is_empty() || asked.len() < body.request_ids.len() {
            return;
        }
        let base = asked.iter().map(|asked| asked.cooldown_seconds).max().unwrap_or(0);
        let longest = asked.iter().map(|asked| {
            let growth = asked.terms.cooldown_growth.filter(|_| body.cooldown_step > 0);
            growth.map_or(asked.cooldown_seconds, |growth| growth.longest_seconds.max(asked.cooldown_seconds))
        });
        let longest = longest.max().unwrap_or(0);
        let rest = body.cooldown_seconds;
        if !(base..=longest).contains(&rest) {
            self.violation(ViolationCode::RestDiffers, &[], place, || {
                format!(
                    "scan {} rests its device for {rest} s, and {base} s to {longest} s are asked for",
                    body.scan_id
                )
            });
        }
    }

    /// The rest that a record about a scan stamps is the one that the intent said.
    pub(super) fn check_rest(&self, scan_id: &str, until: Timestamp, place: &mut Place<'_>) {
        let Some((scan, rest)) = self.scans.get(scan_id).and_then(|scan| Some((scan, scan.rest?))) else { return };
        let due = place.time.saturating_add(rest).unwrap_or(Timestamp::MAX);
        if until != due {
            self.violation(ViolationCode::RestDiffers, &[scan.offset], place, || {
                format!("scan {scan_id} rests its device until {until}, and by its intent until {due}")
            });
        }
    }

    /// What a guard held back: the log must show why. Guards that look at the configuration are taken at their word.
    pub(super) fn check_suppressed(&mut self, body: &Suppressed, place: &mut Place<'_>) {
        let seen = self.seen(&body.request_ids);
        for id in &body.request_ids {
            let Some(request) = self.requests.get(&key(id)) else { continue };
            let (made, open) = (request.offset, request.open.as_ref());
            let Some((asked, reached)) = open.and_then(|open| Some((open.asked.as_deref()?, open.reach.reached)))
            else {
                continue;
            };
            let because = match body.reason {
                SuppressedReason::TooOld if asked.expires_at > place.time => {
                    format!("it is not too old before {}", asked.expires_at)
                }
                SuppressedReason::OutsideActiveTime if asked.terms.outside_active_time.is_none() => {
                    "its rules were active".to_owned()
                }
                SuppressedReason::BelowThreshold if !asked.terms.awaits_threshold => {
                    "it awaits no threshold".to_owned()
                }
                SuppressedReason::BelowThreshold if reached => "a threshold was reached".to_owned(),
                // What came before the log that is left may be the reason of all others; some are remembered for a day.
                _ if !self.reaches_back(A_DAY.saturating_mul(2), place.time) => continue,
                SuppressedReason::Duplicate if !self.is_known_alert(asked) => {
                    "no other request came of the same alert".to_owned()
                }
                SuppressedReason::Covered if !self.may_be_covered(asked) => {
                    "no scan was running when its alert was raised".to_owned()
                }
                _ if !self.complete => continue,
                SuppressedReason::Silenced if !self.may_be_silenced(asked, &body.device, seen, place.time) => {
                    "no silence matched".to_owned()
                }
                SuppressedReason::Cooldown if !self.may_rest(&body.device, place.time) => {
                    "the device does not rest".to_owned()
                }
                _ => continue,
            };
            self.violation(ViolationCode::SuppressedWithoutCause, &[made], place, || {
                let outcome = describe(Outcome::Suppressed(body.reason));
                format!("request {id} ends as {outcome}, and {because}")
            });
        }
    }

    fn is_known_alert(&self, asked: &Requested) -> bool {
        let Some((alert, request)) = asked.alerts.first().zip(asked.request_ids.first()) else { return true };
        let known = self.alerts.get(&alert_key(&alert.id, &asked.device.id));
        known.is_none_or(|(first, several)| *several || *first != key(request))
    }

    fn may_be_covered(&self, asked: &Requested) -> bool {
        let Some(raised) = asked.alert_created_at else { return false };
        // A threshold may ask for less than the request itself says, and so may a rule that is left when another's cap trips.
        let least = asking(asked).into_iter().map(|(_, scan_type)| scan_type).min();
        let wanted = if asked.terms.awaits_threshold { ScanType::Quick } else { least.unwrap_or(asked.scan_type) };
        let device = self.devices.get(&key(&asked.device.id));
        device
            .into_iter()
            .flat_map(|device| &device.ended)
            .any(|scan| scan.began_at <= raised && raised <= scan.ended_at && wanted <= scan.scan_type)
    }

    fn may_rest(&self, device: &DeviceRef, at: Timestamp) -> bool {
        let device = self.devices.get(&key(&device.id));
        device.and_then(|device| device.rests_until).is_some_and(|until| until > at)
    }

    /// A failure that blames the device and has no attempt: only while the device is known to be unfit, or when a look-up
    /// said so, which the record then remembers.
    pub(super) fn check_failed(&mut self, body: &Failed, place: &mut Place<'_>) {
        let of_device = matches!(body.reason, FailedReason::DeviceNotFound | FailedReason::UnsupportedDevice);
        if !self.complete || !of_device || body.scan_id.is_some() || body.device_unfit_until.is_some() {
            return;
        }
        let open = |id: &String| self.requests.get(&key(id)).is_some_and(|request| request.open.is_some());
        if !body.request_ids.iter().any(open) {
            return;
        }
        let known = self.device(&body.device.id).unfit;
        if known.is_none_or(|unfit| unfit.reason != body.reason || unfit.until <= place.time) {
            let before: Vec<i64> = known.map(|unfit| unfit.offset).into_iter().collect();
            self.violation(ViolationCode::FailedWithoutCause, &before, place, || {
                let outcome = describe(Outcome::Failed(body.reason));
                format!("requests for device {} end as {outcome}, and nobody had asked Defender", body.device.id)
            });
        }
    }

    /// An alert asks for a scan of a device.
    pub(super) fn know_alert(&mut self, body: &Requested, request: &str) {
        let Some(alert) = body.alerts.first() else { return };
        let request = key(request);
        let known = self.alerts.entry(alert_key(&alert.id, &body.device.id)).or_insert((request, false));
        known.1 |= known.0 != request;
    }
}

fn alert_key(alert: &str, device: &str) -> super::lane::Key {
    key(&format!("{device}\n{alert}"))
}

//! A guard holds back what it must, and nothing else.

use super::super::event::{
    Failed, FailedReason, Finished, FinishedStatus, Shadowed, Suppressed, SuppressedReason, WithdrawReason, Withdrawn,
};
use super::super::ledger::{Asked, Covers, Device};
use super::*;

/// Ended scans that are remembered of one device.
const ENDED_KNOWN: usize = 8;

impl Checks {
    /// The mode in which a request ends, for an owner that has read so much.
    fn mode_of(&self, sight: &Sight<'_>, asked: &Asked) -> Mode {
        match self.ledger.orders.keeps(asked, sight.read) {
            true => Mode::Shadow,
            false => sight.hardness.mode.min(asked.wants.mode),
        }
    }

    /// The guards of this file let a request through to an intent.
    pub(super) fn let_through(&self, sight: &Sight<'_>, asked: &Asked, intent: &Intent, time: Timestamp) -> Kept {
        let device = &self.ledger.devices[input::device_of(&intent.device.id)];
        let told = |what: &str| format!("{intent:?} at {time} covers {asked:?}: {what}");
        ensure("shadow", self.mode_of(sight, asked) == Mode::Live, || told("in shadow"))?;
        ensure("threshold", !asked.wants.below, || told("its count is not reached"))?;
        ensure("active_time", asked.asked.terms.outside_active_time.is_none(), || told("outside its active time"))?;
        let silence = self.ledger.orders.binding_silence(&asked.asked, sight.read, time);
        ensure("silence", silence.is_none(), || told(&format!("{silence:?}")))?;
        let (wanted, _) = self.ledger.orders.wanted(asked, sight.read);
        let covering = covering(device, asked, wanted, time, true);
        ensure("covered", covering.is_none(), || told(&format!("{covering:?}")))
    }

    /// Nothing is called for a device that cannot be scanned, and no rule whose cap is tripped asks.
    pub(super) fn not_in_vain(&self, sight: &Sight<'_>, intent: &Intent, time: Timestamp) -> Kept {
        let device = &self.ledger.devices[input::device_of(&intent.device.id)];
        let unfit = device.unfit.filter(|until| *until > time);
        ensure("unfit", unfit.is_none(), || format!("{intent:?} at {time} for a device unfit until {unfit:?}"))?;
        let tripped = self.ledger.orders.tripped(sight.read);
        let asks = tripped.iter().flatten().find(|rule| intent.rule_ids.contains(rule));
        ensure("trip", asks.is_none(), || format!("{intent:?} is for {asks:?}, whose cap is tripped"))
    }

    pub(super) fn shadowed(&self, sight: &Sight<'_>, body: &Shadowed, time: Timestamp) -> Kept {
        for asked in body.request_ids.iter().filter_map(|id| self.ledger.asked.get(id)) {
            let live = self.mode_of(sight, asked) == Mode::Live;
            ensure("shadow", !live, || format!("{body:?} ends a live request: {asked:?}"))?;
            let held = asked.wants.below || asked.asked.terms.outside_active_time.is_some();
            let silence = self.ledger.orders.binding_silence(&asked.asked, sight.read, time);
            ensure("silence", !held && silence.is_none(), || format!("{body:?} ends {asked:?} despite {silence:?}"))?;
        }
        Ok(())
    }

    pub(super) fn withdrawn(&self, sight: &Sight<'_>, body: &Withdrawn, time: Timestamp) -> Kept {
        let Some(scan) = self.ledger.scans.get(&body.scan_id) else { return Ok(()) };
        let silenced = || {
            let mut asked = scan.requests.iter().filter_map(|id| self.ledger.asked.get(id));
            asked.any(|asked| self.ledger.orders.silence_of(&asked.asked, sight.read, time).is_some())
        };
        let justified = body.withdrawn != WithdrawReason::Silenced || silenced();
        ensure("justified", justified, || format!("{body:?} at {time}"))
    }

    pub(super) fn failed(&self, sight: &Sight<'_>, body: &Failed, time: Timestamp) -> Kept {
        let number = input::device_of(&body.device.id);
        let unfit = matches!(body.reason, FailedReason::DeviceNotFound | FailedReason::UnsupportedDevice);
        let truly = input::is_unknown(number) || input::is_unsupported(number);
        ensure("truth", !unfit || truly, || format!("{body:?} for a device that can be scanned"))?;
        let known = self.ledger.devices[number].unfit.is_some_and(|until| until > time);
        let looked_up = body.device_unfit_until.is_some() && input::needs_look_up(sight.hardness, number);
        let justified = body.scan_id.is_some() || (unfit && (known || looked_up));
        ensure("justified", justified, || format!("{body:?} without a call"))
    }

    /// A guard holds back what it must, and nothing else.
    pub(super) fn justified(&self, sight: &Sight<'_>, body: &Suppressed, time: Timestamp) -> Kept {
        let number = input::device_of(&body.device.id);
        let device = &self.ledger.devices[number];
        for asked in body.request_ids.iter().filter_map(|id| self.ledger.asked.get(id)) {
            let (wanted, _) = self.ledger.orders.wanted(asked, sight.read);
            let justified = match body.reason {
                SuppressedReason::TooOld => asked.asked.expires_at <= time,
                SuppressedReason::Cooldown if self.mode_of(sight, asked) == Mode::Shadow => true,
                SuppressedReason::Cooldown => {
                    device.rests.iter().any(|rest| rest.until > time)
                        && device.rests.iter().any(|rest| wanted <= rest.scan_type)
                }
                SuppressedReason::Duplicate => {
                    let alert = asked.asked.alerts.first().map(|alert| (alert.id.clone(), number));
                    alert.and_then(|alert| self.ledger.alerts.get(&alert)).is_some_and(|all| all.len() > 1)
                }
                SuppressedReason::Protected => {
                    input::is_protected(sight.hardness, number)
                        || matches!(number, input::TAGGED_LATER | input::PROTECTED_LATER)
                }
                SuppressedReason::ProtectionUnknown => input::needs_look_up(sight.hardness, number),
                SuppressedReason::Silenced => self.ledger.orders.silence_of(&asked.asked, sight.read, time).is_some(),
                SuppressedReason::Covered => covering(device, asked, wanted, time, false).is_some(),
                SuppressedReason::OutsideActiveTime => asked.asked.terms.outside_active_time.is_some(),
                SuppressedReason::BelowThreshold => asked.wants.below,
                SuppressedReason::BlastRadius => self.mode_of(sight, asked) == Mode::Live,
            };
            ensure("justified", justified, || format!("{body:?} holds back {asked:?} at {time}"))?;
            let kept = self.ledger.orders.keeps(asked, sight.read);
            let live = asked.wants.mode == Mode::Live && !kept;
            let told = (body.mode == Mode::Live) == live;
            // A protection holds back several at once, and says `live` if one of them is.
            let several = matches!(body.reason, SuppressedReason::Protected | SuppressedReason::ProtectionUnknown);
            ensure("mode", told || several, || format!("{body:?} holds back {asked:?}, live: {live}"))?;
        }
        Ok(())
    }

    /// What a scan that succeeded covers, for as long as the device rests, an hour at least and a day at most.
    pub(super) fn covers(&mut self, body: &Finished, time: Timestamp) {
        let Some(began_at) = body.began_at.filter(|_| body.status == FinishedStatus::Succeeded) else { return };
        let hour = later(time, Duration::from_secs(3600));
        let until = body.cooldown_until.max(hour).min(later(time, Duration::from_secs(24 * 3600)));
        let scans = &mut self.ledger.devices[input::device_of(&body.device.id)].covers;
        scans.push(Covers { began_at, ended_at: time, scan_type: body.scan_type, until });
    }

    /// The rest that an intent speaks of: at least what its requests want, and grown as often as scans followed in a row.
    pub(super) fn grown(&self, sight: &Sight<'_>, intent: &Intent, time: Timestamp) -> Kept {
        let device = &self.ledger.devices[input::device_of(&intent.device.id)];
        let asked = || intent.request_ids.iter().filter_map(|id| self.ledger.asked.get(id)).map(|asked| &asked.asked);
        let row = device.row.as_ref().filter(|(_, until)| *until >= time);
        let grows = asked().any(|asked| asked.terms.cooldown_growth.is_some());
        let step = row.filter(|_| grows).map_or(0, |(step, _)| step + 1);
        // An answer that landed after its writer had decided may have begun a row.
        let unread = device.rests.iter().any(|rest| rest.position >= sight.read);
        let right = intent.cooldown_step == step || sight.hardness.skew || unread;
        ensure("growth", right, || format!("{intent:?} at {time}, after {:?}", device.row))?;
        let base = asked().map(|asked| asked.cooldown_seconds).max().unwrap_or(0);
        let longest = asked().filter_map(|asked| asked.terms.cooldown_growth).map(|growth| growth.longest_seconds);
        let longest = longest.max().unwrap_or(0).max(base);
        let within = (base..=longest).contains(&intent.cooldown_seconds);
        ensure("growth", within, || format!("{intent:?} rests outside {base} to {longest}"))?;
        let least = asked().map(|asked| match asked.terms.cooldown_growth {
            Some(growth) => {
                let grown = (0..intent.cooldown_step.min(40))
                    .fold(asked.cooldown_seconds, |rest, _| rest.saturating_mul(u64::from(growth.factor)));
                grown.min(growth.longest_seconds).max(asked.cooldown_seconds)
            }
            None => asked.cooldown_seconds,
        });
        let least = least.max().unwrap_or(0);
        ensure("growth", intent.cooldown_seconds == least, || format!("{intent:?} rests for {least} if grown"))
    }
}

/// A scan that was running when a request's alert was raised. `surely`: one that cannot be forgotten yet.
fn covering<'a>(
    device: &'a Device,
    asked: &Asked,
    wanted: ScanType,
    time: Timestamp,
    surely: bool,
) -> Option<&'a Covers> {
    let raised = asked.asked.alert_created_at?;
    let latest = device.covers.iter().rev().take(if surely { ENDED_KNOWN } else { usize::MAX });
    let mut known = latest.filter(|scan| scan.until > time);
    known.find(|scan| scan.began_at <= raised && raised <= scan.ended_at && wanted <= scan.scan_type)
}

//! Orders that land, and the caps on distinct devices: they are never passed, trip when they are full, and hold until
//! somebody re-arms them.

use std::collections::BTreeSet;

use super::super::coverage::Coverage;
use super::super::event::ControlAction;
use super::*;

impl Checks {
    /// An order landed.
    pub(super) fn ordered(
        &mut self,
        sight: &Sight<'_>,
        order: &ControlAction,
        time: Timestamp,
        coverage: &mut Coverage,
    ) -> Kept {
        let word = match order {
            ControlAction::Halted => {
                if self.ledger.halted.is_none() {
                    self.halted_before = self.ledger.order.len();
                    self.ledger.halted = Some(sight.now);
                }
                "halted"
            }
            ControlAction::Resumed => {
                self.ledger.halted = None;
                "resumed"
            }
            ControlAction::Tripped { rule_id, devices, per_seconds, .. } => {
                let per = Duration::from_secs(*per_seconds);
                // An intent that was withdrawn by now may have counted then.
                let reached = self.distinct(sight, per, rule_id.as_deref(), time, true);
                ensure("trip", reached >= *devices as usize || sight.hardness.skew, || {
                    format!("{order:?} at {time}, and {reached} devices were reached")
                })?;
                "tripped"
            }
            ControlAction::Rearmed { .. } => "rearmed",
            ControlAction::SilenceSet { .. } => "silence_set",
            ControlAction::SilenceEnded { .. } => "silence_ended",
        };
        self.ledger.orders.ordered(self.ledger.records - 1, sight.now, order);
        coverage.saw("control", word);
        Ok(())
    }

    /// Distinct devices in the window of a cap that ends at `time`, since it was re-armed.
    fn distinct(
        &self,
        sight: &Sight<'_>,
        per: Duration,
        rule: Option<&str>,
        time: Timestamp,
        withdrawn: bool,
    ) -> usize {
        let begin = self.ledger.orders.counts_from(rule, sight.read);
        let attempts = self.ledger.order.iter().rev().filter_map(|key| self.ledger.attempts.get(key));
        let attempts = attempts.take_while(|other| other.position >= begin);
        let within = attempts.take_while(|other| later(other.time, per + Duration::from_secs(60)) > time);
        let counts = within.filter(|other| (withdrawn || !other.withdrawn) && later(other.time, per) > time);
        let of_rule = counts.filter(|o| rule.is_none_or(|rule| o.intent.rule_ids.iter().any(|id| id == rule)));
        of_rule.map(|other| input::device_of(&other.intent.device.id)).collect::<BTreeSet<_>>().len()
    }

    /// Distinct devices stay within the caps.
    pub(super) fn reach(&self, sight: &Sight<'_>, intent: &Intent, time: Timestamp) -> Kept {
        let hardness = sight.hardness;
        if hardness.skew {
            return Ok(());
        }
        let cap = &hardness.settings.blast_radius;
        ensure("blast_radius", self.distinct(sight, cap.per, None, time, false) <= cap.devices as usize, || {
            format!("the cap on all rules is passed by {intent:?}")
        })?;
        let limit = input::limit(hardness);
        if !intent.rule_ids.contains(&limit.rule_id) {
            return Ok(());
        }
        let per = Duration::from_secs(limit.per_seconds);
        let reached = self.distinct(sight, per, Some(&limit.rule_id), time, false);
        ensure("blast_radius", reached <= limit.devices as usize, || format!("the rule's cap is passed by {intent:?}"))
    }

    /// No call leaves long after tripped caps keep every rule that asked for it.
    pub(super) fn not_tripped(&self, post: &Post, made: &Attempt) -> Kept {
        let asked = made.intent.request_ids.iter().filter_map(|id| self.ledger.asked.get(id));
        let since = asked.map(|asked| self.ledger.orders.kept_since(asked, usize::MAX));
        let since = since.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        let leave_within = SignedDuration::try_from(self.leave_within).unwrap_or_default();
        ensure("trip", since.is_none_or(|since| post.sent <= since + READ_WITHIN + leave_within), || {
            format!("{post:?} left long after a cap tripped at {since:?}: {made:?}")
        })
    }
}

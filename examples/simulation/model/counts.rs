//! What a request comes to once its alert was counted: counted anew for each, from all requests before it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::event::{Mode, Requested, RuleAsk, ScanType, Threshold};

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) scan_type: ScanType,
    pub(crate) priority: u8,
    pub(crate) mode: Mode,
    /// It awaits a threshold, and none was reached.
    pub(crate) below: bool,
    /// What each live rule asks for.
    pub(crate) asks: Vec<RuleAsk>,
}

/// One alert that was counted for a threshold and a device.
#[derive(Debug)]
struct Counted {
    rule_id: String,
    device: String,
    key: String,
    raised: Timestamp,
    recorded: Timestamp,
}

/// Every alert that was counted, in order.
#[derive(Debug, Default)]
pub(crate) struct Counts(Vec<Counted>);

impl Counts {
    /// Counts a request and says what it wants.
    pub(crate) fn wanted(&mut self, asked: &Requested, recorded: Timestamp) -> Wanted {
        let mut wanted = Wanted {
            scan_type: asked.scan_type,
            priority: asked.priority,
            mode: asked.mode,
            below: false,
            asks: asked.terms.asks.clone(),
        };
        if wanted.asks.is_empty() && !asked.terms.awaits_threshold {
            let live = asked.rule_ids.iter().filter(|rule| !asked.terms.shadow_rule_ids.contains(rule));
            let (scan_type, priority) = (asked.scan_type, asked.priority);
            wanted.asks = live.map(|rule| RuleAsk { rule_id: rule.clone(), scan_type, priority }).collect();
        }
        let raised = asked.alert_created_at.unwrap_or(recorded).min(recorded);
        let alert = asked.alerts.first().map(|alert| alert.id.clone()).unwrap_or_default();
        let mut reached: Vec<&Threshold> = Vec::new();
        for threshold in &asked.terms.thresholds {
            let counted = Counted {
                rule_id: threshold.rule_id.clone(),
                device: asked.device.id.clone(),
                key: threshold.value.clone().unwrap_or_else(|| alert.clone()),
                raised,
                recorded,
            };
            if self.fullest(&counted, threshold.within_seconds) >= threshold.at_least as usize {
                reached.push(threshold);
            }
            self.0.push(counted);
        }
        let awaits = asked.terms.awaits_threshold;
        let live: Vec<&Threshold> = reached.iter().filter(|reached| reached.mode == Mode::Live).copied().collect();
        if awaits && live.is_empty() {
            wanted.mode = Mode::Shadow;
        }
        wanted.asks.extend(live.iter().map(|each| RuleAsk {
            rule_id: each.rule_id.clone(),
            scan_type: each.scan_type,
            priority: each.priority,
        }));
        let shaping = if awaits && live.is_empty() { reached } else { live };
        wanted.below = awaits && shaping.is_empty();
        let (scans, priorities) = (shaping.iter().map(|one| one.scan_type), shaping.iter().map(|one| one.priority));
        let own = (!awaits || wanted.below).then_some((asked.scan_type, asked.priority));
        wanted.scan_type = scans.chain(own.map(|own| own.0)).max().unwrap_or(asked.scan_type);
        wanted.priority = priorities.chain(own.map(|own| own.1)).max().unwrap_or(asked.priority);
        wanted
    }

    /// The most that any window with this alert holds, this one included.
    fn fullest(&self, new: &Counted, within_seconds: u64) -> usize {
        let within = Duration::from_secs(within_seconds);
        let later = |time: Timestamp| time.saturating_add(within).unwrap_or(Timestamp::MAX);
        let mut latest: HashMap<&str, Timestamp> = HashMap::new();
        let others = self.0.iter().filter(|other| other.rule_id == new.rule_id && other.device == new.device);
        for other in others.filter(|other| other.key != new.key && later(other.recorded) >= new.recorded) {
            let stands = latest.entry(&other.key).or_insert(other.raised);
            *stands = other.raised.max(*stands);
        }
        let mut times: Vec<Timestamp> = latest.into_values().collect();
        times.push(new.raised);
        let windows = times.iter().filter(|begin| **begin <= new.raised && new.raised <= later(**begin));
        let held = windows.map(|begin| times.iter().filter(|time| *begin <= **time && **time <= later(*begin)).count());
        held.max().unwrap_or(0)
    }
}

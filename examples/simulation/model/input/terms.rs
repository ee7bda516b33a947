//! What rules say: those that ask, those in shadow, counts, merge windows, growing rests, active times.

use super::super::event::{CooldownGrowth, ResponseTerms, RuleAsk, Threshold};
use super::*;

/// The part of a request that follows from rules.
pub(super) struct Response {
    pub(super) rule_ids: Vec<String>,
    pub(super) mode: Mode,
    pub(super) terms: ResponseTerms,
}

pub(super) fn response(chance: &mut Chance, pace: u64) -> Response {
    let dice = &mut chance.dice;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let mut terms = ResponseTerms::default();
    let rule_ids = match dice.between(0, 99) {
        0..25 => words(&["limited"]),
        25..35 => words(&["limited", "open"]),
        _ => words(&["open"]),
    };
    let mut response = Response {
        rule_ids,
        mode: if dice.chance(120) { Mode::Shadow } else { Mode::Live },
        terms: ResponseTerms::default(),
    };
    if dice.chance(150) {
        response.rule_ids.push("watch".to_owned());
        terms.shadow_rule_ids = words(&["watch"]);
    }
    if response.mode == Mode::Shadow && dice.chance(500) {
        terms.shadow_rule_ids.clone_from(&response.rule_ids);
    }
    let scan_type = if dice.chance(500) { ScanType::Full } else { ScanType::Quick };
    let threshold = |rule_id: &str, at_least, within: u64, mode| Threshold {
        rule_id: rule_id.to_owned(),
        value: None,
        at_least,
        within_seconds: within * pace,
        scan_type,
        priority: 95,
        mode,
    };
    match dice.between(0, 99) {
        0..10 => {
            response.rule_ids = words(&["storm"]);
            terms.shadow_rule_ids = Vec::new();
            terms.thresholds = vec![threshold("storm", 2, 300, Mode::Live)];
            terms.awaits_threshold = true;
        }
        10..14 => {
            response.rule_ids = words(&["trial"]);
            terms.shadow_rule_ids = words(&["trial"]);
            terms.thresholds = vec![threshold("trial", 2, 600, Mode::Shadow)];
            terms.awaits_threshold = true;
        }
        14..18 => {
            let value = Some(format!("user-{}", dice.index(4)));
            terms.thresholds = vec![
                Threshold { value, ..threshold("spread", 3, 900, Mode::Live) },
                threshold("storm", 2, 300, Mode::Live),
            ];
            terms.awaits_threshold = dice.chance(500);
        }
        18..50 => terms.thresholds = vec![threshold("open", 3, 600, Mode::Live)],
        _ => {}
    }
    if dice.chance(100) {
        // A rule that matched and is not active now: it asks for nothing.
        response.rule_ids.push("by-night".to_owned());
    }
    if response.mode == Mode::Live && !terms.awaits_threshold && dice.chance(700) {
        let asking =
            response.rule_ids.iter().filter(|rule| *rule != "by-night" && !terms.shadow_rule_ids.contains(rule));
        terms.asks = asking
            .map(|rule| RuleAsk {
                rule_id: rule.clone(),
                scan_type: if dice.chance(250) { ScanType::Full } else { ScanType::Quick },
                priority: [10, 50, 80, 95][dice.index(4)],
            })
            .collect();
    }
    if dice.chance(100) {
        terms.merge_window_seconds = Some(dice.between(0, 40));
    }
    if dice.chance(20) {
        terms.outside_active_time = Some("office-hours".to_owned());
    }
    if dice.chance(400) {
        terms.cooldown_growth =
            Some(CooldownGrowth { factor: dice.number(2, 4), longest_seconds: dice.between(600, 6000) * pace });
    }
    Response { terms, ..response }
}

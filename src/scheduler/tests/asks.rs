//! What each rule asks for: a rule whose cap trips takes only its own part with it.

use jiff::SignedDuration;

use super::bench::Bench;
use super::carried::same_from_everywhere;
use super::trips::{end_all, limit, rearm, rule_1, trips};
use crate::event::{ControlAction, EventBody, Mode, Requested, RuleAsk, ScanType, SuppressedReason, Threshold};

/// A request for which `rule-1` wants a Full scan at once, and another rule what it says.
fn full_and(bench: &mut Bench, id: &str, device: &str, other: RuleAsk) {
    let first = RuleAsk { rule_id: "rule-1".to_owned(), scan_type: ScanType::Full, priority: 90 };
    bench.request_with(id, device, |asked| {
        asked.rule_ids = vec![first.rule_id.clone(), other.rule_id.clone()];
        (asked.scan_type, asked.priority) = (first.scan_type, first.priority);
        asked.limits = vec![limit("rule-1", 2)];
        asked.terms.asks = vec![first, other];
    });
}

fn quick(rule: &str) -> RuleAsk {
    RuleAsk { rule_id: rule.to_owned(), scan_type: ScanType::Quick, priority: 20 }
}

#[test]
fn without_the_tripped_rule_a_request_comes_to_what_the_others_ask_for() {
    let mut bench = Bench::new();
    for device in ["1", "2", "3", "4"] {
        full_and(&mut bench, device, device, quick("rule-2"));
        bench.pass(5);
    }
    let intents = |bench: &Bench| -> Vec<(ScanType, u8, usize)> {
        let intents = bench.log.iter().filter_map(|event| match &event.body {
            EventBody::Intent(body) => Some((body.scan_type, body.priority, body.rule_ids.len())),
            _ => None,
        });
        intents.collect()
    };
    let (full, rest) = ((ScanType::Full, 90, 2), (ScanType::Quick, 20, 1));
    assert_eq!(intents(&bench), [full, full, rest, rest], "the third met the cap, and waited for its record");
    assert_eq!(bench.names().iter().filter(|name| **name == "suppressed").count(), 0);
    end_all(&mut bench);
    // A Quick rested the third: what is left of the next request is no more than that. A Full may come after it.
    full_and(&mut bench, "again", "3", quick("rule-2"));
    bench.pass(5);
    assert_eq!(bench.suppressed().last().map(|held| held.0), Some(SuppressedReason::Cooldown));
    full_and(&mut bench, "more", "3", RuleAsk { scan_type: ScanType::Full, ..quick("rule-3") });
    bench.pass(5);
    assert_eq!(intents(&bench).last(), Some(&(ScanType::Full, 20, 1)));
    rearm(&mut bench, Some("rule-1"));
    full_and(&mut bench, "5", "5", quick("rule-2"));
    bench.pass(5);
    assert_eq!(intents(&bench).last(), Some(&full));
    same_from_everywhere(&bench.log);
}

#[test]
fn a_rule_that_asks_for_nothing_keeps_no_other_alive_and_counts_no_device() {
    let resting = |asked: &mut Requested| {
        asked.rule_ids = vec!["rule-1".to_owned(), "by-night".to_owned()];
        asked.limits = vec![limit("rule-1", 2), limit("by-night", 1)];
        asked.terms.asks = vec![quick("rule-1")];
    };
    let counted = |asked: &mut Requested| {
        let count = |rule: &str, at_least| Threshold {
            rule_id: rule.to_owned(),
            value: None,
            at_least,
            within_seconds: 3600,
            scan_type: ScanType::Quick,
            priority: 50,
            mode: Mode::Live,
        };
        asked.rule_ids = vec!["rule-1".to_owned(), "many".to_owned()];
        asked.limits = vec![limit("rule-1", 2), limit("many", 1)];
        asked.terms.thresholds = vec![count("rule-1", 1), count("many", 50)];
        asked.terms.awaits_threshold = true;
    };
    for change in [&resting as &dyn Fn(&mut Requested), &counted] {
        let mut bench = Bench::new();
        for device in ["1", "2", "3", "4"] {
            bench.request_with(device, device, change);
            bench.pass(5);
        }
        assert_eq!((bench.count("intent"), bench.suppressed().len(), bench.count("shadowed")), (2, 1, 1));
        assert_eq!(trips(&bench), [rule_1()], "no device was reached by the other rule");
    }
}

#[test]
fn an_intent_that_lands_behind_a_trip_is_withdrawn_where_it_is_for_more_than_is_left() {
    let mut bench = Bench::new();
    full_and(&mut bench, "a", "1", quick("rule-2"));
    bench.now += SignedDuration::from_secs(5);
    let commands = bench.scheduler.poll(bench.now);
    let claim = bench.scheduler.claim().to_owned();
    bench.control(ControlAction::Tripped { claim, rule_id: rule_1(), devices: 2, per_seconds: 3600 });
    bench.take(commands);
    bench.pass(5);
    assert_eq!(bench.names(), ["claim", "requested", "control", "intent", "withdrawn", "intent"]);
    let EventBody::Intent(intent) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!((intent.scan_type, intent.attempt), (ScanType::Quick, 2));
}

//! The index never changes what matches: thousands of rule sets, drawn from a pool of rules of every kind, against alerts
//! made of the same few letters and words, by the index and by testing every rule.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::vocabulary::{alert, filter, rule};
use crate::alert::Alert;
use crate::rules::document::Rule;
use crate::rules::engine::{Index, Scratch};
use crate::rules::facts::Facts;
use crate::rules::{Decision, RuleInfo, RuleSet};

/// What the index leaves, tested in full, and what testing every rule says.
fn both(rules: &[Rule], set: &RuleSet, index: &Index, scratch: &mut Scratch, alert: &Alert) -> (Vec<u32>, Vec<u32>) {
    let device = &alert.devices[0];
    scratch.begin(set.fields.len());
    index.find(&set.fields, alert, device, scratch);
    scratch.keep_matching(
        |facts| facts.read_all(&set.fields, alert, device),
        |_| true,
        |at, facts| rules[at as usize].holds(facts),
    );
    let facts = Facts::gather(&set.fields, alert, device);
    let linear = (0_u32..).zip(rules).filter(|(_, rule)| rule.holds(&facts)).map(|(at, _)| at).collect();
    (scratch.matched.clone(), linear)
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts are quoted")]
fn the_index_finds_what_testing_every_rule_finds() {
    let mut random = StdRng::seed_from_u64(17);
    let texts: Vec<String> = (0..400).map(|number| rule(&mut random, number, true)).collect();
    let pool = RuleSet::from_sources(
        texts.chunks(50).enumerate().map(|(at, chunk)| (format!("{at}.yml"), chunk.join("---\n"))),
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let sets = 1_500;
    let (mut scratch, mut compared, mut matched, mut tested) = (Scratch::default(), 0, 0, 0);
    for set in 0..sets {
        // A few rules often, so that every way of building an index is met, and all of them sometimes.
        let count = if set % 300 == 0 { pool.rules.len() } else { random.random_range(1..40) };
        let mut chosen: Vec<Rule> = pool.rules.sample(&mut random, count).cloned().collect();
        // Rules that share all their keys.
        for _ in 0..random.random_range(0..3) * 8 {
            chosen.extend_from_within(..count.min(3));
        }
        // Every other as if there were thousands of rules: lists instead of bitmaps, and fields struck out together.
        let index = Index::build_with(&chosen, &pool.fields, (set % 2 == 1).then_some(usize::MAX));
        for _ in 0..3 {
            let alert = alert(&mut random);
            let (indexed, linear) = both(&chosen, &pool, &index, &mut scratch, &alert);
            assert_eq!(
                indexed,
                linear,
                "{alert:#?}\n{:#?}",
                linear.iter().filter(|at| !indexed.contains(at)).map(|at| &chosen[*at as usize]).collect::<Vec<_>>()
            );
            compared += chosen.len();
            matched += linear.len();
            tested += scratch.candidate_count();
        }
    }
    println!("{sets} rule sets, {compared} pairs of rule and alert: {matched} match, {tested} were tested");
    assert!(matched * 50 > compared, "most rules never match: the comparison says little");
    assert!(tested * 4 < compared * 3, "the index prunes next to nothing: {tested} of {compared}");
}

#[test]
fn the_public_ways_to_ask_agree() {
    let mut random = StdRng::seed_from_u64(23);
    let texts: Vec<String> = (0..120).map(|number| rule(&mut random, number, true)).collect();
    let set = RuleSet::from_sources([("a.yml", texts.join("---\n"))]).unwrap_or_else(|errors| panic!("{errors}"));
    let mut scratch = Scratch::default();
    for _ in 0..300 {
        let alert = alert(&mut random);
        let device = &alert.devices[0];
        let ids = |found: Vec<&RuleInfo>| found.into_iter().map(|info| info.id.clone()).collect::<Vec<_>>();
        let linear = ids(set.matching_linear(&alert, device, super::now()).collect());
        assert_eq!(ids(set.matching(&mut scratch, &alert, device, super::now()).collect()), linear);
        let evaluation = set.evaluate(&alert, device, super::now());
        assert_eq!(evaluation.matches.iter().map(|each| each.rule_id.clone()).collect::<Vec<_>>(), linear);
        assert_eq!(evaluation, set.evaluate_with(&mut scratch, &alert, device, super::now()));
        assert_eq!(evaluation, set.explain(&alert, device, super::now()).evaluation);
    }
}

/// Building blocks, what counts them, and exceptions to both.
#[test]
fn what_is_counted_and_what_is_taken_back_is_found_too() {
    let mut random = StdRng::seed_from_u64(31);
    let id = |number: usize| format!("00000000-0000-4000-8000-{number:012}");
    let mut texts: Vec<String> = (0..90).map(|number| rule(&mut random, number, true)).collect();
    for text in texts.iter_mut().step_by(3) {
        *text = text.replace("response: { scan: Quick }\n", "");
    }
    texts.extend((0..30).map(|number| {
        let counted: Vec<String> = (0..3).map(|_| id(random.random_range(0..90))).collect::<BTreeSet<_>>().into_iter().collect();
        format!(
            "title: c\nid: 00000000-0000-4000-8002-{number:012}\ncorrelation:\n  type: event_count\n  rules: [{}]\n  group-by: \
             [device.id]\n  timespan: 1h\n  condition: {{ gte: 2 }}\nresponse: {{ scan: Full }}\n",
            counted.join(", ")
        )
    }));
    for number in 0..12 {
        let rules = if number == 0 { "any".to_owned() } else { format!("[{}]", id(random.random_range(0..90))) };
        texts.push(filter(&mut random, number, &rules));
    }
    let set = RuleSet::from_sources([("a.yml", texts.join("---\n"))]).unwrap_or_else(|errors| panic!("{errors}"));
    let (mut scratch, mut counts, mut filtered) = (Scratch::default(), 0, 0);
    for _ in 0..600 {
        let alert = alert(&mut random);
        let device = &alert.devices[0];
        let facts = Facts::gather(&set.fields, &alert, device);
        let now = super::now();
        let held = (0_u32..).zip(&set.rules).filter(|(_, rule)| set.matters(rule, now) && rule.holds(&facts));
        let mut holding: Vec<u32> = held.map(|(at, _)| at).collect();
        let taken_back = set.take_back(&mut holding, &facts, now);
        let evaluation = set.evaluate_with(&mut scratch, &alert, device, now);
        assert_eq!(evaluation.filtered, taken_back);
        let by: BTreeSet<usize> =
            holding.iter().flat_map(|at| set.rules[*at as usize].counted_by.iter().copied()).collect();
        let thresholds: Vec<String> = match &evaluation.decision {
            Decision::Scan(scan) => scan.terms.thresholds.iter().map(|each| each.rule_id.clone()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(thresholds, by.iter().map(|at| set.rules[*at].id.clone()).collect::<Vec<_>>());
        let ids = |found: Vec<&RuleInfo>| found.into_iter().map(|info| info.id.clone()).collect::<Vec<_>>();
        let linear = ids(set.matching_linear(&alert, device, now).collect());
        assert_eq!(evaluation.matches.iter().map(|each| each.rule_id.clone()).collect::<Vec<_>>(), linear);
        assert_eq!(ids(set.matching(&mut scratch, &alert, device, now).collect()), linear);
        assert_eq!(evaluation, set.explain(&alert, device, now).evaluation);
        counts += thresholds.len();
        filtered += taken_back.len();
    }
    assert!(counts > 500 && filtered > 100, "{counts} counts, {filtered} taken back: the comparison says little");
}

//! Hostile or careless sets: they are refused, or loaded, within bounds of stack and memory.

use super::{load, rule};
use crate::rules::{DiagnosticCode as Code, RuleErrors, RuleSet};

fn errors(text: &str) -> RuleErrors {
    match RuleSet::from_sources([("rules/a.yml", text)]) {
        Ok(_) => panic!("accepted"),
        Err(errors) => errors,
    }
}

/// A stack as small as that of the threads that reload rules.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn thousands_of_selections_need_no_stack() {
    on_a_small_stack(|| {
        let selections: String = (0..8_000).map(|at| format!("s{at}:\n  category: a\n")).collect();
        for condition in ["1 of them", "not 1 of them", "all of them", "not all of them"] {
            load(&rule(&format!("{selections}condition: {condition}"), "scan: Quick"));
        }
    });
}

#[test]
fn what_anchors_and_aliases_copy_is_bounded() {
    // Anchors within anchors: each keeps all that is below it.
    let inner = vec!["x"; 10_000].join(",");
    let anchors: String = (0..60).map(|at| format!("&a{at} [")).collect();
    let found = errors(&format!("a: {anchors}{inner}{}", "]".repeat(60)));
    assert!(found.to_string().contains("more than 200000 values"), "{found}");
    // One long text, many times.
    let repeated = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(10_000));
    let found = errors(&repeated);
    assert!(found.to_string().contains("more than 200000 values"), "{found}");
}

#[test]
fn what_placeholders_become_is_bounded_in_bytes() {
    let refused = |value: &str, list: &str, part: &str| {
        let text = rule(&format!("s:\n  title|expand: '{value}'\ncondition: s"), "");
        let found = RuleSet::from_sources([("a.yml", text.as_str()), ("a.list", list)]).unwrap_err();
        let finding = &found.diagnostics[0];
        assert_eq!((finding.code, finding.line, finding.column), (Code::InvalidList, 6, 19), "{found}");
        assert!(finding.message.contains(part), "{found}");
    };
    let long: String = (0..3).map(|at| format!("{at}{}\n", "x".repeat(1000))).collect();
    refused("%a%%a%%a%%a%%a%", &long, "longer than 4096 bytes");
    let many: String = (0..20_000).map(|at| format!("{at}\n")).collect();
    refused(&format!("{}%a%", "x".repeat(4000)), &many, "come to more than 67108864 bytes");
}

#[test]
fn aliases_nest_no_deeper_than_what_is_written_out() {
    let nested = |inner: &str, depth: usize| format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth));
    let within = errors(&format!("a: &a {}\nb: {}\n", nested("x", 20), nested("*a", 20)));
    assert!(within.diagnostics.iter().all(|finding| finding.code != Code::InvalidYaml), "{within}");
    let beyond = format!("a: &a {}\nb: {}\n", nested("x", 40), nested("*a", 40));
    let found = errors(&beyond);
    let finding = &found.diagnostics[0];
    assert_eq!((finding.code, finding.line, finding.column), (Code::InvalidYaml, 2, 44), "{found}");
    assert!(finding.message.contains("nested deeper than 64"), "{found}");
}

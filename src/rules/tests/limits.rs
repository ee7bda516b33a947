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

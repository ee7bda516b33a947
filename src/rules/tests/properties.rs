//! The compiled evaluator agrees with a naive reading, explanations agree with evaluations, and nothing panics.

use proptest::prelude::*;

use super::{generated, load, now};
use crate::rules::RuleSet;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn compiled_rules_say_what_a_naive_reading_says(
        rule in generated::rule(),
        alerts in prop::collection::vec(generated::alert(), 16),
    ) {
        let text = rule.to_yaml();
        let rules = load(&text);
        for alert in &alerts {
            let device = &alert.devices[0];
            let evaluation = rules.evaluate(alert, device, now());
            prop_assert_eq!(!evaluation.matches.is_empty(), rule.holds(alert), "{}\n{:#?}", text, alert);
            let explanation = rules.explain(alert, device, now());
            prop_assert_eq!(&explanation.evaluation, &evaluation);
            let matched: Vec<_> = explanation.rules.iter().filter(|rule| rule.matched).map(|rule| &rule.rule_id).collect();
            let expected: Vec<_> = evaluation.matches.iter().map(|each| &each.rule_id).collect();
            prop_assert_eq!(matched, expected);
            prop_assert!(explanation.to_string().starts_with("alert 1"));
        }
    }

    #[test]
    fn any_text_is_accepted_or_refused_with_reasons(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_bytes_in_a_rule_are_accepted_or_refused_with_reasons(
        at in any::<prop::sample::Index>(),
        length in 0_usize..8,
        noise in r#"[\PC\n\t "'{}\[\]:|*&!%#>-]{0,12}"#,
    ) {
        let letters: Vec<char> = RULE.chars().collect();
        let start = at.index(letters.len());
        let end = (start + length).min(letters.len());
        let text: String =
            letters[..start].iter().copied().chain(noise.chars()).chain(letters[end..].iter().copied()).collect();
        check(&text);
    }
}

const RULE: &str = r#"title: Malware
id: 00000000-0000-4000-8000-000000000001
logsource: { category: alert }
detection:
  malware: &anchor
    category|contains|all: [mal, "ware"]
    severity|gte: medium
    device.ip|cidr: 10.0.0.0/8
    file.path|re|i: '^c:\\users\\[a-z]+'
    raw.evidence.kind: null
  other:
    - *anchor
    - labels.team|exists: true
  condition: 1 of mal* and not (other or malware)
level: high
response:
  scan: Quick
  comment: "Check {{ device.name | default('it') }} due to {{ alert.id }}"
  limit: { devices: 25, per: 1h }
  expires: 2027-06-30
tests:
  - name: a
    alert: { id: "1", category: Malware, severity: high, created_at: 2026-01-01T00:00:00Z, device: { ip: 10.0.0.1 } }
    expect: none
"#;

fn check(text: &str) {
    match RuleSet::from_sources([("a.yml", text)]) {
        Ok(rules) => {
            let alert = super::sample();
            let device = &alert.devices[0];
            assert_eq!(rules.explain(&alert, device, now()).evaluation, rules.evaluate(&alert, device, now()));
            assert_eq!(rules.run_tests().len(), rules.rules().iter().map(|rule| rule.tests).sum::<usize>());
        }
        Err(errors) => {
            assert!(errors.error_count() > 0);
            let lines = u32::try_from(text.lines().count()).unwrap() + 1;
            assert!(errors.diagnostics.iter().all(|finding| finding.line <= lines && finding.length >= 1), "{errors}");
            assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn the_rule_that_is_mutated_is_sound() {
    let rules = load(RULE);
    assert!(rules.run_tests().iter().all(|test| test.passed));
}

//! The compiled evaluator agrees with `rsigma-eval`, an independent engine, on generated rules and alerts.

use proptest::prelude::*;
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use serde_json::{Map, Value, json};

use super::generated;
use crate::alert::Alert;

/// The event as another engine sees it: what the alert does not say is not there.
fn event(alert: &Alert) -> Value {
    let mut event = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            event.insert(name.to_owned(), value);
        }
    };
    put("category", alert.category.clone().map(Value::from));
    put("title", alert.title.clone().map(Value::from));
    put("threat", alert.threat.name.clone().map(|name| json!({ "name": name })));
    put("device", alert.devices[0].tags.clone().map(|tags| json!({ "tags": tags })));
    Value::Object(event)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn our_matches_are_those_of_the_oracle(
        rule in generated::rule(),
        alerts in prop::collection::vec(generated::alert(), 16),
    ) {
        // rsigma-eval 0.23 swaps the two anchors here: `startswith: a*b` compiles to `a.*b$`. The naive reading in
        // `properties` covers these rules.
        prop_assume!(!rule.anchors_a_wildcard());
        let text = rule.to_yaml();
        let ours = super::load(&text);
        let mut oracle = Engine::new();
        oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
        for alert in &alerts {
            let json = event(alert);
            let theirs = !oracle.evaluate(&JsonEvent::borrow(&json)).is_empty();
            prop_assert_eq!(
                !super::evaluate(&ours, alert).matches.is_empty(), theirs, "the oracle says {}\n{}\n{}", theirs, text, json
            );
        }
    }
}

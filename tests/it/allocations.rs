//! An alert that no rule matches costs no allocation, whatever the rules look at.

use alert_responder::alert::{Alert, DecodeOptions, decode};
use alert_responder::rules::{RuleSet, Scratch};
use allocation_counter::measure;
use jiff::Timestamp;

/// Rules of every kind of test, keyed ones and broad ones.
fn rules() -> RuleSet {
    let mut texts = vec![];
    for number in 0..300 {
        let test = match number % 10 {
            0 => format!("device.name: ['NOBODY-{number}', 'Other-{number}']"),
            1 => format!("title|contains: 'nothing {number}'"),
            2 => format!("threat.name|startswith: 'Nothing:{number}'"),
            3 => format!("file.name|endswith: '{number}.nothing'"),
            4 => format!("title|re: 'nothing [0-9]+ {number}'"),
            5 => "device.ip|cidr: [203.0.113.0/24, 'ff00::/8']".to_owned(),
            6 => format!("incident_id|gt: 9{number:09}"),
            7 => "severity|gt: critical".to_owned(),
            8 => format!("raw.evidence.deviceDnsName: 'é{number}'"),
            _ => "title: ['a*nothing', 'b?nothing']".to_owned(),
        };
        texts.push(format!(
            "title: t\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{ category: alert }}\ndetection:\n  wanted:\n    \
             severity: [low, medium, high]\n    {test}\n  except:\n    device.tags|contains: no-scan\n  condition: wanted \
             and not except\nresponse: {{ scan: Quick }}\n"
        ));
    }
    RuleSet::from_sources([("rules.yml", texts.join("---\n"))]).unwrap()
}

fn alerts() -> Vec<Alert> {
    let mut alerts = Vec::new();
    for name in ["graph-several-devices", "mde-page", "own-alert"] {
        let record = std::fs::read(format!("tests/data/alerts/{name}.json")).unwrap();
        let options = DecodeOptions { keep_raw: true, ..DecodeOptions::default() };
        alerts.extend(decode(&record, &options).unwrap().into_iter().map(|decoded| decoded.alert));
    }
    assert!(alerts.iter().any(|alert| !alert.devices.is_empty() && alert.created_at.is_some()));
    alerts
}

#[test]
fn an_alert_that_no_rule_matches_allocates_nothing() {
    let (rules, alerts) = (rules(), alerts());
    let mut scratch = Scratch::default();
    let mut evaluate_all = || {
        for alert in &alerts {
            for device in &alert.devices {
                let now = Timestamp::UNIX_EPOCH;
                assert!(rules.evaluate(alert, device, now).matches.is_empty());
                assert!(rules.evaluate_with(&mut scratch, alert, device, now).matches.is_empty());
                assert_eq!(rules.matching(&mut scratch, alert, device, now).count(), 0);
            }
        }
    };
    // The buffers grow once.
    evaluate_all();
    let counted = measure(evaluate_all);
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "allocations, bytes");
    assert!(measure(|| drop(Scratch::default().candidate_count().to_string())).count_total > 0, "counting works");
}

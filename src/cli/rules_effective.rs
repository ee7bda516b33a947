//! What a rule asks for once all defaults are filled in, and where each part comes from.

use std::fmt::Write as _;
use std::time::Duration;

use crate::rules::{Origin, ResponseInfo, RuleInfo};

/// The responses for people, one rule after the other; building blocks have none.
#[must_use]
pub(super) fn render_text(rules: &[RuleInfo]) -> String {
    let mut text = String::new();
    for (rule, response) in rules.iter().filter_map(|rule| Some((rule, rule.response.as_ref()?))) {
        // Writing to a string cannot fail: the results are dropped by name.
        let _ignored = writeln!(text, "rule \"{}\" ({}:{})", rule.title, rule.file, rule.line);
        for (key, value) in parts(response) {
            let origin = response.origins.get(key).copied().unwrap_or(Origin::Rule);
            let _ignored = writeln!(text, "  {key}: {value}{}", origin_words(origin, rule.level));
        }
        let _ignored = writeln!(text);
    }
    text
}

fn parts(response: &ResponseInfo) -> Vec<(&'static str, String)> {
    let seconds = |seconds| duration(Duration::from_secs(seconds));
    let growth = response.cooldown_growth.map_or_else(String::new, |growth| {
        format!(", times {} for each scan soon after, up to {}", growth.factor, seconds(growth.longest_seconds))
    });
    let escalate = response.escalate.map_or_else(
        || "none".to_owned(),
        |each| format!("{} after {} within {}", each.to, each.after, seconds(each.within_seconds)),
    );
    let limit = response.limit_devices.zip(response.limit_per_seconds);
    let limit = limit.map_or_else(|| "none".to_owned(), |(devices, per)| format!("{devices} per {}", seconds(per)));
    let window = response.merge_window.map_or_else(|| "as configured".to_owned(), duration);
    let active = if response.active.is_empty() { "always".to_owned() } else { response.active.join(", ") };
    vec![
        ("scan", response.scan.to_string()),
        ("comment", response.comment.clone()),
        ("priority", response.priority.to_string()),
        ("cooldown", duration(response.cooldown) + &growth),
        ("max_alert_age", duration(response.max_alert_age)),
        ("escalate", escalate),
        ("limit", limit),
        ("merge_window", window),
        ("active", active),
        ("mode", response.mode.as_str().to_owned()),
        ("expires", response.expires.map_or_else(|| "never".to_owned(), |date| date.to_string())),
    ]
}

fn origin_words(origin: Origin, level: Option<&str>) -> String {
    match origin {
        Origin::Rule => String::new(),
        Origin::Level => format!("  (defaults.yaml, level {})", level.unwrap_or("unknown")),
        Origin::Defaults => "  (defaults.yaml)".to_owned(),
        Origin::BuiltIn => "  (built in)".to_owned(),
    }
}

fn duration(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}

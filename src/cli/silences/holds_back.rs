//! Whether a silence holds a request back.

use jiff::Timestamp;

use crate::event::{DeviceRef, Requested, Silence, SilenceField};

/// Whether a silence is in force and all its matchers match. A field that the request does not tell never matches.
pub(super) fn holds_back(silence: &Silence, requested: &Requested, device: &DeviceRef, now: Timestamp) -> bool {
    let in_force = silence.starts_at <= now && now < silence.ends_at;
    in_force
        && !silence.matchers.is_empty()
        && silence.matchers.iter().all(|matcher| {
            let texts = texts(matcher.field, requested, device);
            texts.iter().any(|text| matches(&matcher.value, text))
        })
}

fn texts<'a>(field: SilenceField, requested: &'a Requested, device: &'a DeviceRef) -> Vec<&'a str> {
    match field {
        SilenceField::Rule => requested.rule_ids.iter().map(String::as_str).collect(),
        SilenceField::DeviceId => vec![&device.id],
        SilenceField::DeviceName => device.name.as_deref().into_iter().collect(),
        SilenceField::DeviceGroup => device.group.as_deref().into_iter().collect(),
        SilenceField::DeviceTag => device.tags.iter().flatten().map(String::as_str).collect(),
        SilenceField::AlertId => requested.alerts.iter().map(|alert| alert.id.as_str()).collect(),
        SilenceField::AlertTitle => requested.alerts.iter().filter_map(|alert| alert.title.as_deref()).collect(),
        SilenceField::AlertSeverity => requested.alerts.iter().map(|alert| alert.severity.as_str()).collect(),
    }
}

/// `*` stands for any text, `?` for one character, letter case does not matter.
fn matches(pattern: &str, text: &str) -> bool {
    let escaped = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    regex::RegexBuilder::new(&format!("^(?s:{escaped})$"))
        .case_insensitive(true)
        .build()
        .is_ok_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_text_and_nothing_else_does() {
        for (pattern, text, fits) in [
            ("ws-*", "WS-17", true),
            ("ws-*", "my-ws-17", false),
            ("ws-1?", "ws-17", true),
            ("ws-1?", "ws-1", false),
            ("a.c", "abc", false),
            ("*", "", true),
            ("(x", "(X", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} on {text}");
        }
    }
}

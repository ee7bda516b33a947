//! The comment of a scan: the winning rule's text, the other alerts it covers, and the scan's marker.

/// Builds the comment: control characters become spaces, the alerts beyond the first are listed as far as they fit,
/// and the marker, if any, always ends it whole.
///
/// `alerts` are alert ids, the winner's first. `max_chars` bounds the whole.
#[must_use]
pub(super) fn build(text: &str, alerts: &[&str], marker: Option<&str>, max_chars: usize) -> String {
    let marker = marker.map(|scan_id| format!(" {}", marker_of(scan_id))).unwrap_or_default();
    let room = max_chars.saturating_sub(marker.chars().count());
    let others = alerts.get(1..).unwrap_or_default();
    let merged = if others.is_empty() { String::new() } else { merged_list(others, room / 3) };
    let text = truncate(&clean(text), room.saturating_sub(merged.chars().count()));
    format!("{text}{merged}{marker}")
}

/// The marker of a scan, by which its action is found again in a list.
#[must_use]
pub fn marker_of(scan_id: &str) -> String {
    format!("[scan {scan_id}]")
}

/// Whether an action's comment is that of a scan whose call bore `sent`: by the marker where that has it, whatever the
/// configuration says by now, else as a whole.
pub(super) fn is_of(scan_id: &str, sent: &str, found: &str) -> bool {
    let marker = marker_of(scan_id);
    if sent.contains(&marker) { found.contains(&marker) } else { found == sent }
}

/// ` (+4: 3213, 3217, …)`, within `room` characters.
fn merged_list(others: &[&str], room: usize) -> String {
    let mut listed = String::new();
    for (position, alert) in others.iter().enumerate() {
        let alert = clean(alert);
        let separator = if position == 0 { "" } else { ", " };
        // Three characters are kept for `, …`.
        if position > 0 && listed.chars().count() + separator.len() + alert.chars().count() + 12 > room {
            listed.push_str(", …");
            break;
        }
        listed.push_str(separator);
        listed.push_str(&truncate(&alert, room.saturating_sub(12).max(8)));
    }
    format!(" (+{}: {listed})", others.len())
}

fn clean(text: &str) -> String {
    let spaced: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn truncate(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_alert_reads_as_the_rule_wrote_it() {
        let comment = build("Check machine for viruses due to alert 3212", &["3212"], Some("7f3k2qab"), 400);
        assert_eq!(comment, "Check machine for viruses due to alert 3212 [scan 7f3k2qab]");
    }

    #[test]
    fn merged_alerts_are_listed() {
        let comment = build("due to alert 3212", &["3212", "3213", "3217"], Some("abc"), 400);
        assert_eq!(comment, "due to alert 3212 (+2: 3213, 3217) [scan abc]");
    }

    proptest! {
        #[test]
        fn the_marker_survives_and_the_length_holds(
            text in ".{0,600}",
            alerts in prop::collection::vec(".{1,80}", 1..40),
            max in 80_usize..500,
        ) {
            let ids: Vec<&str> = alerts.iter().map(String::as_str).collect();
            let comment = build(&text, &ids, Some("7f3k2qab"), max);
            prop_assert!(comment.ends_with("[scan 7f3k2qab]"));
            prop_assert!(comment.chars().count() <= max, "{} > {max}", comment.chars().count());
            prop_assert!(!comment.chars().any(char::is_control));
        }
    }
}

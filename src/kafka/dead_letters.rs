//! Records that cannot be decoded are kept as they were, with the reason beside them.

use jiff::Timestamp;

use super::record::ConsumedRecord;
use crate::event::DeadLetterReason;

/// Most bytes of the detail that a dead letter carries.
pub const MAX_DETAIL: usize = 1024;

/// A record that goes to the dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetter<'a> {
    /// The topic it was read from.
    pub topic: &'a str,
    /// The record.
    pub record: &'a ConsumedRecord,
    /// Why.
    pub reason: DeadLetterReason,
    /// Why, for people. Cut at [`MAX_DETAIL`] bytes.
    pub detail: &'a str,
    /// Now.
    pub time: Timestamp,
    /// Leaves key, value and headers of the record out: for one that is too large for the topic of the dead letters. It can
    /// still be found where it was read.
    pub position_only: bool,
}

/// The headers that are added to those of the record.
#[must_use]
pub fn dead_letter_headers(letter: &DeadLetter<'_>) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("alert_responder_topic", letter.topic.to_owned()),
        ("alert_responder_partition", letter.record.partition.to_string()),
        ("alert_responder_offset", letter.record.offset.to_string()),
        ("alert_responder_reason", letter.reason.as_str().to_owned()),
        ("alert_responder_detail", bounded(letter.detail)),
        ("alert_responder_time", letter.time.to_string()),
        ("alert_responder_version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if letter.position_only {
        headers.push(("alert_responder_position_only", "true".to_owned()));
    }
    headers
}

fn bounded(detail: &str) -> String {
    let mut end = detail.len().min(MAX_DETAIL);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    detail.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let detail = "é".repeat(MAX_DETAIL);
        assert_eq!(bounded(&detail), "é".repeat(MAX_DETAIL / 2));
        assert_eq!(bounded("short"), "short");
    }
}

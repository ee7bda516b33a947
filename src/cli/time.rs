//! Times on the command line.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp};

/// A length of time such as `500ms`, `90m`, `2h` or `3d`; a day is 24 hours, a week seven of them.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let fault = |error: jiff::Error| format!("{error}; write for example 90s, 2h or 3d");
    let span: Span = text.parse().map_err(fault)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(fault)?;
    Duration::try_from(duration).map_err(|_| "a time cannot be negative".to_owned())
}

/// A moment: RFC 3339 such as `2026-03-01T18:00:00Z`.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}; write for example 2026-03-01T18:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for (text, seconds) in [("90s", 90), ("2h", 7200), ("1h 30m", 5400), ("3d", 259_200), ("1w", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "2", "soon", "-2h", "1 month"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(moment("2026-03-01T18:00:00Z").is_ok() && moment("18:00").is_err());
    }
}

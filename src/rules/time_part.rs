//! Sigma's time modifiers: one part of a time, in UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rsigma_parser::Modifier;

/// A part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimePart {
    Minute,
    Hour,
    Day,
    /// The week of the ISO 8601 calendar.
    Week,
    Month,
    Year,
}

impl TimePart {
    pub(super) const fn of_modifier(modifier: Modifier) -> Option<Self> {
        Some(match modifier {
            Modifier::Minute => Self::Minute,
            Modifier::Hour => Self::Hour,
            Modifier::Day => Self::Day,
            Modifier::Week => Self::Week,
            Modifier::Month => Self::Month,
            Modifier::Year => Self::Year,
            _ => return None,
        })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The least and the greatest value that the part can have.
    pub(super) const fn range(self) -> (i64, i64) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Week => (1, 53),
            Self::Month => (1, 12),
            Self::Year => (1970, 9999),
        }
    }

    pub(super) fn of(self, time: Timestamp) -> i64 {
        let utc = time.to_zoned(TimeZone::UTC);
        match self {
            Self::Minute => i64::from(utc.minute()),
            Self::Hour => i64::from(utc.hour()),
            Self::Day => i64::from(utc.day()),
            Self::Week => i64::from(utc.date().iso_week_date().week()),
            Self::Month => i64::from(utc.month()),
            Self::Year => i64::from(utc.year()),
        }
    }
}

//! Reading typed values out of a rule file, with findings that point at them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp};

use super::diagnostic::{DiagnosticCode as Code, Report};
use super::yaml::{Key, Node, Scalar, Value};

/// Longest duration anywhere in a rule.
const MAX_DURATION: Duration = Duration::from_hours(24 * 365);

/// The entries of a map, each key checked: unknown ones and ones that are not supported are errors.
pub(super) fn entries<'n>(
    node: &'n Node,
    what: &str,
    known: &[&str],
    not_yet: &[&str],
    report: &mut Report<'_>,
) -> &'n [(Key, Node)] {
    let Some(entries) = node.as_map() else {
        report.error(Code::InvalidValue, node.span, format!("{what} must be a map, not {}", node.describe()));
        return &[];
    };
    for (key, _) in entries {
        if not_yet.contains(&key.text.as_str()) {
            let message = format!("`{}` is not supported yet", key.text);
            report.error(Code::NotSupported, key.span, message).help("remove it: it would have no effect");
        } else if !known.contains(&key.text.as_str()) {
            let message = format!("{what} has no key `{}`", key.text);
            let finding = report.error(Code::UnknownKey, key.span, message);
            finding.help(format!("known keys: {}", known.join(", "))).suggest(&key.text, known.iter().copied());
        }
    }
    entries
}

pub(super) fn text<'n>(node: &'n Node, what: &str, report: &mut Report<'_>) -> Option<&'n str> {
    let text = node.as_text().filter(|text| !text.trim().is_empty());
    if text.is_none() {
        report.error(Code::InvalidValue, node.span, format!("{what} must be text, not {}", describe(node)));
    }
    text
}

fn describe(node: &Node) -> &'static str {
    if node.as_text().is_some() { "an empty text" } else { node.describe() }
}

/// One word of a closed list.
pub(super) fn word<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
    let text = text(node, what, report)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    report
        .error(Code::InvalidValue, node.span, format!("{what} is one of {list}, not `{text}`"))
        .suggest(text, words.iter().map(|(word, _)| *word));
    None
}

/// A whole number between two others, both included.
pub(super) fn whole_number(node: &Node, what: &str, least: u32, most: u32, report: &mut Report<'_>) -> Option<u32> {
    if let Value::Scalar { scalar: Scalar::Int(number), .. } = node.value
        && let Ok(number) = u32::try_from(number)
        && (least..=most).contains(&number)
    {
        return Some(number);
    }
    report.error(Code::InvalidValue, node.span, format!("{what} is a whole number from {least} to {most}"));
    None
}

/// A date that is the last day (UTC) of something, and the first instant after it.
pub(super) fn last_day(node: &Node, report: &mut Report<'_>) -> Option<(Date, Timestamp)> {
    let parsed = node.as_text().and_then(|text| text.parse::<Date>().ok()).and_then(|date| {
        let end = date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some((date, end))
    });
    if parsed.is_none() {
        report
            .error(Code::InvalidValue, node.span, "expires is the last day on which this holds")
            .help("write a date such as `2027-06-30`");
    }
    parsed
}

/// A duration such as `6h`, `90m`, `7d`; a day is 24 hours, a week seven of them. At least one second, at most a year.
pub(super) fn duration(node: &Node, what: &str, report: &mut Report<'_>) -> Option<Duration> {
    bounded(node, what, Duration::from_secs(1), report)
}

/// A duration that may also be `0s`, which means none at all.
pub(super) fn duration_or_none(node: &Node, what: &str, report: &mut Report<'_>) -> Option<Duration> {
    bounded(node, what, Duration::ZERO, report)
}

fn bounded(node: &Node, what: &str, least: Duration, report: &mut Report<'_>) -> Option<Duration> {
    let parsed = node
        .as_text()
        .and_then(|text| jiff::fmt::friendly::SpanParser::new().parse_span(text).ok())
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
        .and_then(|duration| Duration::try_from(duration).ok());
    match parsed {
        Some(duration) if duration >= least && duration <= MAX_DURATION => Some(duration),
        Some(_) => {
            let message = format!("{what} is at least {}s and at most 365d", least.as_secs());
            report.error(Code::InvalidValue, node.span, message);
            None
        }
        None => {
            report
                .error(Code::InvalidValue, node.span, format!("{what} is not a duration"))
                .help("write for example `30m`, `6h` or `2d`");
            None
        }
    }
}

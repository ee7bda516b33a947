//! Named time intervals: when the rules that name them are active.
//!
//! An interval is read against the wall clock of its zone. An instant has exactly one local time there, so the answer is
//! never in doubt: in the night when clocks go forward a local time that does not exist never comes, and in the night when
//! they go back one that comes twice counts twice.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::diagnostic::{DiagnosticCode as Code, Report, nearest};
use super::read;
use super::yaml::{Key, Node, Scalar, Value};

pub(super) const KNOWN: &[&str] = &["zone", "weekdays", "times", "days", "months"];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const MINUTES_OF_A_DAY: u16 = 24 * 60;

/// A named interval: active where any of its spells is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interval {
    pub(super) name: String,
    spells: Vec<Spell>,
}

/// Days and times of day in one zone. What is not said does not restrict.
#[derive(Debug, Clone, PartialEq)]
struct Spell {
    zone: TimeZone,
    /// Monday first.
    weekdays: [bool; 7],
    /// January first.
    months: [bool; 12],
    /// Days of the month, first and last included; below zero from the month's end.
    days: Vec<(i8, i8)>,
    /// Minutes since midnight, the last excluded. Where the first is not before the last the time goes on after midnight,
    /// and belongs to the day on which it began.
    times: Vec<(u16, u16)>,
}

impl Interval {
    /// Whether this instant lies within.
    pub(super) fn contains(&self, now: Timestamp) -> bool {
        self.spells.iter().any(|spell| spell.contains(now))
    }

    /// Whether there is any day at all on which it is active.
    fn ever_comes(&self) -> bool {
        self.spells.iter().any(Spell::ever_comes)
    }
}

impl Spell {
    fn contains(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        let minute = local.hour().unsigned_abs() as u16 * 60 + local.minute().unsigned_abs() as u16;
        let today = self.holds_on(local.date());
        let yesterday = || local.date().yesterday().is_ok_and(|date| self.holds_on(date));
        self.times.iter().any(|(from, to)| {
            if from < to {
                today && (*from..*to).contains(&minute)
            } else {
                (today && minute >= *from) || (minute < *to && yesterday())
            }
        })
    }

    fn holds_on(&self, date: Date) -> bool {
        let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        let month = usize::from(date.month().unsigned_abs()) - 1;
        self.weekdays[weekday] && self.months[month] && self.has_day(date.day(), date.days_in_month())
    }

    fn has_day(&self, day: i8, days_in_month: i8) -> bool {
        let from_start = |bound: i8| if bound < 0 { days_in_month + 1 + bound } else { bound };
        self.days.iter().any(|(first, last)| (from_start(*first)..=from_start(*last)).contains(&day))
    }

    /// Every date falls on every weekday in some year, the 29th of February included.
    fn ever_comes(&self) -> bool {
        let lengths: [&[i8]; 12] =
            [&[31], &[28, 29], &[31], &[30], &[31], &[30], &[31], &[31], &[30], &[31], &[30], &[31]];
        self.weekdays.contains(&true)
            && lengths
                .iter()
                .zip(self.months)
                .any(|(lengths, chosen)| chosen && lengths.iter().any(|length| self.any_day_of(*length)))
    }

    fn any_day_of(&self, days_in_month: i8) -> bool {
        (1..=days_in_month).any(|day| self.has_day(day, days_in_month))
    }
}

/// Reads one named interval: a map, or a list of maps of which any may hold.
pub(super) fn read(key: &Key, node: &Node, report: &mut Report<'_>) -> Option<Interval> {
    let nodes: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if nodes.is_empty() {
        report.error(
            Code::InvalidValue,
            node.span,
            "a time interval needs at least a `zone` and `times` or `weekdays`",
        );
    }
    let errors = report.error_count();
    let spells: Vec<Spell> = nodes.iter().filter_map(|node| read_spell(node, report)).collect();
    if nodes.is_empty() || report.error_count() > errors {
        return None;
    }
    let interval = Interval { name: key.text.clone(), spells };
    if !interval.ever_comes() {
        let message = format!("the time interval `{}` never comes: no such day exists", key.text);
        report.warning(Code::NeverActive, key.span, message).help("look at `days` and `months` together");
    }
    Some(interval)
}

fn read_spell(node: &Node, report: &mut Report<'_>) -> Option<Spell> {
    read::entries(node, "a time interval", KNOWN, &[], report);
    node.as_map()?;
    let zone = match node.get("zone") {
        Some(value) => zone(value, report),
        None => {
            report
                .error(Code::MissingKey, node.span, "a time interval needs a `zone`")
                .help("write the name of a time zone, for example `zone: Europe/Berlin` or `zone: UTC`");
            None
        }
    };
    let list = |name: &str| node.get(name).map(items);
    let mut weekdays = [true; 7];
    let mut months = [true; 12];
    let mut days = vec![(1, 31)];
    let mut times = vec![(0, MINUTES_OF_A_DAY)];
    if let Some(items) = list("weekdays") {
        weekdays = names(&items, &WEEKDAYS, "a weekday", report);
    }
    if let Some(items) = list("months") {
        months = names(&items, &MONTHS, "a month", report);
    }
    if let Some(items) = list("days") {
        days = items.iter().filter_map(|item| days_of_month(item, report)).collect();
    }
    if let Some(items) = list("times") {
        times = items.iter().filter_map(|item| times_of_day(item, report)).collect();
    }
    for name in ["weekdays", "months", "days", "times"] {
        if let Some(value) = node.get(name).filter(|value| items(value).is_empty()) {
            let message = format!("`{name}` is an empty list: the interval would never come");
            report.error(Code::InvalidValue, value.span, message).help("leave the key out to mean all of them");
        }
    }
    Some(Spell { zone: zone?, weekdays, months, days, times })
}

fn items(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}

fn zone(node: &Node, report: &mut Report<'_>) -> Option<TimeZone> {
    let name = read::text(node, "zone", report)?;
    let found = TimeZone::get(name).ok();
    if found.is_none() {
        let finding = report.error(Code::InvalidValue, node.span, format!("there is no time zone `{name}`"));
        finding.help("zones are named by area and city, for example `Europe/Berlin`");
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
        if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
            finding.help(format!("did you mean `{near}`?"));
        }
    }
    found
}

/// `monday`, `mon`, `monday:friday`; a range may go round the end.
fn names<const N: usize>(items: &[&Node], known: &[&str; N], what: &str, report: &mut Report<'_>) -> [bool; N] {
    let mut chosen = [false; N];
    for node in items {
        let Some(text) = read::text(node, what, report) else { continue };
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let mut index = |word: &str| {
            let folded = word.trim().to_lowercase();
            let found = known.iter().position(|name| *name == folded || name.get(..3) == Some(folded.as_str()));
            if found.is_none() {
                report
                    .error(Code::InvalidValue, node.span, format!("`{word}` is not {what}"))
                    .help(format!("for example `{}` or `{}:{}`", known[0], known[0], known[4]))
                    .suggest(&folded, known.iter().copied());
            }
            found
        };
        if let (Some(first), Some(last)) = (index(first), index(last)) {
            let mut at = first;
            chosen[at] = true;
            while at != last {
                at = (at + 1) % N;
                chosen[at] = true;
            }
        }
    }
    chosen
}

/// `15`, `-1`, `1:7`, `-3:-1`.
fn days_of_month(node: &Node, report: &mut Report<'_>) -> Option<(i8, i8)> {
    let written = match &node.value {
        Value::Scalar { scalar: Scalar::Int(_) | Scalar::Text, text } => text.as_str(),
        _ => "",
    };
    let (first, last) = written.split_once(':').unwrap_or((written, written));
    let day = |text: &str| text.trim().parse::<i8>().ok().filter(|day| (1..=31).contains(&day.abs()));
    let range = day(first).zip(day(last)).filter(|(first, last)| first.signum() != last.signum() || first <= last);
    if range.is_none() {
        report
            .error(Code::InvalidValue, node.span, "days are days of the month, the earlier one first")
            .help("write for example `15`, `\"1:7\"` or, counted from the end of the month, `\"-3:-1\"`");
    }
    range
}

/// `08:00-18:00`; `24:00` is the end of the day; `22:00-06:00` goes on after midnight.
fn times_of_day(node: &Node, report: &mut Report<'_>) -> Option<(u16, u16)> {
    let range = node
        .as_text()
        .and_then(|text| text.split_once('-'))
        .and_then(|(from, to)| Some((minute(from)?, minute(to)?)))
        .filter(|(from, to)| from != to && *from < MINUTES_OF_A_DAY);
    if range.is_none() {
        report
            .error(Code::InvalidValue, node.span, "times are a time of day from which and one up to which")
            .help("write for example `08:00-18:00`, `00:00-24:00`, or `22:00-06:00` for a night");
    }
    range
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let digits = |part: &str| {
        let number: u16 = part.parse().ok()?;
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
    };
    let (hour, minute) = (digits(hour)?, digits(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= MINUTES_OF_A_DAY).then_some(total)
}

//! When named time intervals are active, above all around the change of clocks.

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use proptest::prelude::*;

use crate::rules::active::{self, Interval};
use crate::rules::diagnostic::Report;
use crate::rules::source::SourceFile;
use crate::rules::yaml;

/// Reads `text` as an interval named `x`; the findings as `code at line:column: message (help)`.
fn read(text: &str) -> (Option<Interval>, Vec<String>) {
    let source = SourceFile::new("x".to_owned(), "x".to_owned(), &format!("x: {text}\n"));
    let mut report = Report::new(&source);
    let documents = yaml::load(&mut report);
    let interval = documents
        .first()
        .and_then(|node| node.as_map()?.first())
        .and_then(|(key, node)| active::read(key, node, &mut report));
    let said = report.diagnostics.iter().map(|finding| {
        let help = finding.help.as_deref().unwrap_or_default();
        format!("{} at {}:{}: {} ({help})", finding.code.as_str(), finding.line, finding.column, finding.message)
    });
    let said = said.collect();
    (interval, said)
}

fn interval(text: &str) -> Interval {
    match read(text) {
        (Some(interval), findings) if findings.is_empty() => interval,
        (_, findings) => panic!("{text}: {findings:?}"),
    }
}

fn at(interval: &Interval, time: &str) -> bool {
    interval.contains(time.parse::<Timestamp>().unwrap())
}

#[test]
fn business_hours_are_those_of_the_zone() {
    let hours = interval("{ zone: Europe/Berlin, weekdays: ['monday:friday'], times: ['08:00-12:00', '13:00-18:00'] }");
    // Friday, 1 May 2026: two hours ahead of UTC.
    for (time, active) in [
        ("2026-05-01T05:59:59Z", false),
        ("2026-05-01T06:00:00Z", true),
        ("2026-05-01T09:59:59Z", true),
        ("2026-05-01T10:00:00Z", false),
        ("2026-05-01T11:00:00Z", true),
        ("2026-05-01T15:59:59.999Z", true),
        ("2026-05-01T16:00:00Z", false),
        ("2026-05-02T08:00:00Z", false),
        // In winter one hour.
        ("2026-01-09T06:30:00Z", false),
        ("2026-01-09T07:00:00Z", true),
        ("2026-01-09T16:59:59Z", true),
        ("2026-01-09T17:00:00Z", false),
    ] {
        assert_eq!(at(&hours, time), active, "{time}");
    }
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    let night = interval("{ zone: UTC, weekdays: [fri], times: ['22:00-06:00'] }");
    for (time, active) in [
        ("2026-05-01T05:00:00Z", false),
        ("2026-05-01T21:59:59Z", false),
        ("2026-05-01T22:00:00Z", true),
        ("2026-05-02T05:59:59Z", true),
        ("2026-05-02T06:00:00Z", false),
        ("2026-05-02T23:00:00Z", false),
    ] {
        assert_eq!(at(&night, time), active, "{time}");
    }
}

#[test]
fn days_months_and_several_spells() {
    let last_days = interval("{ zone: UTC, days: ['-2:-1'], months: [february, 'nov:jan'] }");
    for (date, active) in [
        ("2024-02-27", false),
        ("2024-02-28", true),
        ("2024-02-29", true),
        ("2026-02-27", true),
        ("2026-03-31", false),
        ("2026-12-31", true),
        ("2026-11-29", true),
        ("2026-10-31", false),
    ] {
        assert_eq!(at(&last_days, &format!("{date}T12:00:00Z")), active, "{date}");
    }
    let out_of_office =
        interval("[{ zone: UTC, weekdays: ['sat:sun'] }, { zone: UTC, times: ['18:00-24:00', '00:00-08:00'] }]");
    for (time, active) in
        [("2026-05-02T12:00:00Z", true), ("2026-05-01T12:00:00Z", false), ("2026-05-01T23:59:59Z", true)]
    {
        assert_eq!(at(&out_of_office, time), active, "{time}");
    }
}

/// Clocks in Berlin: forward on 29 March 2026 at 01:00 UTC, back on 25 October at 01:00 UTC.
#[test]
fn a_local_time_that_does_not_exist_never_comes_and_one_that_comes_twice_counts_twice() {
    let half_past_two = interval("{ zone: Europe/Berlin, times: ['02:15-02:45'] }");
    let minutes = |day: &str| {
        let start: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
        let each = (0..24 * 60).map(|minute| start + SignedDuration::from_mins(minute));
        each.filter(|time| half_past_two.contains(*time)).collect::<Vec<_>>()
    };
    assert_eq!(minutes("2026-03-28").len(), 30);
    assert_eq!(minutes("2026-03-29").len(), 0);
    let twice = minutes("2026-10-25");
    assert_eq!(twice.len(), 60);
    assert_eq!(twice[0], "2026-10-25T00:15:00Z".parse().unwrap());
    assert_eq!(twice[30], "2026-10-25T01:15:00Z".parse().unwrap());
    // A night over the change is one hour shorter, or longer.
    let night = interval("{ zone: Europe/Berlin, weekdays: [saturday], times: ['22:00-06:00'] }");
    let hours = |from: &str| {
        let start: Timestamp = from.parse().unwrap();
        (0..24).filter(|hour| night.contains(start + SignedDuration::from_hours(*hour))).count()
    };
    assert_eq!(hours("2026-03-21T12:00:00Z"), 8);
    assert_eq!(hours("2026-03-28T12:00:00Z"), 7);
    assert_eq!(hours("2026-10-24T12:00:00Z"), 9);
}

#[test]
fn a_zone_can_leave_out_a_whole_day_or_change_by_half_an_hour() {
    // Samoa had no 30 December 2011.
    let friday = interval("{ zone: Pacific/Apia, weekdays: [friday], times: ['00:00-24:00'] }");
    let start: Timestamp = "2011-12-27T00:00:00Z".parse().unwrap();
    assert!((0..96).all(|hour| !friday.contains(start + SignedDuration::from_hours(hour))));
    // Lord Howe Island changes by thirty minutes.
    let morning = interval("{ zone: Australia/Lord_Howe, times: ['08:00-09:00'] }");
    assert!(at(&morning, "2026-01-09T21:00:00Z") && !at(&morning, "2026-01-09T20:59:00Z"));
    assert!(at(&morning, "2026-06-09T21:30:00Z") && !at(&morning, "2026-06-09T21:29:00Z"));
}

#[test]
fn findings_name_the_mend() {
    for (text, part) in [
        ("{ times: ['08:00-18:00'] }", "missing_key at 1:4: a time interval needs a `zone` (write the name"),
        ("{ zone: Europe/Berln }", "there is no time zone `Europe/Berln` (did you mean `Europe/Berlin`?)"),
        ("{ zone: Nowhere/Atall }", "(zones are named by area and city"),
        (
            "{ zone: UTC, weekday: [mon] }",
            "unknown_key at 1:17: a time interval has no key `weekday` (did you mean `weekdays`?)",
        ),
        ("{ zone: UTC, weekdays: [munday] }", "`munday` is not a weekday (did you mean `monday`?)"),
        ("{ zone: UTC, months: [13] }", "a month must be text, not a number"),
        ("{ zone: UTC, days: [0] }", "days are days of the month"),
        ("{ zone: UTC, days: ['9:2'] }", "the earlier one first"),
        ("{ zone: UTC, times: ['8-18'] }", "(write for example `08:00-18:00`"),
        ("{ zone: UTC, times: ['08:00-08:00'] }", "times are a time of day"),
        ("{ zone: UTC, times: ['08:60-09:00'] }", "times are a time of day"),
        ("{ zone: UTC, times: ['24:00-09:00'] }", "times are a time of day"),
        ("{ zone: UTC, times: ['08:00-24:01'] }", "times are a time of day"),
        ("{ zone: UTC, times: [] }", "`times` is an empty list"),
        ("[]", "a time interval needs at least"),
        ("always", "a time interval must be a map, not text"),
    ] {
        let (found, findings) = read(text);
        assert!(found.is_none(), "{text}");
        assert!(findings.iter().any(|finding| finding.contains(part)), "{text}: {findings:?}");
    }
}

#[test]
fn an_interval_that_never_comes_is_a_warning() {
    for (text, comes) in [
        ("{ zone: UTC, days: [31], months: [february, 'april', jun, sep, nov] }", false),
        ("{ zone: UTC, days: [30], months: [february] }", false),
        ("{ zone: UTC, days: ['-31'], months: [february] }", false),
        ("{ zone: UTC, days: ['10:-21'], months: [february] }", false),
        ("{ zone: UTC, days: [29], months: [february] }", true),
        ("{ zone: UTC, days: [31], months: ['january:february'] }", true),
        ("[{ zone: UTC, days: [31], months: [april] }, { zone: UTC, days: [1] }]", true),
    ] {
        let (found, findings) = read(text);
        assert!(found.is_some(), "{text}: {findings:?}");
        assert_eq!(findings.iter().any(|finding| finding.starts_with("never_active at 1:1")), !comes, "{text}");
    }
}

proptest! {
    /// The other way round: the intervals of one local day as stretches of instants.
    #[test]
    fn a_stretch_of_instants_says_the_same(
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        day in 0..800_i64,
        second in 0..86_400_i64,
        (from, to) in (0..1440_i32, 0..=1440_i32),
        weekday in 0..7_usize,
    ) {
        prop_assume!(from != to);
        const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let interval = interval(&format!(
            "{{ zone: {zone}, weekdays: [{}], times: ['{:02}:{:02}-{:02}:{:02}'] }}",
            NAMES[weekday], from / 60, from % 60, to / 60, to % 60
        ));
        let now = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(day * 86_400 + second);
        let tz = TimeZone::get(zone).unwrap();
        // A local instant read on a clock that never changes, against stretches on that same clock.
        let clock: DateTime = tz.to_offset(now).to_datetime(now);
        let expected = (-1..=0).any(|back| {
            let midnight = clock.date().checked_add(back.days()).unwrap().to_datetime(jiff::civil::time(0, 0, 0, 0));
            let end = if from < to { to } else { to + 1440 };
            let starts_on = midnight.date().weekday() == Weekday::from_monday_zero_offset(i8::try_from(weekday).unwrap()).unwrap();
            starts_on
                && clock >= midnight.checked_add(from.minutes()).unwrap()
                && clock < midnight.checked_add(end.minutes()).unwrap()
        });
        prop_assert_eq!(interval.contains(now), expected, "{}", clock);
    }
}

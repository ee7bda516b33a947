//! An explanation as people read it in a terminal.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::decision::{Decision, Mode, ResponseTerms};
use super::explain::{Explanation, FieldExplanation, FilterExplanation, RuleExplanation, SelectionExplanation, Wants};
use super::threshold::CountInfo;

/// Longest value shown, in characters.
const MAX_SHOWN: usize = 80;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self
            .device
            .as_deref()
            .map_or_else(|| "no known device".to_owned(), |name| format!("device {}", plain(name)));
        writeln!(f, "alert {}, {device}, rule set {}", plain(&self.alert_id), self.ruleset)?;
        write_decision(f, &self.evaluation.decision)?;
        let (matched, others): (Vec<_>, Vec<_>) = self.rules.iter().partition(|rule| rule.matched);
        for rule in matched.into_iter().chain(others) {
            writeln!(f)?;
            write_rule(f, rule)?;
        }
        for filter in &self.filters {
            writeln!(f)?;
            write_filter(f, filter)?;
        }
        Ok(())
    }
}

fn write_decision(f: &mut fmt::Formatter<'_>, decision: &Decision) -> fmt::Result {
    match decision {
        Decision::Scan(scan) => {
            let mode = if scan.mode == Mode::Live { "" } else { " (shadow: recorded, not sent)" };
            let wait = if scan.terms.awaits_threshold { ", once a count is reached" } else { "" };
            writeln!(f, "decision: {} scan{wait}{mode}", scan.scan_type)?;
            writeln!(f, "  comment: {}", scan.comment)?;
            writeln!(
                f,
                "  priority {}, cooldown {}, alert at most {} old",
                scan.priority,
                duration(scan.cooldown),
                duration(scan.max_alert_age)
            )?;
            for limit in &scan.limits {
                let per = duration(Duration::from_secs(limit.per_seconds));
                writeln!(f, "  at most {} devices per {per} by rule {}", limit.devices, limit.rule_id)?;
            }
            write_terms(f, &scan.terms)?;
            writeln!(f, "  rules: {}", scan.rule_ids.join(", "))
        }
        Decision::NoRule => writeln!(f, "decision: no scan, because no rule matches"),
        Decision::Filtered => writeln!(f, "decision: no scan, because an exception takes every match back"),
        Decision::EvaluationError { detail, .. } => writeln!(f, "decision: error: {detail}"),
    }
}

fn write_terms(f: &mut fmt::Formatter<'_>, terms: &ResponseTerms) -> fmt::Result {
    if let Some(names) = &terms.outside_active_time {
        writeln!(f, "  not now: outside of the active time ({names}) of every rule that matches")?;
    }
    if let Some(growth) = terms.cooldown_growth {
        let longest = duration(Duration::from_secs(growth.longest_seconds));
        writeln!(f, "  the cooldown grows {} times for each scan soon after, up to {longest}", growth.factor)?;
    }
    if let Some(seconds) = terms.merge_window_seconds {
        writeln!(f, "  waits {} for others of the device", duration(Duration::from_secs(seconds)))?;
    }
    for threshold in &terms.thresholds {
        let within = duration(Duration::from_secs(threshold.within_seconds));
        let (count, scan) = (threshold.at_least, threshold.scan_type);
        writeln!(f, "  counts for {}: {count} within {within} ask for a {scan} scan", threshold.rule_id)?;
    }
    Ok(())
}

fn write_rule(f: &mut fmt::Formatter<'_>, rule: &RuleExplanation) -> fmt::Result {
    if let Some(counts) = &rule.counts {
        return write_correlation(f, rule, counts);
    }
    let verdict = match (&rule.expired, rule.matched, rule.condition_held) {
        (Some(date), ..) => format!("expired after {date}"),
        (None, true, _) if rule.outside_active_time => {
            format!("matches, but not within its active time ({})", active_names(rule))
        }
        (None, true, _) => "matches".to_owned(),
        (None, false, true) if !rule.filtered_by.is_empty() => {
            format!("would match, but is taken back by {}", rule.filtered_by.join(", "))
        }
        (None, false, true) => "holds, but has no response".to_owned(),
        (None, false, false) => "does not match".to_owned(),
    };
    writeln!(f, "rule \"{}\" {verdict}", rule.title)?;
    writeln!(f, "  {} ({}:{})", rule.rule_id, rule.file, rule.line)?;
    writeln!(f, "  condition: {}: {}", rule.condition, holds(rule.condition_held))?;
    for selection in &rule.selections {
        write_selection(f, selection)?;
    }
    write_response(f, rule)
}

fn write_response(f: &mut fmt::Formatter<'_>, rule: &RuleExplanation) -> fmt::Result {
    match &rule.response {
        Some(response) => writeln!(
            f,
            "  response: {} scan, {}, priority {}",
            response.scan,
            response.mode.as_str(),
            response.priority
        ),
        None => Ok(()),
    }
}

fn active_names(rule: &RuleExplanation) -> String {
    rule.response.as_ref().map(|response| response.active.join(", ")).unwrap_or_default()
}

fn write_correlation(f: &mut fmt::Formatter<'_>, rule: &RuleExplanation, counts: &CountInfo) -> fmt::Result {
    let verdict = match (&rule.expired, rule.added_to) {
        (Some(date), _) => format!("expired after {date}"),
        (None, true) => "counts this alert".to_owned(),
        (None, false) if rule.outside_active_time => {
            format!("counts nothing outside of its active time ({})", active_names(rule))
        }
        (None, false) => "does not count this alert".to_owned(),
    };
    writeln!(f, "correlation \"{}\" {verdict}", rule.title)?;
    writeln!(f, "  {} ({}:{})", rule.rule_id, rule.file, rule.line)?;
    let what = counts.field.as_ref().map_or_else(|| "alerts".to_owned(), |field| format!("values of {field}"));
    let within = duration(Duration::from_secs(counts.within_seconds));
    writeln!(f, "  at least {} {what} of a device within {within}: {}", counts.at_least, counts.rules.join(", "))?;
    write_response(f, rule)
}

fn write_filter(f: &mut fmt::Formatter<'_>, filter: &FilterExplanation) -> fmt::Result {
    let verdict = match (&filter.expired, filter.took_back.as_slice()) {
        (Some(date), _) => format!("expired after {date}"),
        (None, []) => "takes nothing back".to_owned(),
        (None, rules) => format!("takes back {}", rules.join(", ")),
    };
    writeln!(f, "filter \"{}\" {verdict}", filter.title)?;
    writeln!(f, "  {} ({}:{})", filter.filter_id, filter.file, filter.line)?;
    writeln!(f, "  condition: {}: {}", filter.condition, holds(filter.condition_held))?;
    for selection in &filter.selections {
        write_selection(f, selection)?;
    }
    Ok(())
}

fn write_selection(f: &mut fmt::Formatter<'_>, selection: &SelectionExplanation) -> fmt::Result {
    writeln!(f, "  {}: {}", selection.name, holds(selection.held))?;
    let several = selection.alternatives.len() > 1;
    for (number, alternative) in selection.alternatives.iter().enumerate() {
        if several {
            writeln!(f, "    alternative {}: {}", number + 1, holds(alternative.held))?;
        }
        for test in &alternative.tests {
            let indent = if several { "      " } else { "    " };
            writeln!(f, "{indent}{}", line(test))?;
        }
    }
    Ok(())
}

fn line(test: &FieldExplanation) -> String {
    let mut line = format!("{} {}", if test.held { "yes" } else { "no " }, test.field);
    let saw = match &test.saw {
        None => "nothing".to_owned(),
        Some(values) if values.is_empty() => "an empty list".to_owned(),
        Some(values) => values.iter().map(|value| format!("\"{}\"", plain(value))).collect::<Vec<_>>().join(", "),
    };
    let patterns = test.patterns.iter().map(|each| {
        let mark = if test.patterns.len() > 1 && each.held { " (found)" } else { "" };
        format!("{}{mark}", plain(&each.pattern))
    });
    let patterns = patterns.collect::<Vec<_>>().join(", ");
    let wants = match test.wants {
        Wants::Any if test.patterns.len() == 1 => "",
        Wants::Any => "any of ",
        Wants::All => "all of ",
        Wants::None if test.patterns.len() == 1 => "not ",
        Wants::None => "none of ",
        Wants::NotAll => "not all of ",
    };
    // Writing to a string cannot fail.
    let _ignored: fmt::Result = write!(line, ": alert says {saw}; rule wants {wants}{patterns}");
    line
}

const fn holds(held: bool) -> &'static str {
    if held { "holds" } else { "does not hold" }
}

/// An alert's text must not steer a terminal, nor fill it.
fn plain(text: &str) -> String {
    let mut shown: String =
        text.chars().take(MAX_SHOWN).map(|character| if character.is_control() { ' ' } else { character }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn duration(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}

//! The `response` block: what follows where a rule matches.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rsigma_parser::Level;

use super::decision::{Mode, ScanType};
use super::diagnostic::{DiagnosticCode as Code, Report};
use super::read;
use super::template;
use super::yaml::{Key, Node};

const KNOWN: &[&str] = &["scan", "comment", "priority", "cooldown", "max_alert_age", "limit", "mode", "expires"];
const NOT_YET: &[&str] = &["escalate", "active", "merge_window", "silence", "silences"];
const DEFAULT_COOLDOWN: Duration = Duration::from_hours(6);
const DEFAULT_MAX_ALERT_AGE: Duration = Duration::from_hours(24);
const DEFAULT_COMMENT: &str = "Check machine for viruses due to alert {{ alert.id }}";

/// A checked `response` block, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Response {
    pub(super) scan: ScanType,
    pub(super) comment: String,
    pub(super) priority: u8,
    pub(super) cooldown: Duration,
    pub(super) max_alert_age: Duration,
    /// Distinct devices, and the window in seconds.
    pub(super) limit: Option<(u32, u64)>,
    pub(super) mode: Mode,
    /// The last day on which the rule holds (UTC), and the first instant after it.
    pub(super) expires: Option<(Date, Timestamp)>,
}

impl Response {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|(_, end)| now >= end)
    }
}

/// Reads the block; `None` where it has no scan type to speak of.
pub(super) fn read(key: &Key, node: &Node, level: Option<Level>, report: &mut Report<'_>) -> Option<Response> {
    let entries = read::entries(node, "a response", KNOWN, NOT_YET, report);
    let mut scan = None;
    let mut response = Response {
        scan: ScanType::Quick,
        comment: DEFAULT_COMMENT.to_owned(),
        priority: priority_of(level),
        cooldown: DEFAULT_COOLDOWN,
        max_alert_age: DEFAULT_MAX_ALERT_AGE,
        limit: None,
        mode: Mode::Live,
        expires: None,
    };
    for (key, value) in entries {
        match key.text.as_str() {
            "scan" => {
                let words = ScanType::ALL.map(|scan| (scan.as_str(), scan));
                scan = Some(read::word(value, "scan", &words, report));
            }
            "comment" => {
                if let Some(text) = read::text(value, "comment", report) {
                    template::check(text, value.span, report);
                    text.clone_into(&mut response.comment);
                }
            }
            "priority" => {
                if let Some(number) = read::whole_number(value, "priority", 0, 100, report) {
                    response.priority = u8::try_from(number).unwrap_or(100);
                }
            }
            "cooldown" => response.cooldown = read::duration(value, "cooldown", report).unwrap_or_default(),
            "max_alert_age" => {
                response.max_alert_age = read::duration(value, "max_alert_age", report).unwrap_or_default();
            }
            "limit" => response.limit = limit(value, report),
            "mode" => {
                let words = Mode::ALL.map(|mode| (mode.as_str(), mode));
                response.mode = read::word(value, "mode", &words, report).unwrap_or_default();
            }
            "expires" => response.expires = expires(value, report),
            _ => {}
        }
    }
    if scan.is_none() {
        report
            .error(Code::MissingKey, key.span, "a response must say which `scan`")
            .help("add `scan: Quick` or `scan: Full`");
    }
    response.scan = scan??;
    Some(response)
}

const fn priority_of(level: Option<Level>) -> u8 {
    match level {
        Some(Level::Informational) => 10,
        Some(Level::Low) => 30,
        Some(Level::Medium) | None => 50,
        Some(Level::High) => 70,
        Some(Level::Critical) => 90,
    }
}

fn limit(node: &Node, report: &mut Report<'_>) -> Option<(u32, u64)> {
    read::entries(node, "a limit", &["devices", "per"], &[], report);
    let devices = node.get("devices").map(|value| read::whole_number(value, "devices", 1, 1_000_000, report));
    let per = node.get("per").map(|value| read::duration(value, "per", report));
    if node.as_map().is_some() && (devices.is_none() || per.is_none()) {
        report
            .error(Code::MissingKey, node.span, "a limit needs `devices` and `per`")
            .help("for example `limit: { devices: 25, per: 1h }`");
    }
    Some((devices??, per??.as_secs()))
}

fn expires(node: &Node, report: &mut Report<'_>) -> Option<(Date, Timestamp)> {
    let parsed = node.as_text().and_then(|text| text.parse::<Date>().ok()).and_then(|date| {
        let end = date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some((date, end))
    });
    if parsed.is_none() {
        report
            .error(Code::InvalidValue, node.span, "expires is the last day on which the rule holds")
            .help("write a date such as `2027-06-30`");
    }
    parsed
}

//! The `response` block: what follows where a rule matches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use rsigma_parser::Level;

use super::active::Interval;
use super::decision::{CooldownGrowth, Mode, ScanType};
use super::defaults::Defaults;
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::layer::{self, Escalation, Layer, Origin};
use super::read;
use super::yaml::{Key, Node};

/// Keys that only a rule itself can say.
const OWN: [&str; 2] = ["scan", "expires"];
const NOT_YET: &[&str] = &["silence", "silences"];
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
    pub(super) cooldown_growth: Option<CooldownGrowth>,
    pub(super) max_alert_age: Duration,
    pub(super) escalate: Option<Escalation>,
    /// Distinct devices, and the window in seconds.
    pub(super) limit: Option<(u32, u64)>,
    pub(super) merge_window: Option<Duration>,
    /// Where there is a name, the rule is active within these intervals alone.
    pub(super) active_names: Vec<String>,
    /// What the names stand for. A name that stands for nothing yet leaves the rule inactive.
    pub(super) active: Vec<Arc<Interval>>,
    pub(super) mode: Mode,
    /// The last day on which the rule holds (UTC), and the first instant after it.
    pub(super) expires: Option<(Date, Timestamp)>,
    /// Where `expires` stands.
    pub(super) expires_span: Span,
    /// Where each key comes from.
    pub(super) origins: BTreeMap<&'static str, Origin>,
    /// What the rule says itself.
    own: Layer,
    escalate_span: Span,
}

impl Response {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|(_, end)| now >= end)
    }

    /// Whether the rule may ask for a scan at this time.
    pub(super) fn is_active(&self, now: Timestamp) -> bool {
        self.active_names.is_empty() || self.active.iter().any(|interval| interval.contains(now))
    }

    /// Fills in what the rule leaves to the defaults: those of its level, then those for all, then the program's own.
    pub(super) fn inherit(&mut self, level: Option<Level>, defaults: &mut Defaults, report: &mut Report<'_>) {
        for (name, span) in self.own.active.iter().flatten() {
            defaults.check_name(name, *span, report);
        }
        self.fill(level, defaults);
        self.active = self.active_names.iter().filter_map(|name| defaults.interval(name)).collect();
        if let Some(escalation) = self.escalate.filter(|escalation| escalation.to <= self.scan) {
            self.escalate = None;
            if self.own.escalate.is_some() {
                let message = format!("the rule asks for a {} scan anyway", escalation.to);
                let finding = report.warning(Code::UselessEscalation, self.escalate_span, message);
                finding.help("remove `escalate`, or let the rule ask for a Quick scan first");
            }
        }
    }

    fn fill(&mut self, level: Option<Level>, defaults: &mut Defaults) {
        let own = self.own.clone();
        for key in layer::KEYS {
            let origin = if own.has(key) { Origin::Rule } else { defaults.origin_of(key, level) };
            self.origins.insert(key, origin);
            let layer = match origin {
                Origin::Rule => &own,
                Origin::Level => defaults.of_level(level),
                Origin::Defaults => &defaults.all,
                Origin::BuiltIn => continue,
            };
            self.take(key, layer);
        }
    }

    fn take(&mut self, key: &str, layer: &Layer) {
        match key {
            "comment" => self.comment = layer.comment.clone().unwrap_or_default(),
            "priority" => self.priority = layer.priority.unwrap_or_default(),
            "cooldown" => {
                self.cooldown = layer.cooldown.map(|rest| rest.first).unwrap_or_default();
                self.cooldown_growth = layer.cooldown.and_then(|rest| rest.growth);
            }
            "max_alert_age" => self.max_alert_age = layer.max_alert_age.unwrap_or_default(),
            "escalate" => self.escalate = layer.escalate.flatten(),
            "limit" => self.limit = layer.limit.flatten(),
            "merge_window" => self.merge_window = layer.merge_window,
            "active" => {
                self.active_names = layer.active.iter().flatten().map(|(name, _)| name.clone()).collect();
            }
            "mode" => self.mode = layer.mode.unwrap_or_default(),
            _ => {}
        }
    }
}

/// Reads the block; `None` where it has no scan type to speak of. What it leaves out is the program's own default until
/// [`Response::inherit`] says otherwise.
pub(super) fn read(key: &Key, node: &Node, level: Option<Level>, report: &mut Report<'_>) -> Option<Response> {
    let known: Vec<&str> = OWN.into_iter().chain(layer::KEYS).collect();
    let entries = read::entries(node, "a response", &known, NOT_YET, report);
    let (mut scan, mut expires, mut expires_span) = (None, None, Span::default());
    let mut escalate_span = Span::default();
    let mut own = Layer::default();
    for (key, value) in entries {
        match key.text.as_str() {
            "scan" => {
                let words = ScanType::ALL.map(|scan| (scan.as_str(), scan));
                scan = Some(read::word(value, "scan", &words, report));
            }
            "expires" => {
                expires = read::last_day(value, report);
                expires_span = value.span;
            }
            "escalate" => {
                escalate_span = key.span;
                own.read_key(key, value, report);
            }
            _ => own.read_key(key, value, report),
        }
    }
    if scan.is_none() {
        report
            .error(Code::MissingKey, key.span, "a response must say which `scan`")
            .help("add `scan: Quick` or `scan: Full`");
    }
    let mut response = Response {
        scan: scan??,
        comment: DEFAULT_COMMENT.to_owned(),
        priority: priority_of(level),
        cooldown: DEFAULT_COOLDOWN,
        cooldown_growth: None,
        max_alert_age: DEFAULT_MAX_ALERT_AGE,
        escalate: None,
        limit: None,
        merge_window: None,
        active_names: Vec::new(),
        active: Vec::new(),
        mode: Mode::Live,
        expires,
        expires_span,
        origins: BTreeMap::new(),
        own,
        escalate_span,
    };
    response.fill(level, &mut Defaults::default());
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

//! Comments: Jinja templates over the alert, the device and the rule, checked when the rule is loaded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Rest, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::facts::{Facts, Slot};
use super::field::{Field, NamedField};
use crate::alert::{Alert, Device, Severity};

/// Longest rendered comment, in characters.
pub(super) const MAX_COMMENT: usize = 1000;
/// Longest template, in bytes.
const MAX_TEMPLATE: usize = 4096;
/// Steps that one rendering may take: a loop over a thousand tags ends, a loop within a loop within a loop is refused.
const FUEL: u64 = 20_000;
/// What an absent value reads as.
const ABSENT: &str = "unknown";
const RULE_NAMES: [&str; 4] = ["rule.id", "rule.title", "rule.level", "rule.description"];
const FUNCTIONS: [&str; 3] = ["range", "dict", "namespace"];

/// What templates may say about their rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleFacts<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) level: Option<&'a str>,
    pub(super) description: Option<&'a str>,
}

/// The engine all comments are rendered with: a misspelt name is an error, an absent value reads `unknown`.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(32);
    environment.set_formatter(|out, _state, value| write_value(out, value));
    environment.add_filter("default", default_filter);
    environment.add_filter("d", default_filter);
    environment.add_test("none", |value: &Value| is_absent(value));
    environment
}

fn write_value(out: &mut minijinja::Output<'_>, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        _ if is_absent(value) => out.write_str(ABSENT),
        ValueKind::Seq => {
            let parts: Vec<String> = value.try_iter()?.map(|item| item.to_string()).collect();
            out.write_str(&parts.join(", "))
        }
        _ => write!(out, "{value}"),
    };
    written.map_err(|_| Error::from(ErrorKind::WriteFailure))
}

fn is_absent(value: &Value) -> bool {
    value.is_none()
        || value.downcast_object_ref::<Absent>().is_some()
        || (value.kind() == ValueKind::Seq && value.len() == Some(0))
}

/// Jinja's `default` also for values that the alert does not carry.
fn default_filter(value: &Value, others: Rest<Value>) -> Value {
    let lax = others.get(1).is_some_and(Value::is_true);
    if value.is_undefined() || is_absent(value) || (lax && !value.is_true()) {
        others.first().cloned().unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    }
}

/// What the alert does not carry: it reads `unknown` wherever it ends up, and is false.
#[derive(Debug)]
struct Absent {
    /// It stands for a list, and can be looped over.
    is_list: bool,
}

impl Object for Absent {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.is_list { ObjectRepr::Seq } else { ObjectRepr::Plain }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if self.is_list { Enumerator::Empty } else { Enumerator::NonEnumerable }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ABSENT)
    }
}

fn absent() -> Value {
    Value::from_object(Absent { is_list: false })
}

/// Labels are free: one that an alert does not have is absent, not misspelt.
#[derive(Debug)]
struct Labels(BTreeMap<String, String>);

impl Object for Labels {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(self.0.get(key.as_str()?).map_or_else(absent, Value::from))
    }
}

/// The variables of a template.
fn context(alert: &Alert, device: &Device, rule: RuleFacts<'_>) -> Value {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    let fields: Vec<Field> = NamedField::ALL.iter().copied().map(Field::Named).collect();
    let facts = Facts::gather(&fields, alert, device);
    for (slot, field) in NamedField::ALL.iter().enumerate() {
        let (group, name) = field.as_str().split_once('.').unwrap_or(("", field.as_str()));
        let value = match facts.slot(slot) {
            slot if field.is_list() && slot.values().first().is_none() => Value::from_object(Absent { is_list: true }),
            slot if field.is_list() => {
                Value::from(slot.values().iter().map(|value| Value::from(value.text)).collect::<Vec<_>>())
            }
            Slot::Missing => absent(),
            Slot::Present(values) => values.first().map_or_else(absent, |value| Value::from(value.text)),
        };
        groups.entry(group).or_default().insert(name, value);
    }
    let mut alert_values = groups.remove("").unwrap_or_default();
    let device_values = groups.remove("device").unwrap_or_default();
    alert_values.extend(groups.into_iter().map(|(name, values)| (name, Value::from(values))));
    alert_values.insert("labels", Value::from_object(Labels(alert.labels.clone())));
    let rule_values = BTreeMap::from([
        ("id", Value::from(rule.id)),
        ("title", Value::from(rule.title)),
        ("level", rule.level.map_or_else(absent, Value::from)),
        ("description", rule.description.map_or_else(absent, Value::from)),
    ]);
    Value::from(BTreeMap::from([
        ("alert", Value::from(alert_values)),
        ("device", Value::from(device_values)),
        ("rule", Value::from(rule_values)),
    ]))
}

/// Renders one comment: trimmed, one line, without control characters, bounded.
///
/// # Errors
///
/// What the template engine says, or that nothing is left.
pub(super) fn render(
    template: &minijinja::Template<'_, '_>,
    alert: &Alert,
    device: &Device,
    rule: RuleFacts<'_>,
) -> Result<String, String> {
    let rendered = template.render(context(alert, device, rule)).map_err(|error| reason(&error))?;
    let comment = clean(&rendered);
    if comment.is_empty() { Err("the comment is empty".to_owned()) } else { Ok(comment) }
}

fn reason(error: &Error) -> String {
    let line = error.line().filter(|line| *line > 1).map(|line| format!(" (line {line} of the template)"));
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{detail}{}", line.unwrap_or_default())
}

/// An alert's text is written by whoever attacks: no line breaks, no terminal escapes, no reordering of what a reader sees.
fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(MAX_COMMENT));
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            if !cleaned.ends_with(' ') && !cleaned.is_empty() {
                cleaned.push(' ');
            }
        } else if !is_invisible(character) {
            cleaned.push(character);
        }
    }
    let trimmed = cleaned.trim();
    if trimmed.chars().count() <= MAX_COMMENT {
        return trimmed.to_owned();
    }
    let mut short: String = trimmed.chars().take(MAX_COMMENT - 1).collect();
    short.push('…');
    short
}

const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Checks a template: its syntax, its names, and that it renders for a full and for a bare alert.
pub(super) fn check(text: &str, span: Span, report: &mut Report<'_>) {
    if text.len() > MAX_TEMPLATE {
        report.error(Code::InvalidTemplate, span, format!("the comment template is longer than {MAX_TEMPLATE} bytes"));
        return;
    }
    let environment = environment();
    let template = match environment.template_from_str(text) {
        Ok(template) => template,
        Err(error) => {
            report.error(Code::InvalidTemplate, span, format!("not a Jinja template: {}", reason(&error)));
            return;
        }
    };
    if !check_names(&template, span, report) {
        return;
    }
    let rule = RuleFacts { id: "id", title: "title", level: Some("high"), description: Some("description") };
    let bare_rule = RuleFacts { level: None, description: None, ..rule };
    let (alert, device) = full_sample();
    if let Err(problem) = render(&template, &alert, &device, rule) {
        report.error(Code::InvalidTemplate, span, format!("the comment cannot be rendered: {problem}"));
        return;
    }
    let bare = Alert { id: "1".to_owned(), ..Alert::default() };
    if let Err(problem) = render(&template, &bare, &Device::default(), bare_rule) {
        report
            .error(
                Code::InvalidTemplate,
                span,
                format!("the comment cannot be rendered where an alert leaves fields out: {problem}"),
            )
            .help("give optional fields a default, for example `{{ device.name | default('a device') }}`");
    }
}

fn check_names(template: &minijinja::Template<'_, '_>, span: Span, report: &mut Report<'_>) -> bool {
    let known = known_names();
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort();
    let mut sound = true;
    for name in names {
        let is_label = name.strip_prefix("alert.labels.").is_some_and(|label| !label.is_empty());
        if is_label || known.contains(&name) || FUNCTIONS.contains(&name.as_str()) {
            continue;
        }
        sound = false;
        let group = format!("{name}.");
        let message = if known.iter().any(|each| each.starts_with(&group)) {
            format!("`{name}` is a group of values: name one of them, for example `{{{{ alert.id }}}}`")
        } else {
            format!("templates have no `{name}`")
        };
        report.error(Code::InvalidTemplate, span, message).suggest(&name, known.iter().map(String::as_str));
    }
    sound
}

fn known_names() -> Vec<String> {
    let of_alert = |name: &str| if name.starts_with("device.") { name.to_owned() } else { format!("alert.{name}") };
    NamedField::ALL
        .iter()
        .map(|field| of_alert(field.as_str()))
        .chain(RULE_NAMES.map(str::to_owned))
        .chain(["alert.labels.<name>".to_owned()])
        .collect()
}

fn full_sample() -> (Alert, Device) {
    use crate::alert::{FileInfo, Mitre, Threat, User};
    let text = || Some("sample".to_owned());
    let device = Device {
        id: text(),
        name: text(),
        os: text(),
        group: text(),
        tags: Some(vec!["sample".to_owned()]),
        risk: text(),
        ip: vec!["192.0.2.1".to_owned()],
    };
    let alert = Alert {
        // The longest that Defender sends, and no number.
        id: "da638900417123456789_-1043211987".to_owned(),
        title: text(),
        description: text(),
        severity: Severity::High,
        category: text(),
        status: text(),
        source: text(),
        detection_source: text(),
        created_at: Some(jiff::Timestamp::UNIX_EPOCH),
        tenant: text(),
        incident_id: text(),
        threat: Threat { name: text(), family: text() },
        mitre: Mitre { technique: vec!["T1204.002".to_owned()] },
        user: User { name: text(), domain: text() },
        file: FileInfo { name: text(), path: text(), sha1: text(), sha256: text() },
        ..Alert::default()
    };
    (alert, device)
}

//! One value of a detection: from its text to the pattern that it asks for.

use regex::RegexBuilder;
use rsigma_parser::{Modifier, SigmaString};

use super::detection::Setting;
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::field::{Field, NamedField, Ordering, severity_word};
use super::modifiers::Modifiers;
use super::number::Number;
use super::pattern::{Anchor, Bound, Comparison, MAX_REGEX_BYTES, PatternKind, TextShape};
use super::time_part::TimePart;
use super::transform::{self, Encoding};
use super::yaml::{Node, Scalar};
use crate::alert::{Format, Severity};

/// Compiles a value; `None` where a finding says what is wrong with it.
pub(super) fn compile(
    field: &Field,
    modifiers: &Modifiers,
    text: &str,
    scalar: Scalar,
    node: &Node,
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    if let Some(part) = modifiers.time_part {
        return time_part(part, modifiers.operator.and_then(comparison), scalar, node, report);
    }
    if modifiers.fieldref {
        return field_reference(modifiers, node, setting, report);
    }
    if let Some(comparison) = modifiers.operator.and_then(comparison) {
        return compare(comparison, field, text, scalar, node, report);
    }
    let anchor = match modifiers.operator {
        Some(Modifier::Exists) => return exists(scalar, node, report),
        Some(Modifier::Re) => return regex(modifiers, text, scalar, node, report),
        Some(Modifier::Cidr) => return network(text, node, report),
        Some(Modifier::StartsWith) => Anchor::Start,
        Some(Modifier::EndsWith) => Anchor::End,
        Some(Modifier::Contains) => Anchor::Contains,
        _ if matches!(field, Field::Everything) => Anchor::Contains,
        _ => Anchor::Whole,
    };
    if modifiers.is_base64() {
        return base64(anchor, modifiers, text, scalar, node, report);
    }
    if anchor != Anchor::Whole {
        return substring(anchor, modifiers, text, scalar, node, report);
    }
    match scalar {
        Scalar::Null if modifiers.negated => {
            report
                .error(Code::InvalidModifiers, node.span, "`neq` cannot be compared with null")
                .help("write `|exists: true`");
            None
        }
        Scalar::Null => Some(PatternKind::Missing),
        Scalar::Bool(wanted) => Some(PatternKind::Bool(wanted)),
        Scalar::Int(_) | Scalar::Float(_) => number(text, scalar).map(PatternKind::Number),
        Scalar::Text => {
            check_closed_words(field, text, node.span, report)?;
            text_pattern(Anchor::Whole, modifiers, text, node, report)
        }
    }
}

fn number(text: &str, scalar: Scalar) -> Option<Number> {
    match scalar {
        // Not always written in decimal digits.
        Scalar::Int(number) => Some(Number::Whole(number.into())),
        _ => Number::parse(text),
    }
}

const fn comparison(modifier: Modifier) -> Option<Comparison> {
    match modifier {
        Modifier::Gt => Some(Comparison::Greater),
        Modifier::Gte => Some(Comparison::GreaterOrEqual),
        Modifier::Lt => Some(Comparison::Less),
        Modifier::Lte => Some(Comparison::LessOrEqual),
        _ => None,
    }
}

fn time_part(
    part: TimePart,
    comparison: Option<Comparison>,
    scalar: Scalar,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    let (least, most) = part.range();
    match scalar {
        Scalar::Int(wanted) if (least..=most).contains(&wanted) => {
            Some(PatternKind::TimePart { part, comparison, wanted })
        }
        _ => {
            let message = format!("`{}` is a whole number from {least} to {most}, in UTC", part.as_str());
            report.error(Code::InvalidValue, node.span, message);
            None
        }
    }
}

fn field_reference(
    modifiers: &Modifiers,
    node: &Node,
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    let Some(name) = node.as_text() else {
        let message = format!("`fieldref` takes the name of a field, not {}", node.describe());
        report.error(Code::InvalidValue, node.span, message);
        return None;
    };
    let field = setting.field(name, node.span, report)?;
    let anchor = match modifiers.operator {
        Some(Modifier::Contains) => Anchor::Contains,
        Some(Modifier::StartsWith) => Anchor::Start,
        Some(Modifier::EndsWith) => Anchor::End,
        _ => Anchor::Whole,
    };
    Some(PatternKind::FieldRef { slot: setting.table.slot_of(&field), anchor, cased: modifiers.cased })
}

fn base64(
    anchor: Anchor,
    modifiers: &Modifiers,
    text: &str,
    scalar: Scalar,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    let plain = SigmaString::new(text).as_plain();
    let Some(plain) = plain.filter(|plain| !plain.is_empty() && !matches!(scalar, Scalar::Null)) else {
        let finding = report.error(Code::InvalidValue, node.span, "only a text without wildcards has a Base64 form");
        finding.help(r"for a star or question mark itself write `\*` or `\?`");
        return None;
    };
    let bytes = modifiers.encoding().unwrap_or(Encoding::Utf8).encode(&plain);
    let shape = if modifiers.has(Modifier::Base64Offset) {
        let parts = transform::base64_offsets(&bytes);
        if parts.iter().any(String::is_empty) {
            let message = format!("`{text}` is too short: its Base64 form inside a longer text would be any text");
            report.error(Code::InvalidValue, node.span, message);
            return None;
        }
        TextShape::contains_any(&parts, modifiers.cased)
    } else {
        TextShape::literal(transform::base64(&bytes), anchor, modifiers.cased)
    };
    finish(shape, modifiers, node, report)
}

fn exists(scalar: Scalar, node: &Node, report: &mut Report<'_>) -> Option<PatternKind> {
    if let Scalar::Bool(wanted) = scalar {
        return Some(PatternKind::Exists(wanted));
    }
    report.error(Code::InvalidValue, node.span, format!("`exists` takes `true` or `false`, not {}", node.describe()));
    None
}

fn regex(
    modifiers: &Modifiers,
    text: &str,
    scalar: Scalar,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    if matches!(scalar, Scalar::Null | Scalar::Bool(_)) {
        report.error(Code::InvalidValue, node.span, "`re` takes a regular expression: quote it");
        return None;
    }
    let built = RegexBuilder::new(text)
        .case_insensitive(modifiers.has(Modifier::IgnoreCase))
        .multi_line(modifiers.has(Modifier::Multiline))
        .dot_matches_new_line(modifiers.has(Modifier::DotAll))
        .size_limit(MAX_REGEX_BYTES)
        .nest_limit(64)
        .build();
    match built {
        Ok(regex) => Some(PatternKind::Regex(regex)),
        Err(error) => {
            // The library draws the expression over several lines; its last line says what is wrong.
            let said = error.to_string();
            let reason = said.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            report.error(Code::InvalidRegex, node.span, format!("not a regular expression: {reason}"));
            None
        }
    }
}

fn network(text: &str, node: &Node, report: &mut Report<'_>) -> Option<PatternKind> {
    match text.parse() {
        Ok(network) => Some(PatternKind::Network(network)),
        Err(_) => {
            let finding = report.error(Code::InvalidCidr, node.span, format!("`{text}` is not a network"));
            match text.parse::<std::net::IpAddr>() {
                Ok(address) => finding.help(format!("write `{address}/{}`", if address.is_ipv4() { 32 } else { 128 })),
                Err(_) => finding.help("write an address and a prefix length, for example `10.0.0.0/8`"),
            };
            None
        }
    }
}

fn compare(
    comparison: Comparison,
    field: &Field,
    text: &str,
    scalar: Scalar,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    let bound = match (field.ordering(), scalar) {
        (Ordering::None, _) => {
            report
                .error(Code::InvalidModifiers, node.span, "this field has no order: `gt gte lt lte` cannot compare it")
                .help("fields with an order: severity, device.risk, id, incident_id, labels.<name>, raw.<path>");
            return None;
        }
        (Ordering::Severity, _) => severity_word(&text.to_lowercase()).map(Bound::Severity),
        (Ordering::Number, Scalar::Int(_) | Scalar::Float(_)) => number(text, scalar).map(Bound::Number),
        (Ordering::Number, _) => None,
    };
    if bound.is_none() {
        let by_severity = field.ordering() == Ordering::Severity;
        let wanted = if by_severity { "a severity" } else { "a number" };
        let finding = report.error(Code::InvalidValue, node.span, format!("expected {wanted}, found `{text}`"));
        if by_severity {
            finding.suggest(text, Severity::ALL.iter().map(|severity| severity.as_str()));
        } else {
            finding.help("write a number, without quotes");
        }
    }
    bound.map(|bound| PatternKind::Compare(comparison, bound))
}

fn substring(
    anchor: Anchor,
    modifiers: &Modifiers,
    text: &str,
    scalar: Scalar,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    if matches!(scalar, Scalar::Null) {
        report
            .error(Code::InvalidValue, node.span, "`null` is no text that another could contain, begin or end with")
            .help("where the alert does not say: write the field without a modifier, in a map of its own");
        return None;
    }
    if text.is_empty() {
        report
            .error(Code::InvalidValue, node.span, "an empty text is part of every text: this would hold for everything")
            .help("to ask whether the field is there, write `|exists: true`");
        return None;
    }
    text_pattern(anchor, modifiers, text, node, report)
}

fn text_pattern(
    anchor: Anchor,
    modifiers: &Modifiers,
    text: &str,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    warn_of_escaped_wildcard(text, node, report);
    let shape = if modifiers.has(Modifier::WindAsh) {
        TextShape::compile_windash(text, anchor, modifiers.cased)
    } else {
        TextShape::compile(text, anchor, modifiers.cased)
    };
    finish(shape, modifiers, node, report)
}

fn finish(
    shape: Result<TextShape, regex::Error>,
    modifiers: &Modifiers,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PatternKind> {
    match shape {
        Ok(shape) => Some(PatternKind::Text { cased: modifiers.cased, shape }),
        Err(_) => {
            report.error(Code::InvalidRegex, node.span, "this pattern with wildcards is too large");
            None
        }
    }
}

/// `C:\Users\*\AppData` asks for a folder named `*`: Sigma's most common surprise.
fn warn_of_escaped_wildcard(text: &str, node: &Node, report: &mut Report<'_>) {
    let unescaped = text.replace(r"\\", "");
    let is_path = text.matches('\\').count() > 1;
    for wildcard in ['*', '?'] {
        if is_path && unescaped.contains(&format!(r"\{wildcard}")) {
            let message = format!(r"`\{wildcard}` is a literal `{wildcard}`, not a backslash and a wildcard");
            let finding = report.warning(Code::EscapedWildcard, node.span, message);
            finding.help(format!(r"for a wildcard after a backslash write `\\{wildcard}`"));
        }
    }
}

/// A word that a field with a closed list of words can never hold is a spelling mistake.
fn check_closed_words(field: &Field, text: &str, span: Span, report: &mut Report<'_>) -> Option<()> {
    let words: Vec<&str> = match field {
        Field::Named(NamedField::Severity) => Severity::ALL.iter().map(|severity| severity.as_str()).collect(),
        Field::Named(NamedField::Format) => Format::ALL.iter().map(|format| format.as_str()).collect(),
        _ => return Some(()),
    };
    if text.contains(['*', '?']) || words.contains(&text.to_lowercase().as_str()) {
        return Some(());
    }
    let finding = report.error(Code::InvalidValue, span, format!("`{text}` is none of {}", words.join(", ")));
    finding.suggest(text, words.iter().copied());
    None
}

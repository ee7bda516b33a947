//! From the `detection` of a rule file to compiled selections.

use regex::RegexBuilder;
use rsigma_parser::Modifier;

use super::diagnostic::{DiagnosticCode as Code, Report, Span, nearest};
use super::field::{Field, FieldTable, NamedField, Ordering, severity_word};
use super::modifiers::Modifiers;
use super::pattern::{Anchor, Bound, Comparison, MAX_REGEX_BYTES, Pattern, PatternKind, TextShape};
use super::selection::{FieldTest, Selection};
use super::yaml::{Key, Node, Scalar, Value};
use crate::alert::{Format, Severity};

/// Compiles one named selection; findings go to the report.
pub(super) fn compile(key: &Key, node: &Node, table: &mut FieldTable, report: &mut Report<'_>) -> Selection {
    let mut alternatives = Vec::new();
    match &node.value {
        Value::Map(entries) => alternatives.push(compile_map(&key.text, node.span, entries, table, report)),
        Value::List(items) if !items.is_empty() => {
            for item in items {
                match &item.value {
                    Value::Map(entries) => {
                        alternatives.push(compile_map(&key.text, item.span, entries, table, report));
                    }
                    _ => refuse_keyword(item, report),
                }
            }
        }
        Value::List(_) => {
            report.error(Code::EmptyDetection, node.span, format!("the selection `{}` is empty", key.text));
        }
        Value::Scalar { scalar: Scalar::Null, .. } => {
            report.error(Code::EmptyDetection, key.span, format!("the selection `{}` is empty", key.text));
        }
        Value::Scalar { .. } => refuse_keyword(node, report),
    }
    Selection { name: key.text.clone(), alternatives }
}

fn refuse_keyword(node: &Node, report: &mut Report<'_>) {
    report
        .error(Code::NotSupported, node.span, "a search for keywords in all fields is not supported")
        .help("name the field, for example `title|contains: word`");
}

fn compile_map(
    name: &str,
    span: Span,
    entries: &[(Key, Node)],
    table: &mut FieldTable,
    report: &mut Report<'_>,
) -> Vec<FieldTest> {
    if entries.is_empty() {
        report.error(
            Code::EmptyDetection,
            span,
            format!("the selection `{name}` is empty: it would hold for everything"),
        );
    }
    entries.iter().filter_map(|(key, node)| compile_test(key, node, table, report)).collect()
}

fn compile_test(key: &Key, node: &Node, table: &mut FieldTable, report: &mut Report<'_>) -> Option<FieldTest> {
    let (field_name, modifier_words) = key.text.split_once('|').unwrap_or((key.text.as_str(), ""));
    let modifiers = Modifiers::parse(modifier_words, key, report);
    let Some(field) = Field::parse(field_name) else {
        let finding = report.error(Code::UnknownField, key.span, format!("alerts have no field `{field_name}`"));
        match nearest(field_name, Field::known_names()) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("what the source sent beside the known fields is under `raw.<path>`"),
        };
        return None;
    };
    let modifiers = modifiers?;
    let values: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if values.is_empty() {
        report.error(Code::EmptyDetection, node.span, format!("`{}` has an empty list of values", key.text));
        return None;
    }
    if modifiers.all && values.len() < 2 {
        report
            .error(Code::InvalidModifiers, key.span, "`all` needs a list of at least two values")
            .help("remove `|all`, or add values");
    }
    if modifiers.has(Modifier::Exists) && matches!(node.value, Value::List(_)) {
        report.error(Code::InvalidValue, node.span, "`exists` takes `true` or `false`, not a list");
        return None;
    }
    let patterns: Vec<Pattern> =
        values.iter().filter_map(|value| compile_value(&field, &modifiers, value, report)).collect();
    if patterns.len() < values.len() {
        return None;
    }
    let slot = table.slot_of(&field);
    Some(FieldTest { slot, written: key.text.clone(), all: modifiers.all, negated: modifiers.negated, patterns })
}

fn compile_value(field: &Field, modifiers: &Modifiers, node: &Node, report: &mut Report<'_>) -> Option<Pattern> {
    let Value::Scalar { text, scalar } = &node.value else {
        report.error(Code::InvalidValue, node.span, format!("expected a value, found {}", node.describe()));
        return None;
    };
    let kind = match modifiers.operator {
        Some(Modifier::Exists) => exists(*scalar, node, report)?,
        Some(Modifier::Re) => regex(modifiers, text, *scalar, node, report)?,
        Some(Modifier::Cidr) => network(text, node, report)?,
        Some(Modifier::Gt) => compare(Comparison::Greater, field, text, *scalar, node, report)?,
        Some(Modifier::Gte) => compare(Comparison::GreaterOrEqual, field, text, *scalar, node, report)?,
        Some(Modifier::Lt) => compare(Comparison::Less, field, text, *scalar, node, report)?,
        Some(Modifier::Lte) => compare(Comparison::LessOrEqual, field, text, *scalar, node, report)?,
        Some(Modifier::Contains) => substring(Anchor::Contains, modifiers, text, *scalar, node, report)?,
        Some(Modifier::StartsWith) => substring(Anchor::Start, modifiers, text, *scalar, node, report)?,
        Some(Modifier::EndsWith) => substring(Anchor::End, modifiers, text, *scalar, node, report)?,
        _ => match *scalar {
            Scalar::Null if modifiers.negated => {
                report
                    .error(Code::InvalidModifiers, node.span, "`neq` cannot be compared with null")
                    .help("write `|exists: true`");
                return None;
            }
            Scalar::Null => PatternKind::Missing,
            Scalar::Bool(wanted) => PatternKind::Bool(wanted),
            Scalar::Int(_) | Scalar::Float(_) => PatternKind::Number(text.parse().ok()?),
            Scalar::Text => {
                check_closed_words(field, text, node.span, report)?;
                text_pattern(Anchor::Whole, modifiers.cased, text, node, report)?
            }
        },
    };
    let written = if matches!(kind, PatternKind::Missing) { "null".to_owned() } else { text.clone() };
    Some(Pattern { written, kind })
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
        (Ordering::Number, Scalar::Int(_) | Scalar::Float(_)) => text.parse().ok().map(Bound::Number),
        (Ordering::Number, _) => None,
    };
    if bound.is_none() {
        let wanted = if field.ordering() == Ordering::Severity { "a severity" } else { "a number" };
        report
            .error(Code::InvalidValue, node.span, format!("expected {wanted}, found `{text}`"))
            .suggest(text, Severity::ALL.iter().map(|severity| severity.as_str()));
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
    if matches!(scalar, Scalar::Null) || text.is_empty() {
        report
            .error(Code::InvalidValue, node.span, "an empty text is part of every text: this would hold for everything")
            .help("to ask whether the field is there, write `|exists: true`");
        return None;
    }
    text_pattern(anchor, modifiers.cased, text, node, report)
}

fn text_pattern(anchor: Anchor, cased: bool, text: &str, node: &Node, report: &mut Report<'_>) -> Option<PatternKind> {
    warn_of_escaped_wildcard(text, node, report);
    match TextShape::compile(text, anchor, cased) {
        Ok(shape) => Some(PatternKind::Text { cased, shape }),
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

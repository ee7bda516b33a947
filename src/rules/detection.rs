//! From the `detection` of a rule file to compiled selections.

use rsigma_parser::Modifier;

use super::diagnostic::{DiagnosticCode as Code, Report, Span, nearest};
use super::expand::expand;
use super::field::{Field, FieldTable};
use super::lists::{Lists, MAX_EXPANDED};
use super::modifiers::Modifiers;
use super::pattern::{Pattern, PatternKind, TextShape};
use super::selection::{FieldTest, Selection};
use super::value;
use super::yaml::{Key, Node, Scalar, Value};
use crate::alert::field_called;

/// What a value with a wildcard in its middle costs beyond a plain one: it becomes a regular expression.
const GLOB_COST: usize = 49;

/// What the detections of a rule set are compiled with.
#[derive(Debug)]
pub(super) struct Setting<'l> {
    /// Fields that were asked for so far.
    pub(super) table: FieldTable,
    /// Lists for placeholders.
    pub(super) lists: &'l Lists,
    /// Values that placeholders have become so far.
    pub(super) expanded: usize,
    /// The bytes of those values.
    pub(super) expanded_bytes: usize,
    /// A field that alerts do not have is a path into the original JSON, not an error.
    pub(super) any_field: bool,
}

impl<'l> Setting<'l> {
    pub(super) fn new(lists: &'l Lists, any_field: bool) -> Self {
        Self { table: FieldTable::default(), lists, expanded: 0, expanded_bytes: 0, any_field }
    }

    /// Takes from what all placeholders together may become; a finding where nothing is left.
    pub(super) fn spend(&mut self, values: usize, node: &Node, report: &mut Report<'_>) {
        self.expanded = self.expanded.saturating_add(values);
        if self.expanded > MAX_EXPANDED {
            let message = format!("the placeholders of the rules stand for more than {MAX_EXPANDED} values");
            let finding = report.error(Code::InvalidList, node.span, message);
            finding.help(format!("shorten the lists; a value with a wildcard in it counts as {}", GLOB_COST + 1));
        }
    }

    /// The field of a name; a finding where there is none.
    pub(super) fn field(&self, name: &str, span: Span, report: &mut Report<'_>) -> Option<Field> {
        if name.contains(['[', ']']) && !self.any_field {
            let message = format!("`{name}`: positions and `[any]`, `[all]` belong to Sigma 3 and are not supported");
            report
                .error(Code::NotSupported, span, message)
                .help("leave the brackets out: an array on the way stands for any of its elements");
            return None;
        }
        if let Some(field) = Field::parse(name) {
            return Some(field);
        }
        if self.any_field && !name.is_empty() {
            return Some(Field::foreign(name));
        }
        let finding = report.error(Code::UnknownField, span, format!("alerts have no field `{name}`"));
        if let Some(one) = Field::one_of_group(name) {
            finding.help(format!("`{name}` is a group of fields: write each with a dot, for example `{one}`"));
        } else if let Some(meant) = meant_by(name) {
            finding.help(format!("did you mean `{meant}`?"));
        } else {
            finding.help("what the source sent beside the known fields is under `raw.<path>`");
        }
        None
    }
}

/// The field that is near in its spelling, has this name in another system, or is the only one that ends with it.
fn meant_by(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or_default();
    let other_name = || field_called(name).or_else(|| field_called(last));
    let ends_so = |field: &&str| field.split_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case(last));
    let mut ending = Field::known_names().filter(ends_so);
    let only = ending.next().filter(|_| ending.next().is_none());
    nearest(name, Field::known_names()).or_else(other_name).or(only)
}

/// Compiles one named selection; findings go to the report.
pub(super) fn compile(key: &Key, node: &Node, setting: &mut Setting<'_>, report: &mut Report<'_>) -> Selection {
    let mut alternatives = Vec::new();
    match &node.value {
        Value::Map(entries) => alternatives.push(compile_map(&key.text, node.span, entries, setting, report)),
        Value::List(items) if !items.is_empty() => {
            let mut keywords = Vec::new();
            for item in items {
                match &item.value {
                    Value::Map(entries) => {
                        alternatives.push(compile_map(&key.text, item.span, entries, setting, report));
                    }
                    Value::Scalar { .. } => keywords.push(item),
                    Value::List(_) => {
                        let message = "a list within a list means nothing in a selection";
                        report.error(Code::InvalidValue, item.span, message);
                    }
                }
            }
            if !keywords.is_empty() {
                alternatives.push(compile_keywords(&keywords, setting, report));
            }
        }
        Value::List(_) => {
            report.error(Code::EmptyDetection, node.span, format!("the selection `{}` is empty", key.text));
        }
        Value::Scalar { scalar: Scalar::Null, .. } => {
            report.error(Code::EmptyDetection, key.span, format!("the selection `{}` is empty", key.text));
        }
        Value::Scalar { .. } => alternatives.push(compile_keywords(&[node], setting, report)),
    }
    Selection { name: key.text.clone(), span: key.span, alternatives }
}

/// Values without a field: any of them is found in the text of any field.
fn compile_keywords(items: &[&Node], setting: &mut Setting<'_>, report: &mut Report<'_>) -> Vec<FieldTest> {
    let modifiers = Modifiers::default();
    let patterns: Vec<Pattern> =
        items.iter().flat_map(|item| compile_value(&Field::Everything, &modifiers, item, setting, report)).collect();
    let slot = setting.table.slot_of(&Field::Everything);
    vec![FieldTest { slot, written: "keywords".to_owned(), all: false, negated: false, patterns }]
}

fn compile_map(
    name: &str,
    span: Span,
    entries: &[(Key, Node)],
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Vec<FieldTest> {
    if entries.is_empty() {
        report.error(
            Code::EmptyDetection,
            span,
            format!("the selection `{name}` is empty: it would hold for everything"),
        );
    }
    entries.iter().filter_map(|(key, node)| compile_test(key, node, setting, report)).collect()
}

fn compile_test(key: &Key, node: &Node, setting: &mut Setting<'_>, report: &mut Report<'_>) -> Option<FieldTest> {
    let (field_name, modifier_words) = key.text.split_once('|').unwrap_or((key.text.as_str(), ""));
    let modifiers = Modifiers::parse(modifier_words, key, report);
    let field = if field_name.is_empty() && !modifier_words.is_empty() {
        Field::Everything
    } else {
        setting.field(field_name, key.span, report)?
    };
    let modifiers = modifiers?;
    let problem = match &field {
        Field::Everything => modifiers.problem_for_keywords(),
        field if modifiers.time_part.is_some() && !field.may_be_time() => {
            Some("this field holds no time: `created_at`, `labels.<name>` and `raw.<path>` may")
        }
        _ => None,
    };
    if let Some(problem) = problem {
        report.error(Code::InvalidModifiers, key.span, problem);
        return None;
    }
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
    let errors = report.error_count();
    let patterns: Vec<Pattern> =
        values.iter().flat_map(|value| compile_value(&field, &modifiers, value, setting, report)).collect();
    if report.error_count() > errors {
        return None;
    }
    let slot = setting.table.slot_of(&field);
    Some(FieldTest { slot, written: key.text.clone(), all: modifiers.all, negated: modifiers.negated, patterns })
}

/// One pattern, or with `expand` one for each value that the placeholders stand for.
fn compile_value(
    field: &Field,
    modifiers: &Modifiers,
    node: &Node,
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Vec<Pattern> {
    let Value::Scalar { text, scalar } = &node.value else {
        report.error(Code::InvalidValue, node.span, format!("expected a value, found {}", node.describe()));
        return Vec::new();
    };
    if !modifiers.has(Modifier::Expand) {
        let kind = value::compile(field, modifiers, text, *scalar, node, setting, report);
        let written = if matches!(scalar, Scalar::Null) { "null" } else { text.as_str() };
        return kind.map(|kind| Pattern { written: written.to_owned(), kind }).into_iter().collect();
    }
    let mut patterns = Vec::new();
    for text in expand(text, node, setting, report).unwrap_or_default() {
        let errors = report.error_count();
        if let Some(kind) = value::compile(field, modifiers, &text, Scalar::Text, node, setting, report) {
            if matches!(kind, PatternKind::Text { shape: TextShape::Glob(_), .. }) {
                setting.spend(GLOB_COST, node, report);
            }
            patterns.push(Pattern { written: text, kind });
        }
        if report.error_count() > errors {
            break;
        }
    }
    patterns
}

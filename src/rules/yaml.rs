//! YAML as a tree that remembers where everything stood, so that a finding can point at it.
//!
//! Only what rule files need: maps with text keys, lists, scalars of YAML's core schema, anchors and aliases. Merge keys
//! and tags are refused by name. Duplicate keys are findings here, because a map keeps all its entries.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::diagnostic::{DiagnosticCode as Code, Report, Span};

/// Nodes of one file, with what anchors keep and aliases repeat: bounds what a chain of them can grow to.
const MAX_NODES: usize = 200_000;
/// A text counts as one more node for each so many bytes.
const BYTES_PER_NODE: usize = 256;
/// Deepest nesting of lists and maps, aliases expanded: trees are walked by recursion.
const MAX_DEPTH: usize = 64;

/// One value and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Span,
}

/// A value of a rule file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A scalar: its text after YAML's unescaping, and what a plain scalar means.
    Scalar {
        text: String,
        scalar: Scalar,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// What a scalar means by YAML's core schema. Quoted scalars are always text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

impl Node {
    pub(super) fn as_map(&self) -> Option<&[(Key, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// The text of a text scalar.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, scalar: Scalar::Text } => Some(text),
            _ => None,
        }
    }

    /// What this is, for findings.
    pub(super) const fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar { scalar, .. } => match scalar {
                Scalar::Null => "nothing",
                Scalar::Bool(_) => "true or false",
                Scalar::Int(_) | Scalar::Float(_) => "a number",
                Scalar::Text => "text",
            },
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// What the node and all below it cost, in nodes.
    fn cost(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { text, .. } => text.len() / BYTES_PER_NODE,
            Value::List(items) => items.iter().map(Self::cost).sum(),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| 1 + key.text.len() / BYTES_PER_NODE + node.cost()).sum()
            }
        }
    }

    fn depth(&self) -> usize {
        let below = match &self.value {
            Value::Scalar { .. } => return 0,
            Value::List(items) => items.iter().map(Self::depth).max(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.depth()).max(),
        };
        1 + below.unwrap_or_default()
    }
}

enum Frame {
    List { start: Span, anchor: usize, items: Vec<Node> },
    Map { start: Span, anchor: usize, entries: Vec<(Key, Node)>, seen: HashSet<String>, key: Option<Key> },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Rc<Node>>,
    documents: Vec<Node>,
    nodes: usize,
}

/// The documents of a file, empty ones left out. Syntax errors end the file; other findings do not.
pub(super) fn load(report: &mut Report<'_>) -> Vec<Node> {
    let source = report.source;
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(&source.text, options) {
        match event {
            Ok((event, span)) => {
                let span = to_span(&span);
                if !builder.event(event, span, report) {
                    break;
                }
            }
            Err(error) => {
                let start = error.marker().byte_offset().unwrap_or(source.text.len());
                let message = format!("not valid YAML: {}", error.info());
                let finding = report.error(Code::InvalidYaml, Span { start, end: start }, message);
                if let Some(help) = how_to_quote(source.text.get(start..).unwrap_or_default()) {
                    finding.help(help);
                }
                break;
            }
        }
    }
    builder.documents
}

/// What begins with a mark of YAML, or has backslashes between double quotes, is usually meant as it stands.
fn how_to_quote(rest: &str) -> Option<&'static str> {
    match rest.chars().next()? {
        '*' | '%' | '@' | '`' => {
            Some("put it in single quotes: without them its first character means something to YAML")
        }
        '"' if rest.lines().next()?.contains('\\') => {
            Some("put it in single quotes: between double ones a backslash begins an escape")
        }
        _ => None,
    }
}

fn to_span(span: &granit_parser::Span) -> Span {
    let start = span.start.byte_offset().unwrap_or(0);
    Span { start, end: span.end.byte_offset().unwrap_or(start) }
}

impl Builder {
    /// Takes one event; false where the file is not worth reading further.
    fn event(&mut self, event: Event<'_>, span: Span, report: &mut Report<'_>) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced_text = tag.as_deref().is_some_and(|tag| is_core(tag, "str"));
                if let Some(tag) = tag.filter(|_| !forced_text) {
                    refuse_tag(&tag, span, report);
                }
                let text = text.into_owned();
                let plain = style == ScalarStyle::Plain && !forced_text;
                if plain && is_too_long(&text) {
                    let message = "a whole number with more digits than a number keeps";
                    report.error(Code::InvalidValue, span, message).help("quote it: as a text it keeps all of them");
                }
                let scalar = if plain { resolve(&text) } else { Scalar::Text };
                self.finish(Node { span, value: Value::Scalar { text, scalar } }, anchor, report)
            }
            Event::SequenceStart(_, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| !is_core(tag, "seq")) {
                    refuse_tag(&tag, span, report);
                }
                self.stack.push(Frame::List { start: span, anchor, items: Vec::new() });
                true
            }
            Event::MappingStart(_, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| !is_core(tag, "map")) {
                    refuse_tag(&tag, span, report);
                }
                let (entries, seen) = (Vec::new(), HashSet::new());
                self.stack.push(Frame::Map { start: span, anchor, entries, seen, key: None });
                true
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::List { start, anchor, items }) => {
                    let span = Span { start: start.start, end: span.end };
                    self.finish(Node { span, value: Value::List(items) }, anchor, report)
                }
                Some(Frame::Map { start, anchor, entries, .. }) => {
                    let span = Span { start: start.start, end: span.end };
                    self.finish(Node { span, value: Value::Map(entries) }, anchor, report)
                }
                None => true,
            },
            Event::Alias(target) => match self.anchors.get(&target).cloned() {
                Some(node) if self.stack.len() + node.depth() > MAX_DEPTH => {
                    let message = format!("with what this alias stands for, nested deeper than {MAX_DEPTH}");
                    report.error(Code::InvalidYaml, span, message).help("nest less: write what is meant out flat");
                    false
                }
                Some(node) => {
                    self.spend(node.cost(), span, report)
                        && self.finish(Node { span, value: node.value.clone() }, 0, report)
                }
                None => {
                    report.error(Code::InvalidYaml, span, "an alias to the value it stands in");
                    false
                }
            },
            Event::DocumentStart(..) => {
                self.anchors.clear();
                true
            }
            _ => true,
        }
    }

    /// Counts before anything is copied; false where it is too much.
    fn spend(&mut self, nodes: usize, span: Span, report: &mut Report<'_>) -> bool {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values in one file, with what anchors and aliases repeat");
            report.error(Code::InvalidYaml, span, message).help("split the file, or write less by aliases");
        }
        self.nodes <= MAX_NODES
    }

    fn finish(&mut self, node: Node, anchor: usize, report: &mut Report<'_>) -> bool {
        let kept = if anchor == 0 { 0 } else { node.cost() };
        if !self.spend(1 + kept, node.span, report) {
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::new(node.clone()));
        }
        match self.stack.last_mut() {
            None => {
                if !matches!(node.value, Value::Scalar { scalar: Scalar::Null, .. }) {
                    self.documents.push(node);
                }
            }
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, seen, key, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(to_key(node, seen, report)),
            },
        }
        true
    }
}

fn to_key(node: Node, seen: &mut HashSet<String>, report: &mut Report<'_>) -> Key {
    let Value::Scalar { text, .. } = node.value else {
        report.error(Code::InvalidYaml, node.span, "a key must be text, not a list or a map");
        return Key { text: String::new(), span: node.span };
    };
    if text == "<<" {
        report.error(Code::NotSupported, node.span, "YAML merge keys (`<<`) are not supported: write the keys out");
    }
    if !seen.insert(text.clone()) {
        report.error(Code::DuplicateKey, node.span, format!("the key `{text}` is there twice in this map"));
    }
    Key { text, span: node.span }
}

fn is_core(tag: &Tag, suffix: &str) -> bool {
    tag.handle() == "tag:yaml.org,2002:" && tag.suffix() == suffix
}

fn refuse_tag(tag: &Tag, span: Span, report: &mut Report<'_>) {
    let message = format!("the YAML tag `{}{}` is not supported", tag.handle(), tag.suffix());
    report.error(Code::NotSupported, span, message).help("remove the tag; quote the value to make it text");
}

/// A plain scalar by the core schema of YAML 1.2.
fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let starts_like_a_number =
        text.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if !starts_like_a_number {
        return Scalar::Text;
    }
    let hexadecimal = text.strip_prefix("0x").and_then(|digits| unsigned(digits, 16));
    let octal = || text.strip_prefix("0o").and_then(|digits| unsigned(digits, 8));
    if let Some(number) = text.parse::<i64>().ok().or(hexadecimal).or_else(octal) {
        return Scalar::Int(number);
    }
    let digits_only = text.chars().all(|character| character.is_ascii_digit() || "+-.eE".contains(character));
    match text.parse::<f64>() {
        Ok(number) if digits_only && number.is_finite() => Scalar::Float(number),
        _ => Scalar::Text,
    }
}

fn unsigned(digits: &str, radix: u32) -> Option<i64> {
    i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))
}

/// A whole number beyond 64 bits: other parsers of Sigma refuse it, or read it as a fraction near it.
fn is_too_long(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
}

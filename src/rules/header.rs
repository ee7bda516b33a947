//! What every Sigma document says about itself, whatever its kind.

use std::fmt;
use std::str::FromStr as _;

use rsigma_parser::Level;

use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::read;
use super::yaml::{Key, Node, Value};

/// Keys that every kind of document may have.
pub(super) const KNOWN: &[&str] = &[
    "title",
    "id",
    "related",
    "name",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
];
/// Sigma's levels.
pub(super) const LEVELS: [(&str, Level); 5] = [
    ("informational", Level::Informational),
    ("low", Level::Low),
    ("medium", Level::Medium),
    ("high", Level::High),
    ("critical", Level::Critical),
];
const STATUSES: [(&str, &str); 5] = [
    ("stable", "stable"),
    ("test", "test"),
    ("experimental", "experimental"),
    ("deprecated", "deprecated"),
    ("unsupported", "unsupported"),
];
const RELATIONS: [(&str, ()); 6] =
    [("correlation", ()), ("derived", ()), ("obsolete", ()), ("merged", ()), ("renamed", ()), ("similar", ())];
/// Longest id, name or title, in characters: they are shown in metrics and events.
const MAX_NAME: usize = 256;

/// The checked header of a document.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// The `id`, or the title where there is none.
    pub(super) id: String,
    /// Where the id stands, for findings about the set.
    pub(super) id_span: Span,
    pub(super) title: String,
    /// Sigma's `name`: another way to refer to the document.
    pub(super) name: Option<String>,
    pub(super) level: Option<Level>,
    pub(super) status: Option<&'static str>,
    pub(super) description: Option<String>,
    pub(super) file: String,
    pub(super) line: u32,
}

/// Reads the header; `None` where there is no usable title.
pub(super) fn read(node: &Node, what: &str, report: &mut Report<'_>) -> Option<Header> {
    let title = match node.get("title") {
        Some(value) => short_text(value, "title", report),
        None => {
            report.error(Code::MissingKey, node.span, format!("{what} needs a `title`"));
            None
        }
    };
    let id = node.get("id").and_then(|value| Some((short_text(value, "id", report)?, value.span)));
    if let Some((id, span)) = &id
        && uuid::Uuid::from_str(id).is_err()
    {
        report.warning(Code::IdNotUuid, *span, "Sigma wants a rule's id to be a UUID");
    }
    let name = node.get("name").and_then(|value| short_text(value, "name", report));
    let level = node.get("level").and_then(|value| read::word(value, "level", &LEVELS, report));
    let status = node.get("status").and_then(|value| read::word(value, "status", &STATUSES, report));
    let description = node.get("description").and_then(Node::as_text).map(str::to_owned);
    if let Some(related) = node.get("related") {
        check_related(related, report);
    }
    let title = title?;
    let (id, id_span) = id.unwrap_or_else(|| (title.clone(), node.span));
    let (file, line) = (report.source.shown.clone(), report.line_of(node.span));
    Some(Header { id, id_span, title, name, level, status, description, file, line })
}

fn short_text(node: &Node, what: &str, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(node, what, report)?;
    if text.chars().count() > MAX_NAME {
        report.error(Code::InvalidValue, node.span, format!("{what} is longer than {MAX_NAME} characters"));
        return None;
    }
    Some(text.trim().to_owned())
}

/// `related` changes nothing here; it is for people, who should find what it says.
fn check_related(node: &Node, report: &mut Report<'_>) {
    let Value::List(items) = &node.value else {
        report.error(Code::InvalidValue, node.span, format!("related must be a list, not {}", node.describe()));
        return;
    };
    for item in items {
        read::entries(item, "a related rule", &["id", "type"], &[], report);
        if item.as_map().is_none() {
            continue;
        }
        for key in ["id", "type"] {
            match item.get(key) {
                None => {
                    report.error(Code::MissingKey, item.span, format!("a related rule needs `{key}`"));
                }
                Some(value) if key == "type" => {
                    read::word(value, key, &RELATIONS, report);
                }
                Some(value) => {
                    read::text(value, key, report);
                }
            }
        }
    }
}

/// Where a rule's events come from, as Sigma says it; compared without letter case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Logsource {
    parts: Vec<(String, String)>,
}

impl Logsource {
    pub(super) fn read(node: &Node, report: &mut Report<'_>) -> Self {
        let Some(entries) = node.as_map() else {
            report.error(Code::InvalidValue, node.span, format!("logsource must be a map, not {}", node.describe()));
            return Self::default();
        };
        let part = |(key, value): &(Key, Node)| {
            let text = value.as_text().filter(|_| key.text != "definition")?;
            Some((key.text.to_lowercase(), text.to_lowercase()))
        };
        Self { parts: entries.iter().filter_map(part).collect() }
    }

    /// Whether all of this is said by the other, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.parts.iter().all(|part| other.parts.contains(part))
    }
}

impl fmt::Display for Logsource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, value)) in self.parts.iter().enumerate() {
            write!(f, "{}{key}: {value}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

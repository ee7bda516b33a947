//! Checks a tree against the schema and turns it into JSON, noting the place of every value and collecting every fault.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::error::{ConfigError, Place, Position};
use super::schema::{alternatives, join, keys, kind, properties, resolve, types, words};
use super::yaml::{Entry, Node, Tree};

/// What the checks of one source (the file, or one variable) have found.
pub(super) struct Checker<'a> {
    /// Turns a position in the source into a place.
    pub(super) place: &'a dyn Fn(Position) -> Place,
    /// Every fault so far.
    pub(super) errors: Vec<ConfigError>,
    /// The place of every value that was taken, by dotted path with `[index]` for items of lists.
    pub(super) places: BTreeMap<String, Place>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(place: &'a dyn Fn(Position) -> Place) -> Self {
        Self { place, errors: Vec::new(), places: BTreeMap::new() }
    }

    fn fault(&mut self, at: Position, message: String) {
        self.errors.push(ConfigError { place: (self.place)(at), message });
    }

    /// Converts a value; `None` where it cannot be used, in which case a fault was noted.
    pub(super) fn convert(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        let (schema, nullable) = resolve(schema);
        self.places.insert(path.to_owned(), (self.place)(node.at));
        if let Some(words) = words(schema)
            && !(nullable && node.is_null())
        {
            return self.word(node, &words, path);
        }
        if nullable && node.is_null() {
            return Some(Value::Null);
        }
        let choices: Vec<_> = alternatives(schema).iter().filter(|schema| types(schema) != ["null"]).collect();
        if !choices.is_empty() {
            return self.any_of(node, &choices, path);
        }
        match types(schema).iter().filter(|name| **name != "null").copied().collect::<Vec<_>>().as_slice() {
            ["object"] => self.object(node, schema, path),
            ["array"] => self.array(node, schema, path),
            [scalar @ ("string" | "integer" | "number" | "boolean")] => self.scalar(node, scalar, path),
            _ => Some(untyped(node)),
        }
    }

    fn word(&mut self, node: &Node, words: &[&str], path: &str) -> Option<Value> {
        let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let Tree::Scalar { text, .. } = &node.value else {
            self.fault(node.at, format!("`{path}` must be {list}, not {}", shape(node)));
            return None;
        };
        if words.contains(&text.as_str()) {
            return Some(Value::String(text.clone()));
        }
        let hint = suggestion(text, words.iter().copied());
        self.fault(node.at, format!("`{path}` must be {list}, not `{text}`{hint}"));
        None
    }

    /// Takes the first alternative that fits; else reports what is wrong with the one that came nearest.
    fn any_of(&mut self, node: &Node, choices: &[&Value], path: &str) -> Option<Value> {
        let mut nearest: Option<Checker<'a>> = None;
        for choice in choices {
            let mut attempt = Checker::new(self.place);
            let value = attempt.convert(node, choice, path);
            if attempt.errors.is_empty() {
                self.places.append(&mut attempt.places);
                return value;
            }
            if nearest.as_ref().is_none_or(|nearest| attempt.errors.len() < nearest.errors.len()) {
                nearest = Some(attempt);
            }
        }
        self.errors.extend(nearest.into_iter().flat_map(|nearest| nearest.errors));
        None
    }

    fn object(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        let Tree::Mapping(entries) = &node.value else {
            // A section with every line commented out is an empty section.
            if node.is_null() && properties(schema).is_some() {
                return Some(Value::Object(Map::new()));
            }
            let what = if path.is_empty() { "the configuration".to_owned() } else { format!("`{path}`") };
            self.fault(node.at, format!("{what} must hold keys and values, not {}", shape(node)));
            return None;
        };
        let mut object = Map::new();
        for entry in entries {
            let entry_path = join(path, &entry.key);
            let known = properties(schema).and_then(|properties| properties.get(&entry.key));
            let other = schema.get("additionalProperties").filter(|other| **other != Value::Bool(false));
            let Some(schema_of_entry) = known.or(other.filter(|_| properties(schema).is_none())) else {
                self.unknown_key(entry, schema, path);
                continue;
            };
            if let Some(value) = self.convert(&entry.value, schema_of_entry, &entry_path) {
                object.insert(entry.key.clone(), value);
            }
        }
        Some(Value::Object(object))
    }

    fn unknown_key(&mut self, entry: &Entry, schema: &Value, path: &str) {
        let siblings: Vec<&str> = properties(schema).into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let mut hint = suggestion(&entry.key, siblings.iter().copied());
        if hint.is_empty() && path.is_empty() {
            // The right key in the wrong place.
            let below: Vec<String> = keys(schema).into_iter().map(|key| key.path).collect();
            let suffix = format!(".{}", entry.key);
            hint = below.iter().find(|path| path.ends_with(&suffix)).map_or_else(
                || format!("; known here: {}", siblings.join(", ")),
                |path| format!("; did you mean `{path}`?"),
            );
        } else if hint.is_empty() {
            hint = format!("; known here: {}", siblings.join(", "));
        }
        self.fault(entry.key_at, format!("unknown key `{}`{hint}", join(path, &entry.key)));
    }

    fn array(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        let Tree::Sequence(items) = &node.value else {
            self.fault(node.at, format!("`{path}` must be a list, not {}", shape(node)));
            return None;
        };
        let any = Value::Bool(true);
        let of_items = schema.get("items").unwrap_or(&any);
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let faults = self.errors.len();
            let value = self.convert(item, of_items, &format!("{path}[{index}]"));
            // An item that lost a key to a fault would only raise a second fault about the missing key.
            list.extend(value.filter(|_| self.errors.len() == faults));
        }
        Some(Value::Array(list))
    }

    fn scalar(&mut self, node: &Node, wanted: &str, path: &str) -> Option<Value> {
        let Tree::Scalar { text, .. } = &node.value else {
            self.fault(node.at, format!("`{path}` must be {}, not {}", with_article(wanted), shape(node)));
            return None;
        };
        if node.is_null() {
            self.fault(node.at, format!("`{path}` is empty; give it a value or remove the key"));
            return None;
        }
        let value = match wanted {
            "string" => Some(Value::String(text.clone())),
            "boolean" => boolean(text).map(Value::Bool),
            "integer" => integer(text).map(Value::Number),
            _ => number(text).map(Value::Number),
        };
        if value.is_none() {
            self.fault(node.at, format!("`{path}` must be {}, not `{text}`", with_article(wanted)));
        }
        value
    }
}

fn with_article(kind: &str) -> String {
    match kind {
        "integer" => "a whole number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "string" => "a text".to_owned(),
        other => format!("a {other}"),
    }
}

fn shape(node: &Node) -> &'static str {
    match node.value {
        Tree::Scalar { .. } => "a single value",
        Tree::Sequence(_) => "a list",
        Tree::Mapping(_) => "keys and values",
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<Number> {
    text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)).ok()
}

fn number(text: &str) -> Option<Number> {
    integer(text).or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}

/// A value of which the schema says nothing: YAML's own reading of it.
fn untyped(node: &Node) -> Value {
    match &node.value {
        _ if node.is_null() => Value::Null,
        Tree::Scalar { text, plain: false } => Value::String(text.clone()),
        Tree::Scalar { text, plain: true } => boolean(text)
            .map(Value::Bool)
            .or_else(|| number(text).map(Value::Number))
            .unwrap_or_else(|| Value::String(text.clone())),
        Tree::Sequence(items) => items.iter().map(untyped).collect(),
        Tree::Mapping(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), untyped(&entry.value))).collect())
        }
    }
}

/// `; did you mean …?` for the nearest candidate, or nothing where none is near.
pub(super) fn suggestion<'c>(wrong: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    let lower = wrong.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let nearest = candidates.into_iter().map(|candidate| (distance(candidate), candidate)).min();
    match nearest {
        Some((distance, candidate)) if distance <= wrong.chars().count().div_ceil(3) => {
            format!("; did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}

/// The type a variable's text is read as, see [`super::environment`].
pub(super) fn is_text(schema: &Value) -> bool {
    kind(schema) == "string"
}

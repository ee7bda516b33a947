//! Defaults, then the file, then the environment, into one settings value: generic over the settings type.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::check::Checker;
use super::environment::{Override, overrides};
use super::error::{ConfigError, ConfigErrors, Place, Position};
use super::schema::{ENVIRONMENT_PREFIX, json_schema, keys};
use super::yaml;

/// A settings type made of sections, each of which checks itself.
pub(super) trait Sections: JsonSchema + DeserializeOwned {
    /// What is wrong with the values, as (section, message). The message begins with the key, or is a sentence.
    fn faults(&self) -> Vec<(&'static str, String)>;
}

/// The merged settings, and the place of every value that is not a default.
pub(super) type Merged<T> = (T, BTreeMap<String, Place>);

/// Merges the layers.
///
/// # Errors
/// Every fault of the file, the environment and the values.
pub(super) fn load<T: Sections>(
    path: Option<&Path>,
    environment: &BTreeMap<String, String>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Merged<T>, ConfigErrors> {
    let file = match path {
        None => None,
        Some(path) => {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
                place: Place::Path { path: shown.clone() },
                message: format!("cannot read the configuration: {error}"),
            })?;
            Some((shown, text))
        }
    };
    merge(file.as_ref().map(|(path, text)| (path.as_str(), text.as_str())), environment, wanted)
}

/// Merges the layers, the file given as (name, text). Only the faults of `wanted` sections count.
pub(super) fn merge<T: Sections>(
    file: Option<(&str, &str)>,
    environment: &BTreeMap<String, String>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Merged<T>, ConfigErrors> {
    let schema = json_schema::<T>();
    let mut tree = Value::Object(Map::new());
    let mut places = BTreeMap::new();
    let mut errors = Vec::new();

    if let Some((path, text)) = file {
        let place = |at: Position| Place::File { path: path.to_owned(), at };
        if let Some(root) = yaml::parse(text, place)? {
            let mut checker = Checker::new(&place);
            tree = checker.convert(&root, &schema, "").unwrap_or(tree);
            places = checker.places;
            errors = checker.errors;
        }
    }
    for Override { path, value, places: of_value } in overrides(environment, &keys(&schema), &mut errors) {
        places.retain(|place, _| !is_within(place, &path));
        places.extend(of_value);
        set(&mut tree, &path, value);
    }

    let settings = deserialize::<T>(tree, &places, &mut errors);
    if let Some(settings) = &settings {
        let known: Vec<String> = keys(&schema).into_iter().map(|key| key.path).collect();
        let faulty: BTreeSet<String> = errors.iter().filter_map(section_of).collect();
        for (section, message) in settings.faults().into_iter().filter(|(section, _)| wanted(section)) {
            let fault = locate(section, &message, &known, &places);
            // "Not set" is noise in a section where the misspelt key was just reported.
            if fault.place != Place::Whole || !faulty.contains(section) {
                errors.push(fault);
            }
        }
    }
    match settings {
        Some(settings) if errors.is_empty() => Ok((settings, places)),
        _ => Err(ConfigErrors(errors)),
    }
}

fn is_within(place: &str, path: &str) -> bool {
    place.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn set(tree: &mut Value, path: &str, value: Value) {
    let mut here = tree;
    for name in path.split('.') {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Value::Object(object) = here else { return };
        here = object.entry(name).or_insert(Value::Null);
    }
    *here = value;
}

/// Deserializes, and on a fault takes the value away and tries again, so that one run reports every fault.
fn deserialize<T: Sections>(
    mut tree: Value,
    places: &BTreeMap<String, Place>,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    loop {
        let fault = match serde_path_to_error::deserialize(&tree) {
            Ok(settings) => return Some(settings),
            Err(fault) => fault,
        };
        let path = fault.path().to_string();
        let near =
            |path: &str| places.iter().filter(|(known, _)| is_within(path, known)).max_by_key(|(known, _)| known.len());
        let place = near(&path).map_or(Place::Whole, |(_, place)| place.clone());
        errors.push(ConfigError { place, message: format!("`{path}`: {}", fault.inner()) });
        let names: Vec<String> = fault
            .path()
            .iter()
            .map_while(|segment| match segment {
                Segment::Map { key } => Some(key.clone()),
                Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        if !remove(&mut tree, &names) {
            return None;
        }
    }
}

/// Takes the deepest value on the path that exists away; false where there is none.
fn remove(tree: &mut Value, names: &[String]) -> bool {
    let Some((first, rest)) = names.split_first() else { return false };
    let Value::Object(object) = tree else { return false };
    let Some(inner) = object.get_mut(first) else { return false };
    remove(inner, rest) || object.remove(first).is_some()
}

/// The section that a fault of the file or the environment is about.
fn section_of(error: &ConfigError) -> Option<String> {
    let path = match &error.place {
        Place::Environment { name } => name.strip_prefix(ENVIRONMENT_PREFIX)?.replace("__", ".").to_lowercase(),
        _ => error.message.split('`').nth(1)?.to_owned(),
    };
    path.split('.').next().map(str::to_owned)
}

/// Gives a room's message its full key and its place.
fn locate(section: &str, message: &str, known: &[String], places: &BTreeMap<String, Place>) -> ConfigError {
    let first = message.split_whitespace().next().unwrap_or_default();
    let word = first.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let full = format!("{section}.{word}");
    let is_key = |path: &str| known.iter().any(|known| is_within(known, path));
    let (key, message) = if is_key(word) {
        (word.to_owned(), message.to_owned())
    } else if is_key(&full) {
        (full.clone(), message.replacen(word, &full, 1))
    } else {
        (section.to_owned(), if section.is_empty() { message.to_owned() } else { format!("{section}: {message}") })
    };
    let place = if word.is_empty() { None } else { places.get(&key) };
    ConfigError { place: place.cloned().unwrap_or(Place::Whole), message }
}

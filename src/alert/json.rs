//! A JSON tree that borrows from the record and keeps what `serde_json::Value` throws away: duplicate keys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::error::{DecodeError, DecodeReason, Position, quoted};
use super::path::Path;

/// Up to this many keys every pair is compared; beyond it the keys are sorted first.
const FEW_KEYS: usize = 16;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'r> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'r, str>),
    Array(Vec<Json<'r>>),
    Object(Vec<Member<'r>>),
}

/// A key with its value.
pub(super) type Member<'r> = (Cow<'r, str>, Json<'r>);

impl Json<'_> {
    /// What it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The usual owned form.
    pub(super) fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(value.clone()),
            Self::Text(value) => Value::String(value.clone().into_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Json::to_value).collect()),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(key, value)| (key.clone().into_owned(), value.to_value())).collect())
            }
        }
    }
}

/// The value of a key; the first where a key is there twice, which [`refuse_duplicate_keys`] forbids.
pub(super) fn member<'t, 'r>(members: &'t [Member<'r>], key: &str) -> Option<&'t Json<'r>> {
    members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// Reads a text as one JSON value. The caller has checked its depth.
///
/// # Errors
/// [`DecodeReason::NotJson`] with line and column.
pub(super) fn parse(text: &str) -> Result<Json<'_>, DecodeError> {
    serde_json::from_str(text).map_err(|error| {
        let mut detail = error.to_string();
        // serde_json ends its messages with the position, which we tell ourselves.
        if let Some(at) = detail.rfind(" at line ") {
            detail.truncate(at);
        }
        if text.trim().is_empty() {
            detail = "the record is empty; send one JSON object or array".to_owned();
        } else if detail.starts_with("trailing characters") {
            detail =
                "more text after the end of the JSON value; send one JSON value per record, or an array".to_owned();
        }
        DecodeError::at(
            DecodeReason::NotJson,
            Position::LineColumn { line: error.line().max(1), column: error.column().max(1) },
            detail,
        )
    })
}

/// Refuses nesting beyond `max_depth`, before anything recurses into it. Brackets inside strings do not count.
///
/// # Errors
/// [`DecodeReason::TooDeep`] at the bracket that is one too many.
pub(super) fn check_depth(text: &str, max_depth: usize) -> Result<(), DecodeError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > max_depth {
                    return Err(DecodeError::at(
                        DecodeReason::TooDeep,
                        Position::Byte(offset),
                        format!("nested deeper than {max_depth} levels (max_depth)"),
                    ));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Refuses an object with a key that is there twice, anywhere: parsers disagree on which of the two counts, so a rule
/// could judge another value than the one an analyst sees.
///
/// # Errors
/// [`DecodeReason::Invalid`] at the key.
pub(super) fn refuse_duplicate_keys(json: &Json<'_>, path: &Path<'_>) -> Result<(), DecodeError> {
    match json {
        Json::Array(items) => items
            .iter()
            .enumerate()
            .filter(|(_, item)| matches!(item, Json::Array(_) | Json::Object(_)))
            .try_for_each(|(index, item)| refuse_duplicate_keys(item, &path.index(index))),
        Json::Object(members) => {
            refuse_duplicates_here(members, path)?;
            members
                .iter()
                .filter(|(_, value)| matches!(value, Json::Array(_) | Json::Object(_)))
                .try_for_each(|(key, value)| refuse_duplicate_keys(value, &path.key(key)))
        }
        _ => Ok(()),
    }
}

/// [`refuse_duplicate_keys`] for one object, without what is inside it.
///
/// # Errors
/// [`DecodeReason::Invalid`] at the key.
pub(super) fn refuse_duplicates_here(members: &[Member<'_>], path: &Path<'_>) -> Result<(), DecodeError> {
    duplicate_key(members)
        .map_or(Ok(()), |key| Err(path.key(key).error(format!("the key {} is there twice; send it once", quoted(key)))))
}

fn duplicate_key<'t>(members: &'t [Member<'_>]) -> Option<&'t str> {
    if members.len() <= FEW_KEYS {
        return members
            .iter()
            .enumerate()
            .find(|(index, (key, _))| members.iter().take(*index).any(|(earlier, _)| earlier == key))
            .map(|(_, (key, _))| key.as_ref());
    }
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
    keys.sort_unstable();
    keys.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

/// An object's key, borrowed where it has no escapes.
struct Key<'r>(Cow<'r, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(value.to_owned())))
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = access.next_entry()? {
            members.push((key, value));
        }
        Ok(Json::Object(members))
    }
}

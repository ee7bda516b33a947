//! Reads the fields of one JSON object, with the rules that all formats share: `null` and the empty text mean absent, texts
//! are trimmed, a wrong type is an error that names its place.

use jiff::Timestamp;

use super::error::{DecodeError, quoted};
use super::json::{Json, Member, member};
use super::limits::{LIST_ITEMS, WORD_CHARS};
use super::path::Path;

/// One object of the record, and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'t, 'r> {
    members: &'t [Member<'r>],
    path: Path<'t>,
}

impl<'t, 'r> Fields<'t, 'r> {
    /// The object at `path`.
    ///
    /// # Errors
    /// `invalid` where it is no object.
    pub(super) fn of(json: &'t Json<'r>, path: Path<'t>) -> Result<Self, DecodeError> {
        match json {
            Json::Object(members) => Ok(Self { members, path }),
            other => Err(path.error(format!("expected an object, found {}", other.kind()))),
        }
    }

    /// Where the object is.
    pub(super) const fn path(&self) -> &Path<'t> {
        &self.path
    }

    /// Its keys with their values.
    pub(super) const fn members(&self) -> &'t [Member<'r>] {
        self.members
    }

    /// A value that is there and not `null`.
    pub(super) fn get(&self, key: &str) -> Option<&'t Json<'r>> {
        member(self.members, key).filter(|json| **json != Json::Null)
    }

    /// An error at one of its keys.
    pub(super) fn error(&self, key: &str, detail: impl Into<String>) -> DecodeError {
        self.path.key(key).error(detail)
    }

    /// The first of its keys that is not in `allowed`.
    pub(super) fn stranger(&self, allowed: &[&str]) -> Option<&'t str> {
        self.members.iter().map(|(key, _)| key.as_ref()).find(|key| !allowed.contains(key))
    }

    /// A text as it stands; `None` where absent or `null`.
    pub(super) fn untrimmed(&self, key: &str) -> Result<Option<&'t str>, DecodeError> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(key, format!("expected a string, found {}", other.kind()))),
        }
    }

    /// A short text: a name, a word.
    pub(super) fn word(&self, key: &str) -> Result<Option<String>, DecodeError> {
        self.text(key, WORD_CHARS)
    }

    /// A text that is refused when longer than `most` characters.
    pub(super) fn text(&self, key: &str, most: usize) -> Result<Option<String>, DecodeError> {
        self.untrimmed(key)?.map_or(Ok(None), |text| checked(text, most, &self.path.key(key)))
    }

    /// Prose that is cut after `most` characters.
    pub(super) fn prose(&self, key: &str, most: usize) -> Result<Option<String>, DecodeError> {
        Ok(self.untrimmed(key)?.map(str::trim).filter(|text| !text.is_empty()).map(|text| cut(text, most).to_owned()))
    }

    /// A name or number of something: a string, or an integer that becomes its decimal text.
    pub(super) fn identifier(&self, key: &str) -> Result<Option<String>, DecodeError> {
        match self.get(key) {
            Some(Json::Number(number)) if number.is_u64() || number.is_i64() => Ok(Some(number.to_string())),
            Some(Json::Number(_)) => {
                Err(self.error(key, "expected a string or a 64-bit integer; write it as a string"))
            }
            Some(Json::Text(_)) | None => self.word(key),
            Some(other) => Err(self.error(key, format!("expected a string or an integer, found {}", other.kind()))),
        }
    }

    /// An identifier that must be there.
    pub(super) fn required_identifier(&self, key: &str) -> Result<String, DecodeError> {
        self.identifier(key)?
            .ok_or_else(|| self.error(key, format!("{} is required and must not be empty", quoted(key))))
    }

    /// A moment in RFC 3339 with up to nine fractional digits.
    pub(super) fn timestamp(&self, key: &str) -> Result<Option<Timestamp>, DecodeError> {
        let Some(text) = self.word(key)? else { return Ok(None) };
        let moment = if is_rfc3339(text.as_bytes()) { text.parse::<Timestamp>().ok() } else { None };
        moment.map(Some).ok_or_else(|| {
            let detail = format!(
                "{} is no RFC 3339 time; write it like 2026-03-02T09:13:52.345Z, with Z or an offset",
                quoted(&text)
            );
            self.error(key, detail)
        })
    }

    /// A list of short texts; `None` where absent or `null`.
    pub(super) fn words(&self, key: &str) -> Result<Option<Vec<String>>, DecodeError> {
        let path = self.path.key(key);
        let Some(items) = self.list(key)? else { return Ok(None) };
        if items.len() > LIST_ITEMS {
            return Err(path.error(format!("{} entries; at most {LIST_ITEMS} are allowed", items.len())));
        }
        let mut words = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = path.index(index);
            match item {
                Json::Text(text) => words.extend(checked(text, WORD_CHARS, &path)?),
                other => return Err(path.error(format!("expected a string, found {}", other.kind()))),
            }
        }
        Ok(Some(words))
    }

    /// A list; `None` where absent or `null`.
    pub(super) fn list(&self, key: &str) -> Result<Option<&'t [Json<'r>]>, DecodeError> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.error(key, format!("expected an array, found {}", other.kind()))),
        }
    }

    /// An object inside this one; `None` where absent or `null`.
    pub(super) fn object<'s>(&'s self, key: &'s str) -> Result<Option<Fields<'s, 'r>>, DecodeError> {
        self.get(key).map(|json| Fields::of(json, self.path.key(key))).transpose()
    }

    /// Every object of a list inside this one; empty where absent or `null`. `act` gets each with its place.
    pub(super) fn each_object(
        &self,
        key: &str,
        mut act: impl FnMut(Fields<'_, 'r>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let path = self.path.key(key);
        let items = self.list(key)?.unwrap_or_default();
        items.iter().enumerate().try_for_each(|(index, item)| act(Fields::of(item, path.index(index))?))
    }
}

/// Trimmed, `None` where nothing is left, refused where too long.
fn checked(text: &str, most: usize, path: &Path<'_>) -> Result<Option<String>, DecodeError> {
    // A text has at most as many characters as bytes: most texts need no count.
    if text.len() > most && text.chars().nth(most).is_some() {
        return Err(path.error(format!("longer than {most} characters; shorten it")));
    }
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> &str {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or(text).trim_end(),
        None => text,
    }
}

/// The shape of RFC 3339; whether the numbers make a date is for the parser, which by itself takes much more than this.
fn is_rfc3339(text: &[u8]) -> bool {
    let shape = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                other => byte.eq_ignore_ascii_case(other),
            })
    };
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    let rest = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        _ => rest,
    };
    shape(date_time, b"0000-00-00T00:00:00") && (shape(rest, b"Z") || shape(rest, b"+00:00") || shape(rest, b"-00:00"))
}

#[cfg(test)]
mod tests {
    use super::{cut, is_rfc3339};

    #[test]
    fn the_shape_of_rfc_3339_is_demanded() {
        for good in [
            "2026-03-02T09:13:52Z",
            "2026-03-02t09:13:52z",
            "2026-03-02T09:13:52.1Z",
            "2026-03-02T09:13:52.123456789+02:00",
            "2026-03-02T09:13:52-05:30",
        ] {
            assert!(is_rfc3339(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "2026-03-02",
            "2026-03-02T09:13:52",
            "2026-03-02 09:13:52Z",
            "2026-03-02T09:13Z",
            "2026-03-02T09:13:52.Z",
            "2026-03-02T09:13:52.1234567890Z",
            "2026-03-02T09:13:52+0000",
            "2026-03-02T09:13:52Z[Europe/Paris]",
            "20260302T091352Z",
        ] {
            assert!(!is_rfc3339(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn prose_is_cut_at_a_character() {
        assert_eq!(cut("añb", 2), "añ");
        assert_eq!(cut("a b", 2), "a");
        assert_eq!(cut("ab", 2), "ab");
    }
}

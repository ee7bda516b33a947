//! Modifiers that change a value before it is compared: `wide`, `utf16`, `base64`, `base64offset`, `windash`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How text becomes bytes before Base64 (Sigma's `wide`/`utf16le`, `utf16be`, `utf16`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Utf8,
    /// Two bytes for each unit, the lower first.
    Utf16Le,
    /// Two bytes for each unit, the higher first.
    Utf16Be,
    /// A byte order mark, then the lower byte first.
    Utf16,
}

/// The characters that Sigma's `windash` takes for one another: hyphen, slash, en dash, em dash, horizontal bar.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
/// The same as a class of a regular expression.
pub(super) const DASH_CLASS: &str = r"[-/\u{2013}\u{2014}\u{2015}]";

pub(super) fn is_dash(character: char) -> bool {
    DASHES.contains(&character)
}

impl Encoding {
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Self::Utf16 => [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect(),
        }
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What the bytes look like inside longer Base64, for each of the three ways in which they can fall on its groups.
///
/// Only characters that the bytes alone decide are kept: the first and the last character of a group may hold bits of
/// their neighbours. One byte decides no whole character in some position, so that an entry can be empty.
pub(super) fn base64_offsets(bytes: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|offset| {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(bytes);
        let start = (offset * 8).div_ceil(6);
        let end = shifted.len() * 8 / 6;
        STANDARD.encode(&shifted).get(start..end).unwrap_or_default().to_owned()
    })
}

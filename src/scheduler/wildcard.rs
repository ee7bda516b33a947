//! Texts with the wildcards `*` and `?`, as operators write them for protections and silences.

/// A pattern: `*` stands for any text, `?` for one character, and letter case is ignored.
#[derive(Debug, Clone)]
pub(super) struct Wildcard {
    written: String,
    folded: Vec<char>,
    /// A short computer name also means its fully qualified form: `dc-01` and `dc-01.corp.contoso.com` alike.
    short_name: bool,
}

impl Wildcard {
    /// A pattern for any text; `None` where it is empty, which matches nothing.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let written = pattern.trim();
        let folded = written.chars().flat_map(char::to_lowercase).collect();
        (!written.is_empty()).then(|| Self { written: written.to_owned(), folded, short_name: false })
    }

    /// A pattern for computer names.
    pub(super) fn for_name(pattern: &str) -> Option<Self> {
        Self::new(pattern).map(|wildcard| Self { short_name: !wildcard.written.contains('.'), ..wildcard })
    }

    /// The pattern as it was written.
    pub(super) fn as_written(&self) -> &str {
        &self.written
    }

    /// Whether it matches the whole text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
        if covers(&self.folded, &text) {
            return true;
        }
        let dots = text.iter().enumerate().filter(|(_, character)| **character == '.').map(|(at, _)| at);
        self.short_name && dots.into_iter().any(|at| text.get(..at).is_some_and(|host| covers(&self.folded, host)))
    }
}

/// Goes through both once; where it does not fit, the last `*` takes one character more.
fn covers(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(expected) if *expected == '?' || expected == character => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((back, taken)) = star else { return false };
                star = Some((back, taken + 1));
                at = back + 1;
                read = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_question_marks_and_letter_case() {
        let matches = |pattern: &str, text: &str| Wildcard::new(pattern).is_some_and(|wildcard| wildcard.matches(text));
        for (pattern, text) in
            [("*", ""), ("a*c", "abbc"), ("A?C", "aBc"), ("*b*", "abc"), ("a*b*c", "axbxbxc"), ("x", "X"), ("a**", "a")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a?", "a"), ("a", "ab"), ("a*c", "abcd"), ("a.c", "abc"), ("", ""), ("a*b*c", "axbx")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_short_name_means_its_fully_qualified_form_too() {
        let matches = |pattern: &str, text: &str| Wildcard::for_name(pattern).is_some_and(|name| name.matches(text));
        assert!(matches("dc-0?", "DC-01.corp.contoso.com"));
        assert!(matches("dc-01.corp", "dc-01.corp"));
        assert!(!matches("dc-01.corp", "dc-01.corp.contoso.com"), "a qualified pattern means what it says");
        assert!(!matches("dc-01", "dc-011.corp"));
        assert!(!matches("corp", "dc-01.corp"));
    }
}

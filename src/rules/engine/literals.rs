//! Texts that every match of a regular expression contains.

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Shorter texts are in almost every text.
const SHORTEST: usize = 2;
/// Most texts of which one must be there.
const MOST: usize = 64;

/// Texts, in lower case, of which any match of `regex` contains at least one; `None` where there are none to speak of.
///
/// Whether the expression ignores letter case cannot be told from outside, so it is taken to do so.
pub(super) fn required(regex: &Regex) -> Option<Vec<String>> {
    let hir = regex_syntax::Parser::new().parse(regex.as_str()).ok()?;
    any_of(&hir)
}

fn any_of(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => longest_run(std::slice::from_ref(hir)).map(|run| vec![run]),
        HirKind::Capture(capture) => any_of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => any_of(&repetition.sub),
        HirKind::Concat(parts) => {
            let whole = longest_run(parts).map(|run| vec![run]);
            parts
                .iter()
                .filter(|part| !is_letters(part))
                .filter_map(any_of)
                .chain(whole)
                .max_by_key(|texts| worth(texts))
        }
        HirKind::Alternation(parts) => {
            let all: Vec<Vec<String>> = parts.iter().map(any_of).collect::<Option<_>>()?;
            let all: Vec<String> = all.into_iter().flatten().collect();
            (all.len() <= MOST).then_some(all)
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// A set of texts prunes as well as its shortest.
fn worth(texts: &[String]) -> usize {
    texts.iter().map(String::len).min().unwrap_or_default()
}

fn is_letters(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Literal(_) | HirKind::Class(_))
}

/// The longest text within parts that follow each other.
fn longest_run(parts: &[Hir]) -> Option<String> {
    let mut runs = vec![String::new()];
    let mut put = |letter: Option<char>| match (letter, runs.last_mut()) {
        (Some(letter), Some(run)) => run.push(letter),
        _ => runs.push(String::new()),
    };
    for part in parts {
        match part.kind() {
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => text.chars().for_each(|letter| put(plain(letter))),
                Err(_) => put(None),
            },
            HirKind::Class(class) => put(one_letter(class)),
            // Looks at what stands here without taking any of it.
            HirKind::Look(_) => {}
            _ => put(None),
        }
    }
    runs.into_iter().filter(|run| run.len() >= SHORTEST).max_by_key(String::len)
}

/// The letter in lower case; `None` where ignoring letter case could stand for a letter of another lower case: `ſ` is an
/// `s` to a regular expression. Outside ASCII there are more of that kind.
fn plain(letter: char) -> Option<char> {
    (letter.is_ascii() && !letter.eq_ignore_ascii_case(&'s')).then(|| letter.to_ascii_lowercase())
}

/// `[aA]`, and `(?i)a` which becomes that.
fn one_letter(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let mut only = None;
    for range in class.ranges() {
        // `(?i)k` has the sign for Kelvin in it, whose lower case is `k`.
        for letter in [range.start(), range.end()] {
            let lower = if letter == '\u{212a}' { 'k' } else { plain(letter)? };
            if range.start() != range.end() || *only.get_or_insert(lower) != lower {
                return None;
            }
        }
    }
    only
}

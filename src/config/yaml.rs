//! A YAML document as a tree that keeps the place of every key and value, and the text of every scalar as it was written.
//!
//! The text matters: `password: 0123` is the password `0123` where a text is wanted, whatever YAML thinks of numbers.

use std::iter::Peekable;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::error::{ConfigError, Place, Position};

/// One value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Its first character.
    pub(super) at: Position,
    /// What it is.
    pub(super) value: Tree,
}

/// The three shapes of YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// A scalar; `plain` where it was written without quotes, so that `null` and `true` are words of YAML.
    Scalar { text: String, plain: bool },
    /// A list.
    Sequence(Vec<Node>),
    /// Key-value pairs in the order of the file.
    Mapping(Vec<Entry>),
}

/// One pair of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Position,
    pub(super) value: Node,
}

impl Node {
    /// Whether this is YAML's null: nothing at all, `~` or `null` without quotes.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Tree::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads one document. An empty one, or one of comments alone, is `None`.
///
/// # Errors
/// A syntax error, a second document, a key written twice, an anchor or an alias: with its place.
pub(super) fn parse(text: &str, place: impl Fn(Position) -> Place) -> Result<Option<Node>, ConfigError> {
    parse_document(text).map_err(|(at, message)| ConfigError { place: place(at), message })
}

type Fault = (Position, String);

fn parse_document(text: &str) -> Result<Option<Node>, Fault> {
    let mut reader = Reader { events: Parser::new_from_str(text).peekable() };
    let mut root = None;
    while let Some((event, at)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            _ if root.is_some() => return Err((at, "a second document; one file holds one configuration".into())),
            event => root = Some(reader.node(event, at)?),
        }
    }
    // An empty document is reported as an empty scalar.
    Ok(root.filter(|node| !node.is_null()))
}

struct Reader<'a, I: Iterator<Item = ParserItem<'a>>> {
    events: Peekable<I>,
}

type ParserItem<'a> = Result<(Event<'a>, Span), granit_parser::ScanError>;

impl<'a, I: Iterator<Item = ParserItem<'a>>> Reader<'a, I> {
    /// The next event. Comments are none.
    fn next(&mut self) -> Result<Option<(Event<'a>, Position)>, Fault> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                Ok(Some((event, Position { line: span.start.line(), column: span.start.col() + 1 })))
            }
            Some(Err(error)) => {
                let at = Position { line: error.marker().line(), column: error.marker().col() + 1 };
                Err((at, format!("not valid YAML: {}", error.info())))
            }
        }
    }

    fn inner(&mut self, opened_at: Position) -> Result<(Event<'a>, Position), Fault> {
        self.next()?.ok_or_else(|| (opened_at, "not valid YAML: the document ends here in the middle".to_owned()))
    }

    fn node(&mut self, event: Event<'a>, at: Position) -> Result<Node, Fault> {
        match event {
            Event::Scalar(text, style, ..) => {
                let value = Tree::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                Ok(Node { at, value })
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.inner(at)? {
                        (Event::SequenceEnd, _) => return Ok(Node { at, value: Tree::Sequence(items) }),
                        (event, at) => items.push(self.node(event, at)?),
                    }
                }
            }
            Event::MappingStart(..) => self.mapping(at),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                Err((at, "YAML aliases are not supported here; write the value out".to_owned()))
            }
            other => Err((at, format!("not valid YAML: unexpected {other:?}"))),
        }
    }

    fn mapping(&mut self, at: Position) -> Result<Node, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, key_at) = self.inner(at)?;
            let key = match event {
                Event::MappingEnd => return Ok(Node { at, value: Tree::Mapping(entries) }),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err((key_at, "a key must be plain text".to_owned())),
            };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("`{key}` is given twice; the first is on line {}", first.key_at.line);
                return Err((key_at, message));
            }
            let (event, value_at) = self.inner(at)?;
            let value = self.node(event, value_at)?;
            entries.push(Entry { key, key_at, value });
        }
    }
}

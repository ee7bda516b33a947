//! The part of OData's `$filter` that Microsoft's pages on this API use.

use jiff::Timestamp;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare(String, Op, String),
    StartsWith(String, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Word(String),
    Text(String),
}

/// How deep parentheses may go.
const DEPTH: usize = 50;

impl Filter {
    /// Reads a filter over these fields.
    pub(super) fn parse(text: &str, fields: &[&str]) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: tokens.into_iter().peekable(), fields };
        let filter = parser.any(0)?;
        match parser.tokens.next() {
            None => Ok(filter),
            Some(token) => Err(format!("unexpected {token:?}")),
        }
    }

    /// Whether an object passes.
    pub(super) fn matches(&self, object: &Value) -> bool {
        match self {
            Self::And(left, right) => left.matches(object) && right.matches(object),
            Self::Or(left, right) => left.matches(object) || right.matches(object),
            Self::Not(inner) => !inner.matches(object),
            Self::StartsWith(field, start) => {
                let value = object.get(field).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
                value.starts_with(&start.to_ascii_lowercase())
            }
            Self::Compare(field, op, wanted) => compare(object.get(field), *op, wanted),
        }
    }
}

fn compare(value: Option<&Value>, op: Op, wanted: &str) -> bool {
    let text = match value {
        None | Some(Value::Null) => return (wanted == "null") == (op == Op::Eq) && matches!(op, Op::Eq | Op::Ne),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => return items.iter().any(|item| compare(Some(item), op, wanted)),
        Some(other) => other.to_string(),
    };
    let order = match (text.parse::<Timestamp>(), wanted.parse::<Timestamp>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => text.to_ascii_lowercase().cmp(&wanted.to_ascii_lowercase()),
    };
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            ' ' | '\t' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        // A quote inside a literal is doubled.
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
                        Some('\'') => break,
                        Some(other) => literal.push(other),
                        None => return Err("a text without its closing quote".to_owned()),
                    }
                }
                tokens.push(Token::Text(literal));
            }
            other => {
                let mut word = String::from(other);
                while let Some(more) = chars.next_if(|c| !matches!(c, ' ' | '\t' | '(' | ')' | ',' | '\'')) {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    fields: &'a [&'a str],
}

impl Parser<'_> {
    fn word(&mut self, wanted: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(word) if word == wanted)).is_some()
    }

    fn any(&mut self, depth: usize) -> Result<Filter, String> {
        let mut left = self.all(depth)?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.all(depth)?));
        }
        Ok(left)
    }

    fn all(&mut self, depth: usize) -> Result<Filter, String> {
        let mut left = self.one(depth)?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Filter, String> {
        if depth > DEPTH {
            return Err("too deep".to_owned());
        }
        if self.word("not") {
            return Ok(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        match self.tokens.next() {
            Some(Token::Open) => {
                let inner = self.any(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) if word == "startswith" => {
                self.expect(&Token::Open)?;
                let field = self.field()?;
                self.expect(&Token::Comma)?;
                let start = self.literal()?;
                self.expect(&Token::Close)?;
                Ok(Filter::StartsWith(field, start))
            }
            Some(Token::Word(word)) => {
                let field = self.known(word)?;
                let op = match self.tokens.next() {
                    Some(Token::Word(op)) => match op.as_str() {
                        "eq" => Op::Eq,
                        "ne" => Op::Ne,
                        "gt" => Op::Gt,
                        "ge" => Op::Ge,
                        "lt" => Op::Lt,
                        "le" => Op::Le,
                        other => return Err(format!("unknown operator {other}")),
                    },
                    other => return Err(format!("an operator is missing before {other:?}")),
                };
                Ok(Filter::Compare(field, op, self.literal()?))
            }
            other => Err(format!("a condition is missing before {other:?}")),
        }
    }

    fn field(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Word(word)) => self.known(word),
            other => Err(format!("a property is missing before {other:?}")),
        }
    }

    fn known(&self, word: String) -> Result<String, String> {
        if self.fields.contains(&word.as_str()) { Ok(word) } else { Err(format!("unknown property {word}")) }
    }

    fn literal(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Text(text) | Token::Word(text)) => Ok(text),
            other => Err(format!("a value is missing before {other:?}")),
        }
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        match self.tokens.next() {
            Some(token) if token == *wanted => Ok(()),
            other => Err(format!("{wanted:?} is missing before {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[&str] = &["type", "status", "creationDateTimeUtc", "computerDnsName"];

    #[test]
    fn filters_of_the_documentation_work() {
        let action = json!({ "type": "RunAntiVirusScan", "status": "Pending", "computerDnsName": "O'Hara",
                             "creationDateTimeUtc": "2026-03-02T09:15:27.4417251Z" });
        for (filter, passes) in [
            ("type eq 'RunAntiVirusScan' and (status eq 'InProgress' or status eq 'Pending')", true),
            ("type eq 'Isolate' or status eq 'Pending' and not status eq 'Pending'", false),
            ("creationDateTimeUtc ge 2026-03-02T09:15:27Z", true),
            ("creationDateTimeUtc gt 2026-03-02T09:15:27.4417251Z", false),
            ("creationDateTimeUtc le 2026-03-02T10:15:27.4417251+01:00", true),
            ("computerDnsName eq 'O''Hara'", true),
            ("startswith(computerDnsName,'o''h')", true),
        ] {
            assert_eq!(Filter::parse(filter, FIELDS).unwrap().matches(&action), passes, "{filter}");
        }
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        let deep = format!("{}status eq 'a'{}", "(".repeat(1000), ")".repeat(1000));
        for bad in
            ["", "status", "status eq", "status in ('a')", "severity eq 'a'", "status eq 'a", "(status eq 'a'", &deep]
        {
            assert!(Filter::parse(bad, FIELDS).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in ".{0,80}") {
            drop(Filter::parse(&text, FIELDS));
        }
    }
}

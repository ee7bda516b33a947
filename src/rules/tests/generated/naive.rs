//! What a generated rule asks of an alert, read as naively as can be.

use super::{FIELDS, FieldTest, Operator, base64, encode, steady_base64};
use crate::alert::Alert;

impl FieldTest {
    pub(super) fn holds(&self, alert: &Alert) -> bool {
        let values = values_of(self.field, alert);
        match (self.operator, values) {
            (Operator::Keywords, _) => {
                let texts: Vec<String> =
                    (0..FIELDS.len()).filter_map(|field| values_of(field, alert)).flatten().collect();
                self.values.iter().any(|wanted| texts.iter().any(|text| self.compare(wanted, text)))
            }
            (Operator::Time(part, comparison), _) => alert.created_at.is_some_and(|time| {
                let is = time_part(part, time);
                let found = |wanted: &String| {
                    let wanted: i64 = wanted.parse().unwrap();
                    match comparison {
                        "" => is == wanted,
                        "|gt" => is > wanted,
                        "|gte" => is >= wanted,
                        "|lt" => is < wanted,
                        _ => is <= wanted,
                    }
                };
                self.negated != if self.all { self.values.iter().all(found) } else { self.values.iter().any(found) }
            }),
            (Operator::FieldRef(how), Some(values)) => {
                let fold = |text: &String| if self.cased { text.clone() } else { text.to_lowercase() };
                let found = |name: &String| {
                    let other = FIELDS.iter().position(|field| field == name).unwrap();
                    values_of(other, alert).is_some_and(|other| {
                        let (text, other) = (fold(&values[0]), fold(&other[0]));
                        match how {
                            "" => text == other,
                            "|contains" => text.contains(&other),
                            "|startswith" => text.starts_with(&other),
                            _ => text.ends_with(&other),
                        }
                    })
                };
                self.negated != if self.all { self.values.iter().all(found) } else { self.values.iter().any(found) }
            }
            (Operator::Null, values) => values.is_none(),
            (Operator::Exists, values) => values.is_some() == (self.values[0] == "true"),
            (_, None) => false,
            (_, Some(values)) => {
                let found = |wanted: &String| values.iter().any(|value| self.compare(wanted, value));
                let all = if self.all { self.values.iter().all(found) } else { self.values.iter().any(found) };
                all != self.negated
            }
        }
    }

    fn compare(&self, wanted: &str, value: &str) -> bool {
        if self.operator == Operator::Regex {
            return regex::Regex::new(wanted).unwrap().is_match(value);
        }
        let fold = |text: &str| if self.cased { text.to_owned() } else { text.to_lowercase() };
        match self.operator {
            Operator::Base64(encoding) => return fold(value).contains(&fold(&base64(&encode(encoding, wanted)))),
            Operator::Base64Offset(encoding) => {
                let bytes = encode(encoding, wanted);
                return (0..3).any(|offset| fold(value).contains(&fold(&steady_base64(&bytes, offset))));
            }
            Operator::Windash => {
                let dash = |text: &str| fold(text).replace(['/', '–', '—', '―'], "-");
                return dash(value).contains(&dash(wanted));
            }
            _ => {}
        }
        let mut tokens = tokens(&fold(wanted));
        if matches!(self.operator, Operator::Contains | Operator::EndsWith | Operator::Keywords) {
            tokens.insert(0, Token::Any);
        }
        if matches!(self.operator, Operator::Contains | Operator::StartsWith | Operator::Keywords) {
            tokens.push(Token::Any);
        }
        let value: Vec<char> = fold(value).chars().collect();
        glob(&tokens, &value)
    }
}

fn values_of(field: usize, alert: &Alert) -> Option<Vec<String>> {
    let one = |text: &Option<String>| text.clone().map(|text| vec![text]);
    match field {
        0 => one(&alert.category),
        1 => one(&alert.title),
        2 => one(&alert.threat.name),
        _ => alert.devices[0].tags.clone(),
    }
}

fn time_part(part: &str, time: jiff::Timestamp) -> i64 {
    let directive = match part {
        "minute" => "%M",
        "hour" => "%H",
        "day" => "%d",
        "week" => "%V",
        "month" => "%m",
        _ => "%Y",
    };
    time.strftime(directive).to_string().parse().unwrap()
}

pub(super) enum Token {
    Any,
    One,
    Letter(char),
}

pub(super) fn tokens(pattern: &str) -> Vec<Token> {
    let letters: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        match (letters[at], letters.get(at + 1)) {
            ('\\', Some(next @ ('*' | '?' | '\\'))) => {
                tokens.push(Token::Letter(*next));
                at += 1;
            }
            ('*', _) => tokens.push(Token::Any),
            ('?', _) => tokens.push(Token::One),
            (letter, _) => tokens.push(Token::Letter(letter)),
        }
        at += 1;
    }
    tokens
}

fn glob(tokens: &[Token], value: &[char]) -> bool {
    match tokens {
        [] => value.is_empty(),
        [Token::Any, rest @ ..] => (0..=value.len()).any(|skipped| glob(rest, &value[skipped..])),
        [Token::One, rest @ ..] => !value.is_empty() && glob(rest, &value[1..]),
        [Token::Letter(letter), rest @ ..] => value.first() == Some(letter) && glob(rest, &value[1..]),
    }
}

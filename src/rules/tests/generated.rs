//! Generated rules and alerts, and a naive reading of the rules: no compilation, no shortcuts, no shared code.

use proptest::prelude::*;

use crate::alert::{Alert, Device};

pub(super) const FIELDS: [&str; 4] = ["category", "title", "threat.name", "device.tags"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equals,
    Contains,
    StartsWith,
    EndsWith,
    Regex,
    Exists,
    Null,
}

#[derive(Debug, Clone)]
pub(super) struct FieldTest {
    pub(super) field: usize,
    pub(super) operator: Operator,
    pub(super) cased: bool,
    pub(super) all: bool,
    pub(super) negated: bool,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Condition {
    Selection(usize),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    OneOfThem,
    AllOfThem,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) selections: Vec<Vec<Vec<FieldTest>>>,
    pub(super) condition: Condition,
}

const EXPRESSIONS: [&str; 6] = ["a+", "^A", "b$", "[ab]{2}", "B|é", "a.b"];

fn field_test() -> impl Strategy<Value = FieldTest> {
    let operator = prop_oneof![
        4 => Just(Operator::Equals),
        4 => Just(Operator::Contains),
        2 => Just(Operator::StartsWith),
        2 => Just(Operator::EndsWith),
        2 => Just(Operator::Regex),
        1 => Just(Operator::Exists),
        1 => Just(Operator::Null),
    ];
    let values = prop::collection::vec(r"[aAbB*?\\.é-]{1,4}", 1..4);
    (0..FIELDS.len(), operator, any::<[bool; 3]>(), values, prop::sample::subsequence(EXPRESSIONS.to_vec(), 1..3))
        .prop_map(|(field, operator, [cased, all, negated], values, expressions)| {
            let values = match operator {
                Operator::Regex => expressions.into_iter().map(str::to_owned).collect(),
                Operator::Exists => vec![cased.to_string()],
                Operator::Null => vec!["null".to_owned()],
                _ => values,
            };
            let plain = matches!(operator, Operator::Exists | Operator::Null);
            FieldTest {
                field,
                operator,
                cased: cased && !plain,
                all: all && values.len() > 1,
                negated: negated && !plain,
                values,
            }
        })
}

fn condition(selections: usize) -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        6 => (0..selections).prop_map(Condition::Selection),
        1 => Just(Condition::OneOfThem),
        1 => Just(Condition::AllOfThem),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Condition::Not(Box::new(one))),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| Condition::And(Box::new(one), Box::new(two))),
            (inner.clone(), inner).prop_map(|(one, two)| Condition::Or(Box::new(one), Box::new(two))),
        ]
    })
}

pub(super) fn rule() -> impl Strategy<Value = Rule> {
    let map = prop::collection::vec(field_test(), 1..3).prop_map(|mut tests| {
        tests.sort_by_key(key);
        tests.dedup_by_key(|test| key(test));
        tests
    });
    let selection = prop::collection::vec(map, 1..3);
    prop::collection::vec(selection, 1..4).prop_flat_map(|selections| {
        condition(selections.len()).prop_map(move |condition| Rule { selections: selections.clone(), condition })
    })
}

pub(super) fn alert() -> impl Strategy<Value = Alert> {
    let text = || prop::option::weighted(0.8, r"[aAbB*?\\.éÉ-]{0,6}");
    let tags = prop::option::weighted(0.8, prop::collection::vec(r"[aAbB.é]{0,3}", 0..3));
    (text(), text(), text(), tags).prop_map(|(category, title, threat, tags)| {
        let mut alert = Alert { id: "1".to_owned(), category, title, ..Alert::default() };
        alert.threat.name = threat;
        alert.devices = vec![Device { tags, ..Device::default() }];
        alert
    })
}

fn key(test: &FieldTest) -> String {
    let mut key = FIELDS[test.field].to_owned();
    key.push_str(match test.operator {
        Operator::Equals | Operator::Null => "",
        Operator::Contains => "|contains",
        Operator::StartsWith => "|startswith",
        Operator::EndsWith => "|endswith",
        Operator::Regex => "|re",
        Operator::Exists => "|exists",
    });
    for (present, modifier) in [(test.cased, "|cased"), (test.all, "|all"), (test.negated, "|neq")] {
        key.push_str(if present { modifier } else { "" });
    }
    key
}

impl Rule {
    pub(super) fn to_yaml(&self) -> String {
        let mut detection = String::new();
        for (number, selection) in self.selections.iter().enumerate() {
            detection += &format!("s{number}:\n");
            for map in selection {
                for (at, test) in map.iter().enumerate() {
                    let dash = if at == 0 { "  - " } else { "    " };
                    let plain = matches!(test.operator, Operator::Exists | Operator::Null);
                    let values: Vec<String> = test
                        .values
                        .iter()
                        .map(|value| if plain { value.clone() } else { format!("'{value}'") })
                        .collect();
                    let values = if values.len() == 1 { values[0].clone() } else { format!("[{}]", values.join(", ")) };
                    detection += &format!("{dash}{}: {values}\n", key(test));
                }
            }
        }
        detection += &format!("condition: {}", self.condition.text());
        super::rule(&detection, "scan: Quick")
    }

    /// Whether a value of `startswith` or `endswith` has a wildcard of its own.
    pub(super) fn anchors_a_wildcard(&self) -> bool {
        self.selections.iter().flatten().flatten().any(|test| {
            matches!(test.operator, Operator::StartsWith | Operator::EndsWith)
                && test.values.iter().flat_map(|value| tokens(value)).any(|token| !matches!(token, Token::Letter(_)))
        })
    }

    pub(super) fn holds(&self, alert: &Alert) -> bool {
        let selections: Vec<bool> = self
            .selections
            .iter()
            .map(|maps| maps.iter().any(|map| map.iter().all(|test| test.holds(alert))))
            .collect();
        self.condition.holds(&selections)
    }
}

impl Condition {
    fn text(&self) -> String {
        match self {
            Self::Selection(number) => format!("s{number}"),
            Self::Not(inner) => format!("not ({})", inner.text()),
            Self::And(one, two) => format!("({}) and ({})", one.text(), two.text()),
            Self::Or(one, two) => format!("({}) or ({})", one.text(), two.text()),
            Self::OneOfThem => "1 of them".to_owned(),
            Self::AllOfThem => "all of s*".to_owned(),
        }
    }

    fn holds(&self, selections: &[bool]) -> bool {
        match self {
            Self::Selection(number) => selections[*number],
            Self::Not(inner) => !inner.holds(selections),
            Self::And(one, two) => one.holds(selections) && two.holds(selections),
            Self::Or(one, two) => one.holds(selections) || two.holds(selections),
            Self::OneOfThem => selections.contains(&true),
            Self::AllOfThem => !selections.contains(&false),
        }
    }
}

impl FieldTest {
    fn holds(&self, alert: &Alert) -> bool {
        let one = |text: &Option<String>| text.clone().map(|text| vec![text]);
        let values = match self.field {
            0 => one(&alert.category),
            1 => one(&alert.title),
            2 => one(&alert.threat.name),
            _ => alert.devices[0].tags.clone(),
        };
        match (self.operator, values) {
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
        let mut tokens = tokens(&fold(wanted));
        if matches!(self.operator, Operator::Contains | Operator::EndsWith) {
            tokens.insert(0, Token::Any);
        }
        if matches!(self.operator, Operator::Contains | Operator::StartsWith) {
            tokens.push(Token::Any);
        }
        let value: Vec<char> = fold(value).chars().collect();
        glob(&tokens, &value)
    }
}

enum Token {
    Any,
    One,
    Letter(char),
}

fn tokens(pattern: &str) -> Vec<Token> {
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

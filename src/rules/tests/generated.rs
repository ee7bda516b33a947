//! Generated rules and alerts, and a naive reading of the rules: no compilation, no shortcuts, no shared code.

mod naive;

use proptest::prelude::*;

use self::naive::{Token, tokens};
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
    /// `fieldref`, alone or with `contains`, `startswith`, `endswith`.
    FieldRef(&'static str),
    /// `contains|windash`.
    Windash,
    /// `base64|contains` after an encoding.
    Base64(&'static str),
    /// `base64offset|contains` after an encoding.
    Base64Offset(&'static str),
    /// A part of `created_at`, with a comparison or without.
    Time(&'static str, &'static str),
    /// Values without a field.
    Keywords,
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

const ENCODINGS: [&str; 5] = ["", "wide|", "utf16le|", "utf16be|", "utf16|"];
const PARTS: [&str; 6] = ["minute", "hour", "day", "week", "month", "year"];
const COMPARISONS: [&str; 5] = ["", "|gt", "|gte", "|lt", "|lte"];
/// What is hidden in Base64.
const SECRETS: [&str; 4] = ["evil", "Evil", "bad", "né"];
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
        2 => prop::sample::select(vec!["", "|contains", "|startswith", "|endswith"]).prop_map(Operator::FieldRef),
        2 => Just(Operator::Windash),
        1 => prop::sample::select(ENCODINGS.to_vec()).prop_map(Operator::Base64),
        2 => prop::sample::select(ENCODINGS.to_vec()).prop_map(Operator::Base64Offset),
        2 => (prop::sample::select(PARTS.to_vec()), prop::sample::select(COMPARISONS.to_vec()))
            .prop_map(|(part, comparison)| Operator::Time(part, comparison)),
        2 => Just(Operator::Keywords),
    ];
    let values = prop::collection::vec(r"[aAbB*?\\.é-]{1,4}", 1..4);
    let expressions = prop::sample::subsequence(EXPRESSIONS.to_vec(), 1..3);
    let special = (
        prop::sample::subsequence(SECRETS.to_vec(), 1..3),
        prop::sample::subsequence(FIELDS[..3].to_vec(), 1..3),
        prop::collection::vec(r"[aAbB]?[-/–][aAbB–-]?", 1..3),
        prop::collection::vec(r"[abBé][aAé*?]{0,2}", 1..3),
        prop::collection::vec(0_usize..60, 1..4),
    );
    (0..FIELDS.len(), operator, any::<[bool; 3]>(), values, expressions, special).prop_map(
        |(field, operator, [cased, all, negated], values, expressions, special)| {
            let (secrets, names, dashes, words, numbers) = special;
            let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
            let values = match operator {
                Operator::Base64(_) | Operator::Base64Offset(_) => owned(secrets),
                Operator::FieldRef(_) => owned(names),
                Operator::Windash => dashes,
                Operator::Keywords => words,
                Operator::Time(part, _) => numbers.into_iter().map(|number| within(part, number).to_string()).collect(),
                Operator::Regex => expressions.into_iter().map(str::to_owned).collect(),
                Operator::Exists => vec![cased.to_string()],
                Operator::Null => vec!["null".to_owned()],
                _ => values,
            };
            let plain = matches!(operator, Operator::Exists | Operator::Null | Operator::Keywords);
            FieldTest {
                // The oracle compares lists by another rule: references are made from fields with one value.
                field: if matches!(operator, Operator::FieldRef(_)) { field % 3 } else { field },
                operator,
                cased: cased && !plain && !matches!(operator, Operator::Time(..)),
                all: all && values.len() > 1 && operator != Operator::Keywords,
                negated: negated && !plain,
                values,
            }
        },
    )
}

/// A number that the part can have.
fn within(part: &str, number: usize) -> usize {
    match part {
        "minute" => number,
        "hour" => number % 24,
        "day" => 1 + number % 31,
        "week" => 1 + number % 53,
        "month" => 1 + number % 12,
        _ => 2020 + number % 4,
    }
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
        // Keywords are no key of a map: they stand alone.
        if let Some(keywords) = tests.iter().position(|test| test.operator == Operator::Keywords) {
            return vec![tests.swap_remove(keywords)];
        }
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
    let hidden = ("[a-z ]{0,3}", prop::sample::select(SECRETS.to_vec()), "[a-z ]{0,3}", 0..ENCODINGS.len());
    let hidden = hidden.prop_map(|(before, secret, after, encoding)| {
        let part = |text: &str, mark: bool| encode(if mark { ENCODINGS[encoding] } else { plain(encoding) }, text);
        let bytes = [part(&before, false), part(secret, true), part(&after, false)].concat();
        base64(&bytes)
    });
    let text = move || {
        let one = prop_oneof![5 => r"[aAbB*?\\.éÉ/–-]{0,6}".boxed(), 1 => hidden.clone().boxed()];
        prop::option::weighted(0.8, one)
    };
    let time = prop::option::weighted(0.8, 1_577_836_800_i64..1_704_067_200);
    let tags = prop::option::weighted(0.8, prop::collection::vec(r"[aAbB.é]{0,3}", 0..3));
    (text(), text(), text(), tags, time).prop_map(|(category, title, threat, tags, time)| {
        let mut alert = Alert { id: "1".to_owned(), category, title, ..Alert::default() };
        alert.created_at = time.map(|seconds| jiff::Timestamp::from_second(seconds).unwrap());
        alert.threat.name = threat;
        alert.devices = vec![Device { tags, ..Device::default() }];
        alert
    })
}

/// UTF-16 without its mark, where there is one: only the beginning of a text has it.
fn plain(encoding: usize) -> &'static str {
    if ENCODINGS[encoding] == "utf16|" { "wide|" } else { ENCODINGS[encoding] }
}

pub(super) fn encode(encoding: &str, text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let little = || units.iter().flat_map(|unit| [(unit & 0xff) as u8, (unit >> 8) as u8]).collect::<Vec<u8>>();
    match encoding {
        "wide|" | "utf16le|" => little(),
        "utf16be|" => units.iter().flat_map(|unit| [(unit >> 8) as u8, (unit & 0xff) as u8]).collect(),
        "utf16|" => [vec![0xff, 0xfe], little()].concat(),
        _ => text.as_bytes().to_vec(),
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63] as char;
            text.push(if at <= group.len() { letter } else { '=' });
        }
    }
    text
}

/// The letters of Base64 that stay the same whatever stands around the bytes, found by trying.
fn steady_base64(bytes: &[u8], offset: usize) -> String {
    let around = |filler: u8| base64(&[vec![filler; offset], bytes.to_vec(), vec![filler; 3]].concat());
    let (low, high) = (around(0), around(0xff));
    low.chars().zip(high.chars()).filter(|(low, high)| low == high && *low != '=').map(|(letter, _)| letter).collect()
}

fn key(test: &FieldTest) -> String {
    if let Operator::Time(part, comparison) = test.operator {
        let rest = [(test.all, "|all"), (test.negated, "|neq")];
        let rest: String = rest.into_iter().filter(|(present, _)| *present).map(|(_, modifier)| modifier).collect();
        return format!("created_at|{part}{comparison}{rest}");
    }
    let mut key = FIELDS[test.field].to_owned();
    match test.operator {
        Operator::FieldRef(how) => key += &format!("|fieldref{how}"),
        Operator::Base64(encoding) => key += &format!("|{encoding}base64|contains"),
        Operator::Base64Offset(encoding) => key += &format!("|{encoding}base64offset|contains"),
        _ => {}
    }
    key.push_str(match test.operator {
        Operator::FieldRef(_) | Operator::Base64(_) | Operator::Base64Offset(_) => "",
        Operator::Time(..) | Operator::Keywords => "",
        Operator::Windash => "|contains|windash",
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
        super::rule(&self.detection(), "scan: Quick")
    }

    /// The selections and the condition.
    pub(super) fn detection(&self) -> String {
        let mut detection = String::new();
        for (number, selection) in self.selections.iter().enumerate() {
            detection += &format!("s{number}:\n");
            for map in selection {
                if let [FieldTest { operator: Operator::Keywords, values, .. }] = map.as_slice() {
                    detection += &values.iter().map(|value| format!("  - '{value}'\n")).collect::<String>();
                    continue;
                }
                for (at, test) in map.iter().enumerate() {
                    let dash = if at == 0 { "  - " } else { "    " };
                    let plain = matches!(test.operator, Operator::Exists | Operator::Null | Operator::Time(..));
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
        detection
    }

    /// The same without what the oracle reads otherwise than Sigma or we do; `docs/rules.md` lists it.
    pub(super) fn for_the_oracle(mut self) -> Self {
        for map in self.selections.iter_mut().flatten() {
            for test in map.iter_mut() {
                test.operator = match test.operator {
                    // rsigma-eval 0.23 swaps the two anchors of values with wildcards: `startswith: a*b` becomes `a.*b$`.
                    Operator::StartsWith | Operator::EndsWith
                        if test
                            .values
                            .iter()
                            .flat_map(|value| tokens(value))
                            .any(|each| !matches!(each, Token::Letter(_))) =>
                    {
                        Operator::Contains
                    }
                    // It keeps the last character of Base64, half of which belongs to what follows.
                    Operator::Base64Offset(encoding) => Operator::Base64(encoding),
                    // It knows no comparison of parts of times.
                    Operator::Time(part, _) => Operator::Time(part, ""),
                    operator => operator,
                };
                if test.operator == Operator::Windash {
                    // It takes other dashes than `-` in a rule for themselves.
                    test.values.iter_mut().for_each(|value| *value = value.replace(['/', '–'], "-"));
                }
            }
            map.sort_by_key(key);
            map.dedup_by_key(|test| key(test));
        }
        self
    }

    /// The same for a filter: there the oracle looks for groups among the selections of the rule, and wants a keyword with
    /// wildcards to be the whole text.
    pub(super) fn for_the_oracle_as_a_filter(self) -> Self {
        let mut filter = self.for_the_oracle();
        filter.condition = filter.condition.without_groups();
        for test in filter.selections.iter_mut().flatten().flatten() {
            if test.operator == Operator::Keywords {
                test.values.iter_mut().for_each(|value| *value = value.replace(['*', '?'], ""));
            }
        }
        filter
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
    fn without_groups(self) -> Self {
        match self {
            Self::Selection(number) => Self::Selection(number),
            Self::Not(inner) => Self::Not(Box::new(inner.without_groups())),
            Self::And(one, two) => Self::And(Box::new(one.without_groups()), Box::new(two.without_groups())),
            Self::Or(one, two) => Self::Or(Box::new(one.without_groups()), Box::new(two.without_groups())),
            Self::OneOfThem | Self::AllOfThem => Self::Selection(0),
        }
    }

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

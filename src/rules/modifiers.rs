//! What stands after the pipe of a field: `contains`, `all`, `cased`, …

use std::str::FromStr as _;

use rsigma_parser::Modifier;

use super::diagnostic::{DiagnosticCode as Code, Report};
use super::yaml::Key;

/// The modifiers that are supported, as written.
pub(super) const SUPPORTED: &[&str] = &[
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "i",
    "m",
    "s",
    "cidr",
    "exists",
    "cased",
    "gt",
    "gte",
    "lt",
    "lte",
    "neq",
];

/// The modifiers of one field test, checked against each other.
#[derive(Debug, Default)]
pub(super) struct Modifiers {
    /// How a value is compared; text equality where none is given.
    pub(super) operator: Option<Modifier>,
    pub(super) all: bool,
    pub(super) cased: bool,
    pub(super) negated: bool,
    present: Vec<Modifier>,
}

impl Modifiers {
    pub(super) fn has(&self, modifier: Modifier) -> bool {
        self.present.contains(&modifier)
    }

    /// Reads `contains|all`; `None` where a finding makes the test meaningless.
    pub(super) fn parse(words: &str, key: &Key, report: &mut Report<'_>) -> Option<Self> {
        let mut modifiers = Self::default();
        let mut sound = true;
        for word in words.split('|').filter(|_| !words.is_empty()) {
            match Modifier::from_str(word) {
                Ok(modifier) if is_supported(modifier) => modifiers.present.push(modifier),
                Ok(_) => {
                    report.error(Code::NotSupported, key.span, format!("the modifier `{word}` is not supported yet"));
                    sound = false;
                }
                Err(()) => {
                    let finding =
                        report.error(Code::UnknownModifier, key.span, format!("there is no modifier `{word}`"));
                    if word == "not" {
                        finding.help("negate in the condition (`not selection`), or use `neq`");
                    } else {
                        finding.suggest(word, SUPPORTED.iter().copied());
                    }
                    sound = false;
                }
            }
        }
        if words.is_empty() && key.text.contains('|') {
            report.error(Code::UnknownModifier, key.span, "a modifier is missing after `|`");
            sound = false;
        }
        sound &= modifiers.settle(key, report);
        sound.then_some(modifiers)
    }

    /// Sorts what is present into its roles; false where modifiers contradict each other.
    fn settle(&mut self, key: &Key, report: &mut Report<'_>) -> bool {
        self.all = self.has(Modifier::All);
        self.cased = self.has(Modifier::Cased);
        self.negated = self.has(Modifier::Neq);
        let operators: Vec<Modifier> = self.present.iter().copied().filter(|each| is_operator(*each)).collect();
        self.operator = operators.first().copied();
        let regex = self.operator == Some(Modifier::Re);
        let text = matches!(
            self.operator,
            None | Some(Modifier::Contains | Modifier::StartsWith | Modifier::EndsWith | Modifier::Re)
        );
        let flags = [Modifier::IgnoreCase, Modifier::Multiline, Modifier::DotAll].iter().any(|flag| self.has(*flag));
        let repeated = self
            .present
            .iter()
            .enumerate()
            .any(|(at, each)| self.present.iter().skip(at + 1).any(|other| other == each));
        let problem = if operators.len() > 1 {
            "only one of `contains startswith endswith re cidr exists gt gte lt lte` can stand on a field"
        } else if repeated {
            "the same modifier is there twice"
        } else if flags && !regex {
            "`i`, `m` and `s` are flags of `re`"
        } else if self.cased && !text {
            "`cased` is about text: it means nothing here"
        } else if self.cased && self.has(Modifier::IgnoreCase) {
            "`cased` and `i` contradict each other"
        } else if self.negated && self.operator == Some(Modifier::Exists) {
            "`neq` and `exists` do not go together: turn `true` into `false`"
        } else if self.all && self.operator == Some(Modifier::Exists) {
            "`all` and `exists` do not go together"
        } else {
            return true;
        };
        report.error(Code::InvalidModifiers, key.span, problem);
        false
    }
}

fn is_operator(modifier: Modifier) -> bool {
    use Modifier::{Cidr, Contains, EndsWith, Exists, Gt, Gte, Lt, Lte, Re, StartsWith};
    matches!(modifier, Contains | StartsWith | EndsWith | Re | Cidr | Exists | Gt | Gte | Lt | Lte)
}

fn is_supported(modifier: Modifier) -> bool {
    use Modifier::{All, Cased, DotAll, IgnoreCase, Multiline, Neq};
    is_operator(modifier) || matches!(modifier, All | Cased | Neq | IgnoreCase | Multiline | DotAll)
}

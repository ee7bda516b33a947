//! What stands after the pipe of a field: `contains`, `all`, `cased`, …

use std::str::FromStr as _;

use rsigma_parser::Modifier;

use super::diagnostic::{DiagnosticCode as Code, Report};
use super::time_part::TimePart;
use super::transform::Encoding;
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
    "fieldref",
    "expand",
    "windash",
    "base64",
    "base64offset",
    "wide",
    "utf16le",
    "utf16be",
    "utf16",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
];

/// The modifiers of one field test, checked against each other.
#[derive(Debug, Default)]
pub(super) struct Modifiers {
    /// How a value is compared; text equality where none is given. Beside `fieldref` or a part of a time it says how
    /// that is compared.
    pub(super) operator: Option<Modifier>,
    /// Values are names of fields.
    pub(super) fieldref: bool,
    /// The field is a time, and this part of it is looked at.
    pub(super) time_part: Option<TimePart>,
    pub(super) all: bool,
    pub(super) cased: bool,
    pub(super) negated: bool,
    present: Vec<Modifier>,
}

impl Modifiers {
    pub(super) fn has(&self, modifier: Modifier) -> bool {
        self.present.contains(&modifier)
    }

    /// How values become bytes; `None` where no modifier asks for it.
    pub(super) fn encoding(&self) -> Option<Encoding> {
        self.present.iter().find_map(|modifier| match modifier {
            Modifier::Wide => Some(Encoding::Utf16Le),
            Modifier::Utf16be => Some(Encoding::Utf16Be),
            Modifier::Utf16 => Some(Encoding::Utf16),
            _ => None,
        })
    }

    /// Whether values are compared in their Base64 form.
    pub(super) fn is_base64(&self) -> bool {
        self.has(Modifier::Base64) || self.has(Modifier::Base64Offset)
    }

    /// Reads `contains|all`; `None` where a finding makes the test meaningless.
    pub(super) fn parse(words: &str, key: &Key, report: &mut Report<'_>) -> Option<Self> {
        let mut modifiers = Self::default();
        let mut sound = true;
        for word in words.split('|').filter(|_| !words.is_empty()) {
            if let Ok(modifier) = Modifier::from_str(word) {
                modifiers.present.push(modifier);
                continue;
            }
            let finding = report.error(Code::UnknownModifier, key.span, format!("there is no modifier `{word}`"));
            if word == "not" {
                finding.help("negate in the condition (`not selection`), or use `neq`");
            } else {
                finding.suggest(word, SUPPORTED.iter().copied());
            }
            sound = false;
        }
        if words.is_empty() && key.text.contains('|') {
            report.error(Code::UnknownModifier, key.span, "a modifier is missing after `|`");
            sound = false;
        }
        modifiers.settle();
        if let Some((problem, help)) = modifiers.problem() {
            let finding = report.error(Code::InvalidModifiers, key.span, problem);
            if let Some(help) = help {
                finding.help(help);
            }
            sound = false;
        }
        sound.then_some(modifiers)
    }

    /// Sorts what is present into its roles.
    fn settle(&mut self) {
        self.all = self.has(Modifier::All);
        self.cased = self.has(Modifier::Cased);
        self.negated = self.has(Modifier::Neq);
        self.fieldref = self.has(Modifier::FieldRef);
        self.operator = self.present.iter().copied().find(|each| is_operator(*each));
        self.time_part = self.present.iter().find_map(|each| TimePart::of_modifier(*each));
    }

    /// Why these modifiers contradict each other, and how to mend it.
    fn problem(&self) -> Option<(String, Option<String>)> {
        let repeated = (1..self.present.len()).find(|at| self.present[..*at].contains(&self.present[*at]));
        if repeated.is_some() {
            return Some(("the same modifier is there twice".to_owned(), None));
        }
        self.problem_of_operators().or_else(|| self.problem_of_flags()).or_else(|| self.problem_of_transforms())
    }

    fn problem_of_operators(&self) -> Option<(String, Option<String>)> {
        let operators = self.present.iter().filter(|each| is_operator(**each)).count();
        if operators > 1 {
            return fixed(
                "only one of `contains startswith endswith re cidr exists gt gte lt lte` can stand on a field",
            );
        }
        if self.present.iter().filter(|each| TimePart::of_modifier(**each).is_some()).count() > 1 {
            return fixed("only one of `minute hour day week month year` can stand on a field");
        }
        if self.time_part.is_some() && !self.is_ordering() && self.operator.is_some() {
            return fixed("a part of a time is a number: only `gt gte lt lte` can stand beside it");
        }
        if self.fieldref {
            if self.time_part.is_some() || !(self.operator.is_none() || self.is_substring()) {
                return fixed("`fieldref` compares texts: only `contains startswith endswith` can stand beside it");
            }
            let position = |wanted: Modifier| self.present.iter().position(|each| *each == wanted);
            if let Some(operator) = self.operator
                && position(operator) < position(Modifier::FieldRef)
            {
                let help = "write for example `fieldref|startswith`".to_owned();
                return Some(("`contains startswith endswith` stand after `fieldref`".to_owned(), Some(help)));
            }
        }
        None
    }

    fn problem_of_flags(&self) -> Option<(String, Option<String>)> {
        let regex = self.operator == Some(Modifier::Re);
        let exists = self.operator == Some(Modifier::Exists);
        let flags = [Modifier::IgnoreCase, Modifier::Multiline, Modifier::DotAll].iter().any(|flag| self.has(*flag));
        if flags && !regex {
            fixed("`i`, `m` and `s` are flags of `re`")
        } else if self.cased && (self.time_part.is_some() || !(self.is_text() || regex)) {
            fixed("`cased` is about text: it means nothing here")
        } else if self.cased && self.has(Modifier::IgnoreCase) {
            fixed("`cased` and `i` contradict each other")
        } else if self.negated && exists {
            fixed("`neq` and `exists` do not go together: turn `true` into `false`")
        } else if self.all && exists {
            fixed("`all` and `exists` do not go together")
        } else {
            None
        }
    }

    fn problem_of_transforms(&self) -> Option<(String, Option<String>)> {
        use Modifier::{Base64, Base64Offset, Expand, Utf16, Utf16be, Wide, WindAsh};
        let transforms: Vec<(Modifier, &str)> = [
            (Wide, "wide"),
            (Utf16be, "utf16be"),
            (Utf16, "utf16"),
            (Base64, "base64"),
            (Base64Offset, "base64offset"),
            (WindAsh, "windash"),
            (Expand, "expand"),
        ]
        .into_iter()
        .filter(|(modifier, _)| self.has(*modifier))
        .collect();
        let (_, first) = transforms.first()?;
        let utf16 = [Wide, Utf16be, Utf16].into_iter().filter(|each| self.has(*each)).count();
        let position = |wanted: &[Modifier]| self.present.iter().position(|each| wanted.contains(each));
        if self.fieldref {
            return fixed(&format!("`{first}` changes a value, and the value of `fieldref` is the name of a field"));
        }
        if self.time_part.is_some() || self.is_ordering() || self.operator == Some(Modifier::Exists) {
            return fixed(&format!("`{first}` changes a text, and there is none here"));
        }
        if self.operator == Some(Modifier::Re) {
            return fixed(&format!("`{first}` changes a text, and `re` takes an expression"));
        }
        if self.operator == Some(Modifier::Cidr) && (transforms.len() > 1 || !self.has(Expand)) {
            return fixed("`cidr` takes a network: only `expand` can stand beside it");
        }
        if self.has(Expand) && self.all {
            return fixed("`expand` and `all` do not go together: a placeholder stands for any value of its list");
        }
        if utf16 > 1 {
            return fixed("only one of `wide utf16le utf16be utf16` can stand on a field");
        }
        if utf16 > 0 && !self.is_base64() {
            let help = format!("write `{first}|base64offset|contains`");
            let problem = "alerts are text: UTF-16 is only found in them as Base64".to_owned();
            return Some((problem, Some(help)));
        }
        if utf16 > 0 && position(&[Base64, Base64Offset]) < position(&[Wide, Utf16be, Utf16]) {
            let help = format!("write `{first}` first");
            return Some(("modifiers are applied in turn: Base64 cannot come before UTF-16".to_owned(), Some(help)));
        }
        if self.has(Base64) && self.has(Base64Offset) {
            return fixed("`base64` is the whole text, `base64offset` a part of a longer one: choose one");
        }
        if self.has(Base64Offset) && !matches!(self.operator, None | Some(Modifier::Contains)) {
            return fixed("`base64offset` looks for a part: only `contains` can stand beside it");
        }
        if self.has(WindAsh) && self.is_base64() {
            return fixed("`windash` and Base64 do not go together: write the forms out");
        }
        None
    }

    const fn is_ordering(&self) -> bool {
        matches!(self.operator, Some(Modifier::Gt | Modifier::Gte | Modifier::Lt | Modifier::Lte))
    }

    const fn is_substring(&self) -> bool {
        matches!(self.operator, Some(Modifier::Contains | Modifier::StartsWith | Modifier::EndsWith))
    }

    const fn is_text(&self) -> bool {
        self.operator.is_none() || self.is_substring()
    }

    /// Why a search in all fields cannot have these modifiers.
    pub(super) fn problem_for_keywords(&self) -> Option<&'static str> {
        if self.fieldref || self.time_part.is_some() || !(self.is_text() || self.operator == Some(Modifier::Re)) {
            Some("a search in all fields looks for text: this modifier needs a field")
        } else if self.negated {
            Some("`neq` needs a field: negate in the condition (`not keywords`)")
        } else {
            None
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that its callers return")]
fn fixed(problem: &str) -> Option<(String, Option<String>)> {
    Some((problem.to_owned(), None))
}

const fn is_operator(modifier: Modifier) -> bool {
    use Modifier::{Cidr, Contains, EndsWith, Exists, Gt, Gte, Lt, Lte, Re, StartsWith};
    matches!(modifier, Contains | StartsWith | EndsWith | Re | Cidr | Exists | Gt | Gte | Lt | Lte)
}

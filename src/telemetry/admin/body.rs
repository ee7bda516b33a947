//! What requests and answers of the admin API say.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Control, ControlAction, Silence, SilenceMatcher};

/// Most characters of an author.
const LONGEST_AUTHOR: usize = 200;
/// Most characters of a comment.
const LONGEST_COMMENT: usize = 1000;
/// Most characters of a matcher's value.
const LONGEST_VALUE: usize = 256;
/// Most matchers of a silence.
const MOST_MATCHERS: usize = 20;
/// Longest silence: what shall hold for good belongs into a rule or a protection.
const LONGEST_SILENCE: Duration = Duration::from_secs(366 * 24 * 3600);

/// A request that was refused: the answer's body, with its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct AdminError {
    /// HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// Stable code.
    pub code: String,
    /// What is wrong and what mends it.
    pub message: String,
}

impl AdminError {
    /// An answer with this status, code and message.
    #[must_use]
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// The request makes no sense.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", message)
    }
}

/// Body of `halt`, `resume`, `reload-rules` and of the end of a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// Who orders it.
    pub author: String,
    /// Why. `halt` wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl OrderBody {
    /// The order, its author and comment checked.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn into_order(self, action: ControlAction) -> Result<Control, AdminError> {
        let author = checked("author", &self.author, LONGEST_AUTHOR)?;
        let comment = self.comment.map(|comment| checked("comment", &comment, LONGEST_COMMENT)).transpose()?;
        if action == ControlAction::Halted && comment.is_none() {
            return Err(AdminError::invalid("comment: say why; whoever comes next must know"));
        }
        Ok(Control { control: action, author, comment })
    }
}

/// Body of `rearm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RearmBody {
    /// Who orders it.
    pub author: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Id of the rule. Give this or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Every cap that is tripped, and the cap on all rules together.
    #[serde(default)]
    pub all: bool,
}

impl RearmBody {
    /// The rule whose cap is meant; `None` for all.
    ///
    /// # Errors
    /// Neither or both are given.
    pub fn rule(&self) -> Result<Option<String>, AdminError> {
        match (&self.rule, self.all) {
            (Some(rule), false) => checked("rule", rule, LONGEST_VALUE).map(Some),
            (None, true) => Ok(None),
            _ => Err(AdminError::invalid("give `rule` with the id of a rule, or `all: true`")),
        }
    }

    /// Author and comment.
    #[must_use]
    pub fn order(&self) -> OrderBody {
        OrderBody { author: self.author.clone(), comment: self.comment.clone() }
    }
}

/// Body of a new silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceBody {
    /// Who sets it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// All must match; at least one.
    pub matchers: Vec<SilenceMatcher>,
    /// In force from here; now where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// In force until here. Give this or `for`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// How long it is in force (`2h`, `72h`), from its start.
    #[serde(
        default,
        rename = "for",
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
    )]
    pub lasts: Option<Duration>,
}

impl SilenceBody {
    /// The silence, everything checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn into_silence(self, id: String, now: Timestamp) -> Result<Silence, AdminError> {
        let author = checked("author", &self.author, LONGEST_AUTHOR)?;
        let comment = checked("comment", &self.comment, LONGEST_COMMENT)?;
        if self.matchers.is_empty() || self.matchers.len() > MOST_MATCHERS {
            return Err(AdminError::invalid(format!(
                "matchers: give 1 to {MOST_MATCHERS}; a silence without one would hold everything back, which is what halt is for"
            )));
        }
        let matchers = self.matchers.into_iter().map(|matcher| {
            let value = checked(matcher.field.as_str(), &matcher.value, LONGEST_VALUE)?;
            Ok(SilenceMatcher { value, ..matcher })
        });
        let matchers = matchers.collect::<Result<Vec<_>, AdminError>>()?;
        let starts_at = self.starts_at.unwrap_or(now);
        let ends_at = match (self.ends_at, self.lasts) {
            (Some(ends_at), None) => ends_at,
            (None, Some(lasts)) => starts_at.checked_add(lasts).unwrap_or(Timestamp::MAX),
            _ => return Err(AdminError::invalid("give `ends_at` or `for`, and not both: no silence is for ever")),
        };
        if ends_at <= starts_at || ends_at <= now {
            return Err(AdminError::invalid(format!("it would be over before it begins: it ends at {ends_at}")));
        }
        let lasts = Duration::try_from(ends_at.duration_since(now)).unwrap_or_default();
        if lasts > LONGEST_SILENCE {
            return Err(AdminError::invalid(
                "it lasts for more than a year; what shall hold for good belongs into a rule or into scheduler.protected",
            ));
        }
        Ok(Silence { id, matchers, starts_at, ends_at, author, comment })
    }
}

/// A text that people will read: not empty, bounded, without control characters.
fn checked(key: &str, text: &str, longest: usize) -> Result<String, AdminError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest {
        return Err(AdminError::invalid(format!("{key}: write 1 to {longest} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(AdminError::invalid(format!("{key}: write it on one line, without control characters")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SilenceField;

    fn silence() -> SilenceBody {
        SilenceBody {
            author: "jane".to_owned(),
            comment: "patch window".to_owned(),
            matchers: vec![SilenceMatcher { field: SilenceField::DeviceName, value: "ws-*".to_owned() }],
            starts_at: None,
            ends_at: None,
            lasts: Some(Duration::from_secs(7200)),
        }
    }

    fn refused(body: SilenceBody) -> String {
        body.into_silence("s".to_owned(), Timestamp::UNIX_EPOCH).expect_err("it is refused").message
    }

    #[test]
    fn a_silence_has_an_end_matchers_and_a_reason() {
        let made = silence().into_silence("s".to_owned(), Timestamp::UNIX_EPOCH).expect("a silence");
        assert_eq!(made.starts_at, Timestamp::UNIX_EPOCH);
        assert_eq!(made.ends_at, Timestamp::from_second(7200).expect("a time"));
        let second = |second| Timestamp::from_second(second).expect("a time");
        for (body, word) in [
            (SilenceBody { lasts: None, ..silence() }, "`ends_at` or `for`"),
            (SilenceBody { ends_at: Some(second(9)), ..silence() }, "not both"),
            (SilenceBody { lasts: None, ends_at: Some(second(0)), ..silence() }, "over before"),
            (SilenceBody { lasts: Some(Duration::ZERO), ..silence() }, "over before"),
            (SilenceBody { lasts: Some(Duration::from_secs(400 * 24 * 3600)), ..silence() }, "a year"),
            (SilenceBody { matchers: Vec::new(), ..silence() }, "matchers"),
            (SilenceBody { matchers: vec![silence().matchers[0].clone(); 21], ..silence() }, "matchers"),
            (SilenceBody { author: " ".to_owned(), ..silence() }, "author"),
            (SilenceBody { comment: String::new(), ..silence() }, "comment"),
            (SilenceBody { comment: "two\nlines".to_owned(), ..silence() }, "one line"),
            (
                SilenceBody {
                    matchers: vec![SilenceMatcher { field: SilenceField::Rule, value: String::new() }],
                    ..silence()
                },
                "rule",
            ),
        ] {
            let message = refused(body.clone());
            assert!(message.contains(word), "{message} for {body:?}");
        }
    }

    #[test]
    fn an_order_names_its_author_and_a_halt_its_reason() {
        let body = |author: &str, comment: Option<&str>| OrderBody {
            author: author.to_owned(),
            comment: comment.map(str::to_owned),
        };
        assert!(body("jane", None).into_order(ControlAction::Halted).is_err());
        assert!(body("", Some("x")).into_order(ControlAction::Resumed).is_err());
        assert!(body("jane", None).into_order(ControlAction::Resumed).is_ok());
        assert!(body(&"x".repeat(201), None).into_order(ControlAction::Resumed).is_err());
        let order = body(" jane ", Some("x")).into_order(ControlAction::Halted).expect("an order");
        assert_eq!((order.author.as_str(), order.comment.as_deref()), ("jane", Some("x")));
    }

    #[test]
    fn a_cap_is_named_or_all_are_meant() {
        let body = |rule: Option<&str>, all| RearmBody {
            author: "jane".to_owned(),
            comment: None,
            rule: rule.map(str::to_owned),
            all,
        };
        assert_eq!(body(Some("r"), false).rule(), Ok(Some("r".to_owned())));
        assert_eq!(body(None, true).rule(), Ok(None));
        assert!(body(None, false).rule().is_err() && body(Some("r"), true).rule().is_err());
    }
}

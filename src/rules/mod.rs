//! Sigma rules that respond: load, check, evaluate, explain.
//!
//! This room knows nothing of Kafka, Defender, time or what happened before: the same alert, device and rule set always
//! give the same [`Decision`].
//!
//! A rule file becomes a [`RuleSet`] in three steps: `yaml` reads it into a tree that knows its lines; `document`,
//! `detection`, `condition`, `response` and `rule_test` check and compile that tree; `rule_set` puts the rules together.
//! Fields are slots (`field`): an alert is read once, and every compiled test (`selection`, `pattern`) looks at a slot.

mod condition;
mod decision;
mod detection;
mod diagnostic;
mod document;
mod engine;
mod evaluate;
mod explain;
mod explain_text;
mod facts;
mod field;
mod merge;
mod modifiers;
mod pattern;
mod read;
mod response;
mod rule_set;
mod rule_test;
mod selection;
mod source;
mod template;
mod yaml;

pub use decision::{
    CooldownGrowth, Decision, Mode, ResponseTerms, RuleLimit, RuleMatch, ScanDecision, ScanType, Threshold,
};
pub use diagnostic::{Diagnostic, DiagnosticCode, DiagnosticLevel, RuleErrors};
pub use engine::Scratch;
pub use evaluate::{Evaluation, TestResult};
pub use explain::{
    AlternativeExplanation, Explanation, FieldExplanation, PatternExplanation, RuleExplanation, SelectionExplanation,
    Wants,
};
pub use rule_set::{ResponseInfo, RuleInfo, RuleSet};
pub use rule_test::Expectation;

#[cfg(test)]
mod tests;

//! Sigma rules that respond: load, check, evaluate, explain.
//!
//! This room knows nothing of Kafka, Defender, time or what happened before: the same alert, device and rule set always
//! give the same [`Decision`].
//!
//! A rule file becomes a [`RuleSet`] in three steps: `yaml` reads it into a tree that knows its lines; `document`,
//! `detection`, `condition`, `response` and `rule_test` check and compile that tree; `rule_set` puts the rules together and
//! gives each response what `defaults` says for it.
//! Fields are slots (`field`): an alert is read once, and every compiled test (`selection`, `pattern`) looks at a slot.

mod active;
mod codes;
mod condition;
mod contradiction;
mod correlation;
mod coverage;
mod decision;
mod defaults;
mod detection;
mod diagnostic;
mod document;
mod documents;
mod engine;
mod evaluate;
mod expand;
mod explain;
mod explain_text;
mod facts;
mod field;
mod filter;
mod header;
mod layer;
mod lists;
mod merge;
mod modifiers;
mod normal_form;
mod number;
mod pattern;
mod read;
mod reference;
mod response;
mod rule_info;
mod rule_set;
mod rule_test;
mod scenario;
mod schema;
mod selection;
mod sigma;
mod source;
mod template;
mod threshold;
mod time_part;
mod transform;
mod value;
mod warnings;
mod yaml;

pub use decision::{
    CooldownGrowth, Decision, Mode, ResponseTerms, RuleAsk, RuleLimit, RuleMatch, ScanDecision, ScanType, Threshold,
};
pub use diagnostic::{Diagnostic, DiagnosticCode, DiagnosticLevel, RuleErrors};
pub use engine::Scratch;
pub use evaluate::{Evaluation, TestResult};
pub use explain::{
    AlternativeExplanation, Explanation, FieldExplanation, FilterExplanation, PatternExplanation, RuleExplanation,
    SelectionExplanation, Wants,
};
pub use filter::{FilterInfo, FilteredMatch};
pub use layer::Origin;
pub use rule_info::{EscalationInfo, ResponseInfo, RuleInfo};
pub use rule_set::{LoadOptions, RuleSet};
pub use rule_test::Expectation;
pub use scenario::{ExpectedOutcome, Scenario, Step, TestBody, TestCase};
pub use schema::rule_schema;
pub use threshold::CountInfo;

#[cfg(test)]
mod tests;

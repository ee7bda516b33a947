//! The kinds of findings: a closed list.

use serde::Serialize;

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident => $word:literal),+ $(,)?) => {
        /// The kinds of findings: a closed list, stable across versions, for CI and editors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DiagnosticCode { $($(#[doc = $meaning])+ $variant),+ }

        impl DiagnosticCode {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in output, for example `unknown_field`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// One sentence for people: the table of the rule guide.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning),+).trim_ascii_start()),+ }
            }
        }
    };
}

codes! {
    /// A file or folder could not be read, or is not UTF-8.
    UnreadableFile => "unreadable_file",
    /// A file is larger than the limit.
    FileTooLarge => "file_too_large",
    /// More rules than the limit.
    TooManyRules => "too_many_rules",
    /// The folder holds no rule files.
    NoRules => "no_rules",
    /// Not YAML.
    InvalidYaml => "invalid_yaml",
    /// A map has the same key twice.
    DuplicateKey => "duplicate_key",
    /// A key that means nothing here.
    UnknownKey => "unknown_key",
    /// A key that must be there.
    MissingKey => "missing_key",
    /// A value of the wrong kind or out of range.
    InvalidValue => "invalid_value",
    /// Known to Sigma, but not supported here.
    NotSupported => "not_supported",
    /// The Sigma parser refuses the document.
    NotSigma => "not_sigma",
    /// Two rules with the same id (or, without an id, the same title).
    DuplicateId => "duplicate_id",
    /// The id is not a UUID, as Sigma wants it (a warning).
    IdNotUuid => "id_not_uuid",
    /// No `logsource`, which Sigma wants (a warning).
    MissingLogsource => "missing_logsource",
    /// A field that alerts do not have.
    UnknownField => "unknown_field",
    /// A modifier that does not exist.
    UnknownModifier => "unknown_modifier",
    /// Modifiers that contradict each other or the field.
    InvalidModifiers => "invalid_modifiers",
    /// A regular expression that does not compile or is too large.
    InvalidRegex => "invalid_regex",
    /// Not a network in CIDR notation.
    InvalidCidr => "invalid_cidr",
    /// A detection without a selection, or a selection without a test.
    EmptyDetection => "empty_detection",
    /// The condition cannot be parsed, or is too deep.
    InvalidCondition => "invalid_condition",
    /// The condition names a selection that does not exist.
    UndefinedSelection => "undefined_selection",
    /// A selection that no condition uses (a warning).
    UnusedSelection => "unused_selection",
    /// A comment template that cannot be parsed or rendered.
    InvalidTemplate => "invalid_template",
    /// `\*` in what looks like a Windows path: a literal star, though a wildcard was probably meant (a warning).
    EscapedWildcard => "escaped_wildcard",
    /// A list of values that cannot be read, is too long, or is there twice.
    InvalidList => "invalid_list",
    /// A placeholder names a list that does not exist.
    UnknownList => "unknown_list",
    /// A placeholder stands for an empty list (a warning).
    EmptyList => "empty_list",
    /// A filter or correlation names a rule that does not exist or that it cannot name, or a filter is for no rule.
    UnknownRule => "unknown_rule",
    /// A filter whose condition has no `not` (a warning).
    FilterWithoutNot => "filter_without_not",
    /// `active` names a time interval that `defaults.yaml` does not define.
    UnknownInterval => "unknown_interval",
    /// A time interval that never comes, such as the 31st of February (a warning).
    NeverActive => "never_active",
    /// A time interval that no rule uses (a warning).
    UnusedInterval => "unused_interval",
    /// A default that no rule takes (a warning).
    UnusedDefault => "unused_default",
    /// A selection or a rule that no alert can match, because it contradicts itself (a warning).
    NeverMatches => "never_matches",
    /// Whatever the rule matches is matched by another rule, whose response is at least as strong (a warning).
    ShadowedRule => "shadowed_rule",
    /// A scan without a cooldown: a device may be scanned again at once (a warning).
    NoCooldown => "no_cooldown",
    /// An escalation to a scan that the rule asks for anyway (a warning).
    UselessEscalation => "useless_escalation",
    /// The last day of the rule has passed (a warning).
    ExpiredRule => "expired_rule",
    /// The last day of the filter has passed (a warning).
    ExpiredFilter => "expired_filter",
    /// More findings than are shown.
    TooManyFindings => "too_many_findings",
}

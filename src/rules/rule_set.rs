//! A rule set: loaded whole or refused whole.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use minijinja::Environment;
use sha2::{Digest as _, Sha256};

use super::defaults::{self, Defaults};
use super::detection::Setting;
use super::diagnostic::{Diagnostic, DiagnosticCode as Code, DiagnosticLevel, MAX_DIAGNOSTICS, Report, RuleErrors};
use super::document::{self, Document, Rule};
use super::documents::Documents;
use super::engine::{Index, Scratch};
use super::field::Field;
use super::filter::Filter;
use super::lists::Lists;
use super::rule_info::{ResponseInfo, RuleInfo, info};
use super::scenario::{self, TestCase};
use super::source::{MAX_FILE_BYTES, SourceFile, read_all};
use super::{sigma, template, warnings, yaml};

/// Most rules of one set.
const MAX_RULES: usize = 10_000;
/// Hexadecimal digits of the hash that names a rule set.
const HASH_DIGITS: usize = 16;

/// Compiled rules, ready to evaluate. Cheap to share behind an `Arc`; a reload builds a new one.
#[derive(Debug)]
pub struct RuleSet {
    hash: String,
    /// In the order of ids, so that results do not depend on file names.
    pub(super) rules: Vec<Rule>,
    /// In the order of ids.
    pub(super) filters: Vec<Filter>,
    infos: Vec<RuleInfo>,
    pub(super) fields: Vec<Field>,
    /// One template per rule with a response, named by the rule's id.
    pub(super) comments: Environment<'static>,
    warnings: Vec<Diagnostic>,
    /// The warnings that some rules and filters will have from an instant on.
    expiries: Vec<(Timestamp, Diagnostic)>,
    /// Tests with time in them, in the order of files.
    pub(super) scenarios: Vec<TestCase>,
    pub(super) index: Index,
    /// Buffers of the last evaluation, for the next.
    spare: Mutex<Option<Scratch>>,
}

/// How a rule set is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Takes rules that were written for other events, to see whether and how fast they load: a field that alerts do not
    /// have is looked for in the original JSON, and unknown top-level keys are passed over.
    pub any_field: bool,
}

impl RuleSet {
    /// The hash that [`Self::hash`] would give a set of these files as they are now, whether or not they make a sound
    /// one; `None` where a file cannot be read. Cheap: nothing is compiled.
    #[must_use]
    pub fn fingerprint(folder: &Path) -> Option<String> {
        let (mut sources, findings) = read_all(folder);
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        findings.is_empty().then(|| hash(&sources))
    }

    /// Loads every `*.yml` and `*.yaml` below a folder, or one file; and every `*.list`, the values of placeholders. Files of
    /// tests (`*.test.yml`) are left out.
    ///
    /// Names that start with a dot are left out, so a Kubernetes ConfigMap volume is read once.
    ///
    /// # Errors
    ///
    /// Every error of the set at once; then nothing is loaded.
    pub fn load_dir(folder: &Path) -> Result<Self, RuleErrors> {
        Self::load_dir_with(folder, LoadOptions::default())
    }

    /// As [`RuleSet::load_dir`], with options.
    ///
    /// # Errors
    ///
    /// Every error of the set at once; then nothing is loaded.
    pub fn load_dir_with(folder: &Path, options: LoadOptions) -> Result<Self, RuleErrors> {
        let (sources, findings) = read_all(folder);
        Self::build(sources, findings, options)
    }

    /// Builds a rule set from texts with names (`NAME.list` is a list of values), for tests and for rules that do not come from files.
    ///
    /// # Errors
    ///
    /// Every error of the set at once.
    pub fn from_sources<N: Into<String>, T: AsRef<str>>(
        sources: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Self, RuleErrors> {
        let mut findings = Vec::new();
        let mut files = Vec::new();
        for (name, text) in sources {
            let name = name.into();
            if text.as_ref().len() > MAX_FILE_BYTES {
                let message = format!("larger than {MAX_FILE_BYTES} bytes: split the file");
                findings.push(Diagnostic::whole_file(Code::FileTooLarge, &name, message));
            } else {
                files.push(SourceFile::new(name.clone(), name, text.as_ref()));
            }
        }
        Self::build(files, findings, LoadOptions::default())
    }

    fn build(
        mut sources: Vec<SourceFile>,
        mut findings: Vec<Diagnostic>,
        options: LoadOptions,
    ) -> Result<Self, RuleErrors> {
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        let mut lists = Lists::default();
        for source in sources.iter().filter(|source| source.is_list()) {
            findings.extend(lists.add(source));
        }
        let mut read = Documents::default();
        let mut setting = Setting::new(&lists, options.any_field);
        let mut expiries = Vec::new();
        let mut scenarios = Vec::new();
        let mut defaults = read_defaults(&sources, &mut findings);
        for (index, source) in sources.iter().enumerate().filter(|(_, source)| source.has_rules()) {
            let mut report = Report::new(source);
            for node in &yaml::load(&mut report) {
                let Some(mut document) = document::read(node, &mut setting, &mut report) else { continue };
                if let Document::Rule(rule) = &mut document {
                    let free_keys = setting.table.fields.iter().any(|field| matches!(field, Field::Raw(_)));
                    scenarios.extend(scenario::read_of_document(node, free_keys, &mut report));
                    rule.inherit(&mut defaults, &mut report);
                }
                expiries.extend(warnings::expiry(&document, source));
                read.add(document, index, &mut report);
            }
            if report.error_count() == 0 {
                sigma::ask(&mut report);
            }
            report.diagnostics.sort_by_key(|finding| (finding.line, finding.column));
            findings.append(&mut report.diagnostics);
            if read.rules.len() + read.filters.len() > MAX_RULES {
                let message = format!("more than {MAX_RULES} rules");
                findings.push(Diagnostic::whole_file(Code::TooManyRules, &source.shown, message));
                break;
            }
        }
        let fields = setting.table.fields;
        let refused = |findings: &[Diagnostic]| findings.iter().any(|finding| finding.level == DiagnosticLevel::Error);
        // Where documents are missing for their errors, names of them would be errors, too.
        let (rules, filters) = read.resolve(&sources, refused(&findings), &mut findings);
        let comments = comment_templates(&rules, &mut findings);
        if refused(&findings) {
            return Err(RuleErrors { diagnostics: bounded(findings) });
        }
        warn_of_unused(&sources, &defaults, &mut findings);
        findings.append(&mut warnings::look(&rules, &filters, &fields, &sources));
        findings.sort_by(|one, other| (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column)));
        let mut infos: Vec<RuleInfo> = rules.iter().map(|rule| info(rule, &rules)).collect();
        for info in &mut infos {
            info.tests += scenarios.iter().filter(|test| test.rule_id.as_ref() == Some(&info.id)).count();
        }
        let (hash, warnings) = (hash(&sources), bounded(findings));
        let index = Index::build(&rules, &fields);
        Ok(Self {
            hash,
            rules,
            filters,
            infos,
            fields,
            comments,
            warnings,
            expiries,
            scenarios,
            index,
            spare: Mutex::default(),
        })
    }

    /// Buffers for one evaluation; new ones where another evaluation is under way.
    pub(super) fn spare_scratch(&self) -> Scratch {
        self.spare.try_lock().ok().and_then(|mut spare| spare.take()).unwrap_or_default()
    }

    /// Keeps buffers for the next evaluation.
    pub(super) fn keep_scratch(&self, scratch: Scratch) {
        if let Ok(mut spare) = self.spare.try_lock() {
            *spare = Some(scratch);
        }
    }

    /// Names this set: the first digits of the SHA-256 over the names and texts of its files.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Every rule, building blocks included, in the order of ids.
    #[must_use]
    pub fn rules(&self) -> &[RuleInfo] {
        &self.infos
    }

    /// Findings that did not refuse the set.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Findings that did not refuse the set, and the rules and filters that have expired by now.
    #[must_use]
    pub fn warnings_at(&self, now: Timestamp) -> Vec<Diagnostic> {
        let expired = self.expiries.iter().filter(|(end, _)| now >= *end).map(|(_, finding)| finding);
        self.warnings.iter().chain(expired).cloned().collect()
    }

    /// Whether some rule asks for `raw.*`, so that the decoder must keep the original JSON.
    #[must_use]
    pub fn needs_raw(&self) -> bool {
        self.fields.iter().any(|field| matches!(field, Field::Raw(_)))
    }

    /// The longest that the cooldown of any rule is remembered; zero where no rule asks for a scan. A cooldown that grows is
    /// remembered for as long again as its longest: a scan within that time makes the next one longer.
    #[must_use]
    pub fn longest_cooldown(&self) -> Duration {
        self.longest(|response| {
            let grown = response.cooldown_growth.map(|growth| Duration::from_secs(growth.longest_seconds) * 2);
            Some(grown.unwrap_or_default().max(response.cooldown))
        })
    }

    /// The longest age limit of any rule; zero where no rule asks for a scan.
    #[must_use]
    pub fn longest_max_alert_age(&self) -> Duration {
        self.longest(|response| Some(response.max_alert_age))
    }

    /// The longest window in which the alerts of a device are counted, by a correlation or for an escalation; zero where
    /// nothing is counted.
    #[must_use]
    pub fn longest_threshold_window(&self) -> Duration {
        let escalations =
            self.longest(|response| response.escalate.map(|escalation| Duration::from_secs(escalation.within_seconds)));
        let counts = self.infos.iter().filter_map(|info| info.counts.as_ref());
        counts.map(|counts| Duration::from_secs(counts.within_seconds)).max().unwrap_or_default().max(escalations)
    }

    /// The longest merge window that a rule asks for; zero where none does.
    #[must_use]
    pub fn longest_merge_window(&self) -> Duration {
        self.longest(|response| response.merge_window)
    }

    /// The longest window in which a rule's devices are capped; zero where no rule has a limit.
    #[must_use]
    pub fn longest_limit_window(&self) -> Duration {
        self.longest(|response| response.limit_per_seconds.map(Duration::from_secs))
    }

    fn longest(&self, part: impl Fn(&ResponseInfo) -> Option<Duration>) -> Duration {
        self.infos.iter().filter_map(|info| part(info.response.as_ref()?)).max().unwrap_or_default()
    }
}

/// The defaults come first, whatever the name of a rule file: a rule is checked with all that it inherits.
fn read_defaults(sources: &[SourceFile], findings: &mut Vec<Diagnostic>) -> Defaults {
    let Some(source) = sources.iter().find(|source| source.is_defaults) else { return Defaults::default() };
    let mut report = Report::new(source);
    let documents = yaml::load(&mut report);
    let defaults = defaults::read(&documents, &mut report);
    report.diagnostics.sort_by_key(|finding| (finding.line, finding.column));
    findings.append(&mut report.diagnostics);
    defaults
}

/// A file that is checked alone takes the defaults beside it, and is not expected to use all of them.
fn warn_of_unused(sources: &[SourceFile], defaults: &Defaults, findings: &mut Vec<Diagnostic>) {
    if let Some(source) = sources.iter().find(|source| source.is_defaults && !source.is_beside) {
        let mut report = Report::new(source);
        defaults.warn_of_unused(&mut report);
        findings.append(&mut report.diagnostics);
    }
}

fn comment_templates(rules: &[Rule], findings: &mut Vec<Diagnostic>) -> Environment<'static> {
    let mut environment = template::environment();
    for rule in rules {
        if let Some(response) = &rule.response
            && let Err(error) = environment.add_template_owned(rule.id.clone(), response.comment.clone())
            // A template that does not parse has its finding, with its place, from the check of the response.
            && !findings.iter().any(|finding| finding.code == Code::InvalidTemplate)
        {
            findings.push(Diagnostic::whole_file(Code::InvalidTemplate, &rule.file, error.to_string()));
        }
    }
    environment
}

fn bounded(mut findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if findings.len() > MAX_DIAGNOSTICS {
        // Errors first, so that a refused set never shows warnings alone.
        findings.sort_by_key(|finding| finding.level != DiagnosticLevel::Error);
        let file = findings[MAX_DIAGNOSTICS].file.clone();
        findings.truncate(MAX_DIAGNOSTICS);
        let message = format!("more than {MAX_DIAGNOSTICS} findings: the rest is not shown");
        findings.push(Diagnostic::whole_file(Code::TooManyFindings, &file, message));
    }
    findings
}

fn hash(sources: &[SourceFile]) -> String {
    let mut hasher = Sha256::new();
    for source in sources {
        // A checkout with Windows line ends is the same rule set. Lengths keep two files from reading as one.
        for part in [&source.name, &source.text.replace("\r\n", "\n")] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
    }
    let digits: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chars().take(HASH_DIGITS).collect()
}

//! A rule set: loaded whole or refused whole.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jiff::civil::Date;
use minijinja::Environment;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::decision::{Mode, ScanType};
use super::diagnostic::{
    Diagnostic, DiagnosticCode as Code, DiagnosticLevel, MAX_DIAGNOSTICS, Report, RuleErrors, Span,
};
use super::document::{self, Rule};
use super::engine::{Index, Scratch};
use super::field::{Field, FieldTable};
use super::source::{MAX_FILE_BYTES, SourceFile, read_all};
use super::{template, yaml};

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
    infos: Vec<RuleInfo>,
    pub(super) fields: Vec<Field>,
    /// One template per rule with a response, named by the rule's id.
    pub(super) comments: Environment<'static>,
    warnings: Vec<Diagnostic>,
    pub(super) index: Index,
    /// Buffers of the last evaluation, for the next.
    spare: Mutex<Option<Scratch>>,
}

/// What there is to know about a rule from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleInfo {
    /// The rule's `id`, or its title where it has none. Unique in the set.
    pub id: String,
    /// The rule's title.
    pub title: String,
    /// Sigma's status word, where the rule has one.
    pub status: Option<&'static str>,
    /// Sigma's level word, where the rule has one.
    pub level: Option<&'static str>,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// How many tests it carries.
    pub tests: usize,
    /// What it asks for; `None` for a building block, which never asks for a scan.
    pub response: Option<ResponseInfo>,
}

/// The response of a rule, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResponseInfo {
    /// Quick or Full.
    pub scan: ScanType,
    /// The comment's template.
    pub comment: String,
    /// 0 to 100.
    pub priority: u8,
    /// Rest for the device after the scan.
    pub cooldown: Duration,
    /// Age of an alert beyond which the rule wants no scan.
    pub max_alert_age: Duration,
    /// The rule's own mode.
    pub mode: Mode,
    /// Last day (UTC) on which the rule matches.
    pub expires: Option<Date>,
    /// Distinct devices allowed per window.
    pub limit_devices: Option<u32>,
    /// Length of that window in seconds.
    pub limit_per_seconds: Option<u64>,
}

impl RuleSet {
    /// Loads every `*.yml` and `*.yaml` below a folder, or one file.
    ///
    /// Names that start with a dot are left out, so a Kubernetes ConfigMap volume is read once.
    ///
    /// # Errors
    ///
    /// Every error of the set at once; then nothing is loaded.
    pub fn load_dir(folder: &Path) -> Result<Self, RuleErrors> {
        let (sources, findings) = read_all(folder);
        Self::build(sources, findings)
    }

    /// Builds a rule set from texts with names, for tests and for rules that do not come from files.
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
        Self::build(files, findings)
    }

    fn build(mut sources: Vec<SourceFile>, mut findings: Vec<Diagnostic>) -> Result<Self, RuleErrors> {
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        let mut table = FieldTable::default();
        let mut rules: Vec<Rule> = Vec::new();
        let mut ids = HashMap::new();
        for source in &sources {
            let mut report = Report::new(source);
            let documents = yaml::load(&mut report);
            for document in &documents {
                let Some(rule) = document::read(document, &mut table, &mut report) else { continue };
                refuse_duplicate(&rule, &mut ids, &mut report);
                rules.push(rule);
            }
            if report.error_count() == 0 {
                ask_sigma(&mut report);
            }
            report.diagnostics.sort_by_key(|finding| (finding.line, finding.column));
            findings.append(&mut report.diagnostics);
            if rules.len() > MAX_RULES {
                let message = format!("more than {MAX_RULES} rules");
                findings.push(Diagnostic::whole_file(Code::TooManyRules, &source.shown, message));
                break;
            }
        }
        rules.sort_by(|one, other| one.id.cmp(&other.id));
        let comments = comment_templates(&rules, &mut findings);
        if findings.iter().any(|finding| finding.level == DiagnosticLevel::Error) {
            return Err(RuleErrors { diagnostics: bounded(findings) });
        }
        let infos = rules.iter().map(info).collect();
        let index = Index::build(&rules, &table.fields);
        Ok(Self {
            hash: hash(&sources),
            rules,
            infos,
            fields: table.fields,
            comments,
            warnings: bounded(findings),
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

    /// Whether some rule asks for `raw.*`, so that the decoder must keep the original JSON.
    #[must_use]
    pub fn needs_raw(&self) -> bool {
        self.fields.iter().any(|field| matches!(field, Field::Raw(_)))
    }

    /// The longest cooldown of any rule; zero where no rule asks for a scan.
    #[must_use]
    pub fn longest_cooldown(&self) -> Duration {
        self.infos.iter().filter_map(|info| Some(info.response.as_ref()?.cooldown)).max().unwrap_or_default()
    }

    /// The longest age limit of any rule; zero where no rule asks for a scan.
    #[must_use]
    pub fn longest_max_alert_age(&self) -> Duration {
        self.infos.iter().filter_map(|info| Some(info.response.as_ref()?.max_alert_age)).max().unwrap_or_default()
    }
}

fn refuse_duplicate(rule: &Rule, ids: &mut HashMap<String, (String, u32)>, report: &mut Report<'_>) {
    let here = (report.source.shown.clone(), report.line_of(rule.id_span));
    if let Some((file, line)) = ids.insert(rule.id.to_lowercase(), here) {
        let message = format!("another rule has the id `{}` already: {file}:{line}", rule.id);
        let finding = report.error(Code::DuplicateId, rule.id_span, message);
        finding.help("give each rule a new UUID; a rule without `id` goes by its title");
    }
}

/// The reference parser has the last word on whether this is Sigma: it looks at keys that do not matter to matching.
fn ask_sigma(report: &mut Report<'_>) {
    let problems = match rsigma_parser::parse_sigma_yaml(&report.source.text) {
        Ok(collection) => collection.errors,
        Err(error) => vec![error.to_string()],
    };
    for problem in problems {
        report.error(Code::NotSigma, Span::default(), format!("the Sigma parser refuses this file: {problem}"));
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

fn info(rule: &Rule) -> RuleInfo {
    RuleInfo {
        id: rule.id.clone(),
        title: rule.title.clone(),
        status: rule.status,
        level: rule.level.map(|level| level.as_str()),
        file: rule.file.clone(),
        line: rule.line,
        tests: rule.tests.len(),
        response: rule.response.as_ref().map(|response| ResponseInfo {
            scan: response.scan,
            comment: response.comment.clone(),
            priority: response.priority,
            cooldown: response.cooldown,
            max_alert_age: response.max_alert_age,
            mode: response.mode,
            expires: response.expires.map(|(date, _)| date),
            limit_devices: response.limit.map(|(devices, _)| devices),
            limit_per_seconds: response.limit.map(|(_, per)| per),
        }),
    }
}

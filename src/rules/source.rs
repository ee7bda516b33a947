//! Rule files: found in a folder, read within limits.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::defaults;
use super::diagnostic::{Diagnostic, DiagnosticCode};

/// Largest rule file, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Deepest folder below the one that was named.
const MAX_FOLDER_DEPTH: usize = 16;

/// How the name of a list ends.
pub(super) const LIST_EXTENSION: &str = ".list";

/// One rule file, or a list of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Name that takes part in the hash: relative to the folder, so that two hosts agree.
    pub(super) name: String,
    /// Name that findings show.
    pub(super) shown: String,
    /// Content, without a byte order mark.
    pub(super) text: String,
    /// The defaults of the folder, and no rules.
    pub(super) is_defaults: bool,
    /// It was not named: it stands beside the file that was.
    pub(super) is_beside: bool,
    /// Where each line starts, so that a finding need not count them.
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// The line, counted from 0, that holds this byte, and where the line starts.
    pub(super) fn line_at(&self, byte: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1);
        (line, self.line_starts.get(line).copied().unwrap_or_default())
    }

    /// Whether this is a list of values for placeholders, by its name.
    pub(super) fn is_list(&self) -> bool {
        self.name.ends_with(LIST_EXTENSION)
    }

    /// Whether its documents are rules, filters or correlations.
    pub(super) fn has_rules(&self) -> bool {
        !self.is_defaults && !self.is_list()
    }
}

impl SourceFile {
    pub(super) fn new(name: String, shown: String, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let is_defaults = name == defaults::FILE;
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { name, shown, text, is_defaults, is_beside: false, line_starts }
    }
}

/// Reads every `*.yml`, `*.yaml` and `*.list` below `root`, or `root` itself where it is a file.
///
/// Names that start with a dot are left out: a Kubernetes ConfigMap shows each file once as a link and once more below
/// `..data`, and editors leave hidden files behind. Links to files are followed, links to folders are not. With one file
/// come the defaults file and the lists beside it, so that an editor sees of a rule what production sees.
pub(super) fn read_all(root: &Path) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    read_some(root, |path| !is_test_file(path), true)
}

/// Reads the files of tests below `root`, or `root` itself. There need not be any.
pub(super) fn read_tests(root: &Path) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    read_some(root, is_test_file, false)
}

/// Tests stand beside the rules, and are none: the worker must not load them, and a change of theirs is no new rule set.
fn is_test_file(path: &Path) -> bool {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.is_some_and(|stem| stem.ends_with(".test"))
}

fn read_some(root: &Path, wanted: impl Fn(&Path) -> bool, must_be_some: bool) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let mut paths = Vec::new();
    let is_file = fs::metadata(root).is_ok_and(|metadata| metadata.is_file());
    if is_file {
        paths.push(root.to_path_buf());
        paths.extend(beside(root).into_iter().filter(|path| wanted(path)));
    } else {
        find(root, 0, &mut paths, &mut findings);
        paths.retain(|path| wanted(path));
        paths.sort();
        let lists_only = paths.iter().all(|path| is_list(path));
        if must_be_some && lists_only && findings.is_empty() {
            findings.push(Diagnostic::whole_file(
                DiagnosticCode::NoRules,
                &root.display().to_string(),
                "no rule files here: expected *.yml or *.yaml".to_owned(),
            ));
        }
    }
    let mut sources = Vec::new();
    for path in paths {
        let shown = path.display().to_string();
        match read_one(&path) {
            Ok(text) => {
                let relative = if is_file { path.file_name().map(Path::new) } else { path.strip_prefix(root).ok() };
                let name = relative.map_or_else(|| shown.clone(), |rest| rest.display().to_string());
                let mut source = SourceFile::new(name, shown, &text);
                source.is_beside = is_file && path != root;
                sources.push(source);
            }
            Err((code, message)) => findings.push(Diagnostic::whole_file(code, &shown, message)),
        }
    }
    (sources, findings)
}

fn is_list(path: &Path) -> bool {
    path.to_string_lossy().ends_with(LIST_EXTENSION)
}

/// What a rule may need of the folder that its file stands in. What cannot be read is left out: nobody named it.
fn beside(file: &Path) -> Vec<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(file.with_file_name(entry.ok()?.file_name())))
        .filter(|path| is_list(path) && !is_hidden(path))
        .chain([file.with_file_name(defaults::FILE)])
        .filter(|path| path != file && fs::metadata(path).is_ok_and(|metadata| metadata.is_file()))
        .collect();
    paths.sort();
    paths
}

fn find(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>, findings: &mut Vec<Diagnostic>) {
    let unreadable = |path: &Path, message: String| {
        Diagnostic::whole_file(DiagnosticCode::UnreadableFile, &path.display().to_string(), message)
    };
    if depth > MAX_FOLDER_DEPTH {
        findings.push(unreadable(folder, format!("folders are nested deeper than {MAX_FOLDER_DEPTH}")));
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            findings.push(unreadable(folder, format!("cannot read the folder: {error}")));
            return;
        }
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                findings.push(unreadable(folder, format!("cannot read the folder: {error}")));
                continue;
            }
        };
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&path, depth + 1, paths, findings);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yml" || extension == "yaml" || extension == "list")
        {
            paths.push(path);
        }
    }
}

fn read_one(path: &Path) -> Result<String, (DiagnosticCode, String)> {
    let unreadable = |message: String| (DiagnosticCode::UnreadableFile, message);
    let metadata = fs::metadata(path).map_err(|error| unreadable(format!("cannot read the file: {error}")))?;
    if !metadata.is_file() {
        return Err(unreadable("not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(format!("cannot read the file: {error}")))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err((DiagnosticCode::FileTooLarge, format!("larger than {MAX_FILE_BYTES} bytes: split the file")));
    }
    String::from_utf8(bytes).map_err(|error| unreadable(format!("not UTF-8: {error}")))
}

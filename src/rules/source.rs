//! Rule files: found in a folder, read within limits.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, DiagnosticCode};

/// Largest rule file, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Deepest folder below the one that was named.
const MAX_FOLDER_DEPTH: usize = 16;

/// One rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Name that takes part in the hash: relative to the folder, so that two hosts agree.
    pub(super) name: String,
    /// Name that findings show.
    pub(super) shown: String,
    /// Content, without a byte order mark.
    pub(super) text: String,
}

impl SourceFile {
    pub(super) fn new(name: String, shown: String, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Self { name, shown, text }
    }
}

/// Reads every `*.yml` and `*.yaml` below `root`, or `root` itself where it is a file.
///
/// Names that start with a dot are left out: a Kubernetes ConfigMap shows each file once as a link and once more below
/// `..data`, and editors leave hidden files behind. Links to files are followed, links to folders are not.
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
    if fs::metadata(root).is_ok_and(|metadata| metadata.is_file()) {
        paths.push(root.to_path_buf());
    } else {
        find(root, 0, &mut paths, &mut findings);
        paths.retain(|path| wanted(path));
        paths.sort();
        if must_be_some && paths.is_empty() && findings.is_empty() {
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
                let relative = path.strip_prefix(root).ok().filter(|rest| !rest.as_os_str().is_empty());
                let name = relative.map_or_else(|| shown.clone(), |rest| rest.display().to_string());
                sources.push(SourceFile::new(name, shown, &text));
            }
            Err((code, message)) => findings.push(Diagnostic::whole_file(code, &shown, message)),
        }
    }
    (sources, findings)
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
        } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
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

//! `decode`: shows what the worker would see of a file of alerts.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::ConfigArgs;
use crate::alert::{Alert, DecodeOptions, Device, FileInfo, Mitre, Position, Severity, Threat, User, decode};

/// Decode alerts and print them as the worker sees them, one line of JSON per alert and device.
///
/// The input is NDJSON, one record per line, or one JSON document, which is one record. A record is an alert of a known format
/// (our own, MDE, Graph alerts_v2), an array of them, or a page ({"value": [...]}) of MDE or Graph alerts. What cannot be
/// decoded is told on standard error with its reason, and the exit code is 5.
#[derive(Debug, Clone, clap::Args)]
pub struct DecodeArgs {
    /// File to read; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// The configuration, for its bounds on a record (section `alerts`).
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl DecodeArgs {
    /// Name of the input in messages.
    #[must_use]
    pub fn name(&self) -> String {
        if self.is_stdin() { "stdin".to_owned() } else { self.file.display().to_string() }
    }

    /// Whether standard input is meant.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }
}

/// What a run of [`run`] met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeSummary {
    /// Records read, blank lines aside.
    pub records: u64,
    /// Alerts decoded.
    pub alerts: u64,
    /// Lines printed: one per alert and device, one for an alert without a device.
    pub lines: u64,
    /// Records that could not be decoded.
    pub failed: u64,
}

impl DecodeSummary {
    /// 5 where a record could not be decoded, else 0.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if self.failed > 0 { 5 } else { 0 }
    }
}

/// Decodes everything in `input`, which messages call `name`.
///
/// # Errors
/// Of reading and writing; the kind `BrokenPipe` when whoever reads `out` has gone.
pub fn run(
    input: &mut dyn BufRead,
    name: &str,
    options: &DecodeOptions,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<DecodeSummary> {
    let mut printer = Printer { name, options, out, err, summary: DecodeSummary::default() };
    let most = options.limits.max_record_bytes;

    // One document that spans lines is told by its first line: JSON that has not ended.
    let mut line = Vec::new();
    let mut number = 0;
    while read_line(input, most, &mut line)? {
        number += 1;
        if is_blank(&line) {
            continue;
        }
        if printer.summary.records == 0 && line.len() <= most && is_unfinished(&line) {
            return printer.document_or_lines(input, line, number);
        }
        printer.record(&line, number)?;
    }
    printer.done()
}

struct Printer<'a> {
    name: &'a str,
    options: &'a DecodeOptions,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    summary: DecodeSummary,
}

impl Printer<'_> {
    /// The rest of an input whose first line is unfinished JSON: one document, or lines of which the first is broken.
    fn document_or_lines(
        mut self,
        input: &mut dyn BufRead,
        mut text: Vec<u8>,
        first_line: u64,
    ) -> io::Result<DecodeSummary> {
        let most = self.options.limits.max_record_bytes;
        // One byte more than the limit is enough for the decoder to say `too_large`.
        let room = u64::try_from((most + 1).saturating_sub(text.len())).unwrap_or(u64::MAX);
        Read::take(&mut *input, room).read_to_end(&mut text)?;
        if is_json(&text) || is_unfinished(&text) {
            self.record(&text, first_line)?;
            return self.done();
        }
        let mut lines = text.as_slice().chain(input);
        let mut line = Vec::new();
        let mut number = first_line - 1;
        while read_line(&mut lines, most, &mut line)? {
            number += 1;
            if !is_blank(&line) {
                self.record(&line, number)?;
            }
        }
        self.done()
    }

    fn record(&mut self, bytes: &[u8], line: u64) -> io::Result<()> {
        self.summary.records += 1;
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        match decode(bytes, self.options) {
            Ok(decoded) => decoded.iter().try_for_each(|decoded| self.alert(&decoded.alert)),
            Err(error) => {
                self.summary.failed += 1;
                let line = match error.position() {
                    Position::LineColumn { line: inner, .. } => line + (*inner as u64).saturating_sub(1),
                    _ => line,
                };
                writeln!(self.err, "{}:{line}: {}: {error}", self.name, error.code())
            }
        }
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.summary.alerts += 1;
        if alert.devices.is_empty() {
            return self.line(&Line::of(alert, None));
        }
        alert.devices.iter().try_for_each(|device| self.line(&Line::of(alert, Some(device))))
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.summary.lines += 1;
        serde_json::to_writer(&mut *self.out, line)?;
        self.out.write_all(b"\n")
    }

    fn done(self) -> io::Result<DecodeSummary> {
        self.out.flush()?;
        self.err.flush()?;
        Ok(self.summary)
    }
}

/// One (alert, device), in the words that rules use. It is itself an alert of our own format.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    title: Option<&'a str>,
    severity: Severity,
    category: Option<&'a str>,
    status: Option<&'a str>,
    source: Option<&'a str>,
    detection_source: Option<&'a str>,
    created_at: Option<Timestamp>,
    tenant: Option<&'a str>,
    incident_id: Option<&'a str>,
    format: &'a str,
    device: Option<&'a Device>,
    threat: &'a Threat,
    mitre: &'a Mitre,
    user: &'a User,
    file: &'a FileInfo,
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(alert: &'a Alert, device: Option<&'a Device>) -> Self {
        Self {
            id: &alert.id,
            title: alert.title.as_deref(),
            severity: alert.severity,
            category: alert.category.as_deref(),
            status: alert.status.as_deref(),
            source: alert.source.as_deref(),
            detection_source: alert.detection_source.as_deref(),
            created_at: alert.created_at,
            tenant: alert.tenant.as_deref(),
            incident_id: alert.incident_id.as_deref(),
            format: alert.format.as_str(),
            device,
            threat: &alert.threat,
            mitre: &alert.mitre,
            user: &alert.user,
            file: &alert.file,
            labels: &alert.labels,
            description: alert.description.as_deref(),
        }
    }
}

/// Reads a line with its end, at most a little more than `most` bytes of it; the rest of a longer one is thrown away.
pub(super) fn read_line(input: &mut dyn BufRead, most: usize, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    // Three bytes more: a line end of two, which does not count, and one that makes the decoder say `too_large`.
    let room = u64::try_from(most.saturating_add(3)).unwrap_or(u64::MAX);
    if Read::take(&mut *input, room).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(without_mark(text)).is_ok()
}

/// JSON so far, but not to its end.
pub(super) fn is_unfinished(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(without_mark(text)).is_err_and(|error| error.is_eof())
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

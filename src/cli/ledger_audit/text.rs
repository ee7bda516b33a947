//! The report for people.

use std::fmt::{self, Write};

use super::report::{AuditReport, PartitionReport, Verdict};

/// The report as text, ending with a line break.
#[must_use]
pub fn render_text(report: &AuditReport) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ignored = render(report, &mut text);
    text
}

fn render(report: &AuditReport, out: &mut String) -> fmt::Result {
    if report.ledger.is_empty() {
        writeln!(out, "Ledger      empty")?;
    }
    for lane in &report.ledger {
        let whole = if lane.complete { "the whole log" } else { "it begins late" };
        writeln!(
            out,
            "Ledger      partition {}, offsets {} to {} ({whole}): records {}, claims {}, repeated {}, void {}, late {}",
            lane.partition, lane.from, lane.to, lane.records, lane.claims, lane.duplicates, lane.void, lane.late
        )?;
        if lane.requested_again > 0 {
            writeln!(out, "            requests made again long after their end: {}", lane.requested_again)?;
        }
    }
    let requests = &report.requests;
    let flight = &requests.in_flight;
    writeln!(
        out,
        "Requests    made {}, ended {}, in flight {} (waiting {}, calling {}, running {})",
        requests.made, requests.ended, flight.total, flight.waiting, flight.calling, flight.running
    )?;
    if flight.overdue > 0 {
        writeln!(out, "            waiting although too old: {}", flight.overdue)?;
    }
    for open in &flight.oldest {
        let scan = open.scan_id.as_ref().map(|scan| format!(" in scan {scan}")).unwrap_or_default();
        writeln!(out, "            {}@{} request {}{scan}", open.partition, open.offset, open.request_id)?;
    }
    let calls = &report.calls;
    writeln!(
        out,
        "Calls       intents {}: accepted {}, joined {}, failed {}, withdrawn {}",
        calls.intents, calls.accepted, calls.joined, calls.failed, calls.withdrawn
    )?;
    for window in &calls.windows {
        let (partition, seconds, calls, limit) = (window.partition, window.seconds, window.calls, window.limit);
        writeln!(out, "            at most {calls} of {limit} in any {seconds} s (partition {partition})")?;
    }
    for partition in &report.alerts {
        render_partition(partition, out)?;
    }
    writeln!(out, "Outcomes    unaccounted {}", report.unaccounted)?;
    for (outcome, reasons) in &report.outcomes {
        for (reason, count) in reasons {
            let what = format!("{outcome} {reason}");
            writeln!(out, "{count:>10}  {}", what.trim_end())?;
        }
    }
    for note in &report.notes {
        writeln!(out, "Note        {note}")?;
    }
    for violation in &report.violations {
        let offsets: Vec<String> = violation.offsets.iter().map(i64::to_string).collect();
        let place = match violation.partition {
            Some(partition) => format!("ledger {partition}@{}: ", offsets.join(",")),
            None => String::new(),
        };
        writeln!(out, "VIOLATION   {}: {place}{}", violation.code, violation.message)?;
    }
    let total: u64 = report.violation_counts.values().sum();
    let listed = u64::try_from(report.violations.len()).unwrap_or(u64::MAX);
    if listed < total {
        writeln!(out, "            … and {} more", total - listed)?;
    }
    match report.verdict {
        Verdict::Balanced => writeln!(out, "Balanced: every promise that the log can show is kept."),
        Verdict::Violated => writeln!(out, "NOT BALANCED: violations {total}, unaccounted {}.", report.unaccounted),
        Verdict::TooNew => writeln!(out, "CANNOT AUDIT: a newer version wrote the ledger."),
    }
}

fn render_partition(partition: &PartitionReport, out: &mut String) -> fmt::Result {
    let skipped: u64 = partition.skipped.values().sum();
    let dead: u64 = partition.dead_lettered.values().sum();
    writeln!(
        out,
        "Alerts      partition {}, offsets {} to {}: {} observed = {} requested + {} failed + {skipped} skipped + {dead} dead-lettered",
        partition.partition,
        partition.base,
        partition.committed,
        partition.observed,
        partition.requested,
        partition.failed
    )?;
    match partition.observed_in_topic {
        Some(found) => writeln!(out, "            the topic itself holds {found} observations"),
        None => writeln!(out, "            the topic no longer holds all of them, or was not read"),
    }
}

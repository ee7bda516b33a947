//! Calls in sliding windows, as far as the log proves them.
//!
//! A call reached the API somewhere between its intent and the moment by which it had certainly arrived. Only calls whose
//! whole span lies inside one window are counted for it: that count is a lower bound of the truth.
//!
//! The quota is configuration, and a change of it brings a new owner. So it judges the windows with a call of the latest
//! owner in them, who counted the calls of former ones too before he made it, and no window that former owners filled alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;

use super::inputs::AuditOptions;
use super::lane::Lane;
use super::report::{CallReport, WindowReport};
use super::violation::{ViolationCode, Violations};

/// When a call was under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Offset of the intent.
    pub(super) offset: i64,
    /// Whether it may have left the process at all.
    pub(super) left: bool,
}

/// A stretch in which a window held more calls than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// Offset of the intent that was one too many.
    pub(super) offset: i64,
    /// When its call had arrived.
    pub(super) at: Timestamp,
}

/// Counts a lane's calls, and holds them against the quota.
pub(super) fn count_calls(
    lane: &Lane,
    options: &AuditOptions,
    calls: &mut CallReport,
    violations: &mut Violations,
    notes: &mut Vec<String>,
) {
    calls.intents += lane.counts.intents;
    calls.withdrawn += lane.counts.withdrawn;
    calls.failed += lane.counts.attempts_failed;
    calls.accepted += lane.counts.accepted;
    calls.joined += lane.counts.joined;
    let latest = lane.claimed_at.filter(|_| !options.every_owner);
    for (window, limit) in [(options.minute_window, options.per_minute), (options.hour_window, options.per_hour)] {
        let (most, all) = busiest(&lane.calls, window, limit, None);
        calls.windows.push(WindowReport {
            partition: lane.partition,
            seconds: window.as_secs(),
            calls: u64::try_from(most).unwrap_or(u64::MAX),
            limit,
        });
        let judged = if latest.is_some() { busiest(&lane.calls, window, limit, latest).1 } else { all };
        if judged.is_empty() && most > usize::try_from(limit).unwrap_or(usize::MAX) {
            notes.push(format!(
                "ledger partition {}: former owners made up to {most} calls in {} s, and the quota is {limit} now; it may have been another then (--every-owner judges them by it too)",
                lane.partition,
                window.as_secs()
            ));
        }
        for excess in judged {
            violations.ledger(ViolationCode::QuotaExceeded, lane.partition, &[excess.offset], || {
                format!("more than {limit} calls arrived in the {window:?} before {}", excess.at)
            });
        }
    }
}

/// The most calls that are proved for any window of this length, and each stretch above the limit: of the windows that
/// hold a call intended after the offset `since`, where one is given.
fn busiest(spans: &[Span], window: Duration, limit: u32, since: Option<i64>) -> (usize, Vec<Excess>) {
    let mut ordered: Vec<(Timestamp, Timestamp, i64)> = spans
        .iter()
        .filter(|span| span.left)
        // The clocks of two owners may differ; the span is what lies between the two stamps.
        .map(|span| (span.from.max(span.to), span.from.min(span.to), span.offset))
        .collect();
    ordered.sort_unstable();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut most, mut excesses, mut above) = (0, Vec::new(), false);
    // Begins of the spans inside the window that ends at the end of the latest one, and whether they make it count; the
    // earliest is dropped first.
    let mut begins: BinaryHeap<Reverse<(Timestamp, bool)>> = BinaryHeap::new();
    let mut counting = 0_usize;
    for (to, from, offset) in ordered {
        let counts = since.is_none_or(|since| offset > since);
        begins.push(Reverse((from, counts)));
        counting += usize::from(counts);
        let before = to.saturating_sub(window).unwrap_or(Timestamp::MIN);
        while begins.peek().is_some_and(|Reverse((begin, _))| *begin <= before) {
            let dropped = begins.pop().is_some_and(|Reverse((_, counts))| counts);
            counting -= usize::from(dropped);
        }
        let inside = if counting > 0 { begins.len() } else { 0 };
        most = most.max(inside);
        if inside > limit && !above {
            excesses.push(Excess { offset, at: to });
        }
        above = inside > limit;
    }
    (most, excesses)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    proptest! {
        #[test]
        fn it_agrees_with_counting_every_window(
            spans in prop::collection::vec((0_i64..200, 0_i64..40), 0..40),
            since in prop::option::of(0_i64..40),
        ) {
            let window = Duration::from_millis(50);
            let spans: Vec<Span> = spans
                .iter()
                .enumerate()
                .map(|(offset, (from, length))| Span {
                    from: at(*from), to: at(from + length), offset: i64::try_from(offset).unwrap(), left: true,
                })
                .collect();
            let inside = |start: i64| {
                let inside = |span: &&Span| span.from >= at(start) && span.to < at(start + 50);
                let counts = |span: &Span| since.is_none_or(|since| span.offset > since);
                if spans.iter().filter(inside).any(counts) { spans.iter().filter(inside).count() } else { 0 }
            };
            let expected = (-50..250).map(inside).max().unwrap_or(0);
            let (most, excesses) = busiest(&spans, window, 3, since);
            prop_assert_eq!(most, expected);
            prop_assert_eq!(excesses.is_empty(), expected <= 3);
        }
    }
}

//! Calls in sliding windows, as far as the log proves them.
//!
//! A call reached the API somewhere between its intent and the moment by which it had certainly arrived. Only calls whose
//! whole span lies inside one window are counted for it: that count is a lower bound of the truth.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;

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

/// The most calls that are proved for any window of this length, and each stretch above the limit.
pub(super) fn busiest(spans: &[Span], window: Duration, limit: u32) -> (usize, Vec<Excess>) {
    let mut ordered: Vec<(Timestamp, Timestamp, i64)> = spans
        .iter()
        .filter(|span| span.left)
        // The clocks of two owners may differ; the span is what lies between the two stamps.
        .map(|span| (span.from.max(span.to), span.from.min(span.to), span.offset))
        .collect();
    ordered.sort_unstable();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut most, mut excesses, mut above) = (0, Vec::new(), false);
    // Begins of the spans inside the window that ends at the end of the latest one; the earliest is dropped first.
    let mut begins: BinaryHeap<Reverse<Timestamp>> = BinaryHeap::new();
    for (to, from, offset) in ordered {
        begins.push(Reverse(from));
        let before = to.saturating_sub(window).unwrap_or(Timestamp::MIN);
        while begins.peek().is_some_and(|Reverse(begin)| *begin <= before) {
            begins.pop();
        }
        most = most.max(begins.len());
        if begins.len() > limit && !above {
            excesses.push(Excess { offset, at: to });
        }
        above = begins.len() > limit;
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
        fn it_agrees_with_counting_every_window(spans in prop::collection::vec((0_i64..200, 0_i64..40), 0..40)) {
            let window = Duration::from_millis(50);
            let spans: Vec<Span> = spans
                .iter()
                .enumerate()
                .map(|(offset, (from, length))| Span {
                    from: at(*from), to: at(from + length), offset: i64::try_from(offset).unwrap(), left: true,
                })
                .collect();
            let inside = |start: i64| {
                spans.iter().filter(|span| span.from >= at(start) && span.to < at(start + 50)).count()
            };
            let expected = (-50..250).map(inside).max().unwrap_or(0);
            let (most, excesses) = busiest(&spans, window, 3);
            prop_assert_eq!(most, expected);
            prop_assert_eq!(excesses.is_empty(), expected <= 3);
        }
    }
}

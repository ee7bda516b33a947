//! Calls of `rdkafka` that panic on what other people wrote.
//!
//! It takes names of headers and the metadata of commits for UTF-8 and unwraps; Kafka takes any bytes. The way around it would
//! be `unsafe`, which is forbidden here: so the panic is caught where it arises, and the caller goes on without that piece.
//! This wants panics that unwind, which is every profile's default; `panic = "abort"` would bring the poison back.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// The panic that may come now is expected.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What the call returns; `None` when it panics. For calls that only read: nothing half done may be left behind.
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    be_quiet_when_expected();
    EXPECTED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    EXPECTED.set(false);
    result.ok()
}

/// The hook runs before a panic is caught, and the default one prints a line each time: a topic full of such records would
/// drown the log. Every other panic goes to the hook that was there before. Whoever sets another one later loses only the quiet.
fn be_quiet_when_expected() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            // A thread that is ending has no such value left.
            if !EXPECTED.try_with(Cell::get).unwrap_or(false) {
                before(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_nothing_and_the_next_one_is_told_again() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(caught(|| -> u8 { panic!("expected") }), None);
        assert!(!EXPECTED.get());
    }
}

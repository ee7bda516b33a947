//! Settings that would break a promise are refused.

use std::time::Duration;

use crate::scheduler::Settings;

#[test]
fn times_of_nothing_that_would_break_a_promise_are_refused_by_name() {
    assert_eq!(Settings::default().validate(), Vec::<String>::new());
    type Change = fn(&mut Settings);
    let changes: [(&str, Change); 9] = [
        ("scheduler.reads.device_memory is 0", |s| s.reads.device_memory = Duration::ZERO),
        ("scheduler.reads.per_hour is 0", |s| s.reads.per_hour = 0),
        ("scheduler.retry.busy is 0", |s| s.retry.busy = Duration::ZERO),
        ("scheduler.quota.pause_without_retry_after is 0", |s| s.quota.pause_without_retry_after = Duration::ZERO),
        ("scheduler.settle is 0", |s| s.settle = Duration::ZERO),
        ("scheduler.list_gap is 0", |s| s.list_gap = Duration::ZERO),
        ("scheduler.quick_deadline is 0", |s| s.quick_deadline = Duration::ZERO),
        ("scheduler.full_deadline is 0", |s| s.full_deadline = Duration::ZERO),
        ("scheduler.leave_within is 0", |s| s.leave_within = Duration::ZERO),
    ];
    for (message, change) in changes {
        let mut settings = Settings::default();
        change(&mut settings);
        let wrong = settings.validate();
        assert!(wrong.len() == 1 && wrong[0].starts_with(message), "{message}: {wrong:?}");
    }
}

//! Intents of one ownership, from their append to their call.
//!
//! A call is made only when its intent was read back *and* every in-sync replica has it: what is read back alone may be lost
//! with the broker that it was read from. When it must have left is noted as the intent is made, since the wall clock may
//! be set back before it is called.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::defender::LeaveBy;
use crate::event::EventBody;
use crate::scheduler::Call;

/// A scan and the number of its attempt.
pub(crate) type Attempt = (String, u32);

/// An intent that is not called yet.
#[derive(Debug)]
struct Made {
    leave_by: LeaveBy,
    acknowledged: bool,
    /// The call, once it is asked for.
    call: Option<Call>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Intents {
    leave_within: Duration,
    made: HashMap<Attempt, Made>,
    ready: Vec<(Call, LeaveBy)>,
}

impl Intents {
    pub(crate) fn new(leave_within: Duration) -> Self {
        Self { leave_within, made: HashMap::new(), ready: Vec::new() }
    }

    /// A record was handed over for appending; tells the attempt if it is an intent.
    pub(crate) fn appended(&mut self, time: Timestamp, body: &EventBody) -> Option<Attempt> {
        let EventBody::Intent(intent) = body else { return None };
        // One that was withdrawn is never called. A call that is asked for is made, late or not: its answer is waited for.
        self.made.retain(|_, made| made.call.is_some() || !made.leave_by.is_late());
        let attempt = (intent.scan_id.clone(), intent.attempt);
        let leave_by = LeaveBy::after(time, self.leave_within);
        self.made.insert(attempt.clone(), Made { leave_by, acknowledged: false, call: None });
        Some(attempt)
    }

    /// Every in-sync replica has the intent.
    pub(crate) fn acknowledged(&mut self, attempt: &Attempt) {
        if let Some(made) = self.made.get_mut(attempt) {
            made.acknowledged = true;
            if let Some(call) = made.call.take() {
                self.ready.push((call, made.leave_by));
                self.made.remove(attempt);
            }
        }
    }

    /// The scheduler asks for a call. That of an intent which is not acknowledged yet is ready later.
    pub(crate) fn called(&mut self, call: Call) {
        let Call::Scan { scan_id, attempt, intent_time, .. } = &call else {
            self.ready.push((call, LeaveBy::from_now(self.leave_within)));
            return;
        };
        let (attempt, intent_time) = ((scan_id.clone(), *attempt), *intent_time);
        match self.made.get_mut(&attempt) {
            Some(made) if !made.acknowledged => made.call = Some(call),
            known => {
                let leave_by =
                    known.map_or_else(|| LeaveBy::after(intent_time, self.leave_within), |made| made.leave_by);
                self.made.remove(&attempt);
                self.ready.push((call, leave_by));
            }
        }
    }

    /// The calls to make now, each with the moment at which it must have left.
    pub(crate) fn take_ready(&mut self) -> Vec<(Call, LeaveBy)> {
        std::mem::take(&mut self.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DeviceRef, Intent, ScanType};

    const LEAVE_WITHIN: Duration = Duration::from_secs(5);

    fn intent(now: Timestamp) -> EventBody {
        EventBody::from(Intent {
            claim: "c".to_owned(),
            scan_id: "s".to_owned(),
            attempt: 2,
            request_ids: Vec::new(),
            device: DeviceRef::default(),
            alerts: Vec::new(),
            rule_ids: Vec::new(),
            scan_type: ScanType::Quick,
            priority: 0,
            comment: String::new(),
            latest_arrival: now,
            resolve_after: now,
            cooldown_seconds: 0,
            cooldown_step: 0,
            cooldown_grows_for_seconds: None,
            limits: Vec::new(),
        })
    }

    fn call(intent_time: Timestamp) -> Call {
        let (scan_id, device_id, comment) = ("s".to_owned(), "d".to_owned(), String::new());
        Call::Scan { scan_id, attempt: 2, device_id, scan_type: ScanType::Quick, comment, intent_time }
    }

    #[test]
    fn an_intent_is_called_once_it_is_read_back_and_acknowledged() {
        let now = Timestamp::now();
        for read_first in [true, false] {
            let mut intents = Intents::new(LEAVE_WITHIN);
            let attempt = intents.appended(now, &intent(now)).expect("an intent");
            if read_first {
                intents.called(call(now));
                assert!(intents.take_ready().is_empty(), "a replica may lack it");
                intents.acknowledged(&attempt);
            } else {
                intents.acknowledged(&attempt);
                assert!(intents.take_ready().is_empty(), "nobody read it back");
                intents.called(call(now));
            }
            assert_eq!(intents.take_ready().len(), 1);
            intents.acknowledged(&attempt);
            assert!(intents.take_ready().is_empty(), "once");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_lengthen_the_time_to_leave() {
        let now = Timestamp::now();
        let made = now - LEAVE_WITHIN;
        let mut intents = Intents::new(LEAVE_WITHIN);
        let attempt = intents.appended(made, &intent(made)).expect("an intent");
        intents.acknowledged(&attempt);
        // By the clock of the call it was only just made.
        intents.called(call(now));
        let ready = intents.take_ready();
        assert!(ready[0].1.is_late(), "its time was noted as it was made");
    }

    #[test]
    fn a_call_that_grew_late_while_it_waited_is_made_all_the_same_and_told_to_be_late() {
        let now = Timestamp::now();
        let mut intents = Intents::new(Duration::ZERO);
        let attempt = intents.appended(now, &intent(now)).expect("an intent");
        intents.called(call(now));
        let EventBody::Intent(other) = intent(now) else { panic!("an intent") };
        intents.appended(now, &EventBody::from(Intent { scan_id: "other".to_owned(), ..other }));
        intents.acknowledged(&attempt);
        let ready = intents.take_ready();
        assert!(ready.len() == 1 && ready[0].1.is_late(), "{ready:?}");
    }

    #[test]
    fn what_is_no_scan_waits_for_nothing_and_what_is_not_called_is_forgotten() {
        let now = Timestamp::now();
        let mut intents = Intents::new(Duration::ZERO);
        intents.called(Call::LookUp { device_id: "d".to_owned() });
        assert_eq!(intents.take_ready().len(), 1);
        for _ in 0..3 {
            intents.appended(now, &intent(now));
        }
        assert_eq!(intents.made.len(), 1);
    }
}

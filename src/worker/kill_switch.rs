//! The kill switch of this replica: it holds calls back at once, before the ledger says so to everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Whether somebody pulled the switch on this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pulled {
    /// Nobody did, or the ledger speaks for it by now.
    #[default]
    No,
    /// Pulled, and the order is not in the ledger yet.
    Unrecorded,
    /// The order is in the ledger at this offset: until it was folded there, the switch stays pulled here.
    UntilFolded(i64),
}

/// See the module. Cheap to clone; clones are one switch.
#[derive(Debug, Clone)]
pub(crate) struct KillSwitch {
    configured: bool,
    pulled: watch::Sender<Pulled>,
    /// Asked where a request would leave.
    stopped: Arc<AtomicBool>,
}

impl KillSwitch {
    /// A switch that the configuration holds pulled, or not.
    pub(crate) fn new(configured: bool) -> Self {
        Self { configured, pulled: watch::Sender::default(), stopped: Arc::new(AtomicBool::new(configured)) }
    }

    /// What the client asks before a request leaves.
    pub(crate) fn stopped(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stopped)
    }

    /// Whether the configuration holds it pulled: only a restart with another one ends that.
    pub(crate) const fn is_configured(&self) -> bool {
        self.configured
    }

    /// Tells of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<Pulled> {
        self.pulled.subscribe()
    }

    /// Pulls it, now.
    pub(crate) fn pull(&self) {
        self.pulled.send_modify(|pulled| {
            *pulled = Pulled::Unrecorded;
            self.stopped.store(true, Ordering::SeqCst);
        });
    }

    /// The order is in the ledger.
    pub(crate) fn recorded(&self, offset: i64) {
        self.pulled.send_if_modified(|pulled| {
            let waited = *pulled == Pulled::Unrecorded;
            if waited {
                *pulled = Pulled::UntilFolded(offset);
            }
            waited
        });
    }

    /// A later order that resumes is in the ledger: what was pulled here holds until that was folded.
    pub(crate) fn resumed(&self, offset: i64) {
        self.pulled.send_if_modified(|pulled| {
            let holds = *pulled != Pulled::No;
            if holds {
                *pulled = Pulled::UntilFolded(offset);
            }
            holds
        });
    }

    /// Whether the order still waits to be recorded.
    pub(crate) fn is_unrecorded(&self) -> bool {
        *self.pulled.borrow() == Pulled::Unrecorded
    }

    /// Whether it is pulled here: by the configuration, or by an order that the ledger does not yet speak for.
    pub(crate) fn is_pulled(&self) -> bool {
        self.configured || *self.pulled.borrow() != Pulled::No
    }

    /// The ledger was folded up to `end`, and it says that every call is to stop, or not. Whether the switch holds besides.
    pub(crate) fn folded(&self, end: i64, ordered: bool) -> bool {
        self.pulled.send_if_modified(|pulled| {
            let folded = matches!(pulled, Pulled::UntilFolded(offset) if *offset < end);
            if folded {
                *pulled = Pulled::No;
            }
            folded
        });
        // Under the lock that `pull` takes: what it sets must not be undone by what was known before it.
        let pulled = self.pulled.borrow();
        let holds = self.configured || *pulled != Pulled::No;
        self.stopped.store(holds || ordered, Ordering::SeqCst);
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(switch: &KillSwitch) -> bool {
        switch.stopped().load(Ordering::SeqCst)
    }

    #[test]
    fn it_holds_at_once_and_until_the_ledger_speaks_for_it() {
        let switch = KillSwitch::new(false);
        assert!(!switch.folded(7, false) && !stops(&switch));
        switch.pull();
        assert!(stops(&switch) && switch.is_pulled() && switch.is_unrecorded());
        assert!(switch.folded(9, false), "the record is not there yet");
        switch.recorded(9);
        assert!(switch.folded(9, false) && stops(&switch), "it is there and was not folded");
        assert!(!switch.folded(10, true) && stops(&switch), "now the ledger says it");
        assert!(!switch.is_pulled());
        assert!(!switch.folded(12, false) && !stops(&switch), "and no more");
    }

    #[test]
    fn a_resumption_ends_what_was_never_recorded() {
        let switch = KillSwitch::new(false);
        switch.pull();
        switch.resumed(5);
        assert!(!switch.is_unrecorded() && switch.folded(5, false));
        assert!(!switch.folded(6, false) && !stops(&switch));
        switch.resumed(8);
        assert!(!switch.is_pulled(), "a resumption pulls nothing");
    }

    #[test]
    fn no_order_overrules_the_configuration() {
        let switch = KillSwitch::new(true);
        assert!(stops(&switch) && switch.is_pulled());
        switch.resumed(5);
        assert!(switch.folded(6, false) && stops(&switch));
    }
}

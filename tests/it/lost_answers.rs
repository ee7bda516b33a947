//! Calls whose answer nobody heard: the scan may have been started or not, and the process that asked is dead.

use alert_responder::event::Outcome;

use crate::support::ledger::Ledger;
use crate::support::load::{Load, id_of};
use crate::support::scene::{Quota, Scene};

/// The answer is lost, and the scan came about.
const STARTED: &[&str] =
    &["sim-cut-after-create-1", "sim-html-after-create-2", "sim-late-create-3", "sim-slow-4", "ws-5"];
/// The answer is lost, and nothing happened; the second attempt succeeds.
const NOT_STARTED: &[&str] = &["sim-cut-before-create-once-6", "sim-hang-once-7", "sim-503-once-8"];

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_whose_caller_was_killed_is_found_and_not_started_again() {
    let load = Load::for_each(&[STARTED, NOT_STARTED].concat());
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    let calls = || scene.simulator.scans().len();
    scene.wait_for("every call has arrived", &mut worker, |_| calls() >= load.lines.len()).await;
    worker.process.kill();
    assert_eq!(scene.simulator.scans().len(), load.lines.len(), "one call each so far");

    let mut worker = scene.start_worker();
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
    assert!(ledger.inherited >= load.lines.len() - 1, "{} were in doubt", ledger.inherited);
    each_got_what_it_needed(&scene, &ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_does_not_show_a_scan_yet_is_no_proof_against_it() {
    let load = Load::for_each(&[STARTED, NOT_STARTED].concat());
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
    each_got_what_it_needed(&scene, &ledger);
}

fn each_got_what_it_needed(scene: &Scene, ledger: &Ledger) {
    for (names, attempts) in [(STARTED, 1), (NOT_STARTED, 2)] {
        for name in names {
            let id = id_of(name);
            let of_device = scene.simulator.scans().into_iter().filter(|call| call.machine_id.as_ref() == Some(&id));
            assert_eq!(of_device.count(), attempts, "{name}");
            assert_eq!(ledger.outcomes_of(&id), [Outcome::Scanned], "{name}");
        }
    }
}

//! The balance, drawn up from outside: the alerts topic, what the group committed, the ledger, the dead letters, and the
//! simulator's log. Each function returns what is wrong, so that one look shows all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use alert_responder::kafka::{Cluster, ConsumedRecord, Settings, Tally, committed, read_all, watermarks};

use super::ledger::{Ledger, Place};
use super::load::{Fate, Load};
use super::simulator::{Call, most_in_any_window};

/// What a fair accounting says that the records of one partition must have come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    records: u64,
    observed: u64,
    requested: u64,
    skipped: BTreeMap<String, u64>,
    dead: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, fate: &Fate) {
        self.records += 1;
        self.requested += fate.requested.len() as u64;
        self.observed += (fate.requested.len() + fate.skipped.len() + usize::from(fate.dead.is_some())) as u64;
        for reason in &fate.skipped {
            *self.skipped.entry((*reason).to_owned()).or_default() += 1;
        }
        if let Some(reason) = fate.dead {
            *self.dead.entry(reason.to_owned()).or_default() += 1;
        }
    }

    fn told_by(tally: &Tally) -> Self {
        Self {
            records: tally.records,
            observed: tally.observed,
            requested: tally.requested,
            skipped: tally.skipped.iter().map(|(reason, count)| (reason.as_str().to_owned(), *count)).collect(),
            dead: tally.dead_lettered.iter().map(|(reason, count)| (reason.as_str().to_owned(), *count)).collect(),
        }
    }
}

fn text(record: &ConsumedRecord) -> String {
    String::from_utf8_lossy(record.payload.as_deref().unwrap_or_default()).into_owned()
}

/// Nothing is lost: every record is committed and counted as what it is, every request is in the ledger and ended exactly
/// once, every dead letter is there with its content.
pub(crate) async fn nothing_is_lost(settings: &Settings, load: &Load, ledger: &Ledger) -> Vec<String> {
    let mut wrong = Vec::new();
    let topic = &settings.alerts_topic;
    let records = read_all(settings, Cluster::Alerts, topic).await.expect("the alerts can be read");
    if records.len() != load.lines.len() {
        wrong.push(format!("{} lines were produced and the topic holds {}", load.lines.len(), records.len()));
    }
    let mut sums: BTreeMap<i32, Sum> = BTreeMap::new();
    let (mut places, mut dead) = (BTreeSet::<Place>::new(), BTreeMap::new());
    for record in &records {
        let Some(fate) = load.fates.get(&text(record)) else {
            wrong.push(format!("nobody produced {}", text(record)));
            continue;
        };
        sums.entry(record.partition).or_default().add(fate);
        places.extend(fate.requested.iter().map(|device| (record.partition, record.offset, 0, device.clone())));
        if let Some(reason) = fate.dead {
            dead.insert((record.partition, record.offset), (reason, text(record)));
        }
    }
    let commits = committed(settings, Cluster::Alerts, &settings.group_id, topic).await.expect("commits can be read");
    for marks in watermarks(settings, Cluster::Alerts, topic).await.expect("watermarks can be read") {
        let expected = sums.remove(&marks.partition).unwrap_or_default();
        let commit = commits.get(&marks.partition);
        let told = commit.and_then(|commit| Tally::from_metadata(&commit.metadata));
        match (commit, told) {
            _ if marks.high == 0 => {}
            (Some(commit), Some(told)) => {
                let counts = Sum::told_by(&told);
                if commit.offset != marks.high || told.base != 0 || counts != expected || !told.failed.is_empty() {
                    let at = format!("partition {} to {}: committed {}", marks.partition, marks.high, commit.offset);
                    wrong.push(format!("{at}; expected {expected:?}, the metadata say {told:?}"));
                }
            }
            _ => wrong.push(format!("partition {} has no commit with counts: {commit:?}", marks.partition)),
        }
    }
    let requested: BTreeSet<Place> = ledger.requests.values().cloned().collect();
    wrong.extend(places.difference(&requested).map(|place| format!("no request was made for {place:?}")));
    wrong.extend(requested.difference(&places).map(|place| format!("nobody asked for {place:?}")));
    if requested.len() != ledger.requests.len() {
        wrong.push("an observation has two request ids".to_owned());
    }
    for (id, place) in &ledger.requests {
        let outcomes = ledger.outcomes.get(id).map_or(&[][..], Vec::as_slice);
        if outcomes.len() != 1 {
            wrong.push(format!("request {id} of {place:?} ended {} times: {outcomes:?}", outcomes.len()));
        }
    }
    wrong.extend(dead_letters(settings, dead).await);
    wrong
}

async fn dead_letters(settings: &Settings, expected: BTreeMap<(i32, i64), (&'static str, String)>) -> Vec<String> {
    let letters = read_all(settings, Cluster::Ledger, &settings.dead_letters_topic).await.expect("they can be read");
    let mut found = BTreeMap::new();
    let mut wrong = Vec::new();
    for letter in &letters {
        let header = |name: &str| {
            let value = letter.headers.iter().find(|(key, _)| key.ends_with(name)).and_then(|(_, value)| value.clone());
            String::from_utf8(value.unwrap_or_default()).unwrap_or_default()
        };
        let (Ok(partition), Ok(offset)) = (header("partition").parse::<i32>(), header("offset").parse::<i64>()) else {
            wrong.push(format!("a dead letter does not say where it is from: {:?}", letter.headers));
            continue;
        };
        // A letter may be there twice after a crash; what it says may not differ.
        found.insert((partition, offset), (header("reason"), text(letter)));
    }
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(place, (reason, text))| (place, (reason.to_owned(), text))).collect();
    if found != expected {
        let missing = expected.iter().filter(|(place, letter)| found.get(place) != Some(letter)).count();
        wrong.push(format!("{} dead letters expected, {} found, {missing} missing", expected.len(), found.len()));
    }
    wrong
}

/// One scan for every device that a live rule wants scanned and that can be, none for any other; and no call that the
/// ledger did not announce.
pub(crate) fn each_device_is_scanned_once(
    load: &Load,
    ledger: &Ledger,
    calls: &[Call],
    leave: Duration,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut accepted: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.created) {
        accepted.entry(call.machine_id.as_deref().unwrap_or_default()).or_default().push(call);
    }
    for device in &load.intended {
        let scans = accepted.remove(device.as_str()).unwrap_or_default();
        if scans.len() != 1 {
            let comments: Vec<_> = scans.iter().map(|call| (call.at, call.comment.as_deref())).collect();
            wrong.push(format!("device {device} has {} scans: {comments:?}", scans.len()));
        }
        let told = ledger.accepted.get(device).map_or(0, BTreeSet::len);
        if told != 1 {
            wrong.push(format!("the ledger tells of {told} accepted scans of {device}"));
        }
    }
    wrong.extend(accepted.keys().map(|device| format!("device {device} was scanned, and nobody wanted that")));
    wrong.extend(calls_are_announced(ledger, calls, leave));
    wrong
}

/// Every call has an intent of its own that was there before it, and left in time.
pub(crate) fn calls_are_announced(ledger: &Ledger, calls: &[Call], leave: Duration) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut unused = ledger.intents.clone();
    for call in calls {
        // The attempts of one scan have the same comment, unless a request was added: the latest that fits is the one.
        let fits = |intent: &super::ledger::IntentSeen| {
            intent.comment == call.comment.as_deref().unwrap_or_default()
                && Some(&intent.device_id) == call.machine_id.as_ref()
                && intent.time <= call.at
        };
        match unused.iter().rposition(fits) {
            None => wrong.push(format!("no intent for the call of {} ({:?})", call.at, call.comment)),
            Some(position) => {
                let intent = unused.remove(position);
                // A millisecond for the rounding of either clock.
                let waited = Duration::try_from(call.at.duration_since(intent.time)).unwrap_or_default();
                if waited > leave + Duration::from_secs(1) {
                    wrong.push(format!("the call of scan {} arrived {waited:?} after its intent", intent.scan_id));
                }
            }
        }
    }
    wrong
}

/// No window of the quota held more calls than allowed. All calls count, whatever was answered.
/// `answered_429`: how many calls are refused so by their device's name.
pub(crate) fn quota_is_kept(calls: &[Call], windows: &[(usize, Duration)], answered_429: usize) -> Vec<String> {
    let mut wrong: Vec<String> = windows
        .iter()
        .map(|(limit, window)| (most_in_any_window(calls, *window), limit, window))
        .filter(|(most, limit, _)| most > *limit)
        .map(|(most, limit, window)| format!("{most} calls in {window:?}, {limit} are allowed"))
        .collect();
    let refused = calls.iter().filter(|call| call.status == Some(429)).count();
    if refused > answered_429 {
        wrong.push(format!("{refused} calls were refused with 429, {answered_429} by their device's name"));
    }
    wrong
}

/// The balance as the program itself draws it up: `ledger audit` must find nothing wrong.
pub(crate) fn audit_balances(config: &std::path::Path) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_alert-responder"))
        .args(["ledger", "audit", "--every-owner", "--output", "json", "--config", &config.display().to_string()])
        .env_clear()
        .output()
        .expect("the binary starts");
    if output.status.success() {
        return Vec::new();
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    vec![format!("ledger audit ended with {:?}: {said}", output.status.code())]
}

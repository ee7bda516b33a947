//! Silences: who they hold back, by the words of the records alone.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::lane::{Lane, Place};
use super::violation::ViolationCode;
use crate::event::{DeviceRef, Intent, Requested, Silence, SilenceField, SilenceMatcher};

/// A silence is forgotten when it has been over for so long.
const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Silences above this number are looked through for some to forget.
const MANY: usize = 64;

/// A silence as one record set it.
#[derive(Debug)]
struct Version {
    silence: Silence,
    /// The record that set it.
    from: i64,
    /// The record that ended or replaced it.
    to: Option<i64>,
}

/// Every silence that may still matter.
#[derive(Debug, Default)]
pub(super) struct Silences {
    versions: Vec<Version>,
    /// Offset of the latest order about each.
    orders: HashMap<Box<str>, i64>,
}

impl Silences {
    pub(super) fn set(&mut self, silence: &Silence, offset: i64, clock: Option<Timestamp>) {
        self.end(&silence.id, offset);
        self.versions.push(Version { silence: silence.clone(), from: offset, to: None });
        if self.versions.len() > MANY
            && let Some(clock) = clock
        {
            let past = |version: &Version| version.silence.ends_at.saturating_add(MEMORY).is_ok_and(|end| end < clock);
            self.versions.retain(|version| !past(version));
        }
    }

    /// One that was written again. An order that came after the one that it carries says more.
    pub(super) fn carried(&mut self, silence: &Silence, offset: i64, ordered: i64, clock: Option<Timestamp>) {
        let known = self.versions.iter().any(|version| version.to.is_none() && version.silence == *silence);
        let latest = self.orders.get(&*silence.id).copied();
        if !known && latest.is_none_or(|latest| latest <= ordered) {
            self.set(silence, offset, clock);
            self.orders.insert(silence.id.as_str().into(), ordered);
        }
    }

    pub(super) fn end(&mut self, id: &str, offset: i64) {
        for version in self.versions.iter_mut().filter(|version| version.to.is_none() && version.silence.id == id) {
            version.to = Some(offset);
        }
        self.orders.insert(id.into(), offset);
    }

    fn in_force(&self, at: Timestamp) -> impl Iterator<Item = &Version> {
        self.versions
            .iter()
            .filter(move |version| version.silence.starts_at <= at && at < version.silence.ends_at)
            .filter(|version| !version.silence.matchers.is_empty())
    }

    /// Whether the silence that the record at `from` set is still in force.
    fn still(&self, from: i64) -> bool {
        self.versions.iter().any(|version| version.from == from && version.to.is_none())
    }
}

/// Whether every matcher of a silence holds for what `sees` tells of a request.
fn holds_back(silence: &Silence, sees: impl Fn(&SilenceMatcher) -> bool) -> bool {
    silence.matchers.iter().all(sees)
}

fn tells(matcher: &SilenceMatcher, asked: &Requested, device: &DeviceRef) -> bool {
    let says = |text: &str| is_like(&matcher.value, text);
    match matcher.field {
        SilenceField::Rule => asked.rule_ids.iter().any(|rule| says(rule)),
        SilenceField::DeviceId => says(&device.id),
        SilenceField::DeviceName => device.name.as_deref().is_some_and(|name| is_name(&matcher.value, name)),
        SilenceField::DeviceGroup => device.group.as_deref().is_some_and(says),
        SilenceField::DeviceTag => device.tags.iter().flatten().any(|tag| says(tag.trim())),
        SilenceField::AlertId => asked.alerts.iter().any(|alert| says(&alert.id)),
        SilenceField::AlertTitle => asked.alerts.iter().filter_map(|alert| alert.title.as_deref()).any(says),
        SilenceField::AlertSeverity => asked.alerts.iter().any(|alert| says(alert.severity.as_str())),
    }
}

/// What Defender told of a device is in no record by itself, and may stand in place of what the alert told.
const fn may_be_looked_up(field: SilenceField) -> bool {
    matches!(field, SilenceField::DeviceName | SilenceField::DeviceGroup | SilenceField::DeviceTag)
}

/// A short computer name stands for its qualified form too.
fn is_name(pattern: &str, name: &str) -> bool {
    let hosts = name.char_indices().filter(|(_, character)| *character == '.').filter_map(|(at, _)| name.get(..at));
    is_like(pattern, name) || (!pattern.contains('.') && hosts.into_iter().any(|host| is_like(pattern, host)))
}

/// `*` is any text and `?` one character; letter case does not matter, and an empty pattern is like nothing.
fn is_like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.trim().to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    // `fits[n]`: the pattern so far is like the first n characters.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = !pattern.is_empty();
    for wanted in pattern {
        let before = fits.clone();
        for at in 0..fits.len() {
            let shorter = at.checked_sub(1);
            fits[at] = match wanted {
                '*' => before[at] || shorter.is_some_and(|shorter| fits[shorter]),
                _ => shorter.is_some_and(|shorter| before[shorter] && (wanted == '?' || wanted == text[shorter])),
            };
        }
    }
    fits.last().copied().unwrap_or(false)
}

impl Lane {
    /// An intent that a silence forbade which its writer had read. Returns the record of one that the last look before the
    /// call must have seen.
    pub(super) fn check_silences(&self, body: &Intent, seen: i64, place: &mut Place<'_>) -> Option<i64> {
        if self.silences.versions.is_empty() {
            return None;
        }
        let mut for_the_last_look = None;
        for version in self.silences.in_force(place.time).filter(|version| version.to.is_none()) {
            let silence = &version.silence;
            for asked in body.request_ids.iter().filter_map(|id| self.asked(id)) {
                let certain = holds_back(silence, |matcher| {
                    tells(matcher, asked, &asked.device) && tells(matcher, asked, &body.device)
                });
                if certain && version.from < seen {
                    self.violation(ViolationCode::SilenceBroken, &[version.from], place, || {
                        format!("scan {} covers a request that silence {} holds back", body.scan_id, silence.id)
                    });
                    return None;
                }
                let lasting = silence.ends_at > body.latest_arrival;
                if certain && lasting && !silence.matchers.iter().any(|matcher| may_be_looked_up(matcher.field)) {
                    for_the_last_look = Some(version.from);
                }
            }
        }
        for_the_last_look
    }

    /// A call certainly left: not while a silence held it back that its owner had read before the last look.
    pub(super) fn check_silent_call(&self, scan_id: &str, place: &mut Place<'_>) {
        let Some(scan) = self.scans.get(scan_id) else { return };
        if let Some(silence) = scan.silenced.filter(|from| self.silences.still(*from)) {
            self.violation(ViolationCode::SilenceBroken, &[silence, scan.offset], place, || {
                format!("attempt {} of scan {scan_id} was intended and made while silenced", scan.attempt)
            });
        }
    }

    /// Whether some silence may have held a request back, for a writer that had certainly read the log up to `seen`.
    pub(super) fn may_be_silenced(&self, asked: &Requested, device: &DeviceRef, seen: i64, at: Timestamp) -> bool {
        self.silences.in_force(at).filter(|version| version.to.is_none_or(|to| to >= seen)).any(|version| {
            holds_back(&version.silence, |matcher| {
                tells(matcher, asked, &asked.device) || tells(matcher, asked, device)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abbc"),
            ("A?C", "aBc"),
            ("*b*", "abc"),
            ("a*b*c", "axbxbxc"),
            (" x ", "X"),
            ("a**", "a"),
        ] {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a?", "a"), ("a", "ab"), ("a*c", "abcd"), ("a.c", "abc"), ("", ""), ("a*b*c", "axbx")]
        {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
        assert!(is_name("dc-0?", "DC-01.corp.contoso.com") && !is_name("dc-01.corp", "dc-01.corp.contoso.com"));
    }

    proptest::proptest! {
        /// Written twice on purpose; they must not drift apart.
        #[test]
        fn it_agrees_with_the_worker(pattern in "[ab*?.]{0,6}", name in "[abA.]{0,6}") {
            let device = DeviceRef { id: "1".to_owned(), name: Some(name.clone()), ..DeviceRef::default() };
            let matcher = SilenceMatcher { field: SilenceField::DeviceName, value: pattern };
            let asked = super::super::tests::a_request(&device);
            let silence = Silence {
                id: "s".to_owned(), matchers: vec![matcher.clone()], starts_at: Timestamp::MIN, ends_at: Timestamp::MAX,
                author: String::new(), comment: String::new(),
            };
            let worker = crate::scheduler::holds_back(&silence, &asked, &device, Timestamp::UNIX_EPOCH);
            proptest::prop_assert_eq!(tells(&matcher, &asked, &device), worker);
        }
    }
}

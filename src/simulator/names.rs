//! Behaviours that a device asks for by its name; the table is in the documentation of the module above.

use super::config::Repeat;

/// What happens to a scan request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PostFault {
    /// An error in the API's shape.
    Shaped(u16, &'static str),
    /// A gateway's page.
    Html(u16),
    /// No body.
    Empty(u16),
    RateLimited,
    RateLimitedNoHeader,
    RateLimitedDate,
    /// The scan is created, the answer is not JSON.
    HtmlAfterCreate,
    Redirect,
    /// No answer and no scan.
    Hang,
    /// The scan is created, the answer is late.
    Slow,
    /// No answer in time; the scan comes about later.
    LateCreate,
    CutBeforeCreate,
    CutAfterCreate,
}

/// How the actions of a device end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Life {
    #[default]
    Succeeds,
    Fails,
    CancelledBySomebody,
    PendingForever,
    RunsForever,
    UnknownStatus,
}

/// Everything that a name asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// In order, each with the number of requests that it still applies to.
    pub(super) faults: Vec<(PostFault, u32)>,
    pub(super) life: Life,
    pub(super) repeat: Option<Repeat>,
    /// Scan type of somebody else's scan that is open from the start.
    pub(super) foreign: Option<&'static str>,
    pub(super) null_fields: bool,
    pub(super) unlisted: bool,
    pub(super) lookup: Option<u16>,
}

#[derive(Clone, Copy)]
enum Word {
    Fault(PostFault),
    Life(Life),
    Busy(&'static str, Repeat),
    NullFields,
    Unlisted,
    Lookup(u16),
}

/// Longer words before their beginnings.
const WORDS: &[(&str, Word)] = &[
    ("500-empty", Word::Fault(PostFault::Empty(500))),
    ("500", Word::Fault(PostFault::Shaped(500, "InternalServerError"))),
    ("502-empty", Word::Fault(PostFault::Empty(502))),
    ("502", Word::Fault(PostFault::Html(502))),
    ("503-empty", Word::Fault(PostFault::Empty(503))),
    ("503", Word::Fault(PostFault::Html(503))),
    ("504-empty", Word::Fault(PostFault::Empty(504))),
    ("504", Word::Fault(PostFault::Html(504))),
    ("400", Word::Fault(PostFault::Shaped(400, "InvalidInput"))),
    ("401", Word::Fault(PostFault::Shaped(401, "Unauthorized"))),
    ("403-html", Word::Fault(PostFault::Html(403))),
    ("403", Word::Fault(PostFault::Shaped(403, "Forbidden"))),
    ("404-html", Word::Fault(PostFault::Html(404))),
    ("404", Word::Fault(PostFault::Shaped(404, "ResourceNotFound"))),
    ("disabled", Word::Fault(PostFault::Shaped(403, "DisabledFeature"))),
    ("disallowed", Word::Fault(PostFault::Shaped(403, "DisallowedOperation"))),
    ("unsupported", Word::Fault(PostFault::Shaped(400, "OsPlatformNotSupported"))),
    ("old-client", Word::Fault(PostFault::Shaped(400, "ClientVersionNotSupported"))),
    ("429-no-retry-after", Word::Fault(PostFault::RateLimitedNoHeader)),
    ("429-date", Word::Fault(PostFault::RateLimitedDate)),
    ("429", Word::Fault(PostFault::RateLimited)),
    ("html-after-create", Word::Fault(PostFault::HtmlAfterCreate)),
    ("redirect", Word::Fault(PostFault::Redirect)),
    ("hang", Word::Fault(PostFault::Hang)),
    ("slow", Word::Fault(PostFault::Slow)),
    ("late-create", Word::Fault(PostFault::LateCreate)),
    ("cut-before-create", Word::Fault(PostFault::CutBeforeCreate)),
    ("cut-after-create", Word::Fault(PostFault::CutAfterCreate)),
    ("pending-forever", Word::Life(Life::PendingForever)),
    ("runs-forever", Word::Life(Life::RunsForever)),
    ("fails", Word::Life(Life::Fails)),
    ("cancelled", Word::Life(Life::CancelledBySomebody)),
    ("unknown-status", Word::Life(Life::UnknownStatus)),
    ("busy-full-400", Word::Busy("Full", Repeat::Error400)),
    ("busy-full-existing-201", Word::Busy("Full", Repeat::Existing201)),
    ("busy-full-existing", Word::Busy("Full", Repeat::Existing200)),
    ("busy-400", Word::Busy("Quick", Repeat::Error400)),
    ("busy-existing-201", Word::Busy("Quick", Repeat::Existing201)),
    ("busy-existing", Word::Busy("Quick", Repeat::Existing200)),
    ("null-fields", Word::NullFields),
    ("unlisted", Word::Unlisted),
    ("lookup-503", Word::Lookup(503)),
    ("lookup-404", Word::Lookup(404)),
];

impl Traits {
    /// Reads a name: `sim-`, then words of the table, each fault with an optional `-once`, `-twice` or `-<n>x`, until
    /// something else comes.
    pub(super) fn of(name: &str) -> Self {
        let mut traits = Self::default();
        let short = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let Some(mut rest) = short.strip_prefix("sim-") else {
            return traits;
        };
        while let Some((word, after)) =
            WORDS.iter().find_map(|(text, word)| Some((*word, after_word(rest.strip_prefix(text)?)?)))
        {
            rest = after;
            match word {
                Word::Fault(fault) => {
                    let (times, after) = count(rest);
                    rest = after;
                    traits.faults.push((fault, times));
                }
                Word::Life(life) => traits.life = life,
                Word::Busy(scan_type, repeat) => {
                    traits.foreign = Some(scan_type);
                    traits.repeat = Some(repeat);
                }
                Word::NullFields => traits.null_fields = true,
                Word::Unlisted => traits.unlisted = true,
                Word::Lookup(status) => traits.lookup = Some(status),
            }
        }
        traits
    }

    /// The fault of the next request, used up by it.
    pub(super) fn next_fault(&mut self) -> Option<PostFault> {
        let (fault, times) = self.faults.iter_mut().find(|(_, times)| *times > 0)?;
        if *times != u32::MAX {
            *times -= 1;
        }
        Some(*fault)
    }
}

/// The text after a word, if the word ends here.
fn after_word(rest: &str) -> Option<&str> {
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('-') }
}

fn count(rest: &str) -> (u32, &str) {
    let (first, after) = rest.split_once('-').unwrap_or((rest, ""));
    match first {
        "once" => (1, after),
        "twice" => (2, after),
        "always" => (u32::MAX, after),
        _ => match first.strip_suffix('x').and_then(|number| number.parse().ok()) {
            Some(times) => (times, after),
            None => (u32::MAX, rest),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ask_for_faults_and_lives_in_turn() {
        let mut traits = Traits::of("SIM-503-once-429-no-retry-after-2x-pending-forever-17.corp.contoso.com");
        assert_eq!(traits.life, Life::PendingForever);
        let faults: Vec<_> = (0..4).map(|_| traits.next_fault()).collect();
        let limited = Some(PostFault::RateLimitedNoHeader);
        assert_eq!(faults, [Some(PostFault::Html(503)), limited, limited, None]);
    }

    #[test]
    fn a_fault_without_a_count_stays() {
        let mut traits = Traits::of("sim-cut-after-create-a");
        assert_eq!(traits.next_fault(), Some(PostFault::CutAfterCreate));
        assert_eq!(traits.next_fault(), Some(PostFault::CutAfterCreate));
        assert_eq!(Traits::of("sim-busy-existing-201-x").repeat, Some(Repeat::Existing201));
        assert_eq!(Traits::of("sim-busy-existing").repeat, Some(Repeat::Existing200));
    }

    #[test]
    fn other_names_ask_for_nothing() {
        for name in ["ws-503-once", "sim-", "sim", "", "sim-5033-x", "sim-hello-503"] {
            assert_eq!(Traits::of(name), Traits::default(), "{name}");
        }
    }
}

//! `expand`: the values that stand behind a value with placeholders.

use super::detection::Setting;
use super::diagnostic::{DiagnosticCode as Code, Report};
use super::lists::{MAX_EXPANDED, MAX_EXPANDED_BYTES, MAX_EXPANDED_VALUE, Piece, pieces};
use super::yaml::Node;

/// Every value that `text` stands for; `None` where a finding says why it stands for none.
pub(super) fn expand(
    text: &str,
    node: &Node,
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    let pieces = pieces(text);
    if !pieces.iter().any(|piece| matches!(piece, Piece::Placeholder(_))) {
        report.error(Code::InvalidValue, node.span, "`expand` needs a placeholder such as `%name%` in its value").help(
            if text.contains(r"\%") {
                r"a backslash before `%` makes it plain; for a backslash before a placeholder write `\\%name%`"
            } else {
                "a placeholder stands for every line of the file `name.list`; remove `|expand` where none is meant"
            },
        );
        return None;
    }
    let mut values = vec![String::new()];
    let mut sound = true;
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                if !has_room(&values, &[text], node, setting, report) {
                    return None;
                }
                values.iter_mut().for_each(|value| value.push_str(text));
            }
            Piece::Placeholder(name) => {
                let Some(list) = setting.lists.get(name) else {
                    let finding = report.error(Code::UnknownList, node.span, format!("there is no list `{name}`"));
                    finding.help(setting.lists.help(name));
                    sound = false;
                    continue;
                };
                if list.is_empty() {
                    let message = format!("the list `{name}` is empty: no alert can have this value");
                    report.warning(Code::EmptyList, node.span, message);
                }
                setting.spend(values.len().saturating_mul(list.len()), node, report);
                if setting.expanded > MAX_EXPANDED || !has_room(&values, list, node, setting, report) {
                    return None;
                }
                values =
                    values.iter().flat_map(|value| list.iter().map(move |each| format!("{value}{each}"))).collect();
            }
        }
    }
    setting.expanded_bytes += bytes(&values);
    sound.then_some(values)
}

/// Whether the values may be continued by each of some texts; looked at before they are.
fn has_room(
    values: &[String],
    texts: &[impl AsRef<str>],
    node: &Node,
    setting: &Setting<'_>,
    report: &mut Report<'_>,
) -> bool {
    if longest(values) + longest(texts) > MAX_EXPANDED_VALUE {
        let message = format!("with its placeholders this value is longer than {MAX_EXPANDED_VALUE} bytes");
        report.error(Code::InvalidList, node.span, message).help("shorten the value, or the lines of its lists");
        return false;
    }
    let continued = bytes(values).saturating_mul(texts.len()).saturating_add(bytes(texts).saturating_mul(values.len()));
    if setting.expanded_bytes.saturating_add(continued) > MAX_EXPANDED_BYTES {
        let message = format!("the values of all placeholders come to more than {MAX_EXPANDED_BYTES} bytes");
        report.error(Code::InvalidList, node.span, message).help("shorten the lists, or use them in fewer rules");
        return false;
    }
    true
}

fn bytes(texts: &[impl AsRef<str>]) -> usize {
    texts.iter().map(|text| text.as_ref().len()).sum()
}

fn longest(texts: &[impl AsRef<str>]) -> usize {
    texts.iter().map(|text| text.as_ref().len()).max().unwrap_or_default()
}

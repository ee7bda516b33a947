//! `expand`: the values that stand behind a value with placeholders.

use super::detection::Setting;
use super::diagnostic::{DiagnosticCode as Code, Report};
use super::lists::{MAX_EXPANDED, Piece, pieces};
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
        report
            .error(Code::InvalidValue, node.span, "`expand` needs a placeholder such as `%name%` in its value")
            .help("a placeholder stands for every line of the file `name.list`; remove `|expand` where none is meant");
        return None;
    }
    let mut values = vec![String::new()];
    let mut sound = true;
    for piece in pieces {
        match piece {
            Piece::Text(text) => values.iter_mut().for_each(|value| value.push_str(text)),
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
                if setting.expanded > MAX_EXPANDED {
                    return None;
                }
                values =
                    values.iter().flat_map(|value| list.iter().map(move |each| format!("{value}{each}"))).collect();
            }
        }
    }
    sound.then_some(values)
}

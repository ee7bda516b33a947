//! Foreign text made fit for logs and records.

/// Removes control characters (a line break becomes a space), trims, and cuts to at most `max` characters.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(max * 4));
    let mut written = 0;
    for character in text.trim().chars() {
        if written == max {
            clean.push('…');
            break;
        }
        if character.is_control() {
            // "\r\n" separates the parts of a token error; one space is enough for both.
            if clean.ends_with(' ') {
                continue;
            }
            clean.push(' ');
        } else {
            clean.push(character);
        }
        written += 1;
    }
    clean.truncate(clean.trim_end().len());
    clean
}

/// The first `max` characters of an answer's body, cleaned.
pub(super) fn excerpt(body: &[u8], max: usize) -> String {
    let head = body.get(..body.len().min(max * 4)).unwrap_or_default();
    clean(&String::from_utf8_lossy(head), max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_escapes_do_not_reach_a_log() {
        assert_eq!(clean(" a\r\nb\u{1b}[31mc\0 ", 100), "a b [31mc");
        assert_eq!(clean("äöü", 2), "äö…");
        assert_eq!(excerpt(&[0xff, b'a', b'\n'], 10), "\u{fffd}a");
    }
}

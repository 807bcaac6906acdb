//! Where words begin and end.

/// Units that are written close to their number: "230V" is "230 V".
const UNITS: &[&str] = &[
    "a", "ah", "bar", "c", "cm", "db", "f", "g", "gb", "ghz", "h", "hz", "k", "kb", "kg", "khz",
    "km", "kw", "kwh", "l", "m", "ma", "mah", "mb", "mhz", "min", "ml", "mm", "ms", "psi", "px",
    "rpm", "s", "tb", "v", "w", "wh", "x",
];
/// A code begins with at most so many letters before its hyphen.
const CODE_LETTERS_MAX: usize = 5;

/// The words of a text in lower case. Kept whole are decimal numbers and versions ("2.5",
/// "4.2.1") and codes with hyphens, which lose these ("E-04", "AX-200-B"). Thousands lose their
/// comma, and a number loses its unit.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text;
    let mut unit: Option<String> = None;
    std::iter::from_fn(move || {
        if let Some(unit) = unit.take() {
            return Some(unit);
        }
        let start = rest.find(char::is_alphanumeric)?;
        rest = &rest[start..];
        let (mut word, after) = word(rest);
        rest = after;
        if let Some(at) = unit_start(&word) {
            unit = Some(word.split_off(at));
        }
        Some(word)
    })
}

fn word(text: &str) -> (String, &str) {
    let (mut word, mut rest) = (String::new(), text);
    loop {
        let run = rest
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(rest.len());
        word.extend(rest[..run].chars().flat_map(char::to_lowercase));
        rest = &rest[run..];
        let mut after = rest.chars();
        let mark = after.next();
        let next = after.as_str();
        let next_run = &next[..next
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(next.len())];
        let joins = match mark {
            Some('.') if is_number(&word) && is_digits(next_run) => {
                word.push('.');
                true
            }
            Some(',') => is_digits(&word) && is_digits(next_run) && next_run.len() == 3,
            Some('-') => is_code(&word, next_run),
            _ => false,
        };
        if !joins {
            return (word, rest);
        }
        rest = next;
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether the two parts are a code together: "e" and "04", or "ax200" and "b".
fn is_code(before: &str, after: &str) -> bool {
    let has_digit = before.contains(|c: char| c.is_ascii_digit());
    let has_letter = before.contains(char::is_alphabetic);
    match (has_letter, has_digit) {
        (true, false) => {
            before.len() <= CODE_LETTERS_MAX && after.starts_with(|c: char| c.is_ascii_digit())
        }
        (true, true) => !after.is_empty() && after.len() <= 4 && before.len() <= 12,
        _ => false,
    }
}

fn unit_start(word: &str) -> Option<usize> {
    let at = word.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    (at > 0 && UNITS.contains(&&word[at..])).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_are_whole() {
        for (text, expected) in [
            ("E-04, e04; E 04", &["e04", "e04", "e", "04"][..]),
            ("the AX-200-B's", &["the", "ax200b", "s"]),
            (
                "2.5 l, 1,000 rpm. 4.2.1",
                &["2.5", "l", "1000", "rpm", "4.2.1"],
            ),
            ("10-15 minutes", &["10", "15", "minutes"]),
            ("230V 60Hz 3D 5.", &["230", "v", "60", "hz", "3d", "5"]),
            ("well-known x-ray", &["well", "known", "x", "ray"]),
            ("Größe É", &["größe", "é"]),
            ("-.,", &[]),
        ] {
            assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}

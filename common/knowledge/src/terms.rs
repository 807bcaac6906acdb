//! How text is compared by its words: lower case, without what every text has, and reduced to
//! stems, so that "cleaning" finds "cleaned".

/// Words that say nothing about what a question is about.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "been", "before", "but", "by", "can", "could", "did", "do", "does", "doing", "for", "from",
    "get", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "just", "ll",
    "long", "many", "may", "me", "mean", "might", "much", "must", "my", "need", "no", "not", "of",
    "off", "often", "on", "or", "our", "out", "please", "re", "s", "shall", "should", "so", "some",
    "t", "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "to", "too", "up", "us", "ve", "want", "was", "we", "were", "what", "when", "where",
    "which", "who", "why", "will", "with", "would", "you", "your",
];

/// The stems of a text's words, in their order, those of stop words left out.
pub(crate) fn terms(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .filter(|word| STOP_WORDS.binary_search(&word.as_str()).is_err())
        .map(stem)
}

/// A light English stemmer: plurals, -ing, -ed, and the silent e that these cut off. Words with
/// digits are names, and stay as they are.
fn stem(word: String) -> String {
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word;
    }
    let singular = match word.as_str() {
        w if w.ends_with("sses") => &w[..w.len() - 2],
        w if w.ends_with("ies") => return format!("{}y", &w[..w.len() - 3]),
        w if w.ends_with("ss") || w.ends_with("us") || w.ends_with("is") => w,
        w => w.strip_suffix('s').unwrap_or(w),
    };
    let root = ["ing", "ed"]
        .iter()
        .find_map(|suffix| singular.strip_suffix(suffix))
        .filter(|root| root.len() >= 3 && root.contains(['a', 'e', 'i', 'o', 'u', 'y']));
    match root {
        Some(root) => undoubled(root).to_owned(),
        None => singular.strip_suffix('e').unwrap_or(singular).to_owned(),
    }
}

/// "stopp" → "stop", but "fill" and "pass" stay.
fn undoubled(root: &str) -> &str {
    let bytes = root.as_bytes();
    match bytes {
        [.., a, b] if a == b && !matches!(b, b'l' | b's' | b'z' | b'e') => &root[..root.len() - 1],
        [.., b'e'] => &root[..root.len() - 1],
        _ => root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_meet() {
        for forms in [
            ["clean", "cleaned", "cleaning"],
            ["store", "stored", "storing"],
            ["stop", "stopped", "stops"],
            ["battery", "batteries", "battery"],
            ["charge", "charging", "charges"],
        ] {
            let stems = forms.map(|form| stem(form.to_owned()));
            assert!(stems.iter().all(|s| *s == stems[0]), "{stems:?}");
        }
    }

    #[test]
    fn names_and_numbers_stay() {
        let found: Vec<_> = terms("What does error E-04 of the P7s mean?").collect();
        assert_eq!(found, ["error", "e", "04", "p7s"]);
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }
}

//! How text is compared by its words: lower case, without what every text has, and reduced to
//! stems, so that "cleaning" finds "cleaned". Codes are one word however they are written:
//! "E-04" finds "E04".

mod stems;
mod words;

use self::stems::stem;
pub(crate) use self::words::words;

/// Words that say nothing about what a question is about.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "been", "before", "but", "by", "can", "could", "did", "do", "does", "doesn", "doing", "don",
    "for", "from", "get", "got", "had", "has", "have", "how", "i", "if", "in", "into", "is", "isn",
    "it", "its", "just", "ll", "long", "many", "may", "me", "mean", "might", "much", "must", "my",
    "need", "no", "not", "of", "off", "often", "on", "or", "our", "ours", "out", "please", "re",
    "s", "shall", "should", "so", "some", "t", "tell", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "too", "up", "us", "use", "used",
    "using", "ve", "want", "was", "we", "were", "what", "whats", "when", "where", "which", "who",
    "why", "will", "with", "won", "would", "you", "your",
];

/// The stems of a text's words, in their order, those of stop words left out.
pub(crate) fn terms(text: &str) -> impl Iterator<Item = String> {
    words(text).filter_map(term)
}

/// The stem of a word; `None` for a stop word.
pub(crate) fn term(word: String) -> Option<String> {
    let is_stop = STOP_WORDS.binary_search(&word.as_str()).is_ok();
    (!is_stop).then(|| stem(word))
}

/// Whether a term names something exactly: a code, a model, a number.
pub(crate) fn is_exact(term: &str) -> bool {
    term.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_stay() {
        let found = |text| terms(text).collect::<Vec<_>>();
        assert_eq!(
            found("What does error E-04 of the P7s mean?"),
            ["error", "e04", "p7s"]
        );
        assert_eq!(found("It isn't 2.5 kg"), ["2.5", "kg"]);
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }
}

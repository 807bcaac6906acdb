//! Whether a passage says what somebody says it says.

use std::collections::HashSet;

use crate::polarity::contradicts;
use crate::sentences::sentences;
use crate::terms::terms;

/// How far a passage supports a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Support<'a> {
    /// The share of the statement's terms that the passage has, from 0 to 1.
    pub share: f32,
    /// The sentence of the passage that has most of them, exactly as it stands.
    pub quote: &'a str,
}

/// Compares a statement with a passage under these headings. A number or name with a digit that
/// the passage does not have is no support at all, whatever else there is, and neither is a passage
/// that says the opposite.
pub fn support<'a>(statement: &str, passage: &'a str, headings: &str) -> Option<Support<'a>> {
    let said: HashSet<String> = terms(statement).collect();
    let known: HashSet<String> = terms(passage).chain(terms(headings)).collect();
    let is_number = |term: &String| term.contains(|c: char| c.is_ascii_digit());
    let has_other_numbers = said.difference(&known).any(is_number);
    if said.is_empty() || has_other_numbers || contradicts(statement, passage) {
        return None;
    }
    let has = |text: &str| -> usize {
        let terms: HashSet<String> = terms(text).collect();
        said.intersection(&terms).count()
    };
    let ranges = sentences(passage).into_iter().map(|range| &passage[range]);
    // The first of the best: later ones only repeat it.
    let quote = ranges.rev().max_by_key(|sentence| has(sentence))?;
    #[allow(clippy::cast_precision_loss, reason = "counts of words")]
    let share = said.intersection(&known).count() as f32 / said.len() as f32;
    Some(Support { share, quote })
}

/// The sentences of a text, rows of its tables, and its blocks of code.
pub fn statements(text: &str) -> Vec<&str> {
    sentences(text)
        .into_iter()
        .map(|range| &text[range])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGE: &str =
        "Rinse the filter with warm water every week. Never use bleach. The tank holds 5 litres.";

    #[test]
    fn what_stands_there_is_supported() {
        let found = support("The filter is rinsed weekly with warm water.", PASSAGE, "").unwrap();
        assert!(found.share > 0.7, "{found:?}");
        assert_eq!(found.quote, "Rinse the filter with warm water every week.");
        let found = support("The pump's tank holds 5 litres.", PASSAGE, "Pump").unwrap();
        assert!(found.share > 0.99, "{found:?}");
    }

    #[test]
    fn what_does_not_is_not() {
        assert_eq!(support("The tank holds 7 litres.", PASSAGE, ""), None);
        assert_eq!(support("It is.", PASSAGE, ""), None);
        assert_eq!(support("Use bleach.", PASSAGE, ""), None);
        assert_eq!(
            support("The tank doesn't hold 5 litres.", PASSAGE, ""),
            None
        );
        let found = support("Lisbon designed our cafeteria.", PASSAGE, "").unwrap();
        assert!(found.share < 0.1);
    }
}

//! What words a question asks for, among those that the documents have.

use std::collections::BTreeSet;

use super::partition::Partition;
use crate::terms::{is_exact, terms};

/// Shorter words have too many neighbours to be guessed at.
const GUESSED_CHARS_MIN: usize = 5;
/// From this length on two slips are forgiven, else one.
const TWO_SLIPS_CHARS_MIN: usize = 8;
/// Letters before the number of a code that is written in two parts, as in "E 04".
const CODE_LETTERS_MAX: usize = 5;

/// The terms of a question. A code in two parts is joined where the documents have it so, and a
/// word that they do not have is taken for the nearest that they do.
pub(super) fn words(question: &str, partitions: &[&Partition]) -> BTreeSet<String> {
    let is_known = |word: &str| partitions.iter().any(|p| p.having(word) > 0);
    let mut words: Vec<String> = Vec::new();
    for term in terms(question) {
        if let Some(before) = words.last_mut() {
            let is_prefix = before.len() <= CODE_LETTERS_MAX && !is_exact(before);
            let joined = format!("{before}{term}");
            if is_prefix && is_exact(&term) && is_known(&joined) {
                *before = joined;
                continue;
            }
        }
        words.push(term);
    }
    let guess = |word: String| match is_known(&word) {
        true => word,
        false => nearest(&word, partitions).unwrap_or(word),
    };
    words.into_iter().map(guess).collect()
}

/// The known word with the fewest slips between; of several, the most common one. The first
/// letter is taken for right.
fn nearest(word: &str, partitions: &[&Partition]) -> Option<String> {
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    if word.len() < GUESSED_CHARS_MIN || !is_word(word) {
        return None;
    }
    let slips_max = 1 + usize::from(word.len() >= TWO_SLIPS_CHARS_MIN);
    let is_near = |known: &&str| {
        known.len().abs_diff(word.len()) <= slips_max
            && known.as_bytes().first() == word.as_bytes().first()
            && is_word(known)
    };
    let known = partitions.iter().flat_map(|p| p.vocabulary());
    let candidates = known.filter(is_near).filter_map(|known| {
        let slips = slips(word.as_bytes(), known.as_bytes());
        let having: usize = partitions.iter().map(|p| p.having(known)).sum();
        (slips <= slips_max).then_some((slips, std::cmp::Reverse(having), known))
    });
    candidates.min().map(|(_, _, known)| known.to_owned())
}

/// Letters that are missing, too many, wrong or swapped (optimal string alignment).
fn slips(a: &[u8], b: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, expected) in [
            ("waranty", "warranty", 1),
            ("facotry", "factory", 1),
            ("pump", "pump", 0),
            ("numbr", "number", 1),
            ("decsal", "descal", 1),
            ("", "abc", 3),
            ("filter", "fitler", 1),
            ("kettle", "castle", 3),
        ] {
            assert_eq!(slips(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }
}

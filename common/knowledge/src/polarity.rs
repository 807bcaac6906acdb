//! Whether a statement denies what a passage says, or says what it denies: a "not" that was
//! dropped leaves all other words in place.
//!
//! Clauses are told apart by marks and conjunctions, and are negated or not; a negation reaches
//! forward over a list, and ends where something new is said.

use std::collections::HashSet;

use crate::sentences::sentences;
use crate::terms::{term, words};

const NEGATIONS: &[&str] = &[
    "cannot",
    "exclude",
    "excluded",
    "excludes",
    "excluding",
    "forbidden",
    "lack",
    "lacks",
    "neither",
    "never",
    "no",
    "nobody",
    "none",
    "nor",
    "not",
    "nothing",
    "nowhere",
    "prohibited",
    "without",
];
/// After a negation these make a bound of it: "no more than" is "at most".
const BOUNDS: &[&str] = &[
    "exceed", "exceeds", "fewer", "just", "later", "less", "matter", "more", "only",
];
/// What follows is said by itself.
const BREAKS: &[&str] = &[
    "although",
    "because",
    "but",
    "except",
    "however",
    "if",
    "instead",
    "otherwise",
    "since",
    "so",
    "then",
    "though",
    "unless",
    "until",
    "when",
    "whereas",
    "while",
];
/// After a comma or an "and" these begin something new, where other words go on with a list.
const OPENERS: &[&str] = &[
    "a", "all", "an", "always", "do", "he", "it", "its", "never", "only", "please", "she", "that",
    "the", "there", "these", "they", "this", "those", "we", "you", "your",
];

#[derive(Debug, Default)]
struct Clause {
    terms: HashSet<String>,
    /// Negations of its own.
    negations: usize,
    /// That of the clause which it goes on with.
    inherits: bool,
}

impl Clause {
    fn is_negated(&self) -> bool {
        match self.negations {
            0 => self.inherits,
            count => count % 2 == 1,
        }
    }
}

/// Whether a clause of the statement has what the passage says the opposite of: all of it, or more
/// than it has in common with what says the same.
pub(crate) fn contradicts(statement: &str, passage: &str) -> bool {
    let known = clauses(passage);
    clauses(statement).iter().any(|said| {
        let (agreeing, opposed): (Vec<&Clause>, Vec<&Clause>) = known
            .iter()
            .partition(|clause| clause.is_negated() == said.is_negated());
        let shared = |clause: &Clause| said.terms.intersection(&clause.terms).count();
        let nearest = agreeing.iter().map(|clause| shared(clause)).max();
        // A term that is said both ways tells nothing.
        let is_said = |term: &String| agreeing.iter().any(|clause| clause.terms.contains(term));
        opposed.iter().any(|clause| {
            let (common, all) = (shared(clause), clause.terms.len());
            let mut terms = said.terms.intersection(&clause.terms);
            let is_near = common == all || common >= nearest.unwrap_or(0);
            is_near && terms.any(|term| !is_said(term))
        })
    })
}

fn clauses(text: &str) -> Vec<Clause> {
    let ranges = sentences(text).into_iter();
    ranges.flat_map(|range| of_sentence(&text[range])).collect()
}

fn of_sentence(sentence: &str) -> Vec<Clause> {
    let (mut clauses, mut clause) = (Vec::new(), Clause::default());
    let mut rest = sentence;
    while !rest.is_empty() {
        let (part, mark, after) = split(rest);
        let words: Vec<String> = words(part).collect();
        for (n, word) in words.iter().enumerate() {
            let next = words.get(n + 1).map(String::as_str);
            if BREAKS.contains(&word.as_str()) {
                begin(&mut clauses, &mut clause, false);
            } else if word == "and" {
                begin(&mut clauses, &mut clause, goes_on(next));
            } else if negates(&words, n) {
                // It is what follows that is missing.
                if word == "without" {
                    begin(&mut clauses, &mut clause, false);
                }
                clause.negations += 1;
            } else {
                clause.terms.extend(term(word.clone()));
            }
        }
        let next = words_first(after);
        let is_list = mark == Some(',') && goes_on(next.as_deref());
        begin(&mut clauses, &mut clause, is_list);
        rest = after;
    }
    clauses
}

fn begin(clauses: &mut Vec<Clause>, clause: &mut Clause, goes_on: bool) {
    let next = Clause {
        inherits: goes_on && clause.is_negated(),
        ..Clause::default()
    };
    let before = std::mem::replace(clause, next);
    if !before.terms.is_empty() {
        clauses.push(before);
    }
}

fn goes_on(next: Option<&str>) -> bool {
    next.is_none_or(|next| !OPENERS.contains(&next))
}

fn words_first(text: &str) -> Option<String> {
    words(text).next()
}

/// Up to the next mark that parts clauses, the mark, and what is after it. Within a number it is
/// none.
fn split(text: &str) -> (&str, Option<char>, &str) {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_mark = |(at, c): &(usize, char)| {
        matches!(c, ',' | ';' | ':' | '(' | ')' | '|' | '—' | '–' | '\n')
            && !(*at > 0 && is_digit(at - 1) && is_digit(at + 1))
    };
    match text.char_indices().find(is_mark) {
        Some((at, mark)) => (&text[..at], Some(mark), &text[at + mark.len_utf8()..]),
        None => (text, None, ""),
    }
}

fn negates(words: &[String], n: usize) -> bool {
    let word = words[n].as_str();
    let next = words.get(n + 1).map_or("", String::as_str);
    // "No. 5" counts, and "t" is what is left of "isn't".
    let is_number = word == "no" && next.starts_with(|c: char| c.is_ascii_digit());
    let is_contraction = word == "t" && n > 0 && words[n - 1].ends_with('n');
    (NEGATIONS.contains(&word) || is_contraction) && !BOUNDS.contains(&next) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGE: &str = "Rinse the filter with warm water every week. Never use bleach. \
        The pump is not meant for drinking water, sea water or anything that burns. \
        The housing doesn't get hot, and the lid can be opened without tools. \
        Seals are excluded from the warranty. The pressure is at most 6 bar.";

    #[test]
    fn what_is_turned_into_its_opposite_is_told() {
        for statement in [
            "Use bleach.",
            "Use bleach for the filter.",
            "The filter is not rinsed with warm water.",
            "You never rinse the filter.",
            "The pump is meant for drinking water.",
            "It may pump sea water.",
            "The housing gets hot.",
            "The lid cannot be opened.",
            "Open the lid with tools.",
            "Seals are part of the warranty.",
            "Rinse the filter every week and use bleach.",
        ] {
            assert!(contradicts(statement, PASSAGE), "{statement}");
        }
    }

    #[test]
    fn what_says_the_same_stands() {
        for statement in [
            "Never use bleach.",
            "Bleach must not be used.",
            "Don't use bleach, but rinse the filter weekly.",
            "Rinse the filter every week and never use bleach.",
            "The pump isn't meant for sea water.",
            "Nothing that burns may be pumped.",
            "The housing doesn't get hot.",
            "The lid opens without tools.",
            "The warranty does not cover seals.",
            "The pressure is no more than 6 bar.",
            "The filter is cleaned with water.",
            "The manual was printed in Lisbon.",
        ] {
            assert!(!contradicts(statement, PASSAGE), "{statement}");
        }
    }

    #[test]
    fn nothing_contradicts_itself() {
        assert!(!contradicts(PASSAGE, PASSAGE));
        for text in ["", "No.", "1,000 rpm: not 2,000", "| a | not b |"] {
            assert!(!contradicts(text, text), "{text}");
        }
    }
}

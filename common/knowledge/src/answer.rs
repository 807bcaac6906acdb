//! An answer made of sentences of the documents, or the word that they hold none. Nothing is
//! written here that does not stand in a source: every citation is a part of its chunk.

use std::sync::Arc;

use serde::Serialize;

use crate::calibration::{CONFIDENCE_MIN, confidence};
use crate::evidence::{Candidate, Evidence, candidates};
use crate::index::{Entry, Found};

/// An answer has at most so many sentences.
const SENTENCES_MAX: usize = 3;
/// Sentences join the best one from this share of its score on.
const NEAR_BEST: f32 = 0.85;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// `None`: the documents hold none.
    pub text: Option<String>,
    pub citations: Vec<Citation>,
    /// From 0 to 1: how often answers of this kind are right.
    pub confidence: f32,
    /// What the confidence was judged by; `None` where nothing was found.
    #[serde(skip)]
    pub evidence: Option<Evidence>,
}

/// A sentence of the answer, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Citation {
    pub document_id: String,
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headings: Vec<String>,
    /// Which chunk of the document, from 0.
    pub chunk: usize,
    /// Exactly as it stands in that chunk.
    pub quote: String,
}

impl Citation {
    /// Of a sentence of this chunk.
    pub fn of(entry: &Entry, quote: &str) -> Self {
        Self {
            document_id: entry.document.id.clone(),
            title: entry.document.title.clone(),
            url: entry.document.url.clone(),
            headings: entry.headings.clone(),
            chunk: entry.ordinal,
            quote: quote.to_owned(),
        }
    }
}

/// Answers a question out of what was found for it, or says that it holds no answer.
pub fn answer(found: &Found) -> Answer {
    let proposed = propose(found);
    if proposed.confidence >= CONFIDENCE_MIN {
        return proposed;
    }
    Answer {
        text: None,
        citations: Vec::new(),
        ..proposed
    }
}

/// The best answer there is, however bad.
pub fn propose(found: &Found) -> Answer {
    let candidates = candidates(found);
    let Some(best) = candidates.first() else {
        return Answer {
            text: None,
            citations: Vec::new(),
            confidence: 0.0,
            evidence: None,
        };
    };
    let evidence = Evidence::of(best, found);
    let cite = |candidate: &Candidate<'_>| Citation::of(candidate.entry, candidate.quote());
    let citations: Vec<Citation> = chosen(&candidates).into_iter().map(cite).collect();
    let quotes: Vec<&str> = citations
        .iter()
        .map(|citation| citation.quote.as_str())
        .collect();
    Answer {
        text: Some(quotes.join("\n")),
        citations,
        confidence: confidence(&evidence),
        evidence: Some(evidence),
    }
}

/// The best sentence and its equals, in the order in which they stand in the documents.
fn chosen<'a, 'b>(candidates: &'b [Candidate<'a>]) -> Vec<&'b Candidate<'a>> {
    let Some(best) = candidates.first() else {
        return Vec::new();
    };
    let mut chosen: Vec<&Candidate<'_>> = Vec::new();
    for candidate in candidates {
        let is_near = candidate.score >= best.score * NEAR_BEST;
        // Neighbouring chunks overlap, pages repeat each other, and lists contain their items.
        let quote = candidate.quote();
        let is_new = chosen
            .iter()
            .all(|other| !other.quote().contains(quote) && !quote.contains(other.quote()));
        if is_near && is_new && chosen.len() < SENTENCES_MAX {
            chosen.push(candidate);
        }
    }
    // The best one's chunk first.
    let place = |candidate: &Candidate<'_>| {
        let is_best = Arc::ptr_eq(candidate.entry, best.entry);
        let document = Arc::as_ptr(&candidate.entry.document);
        (
            !is_best,
            document,
            candidate.entry.ordinal,
            candidate.range.start,
        )
    };
    chosen.sort_by_key(|candidate| place(candidate));
    chosen
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{Chunk, Dense, Document, Index, Search, Vectors};

    fn ask(question: &str) -> Answer {
        let mut index = Index::new(None, Vectors::Here);
        let documents = [
            (
                "Pump P-7",
                vec![
                    (
                        "Cleaning",
                        "Rinse the filter with warm water every week. Never use bleach.",
                    ),
                    (
                        "Error codes",
                        "| Code | Meaning |\n|---|---|\n| E04 | The tank is empty. |\n| E05 | The hose is blocked. |",
                    ),
                ],
            ),
            (
                "Warranty",
                vec![(
                    "",
                    "The warranty of all pumps lasts 36 months from the day of purchase. Seals are excluded.",
                )],
            ),
            (
                "Shipping",
                vec![("", "Parcels leave our warehouse within two days.")],
            ),
        ];
        for (title, chunks) in documents {
            let chunk = |(heading, text): (&str, &str)| Chunk {
                headings: Some(heading.to_owned())
                    .filter(|h| !h.is_empty())
                    .into_iter()
                    .collect(),
                text: text.to_owned(),
                vector: None,
            };
            index.put(Document {
                id: title.to_owned(),
                brand: None,
                title: title.to_owned(),
                url: None,
                content_hash: String::new(),
                as_of: Timestamp::UNIX_EPOCH,
                embedder: None,
                chunks: chunks.into_iter().map(chunk).collect(),
            });
        }
        let search = Search {
            question,
            dense: Dense::None,
            brand: None,
            k: 5,
        };
        answer(&index.search(&search))
    }

    #[test]
    fn answers_are_sentences_of_the_sources() {
        for (question, expected) in [
            (
                "How often should I rinse the filter?",
                "Rinse the filter with warm water every week.",
            ),
            (
                "What does error code E04 mean?",
                "| E04 | The tank is empty. |",
            ),
            (
                "How long is the warranty of a pump?",
                "The warranty of all pumps lasts 36 months from the day of purchase.",
            ),
        ] {
            let answer = ask(question);
            assert!(answer.text.is_some(), "{question}: {answer:?}");
            assert_eq!(answer.citations[0].quote, expected, "{question}");
            assert!(answer.confidence >= CONFIDENCE_MIN);
        }
    }

    #[test]
    fn what_the_documents_do_not_hold_is_said() {
        for question in [
            "Who founded the company in Lisbon?",
            "Is there a discount for students?",
            "???",
        ] {
            let answer = ask(question);
            assert_eq!(
                (answer.text, answer.citations.len()),
                (None, 0),
                "{question}"
            );
            assert!(answer.confidence < CONFIDENCE_MIN);
        }
    }
}

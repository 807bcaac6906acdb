//! An answer made of sentences of the documents, or the word that they hold none. Nothing is
//! written here that does not stand in a source: every citation is a part of its chunk.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::index::{Entry, Found, Hit};
use crate::sentences::{Statement, statements_of};
use crate::terms::terms;

/// An answer has at most so many sentences.
const SENTENCES_MAX: usize = 3;
/// Sentences join the best one from this share of its score on.
const NEAR_BEST: f32 = 0.85;
/// What a term is worth where it stands in the headings above a sentence, or beside it in the
/// same chunk, against one in the sentence itself.
const ABOVE: f32 = 0.8;
const BESIDE: f32 = 0.5;
/// How much the meaning of a chunk counts beside the words of a sentence.
const MEANING: f32 = 0.6;
/// Below this, what was found is taken for no answer.
pub const CONFIDENCE_MIN: f32 = 0.5;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// `None`: the documents hold none.
    pub text: Option<String>,
    pub citations: Vec<Citation>,
    /// From 0 to 1: how often answers of this kind are right.
    pub confidence: f32,
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

/// A sentence that may answer the question.
#[derive(Debug)]
struct Candidate<'a> {
    entry: &'a Arc<Entry>,
    range: Range<usize>,
    /// The share of the question that it speaks about, from 0 to 1.
    coverage: f32,
    score: f32,
}

/// Answers a question out of what was found for it.
pub fn answer(found: &Found) -> Answer {
    let total: f32 = found.weights.values().sum();
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for hit in &found.hits {
        candidates.extend(candidates_of(hit, &found.weights, total));
    }
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let Some(best) = candidates.first() else {
        return none(0.0);
    };
    let cosine = found
        .hits
        .iter()
        .filter_map(|hit| hit.cosine)
        .reduce(f32::max);
    let confidence = confidence(best.coverage, cosine);
    if confidence < CONFIDENCE_MIN {
        return none(confidence);
    }
    let citations: Vec<Citation> = chosen(&candidates).into_iter().map(cite).collect();
    let quotes: Vec<&str> = citations
        .iter()
        .map(|citation| citation.quote.as_str())
        .collect();
    Answer {
        text: Some(quotes.join("\n")),
        citations,
        confidence,
    }
}

fn none(confidence: f32) -> Answer {
    Answer {
        text: None,
        citations: Vec::new(),
        confidence,
    }
}

/// A logistic fit: how much of the question the best sentence covers, by words and, where there
/// are embeddings, by meaning.
fn confidence(coverage: f32, cosine: Option<f32>) -> f32 {
    let logit = match cosine {
        Some(cosine) => 5.0 * coverage + 7.0 * cosine - 6.0,
        None => 8.0 * coverage - 4.4,
    };
    1.0 / (1.0 + (-logit).exp())
}

fn candidates_of<'a>(
    hit: &'a Hit,
    weights: &HashMap<String, f32>,
    total: f32,
) -> Vec<Candidate<'a>> {
    let entry = &hit.entry;
    let has = |text: &str| -> HashSet<String> {
        terms(text)
            .filter(|term| weights.contains_key(term))
            .collect()
    };
    let above = has(&format!(
        "{}\n{}",
        entry.document.title,
        entry.headings.join("\n")
    ));
    let beside = has(&entry.text);
    let candidate = |Statement { range, above: near }: Statement| {
        let within = has(&entry.text[range.clone()]);
        let near = has(&near
            .into_iter()
            .map(|range| &entry.text[range])
            .collect::<Vec<_>>()
            .join("\n"));
        let covered: f32 = weights
            .iter()
            .map(|(term, weight)| {
                let share = if within.contains(term) {
                    1.0
                } else if above.contains(term) || near.contains(term) {
                    ABOVE
                } else if beside.contains(term) {
                    BESIDE
                } else {
                    0.0
                };
                weight * share
            })
            .sum();
        let coverage = if total > 0.0 { covered / total } else { 0.0 };
        Candidate {
            entry,
            range,
            coverage,
            score: coverage + MEANING * hit.cosine.unwrap_or(0.0).max(0.0),
        }
    };
    statements_of(&entry.text)
        .into_iter()
        .map(candidate)
        .collect()
}

/// The best sentence and its equals, in the order in which they stand in the documents.
fn chosen<'a, 'b>(candidates: &'b [Candidate<'a>]) -> Vec<&'b Candidate<'a>> {
    let Some(best) = candidates.first() else {
        return Vec::new();
    };
    let mut chosen: Vec<&Candidate<'_>> = Vec::new();
    for candidate in candidates {
        let is_near = candidate.score >= best.score * NEAR_BEST;
        // Neighbouring chunks overlap, and pages repeat each other.
        let quote = quote(candidate);
        let is_new = chosen.iter().all(|other| self::quote(other) != quote);
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

fn quote<'a>(candidate: &Candidate<'a>) -> &'a str {
    &candidate.entry.text[candidate.range.clone()]
}

fn cite(candidate: &Candidate<'_>) -> Citation {
    let entry = candidate.entry;
    Citation {
        document_id: entry.document.id.clone(),
        title: entry.document.title.clone(),
        url: entry.document.url.clone(),
        headings: entry.headings.clone(),
        chunk: entry.ordinal,
        quote: quote(candidate).to_owned(),
    }
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

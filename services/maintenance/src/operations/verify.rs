//! Compares what every index has with what is stored, by sums over the documents of a brand.
//!
//! Everything may change meanwhile. So the stored documents are added up before the indexes are
//! asked, and again after: where a part is the same both times, an index that had applied all of
//! the first look must have had the same in between. What changed is looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_common::broker::{DocumentState, IndexHoldings};
use flotilla_common::model::{DocumentKey, DocumentSummary, Holding, Outcome};
use flotilla_knowledge::Document;
use serde::Serialize;
use serde_json::{Map, json};

use super::verify_vectors;
use crate::handler::{Findings, Work, broker_failed};

/// Looks at parts that change while they are compared.
const ROUNDS_MAX: usize = 5;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Adding up takes an index some milliseconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// Reading all documents takes as long as a start does.
const REBUILT_WITHIN: Duration = Duration::from_secs(600);
/// A brand's whole token; and so much of it where there are more brands than fit into an answer.
const WHOLE_TOKEN: usize = 64;
const SHORT_TOKEN: usize = 2;
const PARTS_MAX: usize = 2_000;

/// The stored documents of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stored {
    holding: Holding,
    /// The latest change, deletions included.
    last: u64,
    /// One of its brands, in words.
    brand: Option<String>,
}

impl Stored {
    fn add(&mut self, key: &DocumentKey, summary: DocumentSummary) {
        self.holding.add(summary.chunks, summary.fingerprint(key));
        self.brand = self.brand.take().or(summary.brand);
    }
}

#[derive(Debug, Default)]
struct Look {
    parts: BTreeMap<String, Stored>,
    /// The latest change that there is.
    last: u64,
    /// Documents that cannot be compared, as they cannot be read.
    unknown: u64,
}

/// An index that has something else than what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    index: String,
    part: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
    stored: Holding,
    indexed: Holding,
}

#[derive(Debug, Default)]
struct Verdict {
    indexes: Vec<IndexHoldings>,
    documents: u64,
    unknown: u64,
    differences: Vec<Difference>,
    /// Parts that changed whenever they were looked at, and indexes that were behind.
    undecided: usize,
}

pub(crate) async fn run(work: &Work<'_>, repair: bool) -> Result<Findings, Outcome> {
    let mut verdict = compare(work).await?;
    let found = verdict.differences.clone();
    let (mut rebuilt, repairs) = (Vec::new(), repair && !work.dry_run);
    if repairs && !found.is_empty() {
        let indexes: BTreeSet<_> = found.iter().map(|d| d.index.clone()).collect();
        for index in indexes {
            let broker = work.attempt.broker();
            let built = broker
                .rebuild_index(&index, SHORT_TOKEN, REBUILT_WITHIN)
                .await;
            if built.map_err(broker_failed)?.is_some() {
                rebuilt.push(index);
            }
        }
        verdict = compare(work).await?;
    }
    let mut counts = Map::new();
    for (name, count) in [
        ("documents", verdict.documents),
        ("unknown", verdict.unknown),
        ("indexes", count(verdict.indexes.len())),
        ("differences", count(found.len())),
        ("rebuilt", count(rebuilt.len())),
        ("undecided", count(verdict.undecided)),
    ] {
        counts.insert(name.to_owned(), count.into());
    }
    let vectors = verify_vectors::run(work, repairs, &mut counts).await?;
    let still = repairs.then_some(&verdict.differences);
    let indexes = verdict.indexes.iter().map(|index| {
        json!({
            "index": index.index, "applied": index.applied, "embedder": index.embedder,
            "without_vectors": index.without_vectors,
        })
    });
    let indexes: Vec<_> = indexes.collect();
    Ok(Findings {
        counts,
        report: json!({
            "indexes": indexes, "differences": found, "rebuilt": rebuilt,
            "differences_after_repair": still, "vectors": vectors,
        }),
    })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

async fn compare(work: &Work<'_>) -> Result<Verdict, Outcome> {
    let broker = work.attempt.broker();
    let mut prefix = WHOLE_TOKEN;
    let mut verdict = Verdict::default();
    for round in 0..ROUNDS_MAX {
        if round > 0 {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
        let mut before = look(work, prefix).await?;
        if before.parts.len() > PARTS_MAX {
            prefix = SHORT_TOKEN;
            before = look(work, prefix).await?;
        }
        let indexes = broker.ask_indexes(prefix, ANSWERED_WITHIN).await;
        let indexes = indexes.map_err(broker_failed)?;
        let after = look(work, prefix).await?;
        verdict = judge(&before, indexes, &after);
        if verdict.undecided == 0 {
            break;
        }
    }
    Ok(verdict)
}

async fn look(work: &Work<'_>, prefix: usize) -> Result<Look, Outcome> {
    let scan = work.attempt.broker().scan_documents(1, None).await;
    let mut scan = scan.map_err(broker_failed)?;
    let mut look = Look::default();
    while let Some(document) = scan.next().await.map_err(broker_failed)? {
        let part: String = document.key.brand().chars().take(prefix).collect();
        let stored = look.parts.entry(part).or_default();
        (stored.last, look.last) = (document.sequence, document.sequence);
        match document.state {
            DocumentState::Tombstone => {}
            DocumentState::Unknown => match read(work, &document.key).await? {
                Some(summary) => stored.add(&document.key, summary),
                None => look.unknown += 1,
            },
            DocumentState::Summarized(summary) => stored.add(&document.key, summary),
        }
    }
    Ok(look)
}

/// One that was stored without a summary has to be read.
pub(super) async fn read(
    work: &Work<'_>,
    key: &DocumentKey,
) -> Result<Option<DocumentSummary>, Outcome> {
    let body = work.attempt.broker().document(key).await;
    let body = body.map_err(broker_failed)?;
    let document = body.and_then(|body| serde_json::from_slice::<Document>(&body).ok());
    Ok(document.map(|document| document.summary()))
}

/// Pure: what two looks and the answers between them say.
fn judge(before: &Look, indexes: Vec<IndexHoldings>, after: &Look) -> Verdict {
    let mut verdict = Verdict {
        documents: after.parts.values().map(|p| p.holding.documents).sum(),
        unknown: after.unknown,
        ..Verdict::default()
    };
    let (nothing, nowhere) = (Stored::default(), Holding::default());
    let stored = before.parts.keys().chain(after.parts.keys());
    let stored: BTreeSet<&String> = stored.collect();
    let is_stable = |part: &String| before.parts.get(part) == after.parts.get(part);
    verdict.undecided = stored.iter().filter(|part| !is_stable(part)).count();
    for index in &indexes {
        if index.applied < before.last {
            verdict.undecided += 1;
            continue;
        }
        let parts: BTreeSet<&String> = stored.iter().copied().chain(index.parts.keys()).collect();
        for part in parts.into_iter().filter(|part| is_stable(part)) {
            let stored = before.parts.get(part).unwrap_or(&nothing);
            let indexed = index.parts.get(part).unwrap_or(&nowhere);
            if stored.holding != *indexed {
                verdict.differences.push(Difference {
                    index: index.index.clone(),
                    part: part.clone(),
                    brand: stored.brand.clone(),
                    stored: stored.holding,
                    indexed: *indexed,
                });
            }
        }
    }
    verdict.indexes = indexes;
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(documents: u64) -> Holding {
        Holding {
            documents,
            chunks: documents * 2,
            digest: documents * 7,
        }
    }

    fn look_of(parts: &[(&str, u64, u64)]) -> Look {
        let part = |&(part, documents, last): &(&str, u64, u64)| {
            let stored = Stored {
                holding: holding(documents),
                last,
                brand: None,
            };
            (part.to_owned(), stored)
        };
        Look {
            parts: parts.iter().map(part).collect(),
            last: parts.iter().map(|part| part.2).max().unwrap_or(0),
            unknown: 0,
        }
    }

    fn index(applied: u64, parts: &[(&str, u64)]) -> IndexHoldings {
        let part = |&(part, documents): &(&str, u64)| (part.to_owned(), holding(documents));
        IndexHoldings {
            index: "i".to_owned(),
            applied,
            embedder: None,
            without_vectors: 0,
            parts: parts.iter().map(part).collect(),
        }
    }

    #[test]
    fn an_index_that_has_what_is_stored_is_right() {
        let stored = look_of(&[("a", 2, 4), ("b", 1, 5), ("gone", 0, 6)]);
        let verdict = judge(&stored, vec![index(6, &[("a", 2), ("b", 1)])], &stored);
        assert_eq!((verdict.differences.len(), verdict.undecided), (0, 0));
        assert_eq!(verdict.documents, 3);
    }

    #[test]
    fn what_is_missing_or_too_much_is_found() {
        let stored = look_of(&[("a", 2, 4), ("gone", 0, 6)]);
        let verdict = judge(
            &stored,
            vec![index(6, &[("a", 1), ("gone", 1), ("made_up", 1)])],
            &stored,
        );
        let parts: Vec<_> = verdict
            .differences
            .iter()
            .map(|d| d.part.as_str())
            .collect();
        assert_eq!(parts, ["a", "gone", "made_up"]);
    }

    #[test]
    fn what_changed_meanwhile_is_no_difference() {
        let before = look_of(&[("a", 2, 4), ("b", 1, 5)]);
        let after = look_of(&[("a", 3, 6), ("b", 1, 5)]);
        let verdict = judge(&before, vec![index(5, &[("a", 3), ("b", 1)])], &after);
        assert_eq!((verdict.differences.len(), verdict.undecided), (0, 1));
        // One that is behind says nothing yet.
        let verdict = judge(&before, vec![index(4, &[("a", 2)])], &before);
        assert_eq!((verdict.differences.len(), verdict.undecided), (0, 1));
    }
}

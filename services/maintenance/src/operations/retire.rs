//! Takes documents out of the index: tombstones in their places, and nothing of them left in a
//! store of vectors. A version that waits to be embedded meanwhile comes too late; one that is
//! submitted afterwards is stored. A document of which nothing is stored yet has no tombstone.

use flotilla_common::broker::{DocumentState, StoredDocument};
use flotilla_common::model::{DocumentKey, Outcome, Retired};
use serde_json::{Map, Value, json};

use super::NAMED_MAX;
use crate::handler::{Findings, Work, broker_failed};

/// What is retired is not found by the next attempt; what that one retires is counted on top.
pub(crate) async fn run(work: &Work<'_>, retired: &Retired) -> Result<Findings, Outcome> {
    let broker = work.attempt.broker();
    let documents = match retired.keys() {
        Some(keys) => named(work, &keys).await?,
        None => of_brand(work, retired).await?,
    };
    let before = work
        .attempt
        .checkpoint()
        .and_then(|c| c["retired"].as_u64());
    let (mut count, mut sequence) = (before.unwrap_or(0), 0);
    if !work.dry_run {
        let vectors = work.vectors().await?;
        for (n, document) in documents.iter().enumerate() {
            let retired = broker.retire_document(&document.key).await;
            sequence = retired.map_err(broker_failed)?;
            vectors.sync(&document.key, work.attempt).await?;
            count += 1;
            // A few bytes, which fit.
            let _ = work.attempt.save_checkpoint(json!({"retired": count}));
            work.tell(n + 1, documents.len(), "documents are retired");
        }
    }
    let mut counts = Map::new();
    counts.insert("documents".to_owned(), documents.len().into());
    counts.insert("retired".to_owned(), count.into());
    // What a question has to ask for to know nothing of them any more.
    counts.insert("sequence".to_owned(), sequence.into());
    let shown = documents.iter().take(NAMED_MAX).map(show).collect();
    Ok(Findings {
        counts,
        report: Value::Array(shown),
    })
}

async fn named(work: &Work<'_>, keys: &[DocumentKey]) -> Result<Vec<StoredDocument>, Outcome> {
    let mut found = Vec::new();
    for key in keys {
        let stored = work.attempt.broker().stored_document(key).await;
        found.extend(stored.map_err(broker_failed)?.filter(is_there));
    }
    Ok(found)
}

async fn of_brand(work: &Work<'_>, retired: &Retired) -> Result<Vec<StoredDocument>, Outcome> {
    let mut found = Vec::new();
    // The type has no other scope without keys; none means none, and not all.
    let Retired::Brand(brand) = retired else {
        return Ok(found);
    };
    let token = DocumentKey::brand_token(Some(brand));
    let scan = work.attempt.broker().scan_documents(1, Some(&token)).await;
    let mut scan = scan.map_err(broker_failed)?;
    while let Some(document) = scan.next().await.map_err(broker_failed)? {
        found.extend(Some(document).filter(is_there));
    }
    Ok(found)
}

fn is_there(document: &StoredDocument) -> bool {
    document.state != DocumentState::Tombstone
}

fn show(document: &StoredDocument) -> Value {
    let key = document.key.to_string();
    match &document.state {
        DocumentState::Summarized(summary) => {
            json!({"key": key, "id": summary.id, "title": summary.title, "chunks": summary.chunks})
        }
        DocumentState::Tombstone | DocumentState::Unknown => json!({"key": key}),
    }
}

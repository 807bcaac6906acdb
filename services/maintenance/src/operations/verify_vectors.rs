//! Compares a store of vectors, where one is configured, with the stored documents.

use flotilla_common::broker::DocumentState;
use flotilla_common::model::Outcome;
use flotilla_knowledge::dense::{Audit, Expected, Store};
use serde_json::{Map, Value, json};

use super::NAMED_MAX;
use super::verify::read;
use crate::handler::{Work, broker_failed};

/// Adds what it finds to the counts; answers the report. `None`: there is no such store.
pub(super) async fn run(
    work: &Work<'_>,
    repairs: bool,
    counts: &mut Map<String, Value>,
) -> Result<Option<Value>, Outcome> {
    let vectors = work.vectors().await?;
    if !vectors.is_enabled() {
        return Ok(None);
    }
    let found = look(work, &vectors).await?;
    let after = match repairs && (found.missing() > 0 || found.foreign() > 0) {
        true => {
            vectors.mend(&found, work.attempt).await?;
            Some(look(work, &vectors).await?)
        }
        false => None,
    };
    for (name, count) in [
        ("vectors", found.present),
        ("vectors_missing", found.missing()),
        ("vectors_foreign", found.foreign()),
    ] {
        counts.insert(name.to_owned(), count.into());
    }
    let after = after.map(|after| json!({"missing": after.missing(), "foreign": after.foreign()}));
    let named = found.differences.iter().take(NAMED_MAX);
    let named: Vec<Value> = named
        .map(|(key, difference)| json!({"key": key.to_string(), "vectors": difference}))
        .collect();
    let strangers: Vec<&String> = found.strangers.iter().take(NAMED_MAX).collect();
    Ok(Some(json!({
        "documents": named, "rows_of_no_document": strangers, "after_repair": after,
    })))
}

async fn look(work: &Work<'_>, vectors: &Store) -> Result<Audit, Outcome> {
    let scan = work.attempt.broker().scan_documents(1, None).await;
    let mut scan = scan.map_err(broker_failed)?;
    let mut expected = Expected::default();
    while let Some(document) = scan.next().await.map_err(broker_failed)? {
        let summary = match document.state {
            DocumentState::Tombstone => None,
            DocumentState::Summarized(summary) => Some(summary),
            DocumentState::Unknown => read(work, &document.key).await?,
        };
        if let Some(summary) = summary {
            vectors.expect(document.key, &summary, &mut expected);
        }
    }
    Ok(vectors.audit(expected, work.attempt).await?)
}

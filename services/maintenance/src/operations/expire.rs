//! Removes what nothing needs any more: tombstones that every index has seen, with what a store
//! of vectors still has of their documents, and objects that nothing refers to.

use flotilla_common::broker::{DocumentState, StoredDocument};
use flotilla_common::model::Outcome;
use jiff::Timestamp;
use serde_json::{Map, json};

use super::NAMED_MAX;
use crate::handler::{Findings, Work, broker_failed};

pub(crate) async fn run(work: &Work<'_>) -> Result<Findings, Outcome> {
    let tombstones = old_tombstones(work).await?;
    if !work.dry_run {
        remove(work, &tombstones).await?;
    }
    let broker = work.attempt.broker();
    let before = Timestamp::now() - work.config.orphan_age;
    let orphans = broker.orphans(before).await.map_err(broker_failed)?;
    let mut removed = Vec::new();
    for orphan in &orphans {
        // One that was stored anew meanwhile, or is needed again, stays.
        if work.dry_run || broker.remove_orphan(orphan).await.map_err(broker_failed)? {
            removed.push(orphan.name());
        }
    }
    let mut counts = Map::new();
    counts.insert("tombstones".to_owned(), tombstones.len().into());
    counts.insert("objects".to_owned(), removed.len().into());
    removed.truncate(NAMED_MAX);
    let keys = tombstones.iter().map(|tombstone| tombstone.key.to_string());
    let keys: Vec<_> = keys.take(NAMED_MAX).collect();
    Ok(Findings {
        counts,
        report: json!({"tombstones": keys, "objects": removed}),
    })
}

/// Sequences go with time, so that the first one that is too young ends the search.
async fn old_tombstones(work: &Work<'_>) -> Result<Vec<StoredDocument>, Outcome> {
    let before = Timestamp::now() - work.config.tombstone_age;
    let scan = work.attempt.broker().scan_documents(1, None).await;
    let mut scan = scan.map_err(broker_failed)?;
    let mut found = Vec::new();
    while let Some(document) = scan.next().await.map_err(broker_failed)? {
        if document.stored_at > before {
            break;
        }
        if document.state == DocumentState::Tombstone {
            found.push(document);
        }
    }
    Ok(found)
}

/// What is removed is not found by the next attempt, so that this goes on where one was cut off.
async fn remove(work: &Work<'_>, tombstones: &[StoredDocument]) -> Result<(), Outcome> {
    let Some(last) = tombstones.last() else {
        return Ok(());
    };
    let broker = work.attempt.broker();
    // Said before it is done: an index that has not come so far begins anew, whatever happens.
    let announced = broker.announce_compaction(last.sequence).await;
    announced.map_err(broker_failed)?;
    let vectors = work.vectors().await?;
    for (n, tombstone) in tombstones.iter().enumerate() {
        vectors.sync(&tombstone.key, work.attempt).await?;
        let removed = broker.remove_tombstone(tombstone.sequence).await;
        removed.map_err(broker_failed)?;
        work.tell(n + 1, tombstones.len(), "tombstones are removed");
    }
    Ok(())
}

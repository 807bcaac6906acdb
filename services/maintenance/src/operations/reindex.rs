//! Has documents embedded again whose vectors are of another embedder than the one in use, or
//! all of them: a bulk task of the embedding category for each, only so many at a time.
//!
//! The slot is given back while they run: an attempt holds it for a moment, notes how far it has
//! come, and is put off. How a task ended is in its record, so that the notes stay small.

use std::time::Duration;

use flotilla_common::broker::{DocumentState, StoredDocument};
use flotilla_common::model::{
    Category, DocumentKey, Failure, NewTask, Options, Outcome, Priority, Status, TaskId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::NAMED_MAX;
use crate::handler::{Findings, Work, broker_failed};

/// How long the slot is kept while others embed, and how soon it is wanted again.
const HOLD: Duration = Duration::from_secs(2);
const BACK_AFTER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where this is; what the next attempt has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    embedder: String,
    /// The end of the log at the beginning: what is stored later is of the embedder in use.
    until: u64,
    /// Documents up to this sequence have their tasks.
    through: u64,
    submitted: u64,
}

/// Which documents this is about.
struct Scope<'a> {
    /// A brand's token.
    brand: Option<&'a str>,
    all: bool,
}

/// How the tasks of the documents that are still as they were have ended.
#[derive(Default)]
struct Left {
    open: u64,
    failed: Vec<Value>,
}

pub(crate) async fn run(
    work: &Work<'_>,
    brand: Option<&str>,
    all: bool,
) -> Result<Findings, Outcome> {
    let broker = work.attempt.broker();
    let token = brand.map(|brand| DocumentKey::brand_token(Some(brand)));
    let scope = Scope {
        brand: token.as_deref(),
        all,
    };
    let embedder = broker.embedder_in_use().await.map_err(broker_failed)?;
    let Some(embedder) = embedder else {
        let why = "there is no embedder: documents are found by their words, and nothing is to be embedded again";
        return Ok(findings(None, 0, 0, 0, json!([why])));
    };
    if work.dry_run {
        return preview(work, &scope, &embedder).await;
    }
    let mut place = Place::resume(work, embedder).await?;
    let hold_until = Instant::now() + HOLD;
    while let Some(more) = submit_some(work, &scope, &mut place).await? {
        place.save(work);
        let message = format!("{} documents have their tasks", place.submitted);
        work.attempt.progress(0.0, &message);
        if Instant::now() >= hold_until {
            return Err(put_off(&message));
        }
        if !more {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    place.save(work);
    let left = left(work, &scope, &place).await?;
    if left.open > 0 {
        let message = format!(
            "{} of {} documents are still being embedded",
            left.open, place.submitted
        );
        #[allow(clippy::cast_precision_loss, reason = "counts of documents")]
        let percent = 100.0 - left.open as f64 / place.submitted.max(left.open) as f64 * 100.0;
        work.attempt.progress(percent, &message);
        return Err(put_off(&message));
    }
    // No question asks for them any more.
    let vectors = work.vectors().await?;
    if left.failed.is_empty() && brand.is_none() {
        vectors.drop_others(work.attempt).await?;
    }
    let failed = u64::try_from(left.failed.len()).unwrap_or(u64::MAX);
    let report = left.failed.into_iter().take(NAMED_MAX).collect();
    let (embedder, submitted) = (Some(place.embedder), place.submitted);
    Ok(findings(
        embedder,
        submitted,
        submitted.saturating_sub(failed),
        failed,
        Value::Array(report),
    ))
}

impl Place {
    /// Written at most twice a second: after a crash some may be submitted again, which their ids
    /// make harmless, or be missing in the count.
    fn save(&self, work: &Work<'_>) {
        // Writing it does not fail, and these few bytes fit.
        let noted = serde_json::to_value(self).unwrap_or_default();
        let _ = work.attempt.save_checkpoint(noted);
    }

    /// As the attempt before left it, unless the embedder has changed since.
    async fn resume(work: &Work<'_>, embedder: String) -> Result<Self, Outcome> {
        let saved = work.attempt.checkpoint().cloned();
        let saved = saved.and_then(|saved| serde_json::from_value::<Self>(saved).ok());
        if let Some(saved) = saved.filter(|saved| saved.embedder == embedder) {
            return Ok(saved);
        }
        let last = work.attempt.broker().last_document().await;
        Ok(Self {
            embedder,
            until: last.map_err(broker_failed)?.sequence,
            through: 0,
            submitted: 0,
        })
    }
}

impl Scope<'_> {
    fn contains(&self, document: &StoredDocument, embedder: &str) -> bool {
        match &document.state {
            DocumentState::Tombstone => false,
            DocumentState::Summarized(summary) => {
                self.all || summary.embedder.as_deref() != Some(embedder)
            }
            // Whatever has made its vectors, it has left no summary.
            DocumentState::Unknown => true,
        }
    }
}

/// As many as there is room for; `None` once every document has its task, and otherwise whether
/// there was room for any.
async fn submit_some(
    work: &Work<'_>,
    scope: &Scope<'_>,
    place: &mut Place,
) -> Result<Option<bool>, Outcome> {
    if place.through >= place.until {
        return Ok(None);
    }
    let broker = work.attempt.broker();
    let backlog = broker.backlog(Category::Embedding).await;
    let backlog = backlog.map_err(broker_failed)?;
    let bulk = backlog
        .priorities
        .iter()
        .filter(|depth| depth.priority == Priority::Bulk);
    let busy: u64 = bulk.map(|depth| depth.waiting + depth.in_flight).sum();
    let busy = usize::try_from(busy).unwrap_or(usize::MAX);
    let mut room = work.config.reindex_in_flight.saturating_sub(busy);
    if room == 0 {
        return Ok(Some(false));
    }
    let scan = broker.scan_documents(place.through + 1, scope.brand).await;
    let mut scan = scan.map_err(broker_failed)?;
    while let Some(document) = scan.next().await.map_err(broker_failed)? {
        if document.sequence > place.until {
            break;
        }
        if scope.contains(&document, &place.embedder) {
            let task = task(work, scope, &document);
            let submitted = broker.submit_child(&task, work.attempt.task_id()).await;
            submitted.map_err(broker_failed)?;
            place.submitted += 1;
            room -= 1;
        }
        place.through = document.sequence;
        if room == 0 {
            return Ok(Some(true));
        }
    }
    place.through = place.until;
    Ok(None)
}

/// The same version gets the same id from every attempt, so that it is embedded once.
fn id(work: &Work<'_>, document: &StoredDocument) -> TaskId {
    let (parent, sequence) = (work.attempt.task_id(), document.sequence);
    let key = format!("{parent}/{}/{sequence}", document.key);
    TaskId::from_key(Category::Embedding, &key)
}

fn task(work: &Work<'_>, scope: &Scope<'_>, document: &StoredDocument) -> NewTask {
    let force = scope.all || document.state == DocumentState::Unknown;
    let payload = json!({"again": document.key.to_string(), "force": force});
    NewTask {
        id: id(work, document),
        category: Category::Embedding,
        priority: Priority::Bulk,
        options: Options::default(),
        brand: None,
        payload: payload.to_string().into(),
    }
}

/// The documents that were there at the beginning and are unchanged: one that was embedded again
/// has another sequence.
async fn left(work: &Work<'_>, scope: &Scope<'_>, place: &Place) -> Result<Left, Outcome> {
    let broker = work.attempt.broker();
    let scan = broker.scan_documents(1, scope.brand).await;
    let mut scan = scan.map_err(broker_failed)?;
    let mut left = Left::default();
    while let Some(document) = scan.next().await.map_err(broker_failed)? {
        if document.sequence > place.until {
            break;
        }
        if !scope.contains(&document, &place.embedder) {
            continue;
        }
        let id = id(work, &document);
        let stored = broker.record_in(Category::Embedding, &id).await;
        let status = stored.map_err(broker_failed)?.map(|s| s.record.status);
        let why = match status {
            Some(Status::Failed { error, .. }) => error.to_string(),
            Some(status) if status.is_final() => {
                // It may have been, since the listing that we are reading.
                let now = broker.stored_document(&document.key).await;
                let now = now.map_err(broker_failed)?;
                if now.is_none_or(|now| now.sequence != document.sequence) {
                    continue;
                }
                "it was not stored again".to_owned()
            }
            Some(_) => {
                left.open += 1;
                continue;
            }
            None => {
                let waits = broker
                    .task_in(Category::Embedding, Priority::Bulk, &id)
                    .await;
                if waits.map_err(broker_failed)?.is_some() {
                    left.open += 1;
                    continue;
                }
                // Between two looks it may have been recorded; the next run sees to the rest.
                "its task is gone".to_owned()
            }
        };
        left.failed.push(describe(&document, &why));
    }
    Ok(left)
}

async fn preview(work: &Work<'_>, scope: &Scope<'_>, embedder: &str) -> Result<Findings, Outcome> {
    let scan = work.attempt.broker().scan_documents(1, scope.brand).await;
    let mut scan = scan.map_err(broker_failed)?;
    let (mut count, mut named) = (0, Vec::new());
    while let Some(document) = scan.next().await.map_err(broker_failed)? {
        if scope.contains(&document, embedder) {
            count += 1;
            if named.len() < NAMED_MAX {
                named.push(describe(&document, "would be embedded again"));
            }
        }
    }
    let embedder = Some(embedder.to_owned());
    Ok(findings(embedder, count, 0, 0, Value::Array(named)))
}

fn describe(document: &StoredDocument, what: &str) -> Value {
    let key = document.key.to_string();
    match &document.state {
        DocumentState::Summarized(summary) => {
            json!({"key": key, "id": summary.id, "embedder": summary.embedder, "why": what})
        }
        DocumentState::Tombstone | DocumentState::Unknown => json!({"key": key, "why": what}),
    }
}

fn findings(
    embedder: Option<String>,
    documents: u64,
    embedded: u64,
    failed: u64,
    report: Value,
) -> Findings {
    let mut counts = Map::new();
    counts.insert("embedder".to_owned(), embedder.into());
    counts.insert("documents".to_owned(), documents.into());
    counts.insert("embedded".to_owned(), embedded.into());
    counts.insert("failed".to_owned(), failed.into());
    Findings { counts, report }
}

fn put_off(message: &str) -> Outcome {
    Outcome::Defer {
        reason: Failure::new("waiting_for_embedding", message),
        after: BACK_AFTER,
    }
}

//! When the embedder has changed: documents of another one have to be embedded again, which is
//! maintenance's work. Until then questions find them by their words.

use flotilla_common::broker::{Broker, BrokerError, DocumentState};
use flotilla_common::model::{Category, NewTask, Options, Priority, TaskId};
use serde_json::json;

/// Says which embedder is in use, and orders a re-index where a document is of another one.
pub(crate) async fn announce(broker: &Broker, embedder: &str) -> Result<(), BrokerError> {
    broker.use_embedder(embedder).await?;
    let mut scan = broker.scan_documents(1, None).await?;
    let through = scan.through();
    while let Some(document) = scan.next().await? {
        let is_other = match &document.state {
            DocumentState::Summarized(summary) => summary.embedder.as_deref() != Some(embedder),
            DocumentState::Unknown | DocumentState::Tombstone => false,
        };
        if is_other {
            tracing::info!(
                embedder,
                "some documents are of another embedder: they are to be embedded again"
            );
            // Processes that start at the same time order it once.
            let key = format!("reindex/{embedder}/{through}");
            let task = NewTask {
                id: TaskId::from_key(Category::Maintenance, &key),
                category: Category::Maintenance,
                priority: Priority::Bulk,
                options: Options::default(),
                brand: None,
                payload: json!({"operation": "reindex"}).to_string().into(),
            };
            broker.submit(&task).await?;
            break;
        }
    }
    Ok(())
}

//! A scraped page goes on to be indexed, as a task of its own.

use flotilla_common::model::{Category, Failure, NewTask, Options, Outcome, TaskId};
use flotilla_common::worker::Attempt;
use serde_json::json;

use crate::failure;
use crate::result::Scraped;

/// Submits the page to be embedded, once however often the scraping is tried.
pub(crate) async fn submit(scraped: &Scraped, attempt: &Attempt) -> Result<TaskId, Outcome> {
    let document = json!({
        "id": scraped.document_id(),
        "url": scraped.final_url,
        "title": scraped.title,
        "text": scraped.content,
        "as_of": scraped.scraped_at,
    });
    let payload = json!({"document": document, "brand": scraped.brand});
    let task = NewTask {
        id: TaskId::from_key(Category::Embedding, attempt.task_id().as_str()),
        category: Category::Embedding,
        priority: attempt.priority(),
        options: Options::default(),
        brand: None,
        payload: payload.to_string().into(),
    };
    let submitted = attempt.broker().submit(&task).await;
    submitted.map_err(|error| {
        let message = format!(
            "the page cannot be queued to be indexed: {}",
            failure::chain(&error)
        );
        Outcome::retry(Failure::new("not_queued", message))
    })?;
    Ok(task.id)
}

//! A result that does not fit its task's record: stored as an object, which the record names.

use bytes::Bytes;

use super::{Broker, BrokerError, ObjectError};
use crate::model::{Category, Record, ResultObject, Status, TaskId};

impl Broker {
    /// Under a name of its own each time: of two attempts that store one, each has its own.
    pub async fn put_result(
        &self,
        category: Category,
        id: &TaskId,
        json: Bytes,
    ) -> Result<ResultObject, BrokerError> {
        let name = format!("result/{category}/{id}/{}", ulid::Ulid::generate());
        self.put_object(&name, &json).await?;
        Ok(ResultObject {
            name,
            bytes: json.len(),
        })
    }

    /// Stores an answer that is too large for a message. Nothing refers to it, so that the sweep
    /// removes it once it is old enough.
    pub async fn store_answer(&self, json: &Bytes) -> Result<String, BrokerError> {
        let name = format!("answer/{}", ulid::Ulid::generate());
        self.put_object(&name, json).await?;
        Ok(name)
    }

    /// The record with its result, wherever that is.
    pub async fn with_result(&self, mut record: Record) -> Result<Record, ObjectError> {
        if let Status::Completed {
            result,
            result_object,
            ..
        } = &mut record.status
            && let Some(ResultObject { name, bytes }) = result_object.take()
        {
            let json = self.object(&name, bytes).await?;
            *result = serde_json::from_slice(&json).map_err(|source| {
                let doing = format!("reading the result of task {}", record.task_id);
                BrokerError::Unreadable { doing, source }
            })?;
        }
        Ok(record)
    }
}

/// Whose result an object is.
pub(super) fn task_of(object: &str) -> Option<(Category, TaskId)> {
    let mut parts = object.strip_prefix("result/")?.split('/');
    let category = parts.next()?;
    let category = Category::named(category)?;
    let id = parts.next()?.parse().ok()?;
    Some((category, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_tells_whose_it_is() {
        let id: TaskId = "scrape_01k".parse().unwrap();
        let name = format!("result/scraping/{id}/{}", ulid::Ulid::generate());
        assert_eq!(task_of(&name), Some((Category::Scraping, id)));
        for other in ["result/x/a/1", "request/query/a/1", "result/query"] {
            assert_eq!(task_of(other), None, "{other}");
        }
    }
}

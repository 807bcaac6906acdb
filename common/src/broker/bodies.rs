//! A task's body that does not fit its message: stored as an object first, and named by the
//! header `Flotilla-Object` of a message without a body. A publisher may do the same by itself.

use async_nats::HeaderMap;
use bytes::Bytes;

use super::subjects::{OBJECT_HEADER, tasks_stream};
use super::{Broker, BrokerError};
use crate::model::{Category, Envelope, TaskId};

/// What a dead letter may need beside the body: its own header, and the publisher's.
const HEADERS_BYTES_MAX: usize = 64 * 1_024;
/// A smaller body fits whatever a server is set to.
pub(super) const TINY_BYTES_MAX: usize = 4 * 1_024;
/// A smaller body fits every stream of tasks; see `StreamLimits::validate`.
pub(super) const SMALL_BYTES_MAX: usize = 64 * 1_024;

/// A body as it is published.
#[derive(Debug)]
pub(super) struct Placed {
    /// In the message.
    pub(super) payload: Bytes,
    /// Or beside it, under a name that nothing else has.
    pub(super) object: Option<String>,
}

impl Broker {
    /// What a message of the server in use can take beside its headers.
    pub(super) fn body_room(&self) -> usize {
        let max = self.client.server_info().max_payload;
        max - HEADERS_BYTES_MAX.min(max / 2)
    }

    /// Puts a task's body where there is room for it; the headers then name it. The object comes
    /// first: who sees the message finds it.
    pub(super) async fn place_body(
        &self,
        category: Category,
        id: &TaskId,
        body: &Bytes,
        headers: &mut HeaderMap,
    ) -> Result<Placed, BrokerError> {
        // Boxed, as few bodies are so large as to be looked at, or moved.
        let is_in_place = body.len() <= TINY_BYTES_MAX
            || body.len() <= Box::pin(self.task_room(category, body.len(), headers)).await?;
        if is_in_place {
            return Ok(Placed {
                payload: body.clone(),
                object: None,
            });
        }
        let name = own_object(category, id);
        Box::pin(self.put_object(&name, body)).await?;
        headers.insert(OBJECT_HEADER, name.as_str());
        Ok(Placed {
            payload: Bytes::new(),
            object: Some(name),
        })
    }

    /// What a message of a category can take beside these headers. Only where that matters is
    /// the stream looked at, which may be set to less than the server takes.
    async fn task_room(
        &self,
        category: Category,
        body_bytes: usize,
        headers: &HeaderMap,
    ) -> Result<usize, BrokerError> {
        let room = self.body_room();
        if body_bytes <= SMALL_BYTES_MAX.min(room) {
            return Ok(room);
        }
        let stream = self.jetstream.get_stream(tasks_stream(category)).await;
        let stream = stream.map_err(|error| {
            BrokerError::other(format!("looking how large a {category} task may be"), error)
        })?;
        // "No limit" is −1.
        let max = usize::try_from(stream.cached_info().config.max_message_size);
        let max = max.unwrap_or(usize::MAX);
        Ok(room.min(max.saturating_sub(wire_bytes(headers))))
    }

    /// Removes the object of a message that was not stored.
    pub(super) async fn withdraw_body(&self, placed: &Placed) {
        if let Some(name) = &placed.object {
            self.try_to_remove(name).await;
        }
    }

    /// Removes the body of a task that needs it no more, where it was stored for this task
    /// alone; others may name the others, so that those are left to the sweep.
    pub async fn remove_body(&self, envelope: &Envelope) {
        if let Some(name) = own_body(envelope.category, &envelope.id, envelope.object.as_deref()) {
            self.try_to_remove(name).await;
        }
    }

    /// What is left now is found by the sweep.
    pub(crate) async fn try_to_remove(&self, name: &str) {
        if let Err(error) = self.remove_object(name).await {
            tracing::warn!(%error, "an object that is not needed any more is left to the sweep");
        }
    }
}

/// The object that was stored for this task alone.
pub(super) fn own_body<'a>(
    category: Category,
    id: &TaskId,
    object: Option<&'a str>,
) -> Option<&'a str> {
    object.filter(|name| name.starts_with(&own_prefix(category, id)))
}

/// A name for such an object that nothing else has.
pub(super) fn own_object(category: Category, id: &TaskId) -> String {
    format!("{}{}", own_prefix(category, id), ulid::Ulid::generate())
}

pub(super) fn own_prefix(category: Category, id: &TaskId) -> String {
    format!("request/{category}/{id}/")
}

/// As the protocol writes them, roughly: a few bytes too many do no harm.
pub(super) fn wire_bytes(headers: &HeaderMap) -> usize {
    let line = |name: &str, value: &str| name.len() + value.len() + 4;
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values.iter().map(move |value| line(name, value.as_str()))
    });
    // What the client library adds: the message id, and the version line.
    lines.sum::<usize>() + 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_stored_for_a_task_alone_is_its_own() {
        let id: TaskId = "mine".parse().unwrap();
        let own = |name| own_body(Category::Query, &id, Some(name));
        assert!(own("request/query/mine/01K").is_some());
        for others in [
            "request/query/mine-2/01K",
            "request/scraping/mine/01K",
            "result/query/mine/01K",
            "mine",
        ] {
            assert_eq!(own(others), None, "{others}");
        }
    }
}

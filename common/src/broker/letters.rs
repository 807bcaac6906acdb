//! Dead letters as operators handle them: read, run again, or thrown away.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use jiff::Timestamp;

use super::bodies::own_body;
use super::header_names::{IDEMPOTENCY_KEY, TASK_ID};
use super::headers::{self, header};
use super::subjects::{DEAD_LETTER_HEADER, DEAD_STREAM, OBJECT_HEADER, dead_letter, task_subject};
use super::{Broker, BrokerError};
use crate::model::{Category, DeadLetter, Origin, Priority, TaskId};
use crate::telemetry::{self, Sending, Sent};

/// Letters that one look goes through, whatever it finds: it answers within a second or so.
const SCAN_MAX: usize = 5_000;

/// A dead letter with all that is needed to run its task again.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLetter {
    pub letter: DeadLetter,
    pub payload: Bytes,
    /// The publisher's, as they came.
    pub headers: Vec<(String, String)>,
    /// Its place in a listing.
    pub sequence: u64,
}

/// Which letters are meant; what is not given is any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    pub category: Option<Category>,
    /// The code of the reason.
    pub code: Option<String>,
    /// In the reason's message or the task's id, in any case.
    pub text: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LetterPage {
    pub letters: Vec<StoredLetter>,
    /// Where the next look goes on; `None` where there is nothing more.
    pub next: Option<u64>,
}

/// How a task is to run again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requeue {
    pub priority: Option<Priority>,
    pub max_retries: Option<u32>,
    /// In the place of the one that it died with.
    pub payload: Option<Bytes>,
    /// Not at once, but then.
    pub at: Option<Timestamp>,
    pub schedules_max: u64,
    /// Whether it is run again with many others.
    pub is_one_of_many: bool,
}

impl StoredLetter {
    /// The object that holds the payload, where the letter does not.
    pub fn object(&self) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, name) = headers.find(|(name, _)| name.eq_ignore_ascii_case(OBJECT_HEADER))?;
        Some(name)
    }
}

impl LetterFilter {
    fn takes(&self, letter: &DeadLetter) -> bool {
        let contains = |text: &str| {
            let (text, reason) = (text.to_lowercase(), letter.reason.message.to_lowercase());
            reason.contains(&text) || letter.task_id.as_str().to_lowercase().contains(&text)
        };
        let code = self.code.as_deref();
        code.is_none_or(|code| code == letter.reason.code.as_str())
            && self.text.as_deref().is_none_or(contains)
    }
}

impl Broker {
    /// Letters from a sequence on, oldest first. A page goes on where the one before has
    /// ended, whatever came and went since.
    pub async fn letters(
        &self,
        filter: &LetterFilter,
        from: u64,
        limit: usize,
    ) -> Result<LetterPage, BrokerError> {
        let failed =
            |error: async_nats::Error| BrokerError::other("reading the dead letters", error);
        let stream = self.jetstream.get_stream_no_info(DEAD_STREAM).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let subject = match filter.category {
            Some(category) => format!("dead.{category}.*"),
            None => "dead.*.*".to_owned(),
        };
        let (mut letters, mut from) = (Vec::new(), from);
        for _ in 0..SCAN_MAX {
            if letters.len() == limit {
                break;
            }
            let next = stream.direct_get_next_for_subject(subject.as_str(), Some(from));
            match next.await {
                Ok(message) => {
                    from = message.sequence + 1;
                    letters.extend(read(&message).filter(|found| filter.takes(&found.letter)));
                }
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                    return Ok(LetterPage {
                        letters,
                        next: None,
                    });
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        let next = Some(from);
        Ok(LetterPage { letters, next })
    }

    pub async fn letter(&self, id: &TaskId) -> Result<Option<StoredLetter>, BrokerError> {
        let doing = || format!("reading the dead letter of task {id}");
        for category in Category::all() {
            let stored = self.last(DEAD_STREAM, dead_letter(category, id)).await;
            let stored = stored.map_err(|error| BrokerError::other(doing(), error))?;
            if let Some(letter) = stored.as_ref().and_then(read) {
                return Ok(Some(letter));
            }
        }
        Ok(None)
    }

    /// Gives the task a second life under an id of its own, as the outcome of the first one
    /// stands; then the letter goes. Doing so twice makes one task: the id tells.
    pub async fn requeue(
        &self,
        stored: &StoredLetter,
        how: &Requeue,
    ) -> Result<TaskId, BrokerError> {
        let id = self.publish_again(stored, how).await?;
        self.note_run_again(&stored.letter, &id).await?;
        self.remove_letter(stored).await?;
        Ok(id)
    }

    pub(super) async fn publish_again(
        &self,
        stored: &StoredLetter,
        how: &Requeue,
    ) -> Result<TaskId, BrokerError> {
        let letter = &stored.letter;
        let id = TaskId::again(letter.category, stored.sequence);
        let priority = how.priority.unwrap_or(letter.priority);
        let mut headers = second_life_headers(stored, how, &id);
        let payload = how.payload.as_ref().unwrap_or(&stored.payload);
        let task = Sent {
            id: &id,
            category: letter.category,
            priority,
            body_bytes: payload.len(),
        };
        // One of many is a trace of its own: together they would be none that could be read.
        let link = headers::lineage(Some(&headers), None).link;
        let sending = match how.is_one_of_many {
            true => Sending::apart(&self.traces, task, link),
            false => Sending::begin(&self.traces, task, link),
        };
        headers::write_trace(&mut headers, sending.context());
        let published = self.publish_life(stored, how, &id, headers).await;
        let answer = published.as_ref().map(|is_duplicate| *is_duplicate);
        sending.end(answer.map_err(BrokerError::class));
        published?;
        Ok(id)
    }

    /// Answers whether it was there before.
    async fn publish_life(
        &self,
        stored: &StoredLetter,
        how: &Requeue,
        id: &TaskId,
        mut headers: HeaderMap,
    ) -> Result<bool, BrokerError> {
        let letter = &stored.letter;
        let priority = how.priority.unwrap_or(letter.priority);
        let payload = how.payload.as_ref().unwrap_or(&stored.payload);
        let object = stored.object().filter(|_| how.payload.is_none());
        self.keep_named(letter.category, object, payload).await?;
        match how.at {
            None => {
                let doing = || format!("running task {} again", letter.task_id);
                let subject = task_subject(letter.category, priority, id);
                let placed = self
                    .place_body(letter.category, id, payload, &mut headers)
                    .await?;
                let message = PublishMessage::build()
                    .headers(headers)
                    .payload(placed.payload.clone());
                let stored = self.publish(doing, subject, message).await;
                if stored.as_ref().is_ok_and(|ack| ack.duplicate) {
                    self.withdraw_body(&placed).await;
                }
                Ok(stored?.duplicate)
            }
            Some(at) => {
                let category = letter.category;
                let max = how.schedules_max;
                let scheduled =
                    self.schedule_message(category, priority, id, at, headers, payload, max);
                Ok(scheduled.await?.duplicate)
            }
        }
    }

    /// Throws this very letter away; one that came after it stays.
    pub async fn discard_letter(&self, stored: &StoredLetter) -> Result<bool, BrokerError> {
        let is_gone = self.remove_letter(stored).await?;
        let DeadLetter {
            category, task_id, ..
        } = &stored.letter;
        if let Some(name) = own_body(*category, task_id, stored.object()).filter(|_| is_gone) {
            self.try_to_remove(name).await;
        }
        Ok(is_gone)
    }

    async fn remove_letter(&self, stored: &StoredLetter) -> Result<bool, BrokerError> {
        let id = &stored.letter.task_id;
        let failed = |error: async_nats::Error| {
            BrokerError::other(format!("removing the dead letter of task {id}"), error)
        };
        let stream = self.jetstream.get_stream_no_info(DEAD_STREAM).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        match stream.delete_message(stored.sequence).await {
            Ok(_) => Ok(true),
            // Somebody else was first; otherwise it is an error indeed.
            Err(error) => match self.letter(id).await?.map(|left| left.sequence) {
                Some(left) if left == stored.sequence => Err(failed(error.into())),
                _ => Ok(false),
            },
        }
    }
}

/// All that the publisher sent, and what is asked for now. The trace of the first life is none
/// of the second one's, but it is linked to it.
fn second_life_headers(stored: &StoredLetter, how: &Requeue, id: &TaskId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &stored.headers {
        let names_the_first_life = [TASK_ID, IDEMPOTENCY_KEY];
        let is_replaced = how.payload.is_some() && name.eq_ignore_ascii_case(OBJECT_HEADER);
        if !is_replaced
            && !names_the_first_life
                .iter()
                .any(|other| other.eq_ignore_ascii_case(name))
        {
            headers.append(name.as_str(), value.as_str());
        }
    }
    let (mut options, origin, _) = headers::read(Some(&headers));
    let first_life = headers::lineage(Some(&headers), origin.as_ref()).parent;
    let first_life = first_life.unwrap_or_else(|| {
        telemetry::derived_trace(&stored.letter.task_id, stored.letter.submitted_at)
    });
    headers::unlink_trace(&mut headers, Some(&first_life));
    options.max_retries = how.max_retries.unwrap_or(options.max_retries);
    options.deadline = options.deadline.filter(|at| *at > Timestamp::now());
    let origin = Origin::RequeueOf(stored.letter.task_id.clone());
    headers::write(&mut headers, &options, Some(&origin));
    headers.insert(NATS_MESSAGE_ID, id.as_str());
    headers
}

/// `None` for what somebody else has put there.
pub(super) fn read(message: &StreamMessage) -> Option<StoredLetter> {
    let letter = header(Some(&message.headers), DEAD_LETTER_HEADER)?;
    let letter = serde_json::from_str(letter).ok()?;
    let is_own =
        |name: &str| name != DEAD_LETTER_HEADER && !name.to_ascii_lowercase().starts_with("nats-");
    let headers = message.headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values
            .iter()
            .map(move |value| (name.to_owned(), value.as_str().to_owned()))
    });
    Some(StoredLetter {
        letter,
        payload: message.payload.clone(),
        headers: headers.filter(|(name, _)| is_own(name)).collect(),
        sequence: message.sequence,
    })
}

//! The streams and consumers that the fleet needs, as data, and what brings a server there.
//! Any service may be the first to do so, and several may at once.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{self, AckPolicy};
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Republish, RetentionPolicy, Source, StorageType, SubjectTransform,
};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Deserialize;

use super::subjects::{
    CONTROL_STREAM, DEAD_STREAM, EVENTS, EVENTS_STREAM, RESULTS_STREAM, SCHED_STREAM,
    SCHED_SUBJECTS, STATS_SNAPSHOT, STATS_STREAM, consumer, lane_subjects, lanes, outcome,
    tasks_stream,
};
use super::{Broker, BrokerError};
use crate::model::duration;
use crate::model::{Category, Priority};

/// Section `[streams]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamLimits {
    /// Copies of every stream: 1, 3 or 5, at most the number of servers.
    pub replicas: usize,
    /// The lease: a task whose worker shows no life for so long is handed out again.
    #[serde(with = "duration")]
    pub ack_wait: Duration,
    /// How long a task id is remembered, so that submitting it again stores nothing.
    #[serde(with = "duration")]
    pub duplicate_window: Duration,
    /// Tasks, and bytes of tasks, that one category may have waiting and running.
    pub tasks_max: i64,
    pub tasks_bytes_max: i64,
    /// The largest task, headers included. Under the server's max_payload, so that a dead
    /// letter, which adds the history, still fits.
    pub task_bytes_max: i32,
    /// Tasks that may be scheduled for later, and schedules that recur, together.
    pub schedules_max: u64,
    /// How long outcomes can be looked up, and how much room they have; the oldest go first.
    #[serde(with = "duration")]
    pub results_age_max: Duration,
    pub results_bytes_max: i64,
    #[serde(with = "duration")]
    pub dead_age_max: Duration,
    pub dead_bytes_max: i64,
    /// The log behind the statistics, which themselves are kept for ever.
    #[serde(with = "duration")]
    pub events_age_max: Duration,
    pub events_bytes_max: i64,
}

const HOUR: Duration = Duration::from_secs(3_600);
const MIB: i64 = 1_024 * 1_024;

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            replicas: 1,
            ack_wait: Duration::from_secs(30),
            duplicate_window: Duration::from_secs(120),
            tasks_max: 2_000_000,
            tasks_bytes_max: 512 * MIB,
            task_bytes_max: 960 * 1_024,
            schedules_max: 1_000_000,
            results_age_max: 7 * 24 * HOUR,
            results_bytes_max: 1_024 * MIB,
            dead_age_max: 30 * 24 * HOUR,
            dead_bytes_max: 256 * MIB,
            events_age_max: 24 * HOUR,
            events_bytes_max: 128 * MIB,
        }
    }
}

impl StreamLimits {
    pub fn validate(&self) -> Result<(), String> {
        if ![1, 3, 5].contains(&self.replicas) {
            return Err(format!(
                "streams.replicas is {}: use 1, 3 or 5",
                self.replicas
            ));
        }
        if self.ack_wait < Duration::from_secs(1) {
            return Err(
                "streams.ack_wait must be 1s or longer: workers renew it three times within"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// A setting that the server holds differently from what this version wants, and won't change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} differs from what this version wants, and the server refuses to change it: {why}")]
pub struct Drift {
    what: String,
    why: String,
}

impl Broker {
    /// Creates what is missing, changes what differs, and reports what cannot be changed.
    pub async fn ensure_topology(&self, limits: &StreamLimits) -> Result<Vec<Drift>, BrokerError> {
        // What the others take from has to be there before them.
        let first = self.ensure_stream(&schedules(limits)).await?;
        let streams = streams(limits);
        let drifts = try_join_all(streams.iter().map(|stream| self.ensure_stream(stream))).await?;
        let consumers =
            lanes().map(|(category, priority)| self.ensure_consumer(category, priority, limits));
        let more = try_join_all(consumers).await?;
        let drifts: Vec<Drift> = drifts
            .into_iter()
            .chain(more)
            .chain([first])
            .flatten()
            .collect();
        for drift in &drifts {
            tracing::warn!("{drift}");
        }
        Ok(drifts)
    }

    async fn ensure_stream(&self, wanted: &Config) -> Result<Option<Drift>, BrokerError> {
        let doing = || format!("ensuring stream {}", wanted.name);
        // Twice, because another service may create it between our look and our attempt.
        for _ in 0..2 {
            match self.jetstream.get_stream(&wanted.name).await {
                Ok(stream) => {
                    return self
                        .update_stream(&stream.cached_info().config, wanted)
                        .await;
                }
                Err(error) if is_missing(&error.kind()) => {}
                Err(error) => return Err(BrokerError::other(doing(), error)),
            }
            match self.jetstream.create_stream(wanted.clone()).await {
                Ok(_) => return Ok(None),
                Err(error) if came_second(&error.kind()) => {}
                Err(error) => return Err(BrokerError::other(doing(), error)),
            }
        }
        Err(BrokerError::Unavailable { doing: doing() })
    }

    async fn update_stream(
        &self,
        existing: &Config,
        wanted: &Config,
    ) -> Result<Option<Drift>, BrokerError> {
        let merged = merged(existing, wanted);
        if merged == *existing {
            return Ok(None);
        }
        match self.jetstream.update_stream(&merged).await {
            Ok(_) => {
                tracing::info!(stream = wanted.name, "updated the stream's settings");
                Ok(None)
            }
            Err(error) => Ok(Some(Drift {
                what: format!("stream {}", wanted.name),
                why: error.to_string(),
            })),
        }
    }

    async fn ensure_consumer(
        &self,
        category: Category,
        priority: Priority,
        limits: &StreamLimits,
    ) -> Result<Option<Drift>, BrokerError> {
        let config = consumer_config(category, priority, limits);
        let (stream, name) = (tasks_stream(category), consumer(category, priority));
        let Err(error) = self
            .jetstream
            .create_consumer_on_stream(config, &stream)
            .await
        else {
            return Ok(None);
        };
        let why = error.to_string();
        let exists = self
            .jetstream
            .get_consumer_from_stream::<consumer::pull::Config, _, _>(&name, &stream)
            .await;
        match exists {
            Ok(_) => Ok(Some(Drift {
                what: format!("consumer {name}"),
                why,
            })),
            Err(_) => Err(BrokerError::other(
                format!("ensuring consumer {name}"),
                error,
            )),
        }
    }
}

fn streams(limits: &StreamLimits) -> Vec<Config> {
    let mut streams: Vec<Config> = Category::ALL
        .iter()
        .map(|category| tasks(*category, limits))
        .collect();
    streams.extend([
        results(limits),
        dead_letters(limits),
        events(limits),
        stats(limits),
        control(limits),
    ]);
    streams
}

fn base(name: impl Into<String>, subjects: Vec<String>, limits: &StreamLimits) -> Config {
    Config {
        name: name.into(),
        subjects,
        storage: StorageType::File,
        num_replicas: limits.replicas,
        allow_direct: true,
        ..Config::default()
    }
}

fn tasks(category: Category, limits: &StreamLimits) -> Config {
    // Every subject by name: a publish to a priority that does not exist is refused at once,
    // where `tasks.scraping.>` would store it for nobody.
    let subjects = Priority::ALL
        .iter()
        .flat_map(|p| lane_subjects(category, *p))
        .collect();
    Config {
        retention: RetentionPolicy::WorkQueue,
        // Full means refused: the publisher hears it, and nothing accepted is dropped.
        discard: DiscardPolicy::New,
        max_messages: limits.tasks_max,
        max_bytes: limits.tasks_bytes_max,
        max_message_size: limits.task_bytes_max,
        duplicate_window: limits.duplicate_window,
        sources: Some(vec![fired(category)]),
        // The time in microseconds (below 2^53, safe as a JSON number): a stream made anew
        // continues above all earlier sequences, so that ids made of them never repeat.
        first_sequence: u64::try_from(Timestamp::now().as_microsecond()).ok(),
        ..base(tasks_stream(category), subjects, limits)
    }
}

fn results(limits: &StreamLimits) -> Config {
    Config {
        max_messages_per_subject: 1,
        max_age: limits.results_age_max,
        max_bytes: limits.results_bytes_max,
        republish: Some(Republish {
            source: "results.*.*".to_owned(),
            destination: outcome("{{wildcard(1)}}", "{{wildcard(2)}}"),
            headers_only: false,
        }),
        ..base(RESULTS_STREAM, vec!["results.*.*".to_owned()], limits)
    }
}

fn dead_letters(limits: &StreamLimits) -> Config {
    Config {
        max_messages_per_subject: 1,
        max_age: limits.dead_age_max,
        max_bytes: limits.dead_bytes_max,
        ..base(DEAD_STREAM, vec!["dead.*.*".to_owned()], limits)
    }
}

fn events(limits: &StreamLimits) -> Config {
    Config {
        max_age: limits.events_age_max,
        max_bytes: limits.events_bytes_max,
        duplicate_window: limits.duplicate_window,
        ..base(EVENTS_STREAM, vec![EVENTS.to_owned()], limits)
    }
}

fn stats(limits: &StreamLimits) -> Config {
    Config {
        max_messages_per_subject: 1,
        ..base(STATS_STREAM, vec![STATS_SNAPSHOT.to_owned()], limits)
    }
}

fn control(limits: &StreamLimits) -> Config {
    let subjects = ["control.category.*", "control.breaker.*"];
    Config {
        max_messages_per_subject: 1,
        ..base(CONTROL_STREAM, subjects.map(str::to_owned).to_vec(), limits)
    }
}

/// No limit of count, bytes or age: they would delete schedules that have yet to fire, and the
/// server takes no schedules where a full stream refuses. Whoever schedules looks for room.
fn schedules(limits: &StreamLimits) -> Config {
    let subjects = SCHED_SUBJECTS.map(str::to_owned).to_vec();
    Config {
        // What has fired leaves with the queue that takes it.
        retention: RetentionPolicy::WorkQueue,
        allow_message_schedules: true,
        duplicate_window: limits.duplicate_window,
        ..base(SCHED_STREAM, subjects, limits)
    }
}

/// What fires for a category goes into its queue; while that is full, it waits in SCHED.
fn fired(category: Category) -> Source {
    Source {
        name: SCHED_STREAM.to_owned(),
        subject_transforms: vec![SubjectTransform {
            source: format!("due.{category}.>"),
            destination: format!("tasks.{category}.>"),
        }],
        ..Source::default()
    }
}

fn consumer_config(
    category: Category,
    priority: Priority,
    limits: &StreamLimits,
) -> consumer::pull::Config {
    consumer::pull::Config {
        durable_name: Some(consumer(category, priority)),
        ack_policy: AckPolicy::Explicit,
        ack_wait: limits.ack_wait,
        filter_subjects: lane_subjects(category, priority).into(),
        // No limit of the broker's: it would leave the task in the stream, seen by nobody.
        // The worker counts attempts in the task's record and ends with a dead letter.
        max_deliver: -1,
        // Tasks that back off count as pending acks; a limit would let them block the rest.
        // What bounds them is the stream's own limit.
        max_ack_pending: -1,
        num_replicas: limits.replicas,
        ..consumer::pull::Config::default()
    }
}

/// What exists, with the settings that are ours put in. The rest is the operator's.
fn merged(existing: &Config, wanted: &Config) -> Config {
    let wanted = wanted.clone();
    Config {
        subjects: wanted.subjects,
        retention: wanted.retention,
        discard: wanted.discard,
        max_messages: or_unlimited(wanted.max_messages),
        max_messages_per_subject: or_unlimited(wanted.max_messages_per_subject),
        max_bytes: or_unlimited(wanted.max_bytes),
        max_message_size: if wanted.max_message_size == 0 {
            existing.max_message_size
        } else {
            wanted.max_message_size
        },
        max_age: wanted.max_age,
        storage: wanted.storage,
        num_replicas: wanted.num_replicas,
        duplicate_window: if wanted.duplicate_window.is_zero() {
            existing.duplicate_window
        } else {
            wanted.duplicate_window
        },
        republish: wanted.republish,
        allow_direct: wanted.allow_direct,
        sources: merged_sources(existing, wanted.sources),
        // Once given, the server does not take it back.
        allow_message_schedules: existing.allow_message_schedules || wanted.allow_message_schedules,
        ..existing.clone()
    }
}

/// Ours first, and the operator's own after them.
fn merged_sources(existing: &Config, wanted: Option<Vec<Source>>) -> Option<Vec<Source>> {
    let Some(mut sources) = wanted else {
        return existing.sources.clone();
    };
    let existing = existing.sources.iter().flatten();
    let others = existing.filter(|source| source.name != SCHED_STREAM);
    sources.extend(others.cloned());
    Some(sources)
}

/// The server stores "no limit" as −1, whatever it was given as.
fn or_unlimited(limit: i64) -> i64 {
    if limit == 0 { -1 } else { limit }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn came_second(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_its_subjects_in_one_stream() {
        let all = streams(&StreamLimits::default());
        for (category, priority) in lanes() {
            for subject in lane_subjects(category, priority) {
                let takers: Vec<_> = all
                    .iter()
                    .filter(|s| s.subjects.contains(&subject))
                    .collect();
                assert_eq!(takers.len(), 1, "{subject}");
                assert_eq!(takers[0].name, tasks_stream(category));
            }
        }
    }

    #[test]
    fn merging_keeps_what_is_not_ours() {
        let limits = StreamLimits::default();
        let existing = Config {
            description: Some("ours".to_owned()),
            first_sequence: Some(1),
            max_messages_per_subject: -1,
            ..tasks(Category::Query, &limits)
        };
        let merged = merged(&existing, &tasks(Category::Query, &limits));
        assert_eq!(merged, existing);
    }
}

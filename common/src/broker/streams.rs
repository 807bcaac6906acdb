//! The streams and consumers that the fleet needs, as data.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Republish, RetentionPolicy, Source, StorageType, SubjectTransform,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::bodies::SMALL_BYTES_MAX;
use super::objects::BUCKET;
use super::subjects::{
    CONTROL_STREAM, DEAD_STREAM, DOCUMENTS_STREAM, ENDED_STREAM, EVENTS, EVENTS_STREAM,
    OBJECTS_STREAM, RESULTS_STREAM, SCHED_STREAM, SCHED_SUBJECTS, STATS_STREAM, STATS_SUBJECTS,
    consumer, lane_subjects, outcome, queued, tasks_stream, without_id,
};
use crate::model::{Category, Priority, duration};

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
    /// Room for tasks that were cancelled or expired, so that they can be run again for as long
    /// as their records are there; the oldest go first.
    pub ended_bytes_max: i64,
    /// The log behind the statistics, which themselves are kept for ever.
    #[serde(with = "duration")]
    pub events_age_max: Duration,
    pub events_bytes_max: i64,
    /// Room for the indexed documents, and for what is too large for a message. Full means
    /// refused.
    pub documents_bytes_max: i64,
    pub objects_bytes_max: i64,
    /// The largest body of a task, and the largest result, however they are stored.
    pub object_bytes_max: usize,
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
            ended_bytes_max: 256 * MIB,
            events_age_max: 24 * HOUR,
            events_bytes_max: 128 * MIB,
            documents_bytes_max: 2_048 * MIB,
            objects_bytes_max: 1_024 * MIB,
            object_bytes_max: 32 * 1_024 * 1_024,
        }
    }
}

impl StreamLimits {
    /// A small body, and the most that headers may have.
    const TASK_BYTES_MIN: usize = 2 * SMALL_BYTES_MAX;

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
        if usize::try_from(self.task_bytes_max).is_ok_and(|max| max < Self::TASK_BYTES_MIN) {
            return Err(format!(
                "streams.task_bytes_max must be {} or more: what is larger is kept as an object",
                Self::TASK_BYTES_MIN
            ));
        }
        if i64::try_from(self.object_bytes_max).is_ok_and(|max| max > self.objects_bytes_max) {
            return Err(
                "streams.object_bytes_max must not be above streams.objects_bytes_max".to_owned(),
            );
        }
        Ok(())
    }

    /// With copies of it on several servers, who has which task need not be on the disk as well, which
    /// every delivery and every ack would wait for. Were all of them lost at once, what was handed
    /// out would be handed out again, as if for the first time.
    pub(super) fn keeps_consumers_in_memory(&self) -> bool {
        self.replicas > 1
    }
}

pub(super) fn streams(limits: &StreamLimits) -> Vec<Config> {
    let mut streams: Vec<Config> = Category::all()
        .map(|category| tasks(category, limits))
        .collect();
    streams.extend([
        results(limits),
        dead_letters(limits),
        ended(limits),
        events(limits),
        stats(limits),
        control(limits),
        documents(limits),
        objects(limits),
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

pub(super) fn tasks(category: Category, limits: &StreamLimits) -> Config {
    // Every subject by name: a publish to a priority that does not exist is refused at once,
    // where `tasks.scraping.>` would store it for nobody.
    let subjects = Priority::ALL
        .iter()
        .flat_map(|p| lane_subjects(category, *p))
        .collect();
    let [source, destination] = without_id(category);
    Config {
        retention: RetentionPolicy::WorkQueue,
        subject_transform: Some(SubjectTransform {
            source,
            destination,
        }),
        // Full means refused: the publisher hears it, and nothing accepted is dropped.
        discard: DiscardPolicy::New,
        max_messages: limits.tasks_max,
        max_bytes: limits.tasks_bytes_max,
        max_message_size: limits.task_bytes_max,
        duplicate_window: limits.duplicate_window,
        allow_batch_publish: true,
        allow_atomic_publish: true,
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
        allow_batch_publish: true,
        allow_atomic_publish: true,
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

/// As old as the records of these tasks; a second life gets its id from the sequence here, which
/// therefore begins where no dead letter's is.
fn ended(limits: &StreamLimits) -> Config {
    Config {
        max_messages_per_subject: 1,
        max_age: limits.results_age_max,
        max_bytes: limits.ended_bytes_max,
        first_sequence: u64::try_from(Timestamp::now().as_microsecond()).ok(),
        ..base(ENDED_STREAM, vec!["ended.*.*".to_owned()], limits)
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
        ..base(
            STATS_STREAM,
            STATS_SUBJECTS.map(str::to_owned).to_vec(),
            limits,
        )
    }
}

fn control(limits: &StreamLimits) -> Config {
    let subjects = ["control.category.*", "control.breaker.*", "control.note.*"];
    Config {
        max_messages_per_subject: 1,
        ..base(CONTROL_STREAM, subjects.map(str::to_owned).to_vec(), limits)
    }
}

/// One message per document: the stream holds what an index holds, and no history.
fn documents(limits: &StreamLimits) -> Config {
    Config {
        max_messages_per_subject: 1,
        // Full means refused: nothing that was indexed goes missing.
        discard: DiscardPolicy::New,
        max_bytes: limits.documents_bytes_max,
        ..base(DOCUMENTS_STREAM, vec!["documents.*.*".to_owned()], limits)
    }
}

/// An object store as every NATS client lays it out.
fn objects(limits: &StreamLimits) -> Config {
    let subjects = ["C", "M"].map(|kind| format!("$O.{BUCKET}.{kind}.>"));
    Config {
        discard: DiscardPolicy::New,
        allow_rollup: true,
        max_bytes: limits.objects_bytes_max,
        ..base(OBJECTS_STREAM, subjects.to_vec(), limits)
    }
}

/// No limit of count, bytes or age: they would delete schedules that have yet to fire, and the
/// server takes no schedules where a full stream refuses. Whoever schedules looks for room.
pub(super) fn schedules(limits: &StreamLimits) -> Config {
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

pub(super) fn consumer_config(
    category: Category,
    priority: Priority,
    limits: &StreamLimits,
) -> consumer::pull::Config {
    consumer::pull::Config {
        durable_name: Some(consumer(category, priority)),
        ack_policy: AckPolicy::Explicit,
        ack_wait: limits.ack_wait,
        filter_subjects: vec![queued(category, priority)],
        // No limit of the broker's: it would leave the task in the stream, seen by nobody.
        // The worker counts attempts in the task's record and ends with a dead letter.
        max_deliver: -1,
        // Tasks that back off count as pending acks; a limit would let them block the rest.
        // What bounds them is the stream's own limit.
        max_ack_pending: -1,
        num_replicas: limits.replicas,
        memory_storage: limits.keeps_consumers_in_memory(),
        ..consumer::pull::Config::default()
    }
}

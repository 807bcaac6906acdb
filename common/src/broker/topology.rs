//! Brings a server to what the fleet needs (`broker::streams`). Any service may be the first to
//! do so, and several may at once.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, ConsumerError, Source};
use futures::future::try_join_all;

use super::facts::is_no_consumer;
use super::streams::{StreamLimits, consumer_config, schedules, streams};
use super::subjects::{SCHED_STREAM, consumer, lanes, tasks_stream};
use super::{Broker, BrokerError, Role};
use crate::model::{Category, Priority};

/// A setting that the server holds differently from what this version wants, and won't change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} differs from what this version wants, and the server refuses to change it: {why}")]
pub struct Drift {
    what: String,
    why: String,
}

/// Something that the fleet needs, and that we may not make.
#[derive(Debug, thiserror::Error)]
#[error(
    "stream {stream} has no consumer {name}, and role {role} may not make it: waiting for a gateway, which makes all streams and consumers when it starts"
)]
struct Missing {
    stream: String,
    name: String,
    role: Role,
}

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// While we wait, we say so every ten seconds.
const LOOKS_A_WORD: u64 = 40;

impl Broker {
    /// Creates what is missing, changes what differs, and reports what cannot be changed. In a
    /// role that may do none of this, only looks whether all is there that it needs.
    pub async fn ensure_topology(&self, limits: &StreamLimits) -> Result<Vec<Drift>, BrokerError> {
        if let Some(role) = self.role.filter(|role| !role.makes_topology()) {
            return match self.missing_for(role).await? {
                None => Ok(Vec::new()),
                Some(missing) => Err(BrokerError::Other {
                    doing: "looking for the streams and consumers".to_owned(),
                    source: missing.into(),
                }),
            };
        }
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

    /// Until all is there that this role needs; at once where it may make it itself. Services
    /// start in any order, and wait here for the one that makes the streams.
    pub async fn await_topology(&self, limits: &StreamLimits) -> Result<(), BrokerError> {
        let Some(role) = self.role.filter(|role| !role.makes_topology()) else {
            return self.ensure_topology(limits).await.map(drop);
        };
        let mut looks: u64 = 0;
        while let Some(missing) = self.missing_for(role).await? {
            if looks.is_multiple_of(LOOKS_A_WORD) {
                tracing::warn!("{missing}");
            }
            looks += 1;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn missing_for(&self, role: Role) -> Result<Option<Missing>, BrokerError> {
        for (category, priority) in role.needed_lanes() {
            let (stream, name) = (tasks_stream(category), consumer(category, priority));
            let failed = |error: async_nats::Error| {
                BrokerError::other(format!("looking for consumer {name}"), error)
            };
            let handle = self.jetstream.get_stream_no_info(&stream).await;
            let handle = handle.map_err(|error| failed(error.into()))?;
            match handle.consumer_info(&name).await {
                Ok(_) => {}
                Err(error) if is_no_consumer(&error.kind()) => {
                    return Ok(Some(Missing { stream, name, role }));
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(None)
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
        let Err(error) = self.create_consumer(config.clone(), &stream).await else {
            return Ok(None);
        };
        let Ok(existing) = self
            .jetstream
            .get_consumer_from_stream::<consumer::pull::Config, _, _>(&name, &stream)
            .await
        else {
            return Err(BrokerError::other(
                format!("ensuring consumer {name}"),
                error,
            ));
        };
        // Where it is kept cannot be changed, and the rest can.
        let config = consumer::pull::Config {
            memory_storage: existing.cached_info().config.memory_storage,
            ..config
        };
        let Err(error) = self.create_consumer(config, &stream).await else {
            return Ok(None);
        };
        Ok(Some(Drift {
            what: format!("consumer {name}"),
            why: error.to_string(),
        }))
    }

    async fn create_consumer(
        &self,
        config: consumer::pull::Config,
        stream: &str,
    ) -> Result<(), ConsumerError> {
        let created = self.jetstream.create_consumer_on_stream(config, stream);
        created.await.map(drop)
    }
}

/// What exists, with the settings that are ours put in. The rest is the operator's.
pub(super) fn merged(existing: &Config, wanted: &Config) -> Config {
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
        subject_transform: wanted
            .subject_transform
            .or_else(|| existing.subject_transform.clone()),
        allow_direct: wanted.allow_direct,
        sources: merged_sources(existing, wanted.sources),
        allow_atomic_publish: existing.allow_atomic_publish || wanted.allow_atomic_publish,
        allow_batch_publish: existing.allow_batch_publish || wanted.allow_batch_publish,
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

pub(super) fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn came_second(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

#[cfg(test)]
mod tests {
    use super::super::streams::tasks;
    use super::super::subjects::lane_subjects;
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

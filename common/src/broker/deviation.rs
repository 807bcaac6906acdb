//! How a server differs from what this version wants, with nothing changed: what a service that
//! starts would create, change, or be refused.

use async_nats::jetstream::consumer::IntoConsumerConfig;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

use super::facts::is_no_consumer;
use super::streams::{StreamLimits, consumer_config, schedules, streams};
use super::subjects::{consumer, lanes, tasks_stream};
use super::topology::{is_missing, merged};
use super::{Broker, BrokerError};

/// What of a consumer is ours.
const CONSUMER_SETTINGS: [&str; 5] = [
    "ack_policy",
    "ack_wait",
    "filter_subjects",
    "max_ack_pending",
    "max_deliver",
];

/// A stream or consumer that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// `stream TASKS_QUERY`, `consumer query_normal`
    pub what: String,
    /// Empty where it is missing.
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub found: String,
    pub wanted: String,
}

impl Broker {
    pub async fn deviations(&self, limits: &StreamLimits) -> Result<Vec<Deviation>, BrokerError> {
        let mut deviations = Vec::new();
        for wanted in streams(limits).iter().chain([&schedules(limits)]) {
            let what = format!("stream {}", wanted.name);
            match self.jetstream.get_stream(&wanted.name).await {
                Ok(stream) => {
                    let existing = &stream.cached_info().config;
                    let merged = merged(existing, wanted);
                    deviations.extend(differing(what, existing, &merged, |_| true));
                }
                Err(error) if is_missing(&error.kind()) => deviations.push(missing(what)),
                Err(error) => return Err(BrokerError::other(format!("looking at {what}"), error)),
            }
        }
        for (category, priority) in lanes() {
            let name = consumer(category, priority);
            let what = format!("consumer {name}");
            let failed = |error: async_nats::Error| {
                BrokerError::other(format!("looking at consumer {name}"), error)
            };
            let stream = self
                .jetstream
                .get_stream_no_info(tasks_stream(category))
                .await;
            let stream = stream.map_err(|error| failed(error.into()))?;
            let wanted = consumer_config(category, priority, limits).into_consumer_config();
            match stream.consumer_info(&name).await {
                Ok(info) => {
                    let is_ours = |name: &str| CONSUMER_SETTINGS.contains(&name);
                    deviations.extend(differing(what, &info.config, &wanted, is_ours));
                }
                Err(error) if is_no_consumer(&error.kind()) => deviations.push(missing(what)),
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(deviations)
    }
}

fn missing(what: String) -> Deviation {
    Deviation {
        what,
        settings: Vec::new(),
    }
}

fn differing<T: Serialize>(
    what: String,
    found: &T,
    wanted: &T,
    is_ours: impl Fn(&str) -> bool,
) -> Option<Deviation> {
    let json = |config: &T| serde_json::to_value(config).unwrap_or_default();
    let (found, wanted) = (json(found), json(wanted));
    let names = [&found, &wanted].map(|config| config.as_object().into_iter().flatten());
    let mut names: Vec<&String> = names.into_iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    let names = names
        .into_iter()
        .filter(|name| is_ours(name) && found[*name] != wanted[*name]);
    let settings: Vec<Setting> = names
        .map(|name| Setting {
            name: name.clone(),
            found: shown(name, &found[name]),
            wanted: shown(name, &wanted[name]),
        })
        .collect();
    (!settings.is_empty()).then_some(Deviation { what, settings })
}

/// The server counts time in nanoseconds.
fn shown(name: &str, value: &Value) -> String {
    let is_time = ["ack_wait", "duplicate_window", "max_age"].contains(&name);
    match value.as_u64() {
        Some(nanos) if is_time => format!("{:?}", Duration::from_nanos(nanos)),
        _ if value.is_null() => "nothing".to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::tasks;
    use super::*;
    use crate::model::Category;

    #[test]
    fn what_differs_is_named_in_words() {
        let limits = StreamLimits::default();
        let wanted = tasks(Category::Query, &limits);
        let mut found = wanted.clone();
        found.duplicate_window = Duration::from_secs(5);
        let deviation = differing("stream".to_owned(), &found, &wanted, |_| true).unwrap();
        let expected = Setting {
            name: "duplicate_window".to_owned(),
            found: "5s".to_owned(),
            wanted: "120s".to_owned(),
        };
        assert_eq!(deviation.settings, [expected]);
        assert_eq!(
            differing("stream".to_owned(), &found, &found, |_| true),
            None
        );
        assert_eq!(
            differing("stream".to_owned(), &found, &wanted, |_| false),
            None
        );
    }
}

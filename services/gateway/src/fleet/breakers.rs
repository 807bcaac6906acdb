//! The circuit breakers, with the rules that they follow.

use std::collections::BTreeMap;

use flotilla_common::breaker::Rules;
use flotilla_common::model::{Breaker, BreakerState, Dependency, Snapshot};
use flotilla_common::worker;
use jiff::Timestamp;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Breakers {
    circuit_breakers: BTreeMap<&'static str, View>,
}

#[derive(Debug, Serialize)]
struct View {
    state: &'static str,
    failures: u32,
    /// So many failures in a row open it.
    threshold: u32,
    /// So long it stays open before one probe is let through.
    timeout_seconds: u64,
    /// When it came into this state; null where it never was in another.
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

impl Breakers {
    pub(super) fn of(snapshot: &Snapshot, worker: &worker::Config) -> Self {
        let view = |dependency: Dependency| {
            let heard = snapshot
                .breakers
                .iter()
                .find(|breaker| breaker.dependency == dependency);
            (
                dependency.name(),
                View::of(worker.breaker(dependency), heard),
            )
        };
        Self {
            circuit_breakers: Dependency::ALL.map(view).into(),
        }
    }
}

impl View {
    /// A breaker that nobody has spoken of yet is closed.
    fn of(rules: Rules, heard: Option<&Breaker>) -> Self {
        Self {
            state: heard
                .map_or(BreakerState::default(), |breaker| breaker.state)
                .name(),
            failures: heard.map_or(0, |breaker| breaker.failures),
            threshold: rules.failures,
            timeout_seconds: rules.open_for.as_secs(),
            since: heard.and_then(|breaker| breaker.since),
            cause: heard.and_then(|breaker| breaker.cause.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::snapshot;
    use super::*;

    #[test]
    fn a_breaker_shows_its_state_and_its_rules() {
        let mut snapshot = snapshot(vec![]);
        snapshot.breakers.push(Breaker {
            dependency: Dependency::ChromaDb,
            state: BreakerState::HalfOpen,
            failures: 3,
            since: Some(Timestamp::UNIX_EPOCH),
            cause: Some("timeouts".to_owned()),
        });
        let json =
            serde_json::to_value(Breakers::of(&snapshot, &worker::Config::default())).unwrap();
        assert_eq!(
            json["circuit_breakers"]["chromadb"],
            json!({
                "state": "half_open", "failures": 3, "threshold": 3, "timeout_seconds": 30,
                "since": "1970-01-01T00:00:00Z", "cause": "timeouts",
            })
        );
        assert_eq!(
            json["circuit_breakers"]["openai"],
            json!({"state": "closed", "failures": 0, "threshold": 5, "timeout_seconds": 60, "since": null})
        );
    }
}

//! One look at the fleet, and what two of them tell.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Api;
use crate::exit::Failed;

/// Looks that the curve of the throughput has.
const HISTORY: usize = 240;
/// What "now" is, for waits.
const NOW: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) stats: Value,
    pub(super) queues: Value,
    pub(super) workers: Value,
    pub(super) breakers: Value,
    pub(super) health: Value,
}

#[derive(Debug)]
pub(super) struct History {
    pub(super) last: Sample,
    before: Option<Sample>,
    /// Tasks finished a second, the newest last.
    rates: VecDeque<f64>,
    /// What was counted in each of the last seconds, where that is told.
    seconds: VecDeque<(Instant, Value)>,
}

pub(super) async fn take(api: &Api) -> Result<Sample, Failed> {
    let get =
        |name: &'static str| async move { Ok::<_, Failed>(api.get(&[name]).send().await?.body) };
    let health = async { Ok::<_, Failed>(api.get(&["health"]).send_any().await?.body) };
    let (stats, queues, workers, breakers, health) = tokio::try_join!(
        get("stats"),
        get("queues"),
        get("workers"),
        get("circuit-breakers"),
        health,
    )?;
    Ok(Sample {
        at: Instant::now(),
        stats,
        queues,
        workers,
        breakers,
        health,
    })
}

impl History {
    pub(super) fn new(first: Sample) -> Self {
        Self {
            last: first,
            before: None,
            rates: VecDeque::new(),
            seconds: VecDeque::new(),
        }
    }

    /// Takes in a `stats` event of the fleet: what was counted since the one before.
    pub(super) fn hear(&mut self, counted: Value) {
        let now = Instant::now();
        self.seconds.push_back((now, counted));
        self.seconds
            .retain(|(at, _)| now.duration_since(*at) <= NOW);
    }

    /// The longest p95 of the waits of a category, in any of the last seconds and priorities.
    pub(super) fn waits_now(&self, category: &str) -> Option<f64> {
        let fresh = self.seconds.iter().filter(|(at, _)| at.elapsed() <= NOW);
        let lanes =
            fresh.flat_map(|(_, counted)| counted["lanes"].as_array().into_iter().flatten());
        let of_it = lanes.filter(|lane| lane["category"] == category);
        of_it
            .filter_map(|lane| lane["wait_seconds"]["p95"].as_f64())
            .reduce(f64::max)
    }

    pub(super) fn add(&mut self, sample: Sample) {
        self.before = Some(std::mem::replace(&mut self.last, sample));
        self.rates
            .extend(self.rate(&self.last.stats["totals"], &["totals"]));
        while self.rates.len() > HISTORY {
            self.rates.pop_front();
        }
    }

    pub(super) fn rates(&self) -> impl ExactSizeIterator<Item = f64> + DoubleEndedIterator {
        self.rates.iter().copied()
    }

    /// Tasks finished a second between the last two looks, of the figures at this path.
    pub(super) fn rate(&self, now: &Value, path: &[&str]) -> Option<f64> {
        let before = self.before.as_ref()?;
        let then = path.iter().fold(&before.stats, |value, name| &value[*name]);
        let finished = |figures: &Value| figures["total_tasks"].as_u64();
        let passed = self.last.at.duration_since(before.at).as_secs_f64();
        // Counted anew where the statistics began anew.
        let count = finished(now)?.saturating_sub(finished(then)?);
        (passed > 0.0).then(|| count as f64 / passed)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    pub(in crate::top) fn sample(finished: u64, at: Instant) -> Sample {
        let figures = json!({
            "total_tasks": finished, "completed": finished, "failed": 0, "retries": 1,
            "duration_seconds": {"p95": 0.5}, "wait_seconds": {"p95": 0.02},
        });
        Sample {
            at,
            stats: json!({"totals": figures, "by_category": {"query": figures}, "breaker_history": [
                {"dependency": "openai", "to": "open", "at": "2026-01-01T00:00:00Z", "cause": "the probe failed: 503"},
            ]}),
            queues: json!({"queues": {"query_queue": {
                "size": 7, "in_flight": 2, "paused": ["BULK"],
                "by_priority": {"CRITICAL": 5, "HIGH": 0, "NORMAL": 2, "LOW": 0, "BULK": 0},
            }}, "total": {"size": 7, "in_flight": 2}}),
            workers: json!({"workers": {"query": {"slots": 10, "busy": 4, "instances": [
                {"id": "query-1", "alive": true, "receiving": true, "slots": 10, "busy": 4, "version": "1"},
            ]}}, "total": {"slots": 10, "busy": 4}}),
            breakers: json!({"circuit_breakers": {"openai": {"state": "open", "failures": 5, "threshold": 5, "cause": "503"}}}),
            health: json!({"healthy": false, "problems": ["no stats service is running"]}),
        }
    }

    #[test]
    fn waits_of_now_are_the_longest_of_the_last_seconds() {
        let mut history = History::new(sample(0, Instant::now()));
        assert_eq!(history.waits_now("query"), None);
        for (category, wait) in [("query", 0.2), ("query", 0.5), ("batch", 9.0)] {
            let lane = json!({"category": category, "wait_seconds": {"p95": wait}});
            history.hear(json!({"lanes": [lane]}));
        }
        assert_eq!(history.waits_now("query"), Some(0.5));
    }

    #[test]
    fn a_rate_is_what_was_finished_between_two_looks() {
        let began = Instant::now();
        let mut history = History::new(sample(100, began));
        history.add(sample(150, began + Duration::from_secs(2)));
        assert_eq!(history.rates().collect::<Vec<_>>(), [25.0]);
        // Statistics that began anew make no negative one.
        history.add(sample(0, began + Duration::from_secs(3)));
        assert_eq!(history.rates().last(), Some(0.0));
    }
}

//! `?wait=`: the answer is held back until the task's outcome is pushed, its time is up, or
//! the gateway drains. It never makes an error of a task that takes longer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use flotilla_common::broker::Outcomes;
use flotilla_common::call;
use flotilla_common::model::{Record, duration};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::field::Empty;

use crate::problem::{Kind, Problem};
use crate::{Config, Gateway};

/// Outcomes come all the time.
const RETRY: Duration = Duration::from_secs(1);

/// How long the caller wants to wait, where it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(Option<Duration>);

impl Wait {
    /// As it is written in a URL, or in a header.
    pub(crate) fn parse(text: Option<&str>, config: &Config) -> Result<Self, Problem> {
        let wait = text.map(|text| parse(text, config.wait_max));
        wait.transpose().map(Self)
    }

    /// Nothing to wait is not waiting.
    pub(crate) fn time(self) -> Option<Duration> {
        self.0.filter(|wait| !wait.is_zero())
    }

    /// For calls that wait where nobody says otherwise.
    pub(crate) fn or(self, usual: Duration) -> Self {
        Self(self.0.or(Some(usual)))
    }
}

#[derive(Deserialize)]
struct Parameters {
    wait: Option<String>,
}

impl FromRequestParts<Arc<Gateway>> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let Query(parameters) = Query::<Parameters>::try_from_uri(&parts.uri)
            .map_err(|rejection| Problem::new(Kind::Syntax, rejection.body_text()))?;
        Self::parse(parameters.wait.as_deref(), &gateway.config)
    }
}

/// Seconds or a duration.
fn parse(text: &str, max: Duration) -> Result<Duration, Problem> {
    let invalid = |why| Problem::invalid("wait", why);
    let wait = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => duration::parse(text).ok(),
    };
    let wait = wait.ok_or_else(|| {
        invalid(format!(
            "wait: {text:?} is no duration: write seconds, like 5 or 0.5, or a number and a unit, like 5s or 500ms"
        ))
    })?;
    if wait > max {
        return Err(invalid(format!(
            "wait: {text} is longer than the {} s that this gateway waits",
            max.as_secs_f64()
        ))
        .remedy("wait for less, and look at check_url again after that"));
    }
    Ok(wait)
}

impl Gateway {
    /// The right to wait for the outcomes of so many tasks, which is asked for before anything is
    /// submitted: each costs a subscription for as long as it waits.
    pub(crate) fn to_wait(&self, tasks: usize) -> Result<OwnedSemaphorePermit, Problem> {
        seats(&self.waits, tasks)
    }

    /// The outcome, if it comes in time and before the gateway drains.
    pub(crate) async fn outcome(&self, outcomes: &mut Outcomes, wait: Duration) -> Option<Record> {
        let waiting = call!("internal", "wait for the outcome", flotilla.in_time = Empty);
        let outcome = tokio::select! {
            waited = tokio::time::timeout(wait, settled(outcomes)) => waited.ok(),
            () = self.stop.cancelled() => None,
        };
        waiting.record("flotilla.in_time", outcome.is_some());
        outcome
    }
}

fn seats(waits: &Arc<Semaphore>, tasks: usize) -> Result<OwnedSemaphorePermit, Problem> {
    let count = u32::try_from(tasks).unwrap_or(u32::MAX);
    Arc::clone(waits).try_acquire_many_owned(count).map_err(|_| {
        let why = "more outcomes would be waited for at once than this gateway lets wait";
        Problem::new(Kind::RateLimited, why)
            .remedy("submit without waiting (wait=0) and look at check_url, or try again after the time in Retry-After; operators can raise gateway.waits_max")
            .retry_after(RETRY)
    })
}

pub(crate) async fn settled(outcomes: &mut Outcomes) -> Record {
    loop {
        match outcomes.wait().await {
            Ok(record) => return record,
            // The broker may be back before the caller's time is up.
            Err(error) => tracing::debug!(%error, "still waiting for an outcome"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn seconds_and_durations() {
        for (text, millis) in [
            ("5", 5_000),
            ("0.5", 500),
            ("5s", 5_000),
            ("500ms", 500),
            ("1m", 60_000),
        ] {
            assert_eq!(
                parse(text, MAX).unwrap(),
                Duration::from_millis(millis),
                "{text}"
            );
        }
        let wait = |text| Wait(Some(parse(text, MAX).unwrap()));
        assert_eq!(wait("0").time(), None);
        assert_eq!(wait("0").or(MAX).time(), None);
        assert_eq!(Wait(None).or(MAX).time(), Some(MAX));
    }

    #[test]
    fn no_more_is_waited_for_than_is_allowed() {
        let waits = Arc::new(Semaphore::new(3));
        let held = seats(&waits, 2).unwrap();
        let problem = seats(&waits, 2).unwrap_err();
        assert_eq!(problem.kind(), Kind::RateLimited);
        assert_eq!(problem.retry_after_seconds(), Some(1));
        assert!(seats(&waits, 1).is_ok());
        drop(held);
        assert!(seats(&waits, 3).is_ok());
    }

    #[test]
    fn what_cannot_be_waited_for_is_refused() {
        for text in ["", "soon", "-1", "inf", "NaN", "61", "2m"] {
            let problem = parse(text, MAX).unwrap_err();
            assert_eq!(problem.kind(), Kind::Validation, "{text}");
        }
        assert!(parse("61", MAX).unwrap_err().detail().contains("60 s"));
    }
}

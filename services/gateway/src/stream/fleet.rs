//! What the fleet does: `breaker` at once, and at most once a second `stats`, what was counted
//! since the event before, and `outcomes`, some of them and how many more. The id of `stats` is
//! a place in the event log: whoever comes back with `Last-Event-ID` misses no count, or is told
//! of a `gap`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use flotilla_common::broker::{BrokerError, EventFeed, EventLog, OutcomeSample, StoredEvent};
use flotilla_common::model::{self, BreakerTransition, EventBody, Record};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::counted::Second;
use super::{Queue, Seat, Source, draining, event, failed, last_event_id, respond};
use crate::Gateway;
use crate::openapi::event::Event as ServerSentEvent;
use crate::openapi::parameters::Returns;
use crate::problem::Problem;
use crate::routes::BASE;

const TELL_EVERY: Duration = Duration::from_secs(1);
/// Outcomes that are shown in a second, or so.
const OUTCOMES_MAX: u64 = 50;
/// Events of the log that are read again for a client that comes back.
const RESUME_MAX: u64 = 10_000;
/// A fleet at rest has its clients told so often where they are in the log.
const PLACE_EVERY: u32 = 60;

/// Follows the fleet
#[utoipa::path(
    get, path = "/events", operation_id = "fleet_events", tag = "fleet",
    params(Returns),
    responses(
        (status = 200, description = "Events: breaker, stats, outcomes, gap, error.",
            body = ServerSentEvent, content_type = "text/event-stream"),
    ),
)]
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = last_event_id(&headers)?;
    let seat = gateway.seat()?;
    let sample = gateway.broker.sample_outcomes(OUTCOMES_MAX).await?;
    let (after, gap) = resume(seen, gateway.broker.event_log().await?);
    let mut queue = Queue::default();
    if let Some(gap) = gap {
        queue.push(event("gap", &gap));
    }
    let mut ticks = interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watched = Watched {
        feed: EventFeed::new(gateway.broker.clone(), after),
        gateway,
        sample: Some(sample),
        ticks,
        at_rest: 0,
        second: Second::default(),
        applied: after,
        queue,
        _seat: seat,
    };
    Ok(respond(watched))
}

/// What was counted meanwhile is not told: `GET /stats` has it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Gap {
    /// Events of the log that are passed over, where that is known.
    missed: Option<u64>,
}

/// The event of the log after which to go on.
fn resume(seen: Option<u64>, log: EventLog) -> (u64, Option<Gap>) {
    let Some(seen) = seen else {
        return (log.last, None);
    };
    let Some(missed) = log.last.checked_sub(seen) else {
        // The log was made anew.
        return (log.last, Some(Gap { missed: None }));
    };
    if missed > RESUME_MAX || seen + 1 < log.first {
        let missed = Some(missed);
        return (log.last, Some(Gap { missed }));
    }
    (seen, None)
}

struct Watched {
    gateway: Arc<Gateway>,
    feed: EventFeed,
    /// `None` where it is used up for this second.
    sample: Option<OutcomeSample>,
    ticks: Interval,
    /// Ticks without anything to tell.
    at_rest: u32,
    second: Second,
    /// The last event of the log that is in `second`.
    applied: u64,
    queue: Queue,
    _seat: Seat,
}

/// A breaker that came into another state.
#[derive(Debug, Serialize)]
struct Transition {
    #[serde(flatten)]
    transition: BreakerTransition,
    /// The process that saw it.
    by: String,
    /// Its place in the event log: it may be told again after a reconnection.
    sequence: u64,
}

impl Watched {
    fn hear(&mut self, stored: StoredEvent) {
        let StoredEvent {
            sequence,
            at,
            event: told,
        } = stored;
        self.applied = sequence;
        match told {
            Some(model::Event {
                body: EventBody::Report(report),
                ..
            }) => self.second.report(&report.tally, at),
            Some(model::Event {
                from,
                body: EventBody::Breaker(transition),
            }) => self.queue.push(event(
                "breaker",
                &Transition {
                    transition,
                    by: from.id,
                    sequence,
                },
            )),
            // Of a newer version: somebody else's to report.
            None => {}
        }
    }

    fn tell(&mut self) {
        let place = self.applied.to_string();
        let outcomes = self.second.take_outcomes();
        let delta = self.second.take_delta();
        self.at_rest = if delta.is_some() { 0 } else { self.at_rest + 1 };
        if let Some(outcomes) = outcomes {
            self.queue.push(event("outcomes", &outcomes));
        }
        match delta {
            Some(delta) => self.queue.push(event("stats", &delta).id(place)),
            // An id without data is no event, and moves the client's place on.
            None if self.at_rest.is_multiple_of(PLACE_EVERY) => {
                self.queue.push(Event::default().id(place));
            }
            None => {}
        }
    }

    async fn sample_on(&mut self) -> Result<(), BrokerError> {
        if self.sample.is_none() {
            self.sample = Some(self.gateway.broker.sample_outcomes(OUTCOMES_MAX).await?);
        }
        Ok(())
    }
}

impl Source for Watched {
    fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    async fn step(&mut self) {
        tokio::select! {
            stored = self.feed.next() => self.hear(stored),
            outcome = next_outcome(&mut self.sample) => match outcome {
                Some(record) => self.second.show(record),
                None => self.sample = None,
            },
            _ = self.ticks.tick() => {
                self.tell();
                if let Err(error) = self.sample_on().await {
                    tracing::debug!(%error, "outcomes are not shown for now");
                }
            }
            () = self.gateway.stop.cancelled() => {
                self.queue.end(failed(&draining(&format!("{BASE}/events"))));
            }
        }
    }
}

async fn next_outcome(sample: &mut Option<OutcomeSample>) -> Option<Record> {
    match sample {
        Some(sample) => sample.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_back_goes_on_where_it_was_or_is_told_of_a_gap() {
        let log = |first, last| EventLog { first, last };
        let gap = |missed| Some(Gap { missed });
        assert_eq!(resume(None, log(1, 50)), (50, None));
        assert_eq!(resume(Some(40), log(1, 50)), (40, None));
        assert_eq!(resume(Some(50), log(1, 50)), (50, None));
        assert_eq!(resume(Some(40), log(41, 50)), (40, None));
        assert_eq!(resume(Some(40), log(42, 50)), (50, gap(Some(10))));
        assert_eq!(resume(Some(70), log(1, 50)), (50, gap(None)), "another log");
        let long = RESUME_MAX + 1;
        assert_eq!(resume(Some(0), log(1, long)), (long, gap(Some(long))));
    }
}

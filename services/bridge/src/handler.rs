//! The handler of a category that others serve.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use flotilla_common::broker::{
    BrokerError, HandlerAnswers, HandlerCall, HandlerRequest, Heard, ObjectError, StopReason,
};
use flotilla_common::model::{Category, Failure, FailureCode, Needs, Outcome};
use flotilla_common::worker::{Attempt, Handler};
use flotilla_common::{call, telemetry};
use serde_json::Value;
use tracing::Instrument;

use crate::answer::{Answer, Ending, Finish, no_room, nobody, read};
use crate::config::Config;
use crate::outstanding::Outstanding;
use crate::payload::Raw;

/// A process that is restarted is back by then. After that the slot is another task's.
const LOOK_FOR: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Whether anybody serves the category is not known any more so long after the last look.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// How soon a task comes back whose request could not be sent.
const BACK_AFTER: Duration = Duration::from_secs(5);
const UNREADABLE: &str = "unreadable_answer";

pub(crate) struct Bridge {
    category: Category,
    silence_max: Duration,
    needs: Needs,
    /// When somebody was looked for last, and nobody was there.
    nobody_since: Mutex<Option<Instant>>,
}

/// What came of one request.
enum Came {
    Nobody,
    Busy,
    End(Ending),
    /// It ends with this, whatever the handler does.
    Broken(Outcome, StopReason),
}

impl Bridge {
    pub(crate) fn new(category: Category, config: &Config) -> Self {
        Self {
            category,
            silence_max: config.silence_max(category),
            needs: config.needs(category),
            nobody_since: Mutex::new(None),
        }
    }

    /// Asks until somebody takes it on, for a while.
    async fn ask(&self, request: &HandlerRequest, attempt: &Attempt) -> Outcome {
        let mut out = Outstanding::new(attempt);
        let give_up_at = Instant::now() + LOOK_FOR;
        loop {
            out.sent();
            let came = match attempt.broker().call_handler(request).await {
                Ok(answers) => self.listen(answers, attempt).await,
                Err(error) => {
                    out.settled();
                    return unsent(&error);
                }
            };
            let put_off = match came {
                Came::Nobody => nobody(self.category),
                Came::Busy => no_room(self.category),
                Came::End(ending) => {
                    out.settled();
                    return conclude(ending, attempt).await;
                }
                Came::Broken(outcome, why) => {
                    out.give_up(why);
                    return outcome;
                }
            };
            out.settled();
            if Instant::now() + LOOK_EVERY > give_up_at {
                return put_off;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn hand_on(&self, call: HandlerCall<'_>, attempt: &Attempt) -> Outcome {
        let request = match attempt.broker().handler_request(call).await {
            Ok(request) => request,
            Err(error) => return unsent(&error),
        };
        let outcome = self.ask(&request, attempt).await;
        attempt.broker().forget_request(request).await;
        outcome
    }

    async fn listen(&self, mut answers: HandlerAnswers, attempt: &Attempt) -> Came {
        loop {
            let said = match tokio::time::timeout(self.silence_max, answers.next()).await {
                Ok(Heard::Said(said)) => said,
                Ok(Heard::Nobody) => {
                    self.note_nobody(Some(Instant::now()));
                    return Came::Nobody;
                }
                Ok(Heard::Closed) => {
                    return Came::Broken(
                        lost("the connection to the broker ended"),
                        StopReason::Lost,
                    );
                }
                Err(_) => {
                    let why = format!("the handler was silent for {:?}", self.silence_max);
                    return Came::Broken(lost(&why), StopReason::Lost);
                }
            };
            self.note_nobody(None);
            let answer = match read(&said) {
                Ok(answer) => answer,
                Err(why) => return unreadable(&why),
            };
            match answer {
                Answer::Heartbeat => {}
                Answer::Progress { percent, message } => attempt.progress(percent, &message),
                Answer::Checkpoint(state) => {
                    if let Err(error) = attempt.save_checkpoint(state) {
                        return unreadable(&error.to_string());
                    }
                }
                Answer::Busy => return Came::Busy,
                Answer::End(ending) => return Came::End(ending),
            }
        }
    }

    fn note_nobody(&self, at: Option<Instant>) {
        *self
            .nobody_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = at;
    }
}

impl Handler for Bridge {
    type Payload = Raw;

    fn category(&self) -> Category {
        self.category
    }

    fn needs(&self, _: &Raw) -> Needs {
        self.needs
    }

    fn lacks_handlers(&self) -> bool {
        let nobody_since = *self
            .nobody_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        nobody_since.is_some_and(|at| at.elapsed() < KNOWN_FOR)
    }

    async fn handle(&self, raw: Raw, attempt: &Attempt) -> Outcome {
        let call = HandlerCall {
            category: self.category,
            task_id: attempt.task_id(),
            attempt: attempt.number(),
            priority: attempt.priority(),
            time_max: attempt.time_max(),
            silence_max: self.silence_max,
            deadline: attempt.deadline(),
            submitted_at: attempt.submitted_at(),
            checkpoint: attempt.checkpoint(),
            out_of_order: attempt.open_breakers(),
            published: raw.headers,
            object: raw.object,
            body: raw.body,
        };
        let span = call!("client", "send", messaging.system = "nats");
        span.record("otel.name", format!("send handlers.{}", self.category));
        let handing_on = self.hand_on(call, attempt).instrument(span.clone());
        let outcome = handing_on.await;
        if let Outcome::Retry { failure, .. } | Outcome::Reject(failure) = &outcome {
            telemetry::fail(&span, &failure.code.to_string());
        }
        outcome
    }
}

/// The broker does not answer, or has no room: no fault of the task.
fn unsent(error: &BrokerError) -> Outcome {
    Outcome::Defer {
        reason: Failure::new("handler_unreachable", error.to_string()),
        after: BACK_AFTER,
    }
}

/// As when one of our own workers dies.
fn lost(why: &str) -> Outcome {
    Outcome::retry(Failure::new(FailureCode::WORKER_LOST, why))
}

fn unreadable(why: &str) -> Came {
    let failure = Failure::new(UNREADABLE, format!("the handler's answer: {why}"));
    Came::Broken(Outcome::retry(failure), StopReason::Unreadable)
}

/// The breakers hear how their dependencies did; then the outcome is what the handler says.
async fn conclude(ending: Ending, attempt: &Attempt) -> Outcome {
    for dependency in ending
        .used
        .iter()
        .filter(|used| Some(*used) != ending.failed)
    {
        if let Ok(permit) = attempt.guard(dependency).await {
            permit.succeeded();
        }
    }
    let outcome = match ending.outcome {
        Finish::With(outcome) => outcome,
        Finish::Stored(name) => stored(&name, attempt).await,
    };
    let Some(dependency) = ending.failed else {
        return outcome;
    };
    let (Outcome::Retry { failure, .. }
    | Outcome::Defer {
        reason: failure, ..
    }
    | Outcome::Reject(failure)) = &outcome
    else {
        return outcome;
    };
    match attempt.guard(dependency).await {
        Ok(permit) => permit.failed(&failure.to_string()),
        // It has been found out meanwhile: the task waits with the others.
        Err(open) if matches!(outcome, Outcome::Retry { .. }) => return open.into(),
        Err(_) => {}
    }
    outcome
}

/// A result that is too large for a message, as the handler has stored it.
async fn stored(name: &str, attempt: &Attempt) -> Outcome {
    let max = attempt.object_bytes_max();
    let object = match attempt.broker().object(name, max).await {
        Ok(object) => object,
        Err(error @ ObjectError::TooLarge { .. }) => {
            let why = format!("{error} (streams.object_bytes_max)");
            return Outcome::Reject(Failure::new(FailureCode::RESULT_TOO_LARGE, why));
        }
        Err(error @ ObjectError::Broker(_)) => {
            return Outcome::retry(Failure::new("store_unavailable", error.to_string()));
        }
        Err(error @ (ObjectError::Missing { .. } | ObjectError::Damaged { .. })) => {
            let why = format!("the handler's answer: Flotilla-Object: {error}");
            return Outcome::retry(Failure::new(UNREADABLE, why));
        }
    };
    match serde_json::from_slice::<Value>(&object) {
        Ok(result) => Outcome::Done(result),
        Err(error) => {
            let why = format!("the handler's answer: object {name} is not JSON: {error}");
            Outcome::retry(Failure::new(UNREADABLE, why))
        }
    }
}

//! What a handler says of an attempt, read into what it means. Pure.

use std::time::Duration;

use flotilla_common::broker::Said;
use flotilla_common::model::duration::Written;
use flotilla_common::model::{Category, Dependency, Failure, FailureCode, Needs, Outcome};
use serde::Deserialize;
use serde_json::Value;

/// How soon a task comes back that a handler has put off without saying when.
const DEFER_AFTER: Duration = Duration::from_secs(5);
const CODE_BYTES_MAX: usize = 64;
const MESSAGE_CHARS_MAX: usize = 2_000;

#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// It lives.
    Heartbeat,
    Progress {
        percent: f64,
        message: String,
    },
    Checkpoint(Value),
    /// This process has no room: another may have.
    Busy,
    End(Ending),
}

/// The last word about an attempt.
#[derive(Debug, PartialEq)]
pub(crate) struct Ending {
    pub(crate) outcome: Finish,
    /// The dependencies that were called and worked.
    pub(crate) used: Needs,
    /// The one because of which it failed.
    pub(crate) failed: Option<Dependency>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Finish {
    With(Outcome),
    /// The result is in an object of this name.
    Stored(String),
}

#[derive(Deserialize)]
struct Progress {
    percent: f64,
    #[serde(default)]
    message: String,
}

/// Why an attempt did not come to its end.
#[derive(Deserialize)]
struct Why {
    code: Option<String>,
    message: Option<String>,
    after: Option<Written>,
    dependency: Option<Dependency>,
}

impl Ending {
    fn of(outcome: Outcome) -> Self {
        Self {
            outcome: Finish::With(outcome),
            used: Needs::default(),
            failed: None,
        }
    }
}

/// `Err` says what cannot be read.
pub(crate) fn read(said: &Said) -> Result<Answer, String> {
    if let Some(code) = &said.error_code {
        return Ok(service_error(
            code,
            said.error.as_deref().unwrap_or_default(),
        ));
    }
    let used = said.used.as_deref().unwrap_or_default();
    let used: Needs = used
        .parse()
        .map_err(|error| format!("Flotilla-Used: {error}"))?;
    // A service that knows nothing of us answers with its result.
    let kind = said.kind.as_deref().unwrap_or("done");
    Ok(match kind {
        "heartbeat" => Answer::Heartbeat,
        "busy" => Answer::Busy,
        "progress" => {
            let Progress { percent, message } = json(kind, &said.body)?;
            Answer::Progress { percent, message }
        }
        "checkpoint" => Answer::Checkpoint(json(kind, &said.body)?),
        "done" => Answer::End(Ending {
            used,
            outcome: match &said.object {
                Some(name) => Finish::Stored(name.clone()),
                None => Finish::With(Outcome::Done(result(&said.body)?)),
            },
            failed: None,
        }),
        "retry" | "defer" | "reject" => {
            let why = json(kind, &said.body)?;
            let (outcome, failed) = unfinished(kind, why)?;
            Answer::End(Ending {
                used,
                failed,
                ..Ending::of(outcome)
            })
        }
        other => {
            return Err(format!(
                "Flotilla-Say is {other:?}: use heartbeat, progress, checkpoint, busy, done, retry, defer or reject"
            ));
        }
    })
}

/// Nothing is a result, too.
fn result(body: &[u8]) -> Result<Value, String> {
    match body.is_empty() {
        true => Ok(Value::Null),
        false => json("done", body),
    }
}

fn json<'a, T: Deserialize<'a>>(kind: &str, body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body)
        .map_err(|error| format!("the body of {kind} is not what it has to be: {error}"))
}

fn unfinished(kind: &str, why: Why) -> Result<(Outcome, Option<Dependency>), String> {
    let code = match why.code {
        Some(code) => checked(code)?,
        None => FailureCode::from("handler_failed"),
    };
    let message = why
        .message
        .unwrap_or_else(|| format!("the handler said {kind}"));
    let failure = Failure::new(code, shortened(&message));
    let after = why.after.map(|after| after.duration()).transpose();
    let after = after.map_err(|error| format!("after: {error}"))?;
    let outcome = match kind {
        "retry" => Outcome::Retry { failure, after },
        "defer" => Outcome::Defer {
            reason: failure,
            after: after.unwrap_or(DEFER_AFTER),
        },
        _ => Outcome::Reject(failure),
    };
    Ok((outcome, why.dependency))
}

fn checked(code: String) -> Result<FailureCode, String> {
    let is_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    match (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(is_name) {
        true => Ok(code.into()),
        false => Err(format!(
            "code {code:?}: use 1 to {CODE_BYTES_MAX} characters of a-z, 0-9 and _"
        )),
    }
}

/// As services of the NATS services API say that something went wrong: by a number like HTTP's.
fn service_error(code: &str, why: &str) -> Answer {
    let failure = || {
        let word = code.bytes().all(|c| c.is_ascii_digit()) && !code.is_empty();
        let name = match word {
            true => format!("handler_{code}"),
            false => "handler_failed".to_owned(),
        };
        Failure::new(name, shortened(why))
    };
    match code.parse() {
        Ok(429) => Answer::Busy,
        Ok(408 | 425) => Answer::End(Ending::of(Outcome::retry(failure()))),
        Ok(400..=499) => Answer::End(Ending::of(Outcome::Reject(failure()))),
        _ => Answer::End(Ending::of(Outcome::retry(failure()))),
    }
}

fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Nobody listens where this category's attempts are sent.
pub(crate) fn nobody(category: Category) -> Outcome {
    Outcome::Defer {
        reason: Failure::new(
            "no_handler",
            format!(
                "nobody serves {category}: no process listens on handlers.{category}; start one"
            ),
        ),
        after: DEFER_AFTER,
    }
}

pub(crate) fn no_room(category: Category) -> Outcome {
    Outcome::Defer {
        reason: Failure::new(
            "handlers_busy",
            format!(
                "all that serve {category} say that they are busy: start more of them, or set fewer slots"
            ),
        ),
        after: Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn say(kind: Option<&str>, body: &str) -> Said {
        Said {
            kind: kind.map(str::to_owned),
            body: body.to_owned().into(),
            ..Said::default()
        }
    }

    fn ending(kind: &str, body: &str) -> Ending {
        match read(&say(Some(kind), body)).unwrap() {
            Answer::End(ending) => ending,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_reply_is_the_result() {
        let done = |value| Ok(Answer::End(Ending::of(Outcome::Done(value))));
        assert_eq!(read(&say(None, r#"{"a":1}"#)), done(json!({"a": 1})));
        assert_eq!(read(&say(None, "")), done(Value::Null));
        assert_eq!(read(&say(Some("done"), "[]")), done(json!([])));
        assert!(read(&say(None, "so be it")).unwrap_err().contains("done"));
    }

    #[test]
    fn what_did_not_end_well_says_why() {
        let body = r#"{"code":"quota","message":"later","after":90,"dependency":"openai"}"#;
        let retry = ending("retry", body);
        assert_eq!(retry.failed, Some(Dependency::OpenAi));
        let failure = Failure::new("quota", "later");
        let after = Some(Duration::from_secs(90));
        assert_eq!(
            retry.outcome,
            Finish::With(Outcome::Retry { failure, after })
        );
        let Finish::With(Outcome::Defer { after, .. }) = ending("defer", "{}").outcome else {
            panic!("no deferral");
        };
        assert_eq!(after, DEFER_AFTER);
        let Finish::With(Outcome::Reject(failure)) = ending("reject", "{}").outcome else {
            panic!("no rejection");
        };
        assert_eq!(failure.code.as_str(), "handler_failed");
    }

    #[test]
    fn errors_of_the_services_api_are_understood() {
        let of = |code: &str| {
            let said = Said {
                error_code: Some(code.to_owned()),
                error: Some("why".to_owned()),
                ..Said::default()
            };
            read(&said).unwrap()
        };
        let end = |outcome| Answer::End(Ending::of(outcome));
        let failure = |code: &'static str| Failure::new(code, "why");
        assert_eq!(of("400"), end(Outcome::Reject(failure("handler_400"))));
        assert_eq!(of("500"), end(Outcome::retry(failure("handler_500"))));
        assert_eq!(of("x"), end(Outcome::retry(failure("handler_failed"))));
        assert_eq!(of("429"), Answer::Busy);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (kind, body, named) in [
            ("finished", "", "Flotilla-Say"),
            ("progress", "50 %", "progress"),
            ("retry", "", "retry"),
            ("retry", r#"{"code":"No Good"}"#, "No Good"),
            ("retry", r#"{"after":-1}"#, "after"),
            ("retry", r#"{"dependency":"redis"}"#, "retry"),
            ("checkpoint", "{", "checkpoint"),
        ] {
            let why = read(&say(Some(kind), body)).unwrap_err();
            assert!(why.contains(named), "{why}");
        }
        let said = Said {
            used: Some("redis".to_owned()),
            ..say(None, "1")
        };
        assert!(read(&said).unwrap_err().contains("redis"));
    }

    #[test]
    fn words_on_the_way() {
        assert_eq!(read(&say(Some("heartbeat"), "")), Ok(Answer::Heartbeat));
        let progress = read(&say(Some("progress"), r#"{"percent":5}"#)).unwrap();
        let message = String::new();
        assert_eq!(
            progress,
            Answer::Progress {
                percent: 5.0,
                message
            }
        );
    }
}

//! The fields that every kind of submission takes beside its payload.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use flotilla_common::model::duration::Written;
use flotilla_common::model::{
    Category, Dependency, KeepOutcome, NewTask, Options, Priority, TaskId,
};
use jiff::Timestamp;

use crate::body::Fields;
use crate::problem::Problem;

/// What a submission may have beside its payload.
pub(super) const OWN_FIELDS: [&str; 10] = [
    "priority",
    "max_retries",
    "timeout",
    "deadline",
    "needs",
    "keep_outcome",
    "run_at",
    "delay",
    "task_id",
    "idempotency_key",
];

/// How the tasks of a submission are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) options: Options,
}

impl Terms {
    pub(crate) fn take(category: Category, fields: &mut Fields) -> Result<Self, Problem> {
        let priority: Option<Priority> = fields.take("priority")?;
        Ok(Self {
            category,
            priority: priority.unwrap_or(category.default_priority()),
            options: take_options(fields)?,
        })
    }

    pub(super) fn task(self, id: TaskId, payload: bytes::Bytes) -> NewTask {
        NewTask {
            id,
            category: self.category,
            priority: self.priority,
            options: self.options,
            brand: None,
            payload,
        }
    }
}

/// Who waits for an outcome would never hear of one that is not recorded.
pub(crate) fn check_kept(options: &Options) -> Result<(), Problem> {
    match options.keep_outcome {
        KeepOutcome::Always => Ok(()),
        KeepOutcome::Failures => {
            let why =
                "keep_outcome: with failures a success is not recorded, and cannot be waited for";
            let problem = Problem::invalid("keep_outcome", why);
            Err(problem
                .remedy("don't wait for the task (wait=0), or submit it without keep_outcome"))
        }
    }
}

fn take_options(fields: &mut Fields) -> Result<Options, Problem> {
    let max_retries: Option<u32> = fields.take("max_retries")?;
    let max_retries = max_retries.unwrap_or(Options::default().max_retries);
    if max_retries > Options::MAX_RETRIES_MAX {
        let max = Options::MAX_RETRIES_MAX;
        let why = format!("max_retries: {max_retries} is too many: use 0 to {max}");
        return Err(Problem::invalid("max_retries", why));
    }
    let needs = fields.take::<Vec<Dependency>>("needs")?;
    Ok(Options {
        max_retries,
        timeout: take_timeout(fields)?,
        deadline: take_deadline(fields)?,
        needs: needs.unwrap_or_default().into_iter().collect(),
        keep_outcome: fields
            .take::<KeepOutcome>("keep_outcome")?
            .unwrap_or_default(),
    })
}

fn take_timeout(fields: &mut Fields) -> Result<Option<Duration>, Problem> {
    let Some(timeout) = fields.take::<Written>("timeout")? else {
        return Ok(None);
    };
    let timeout = timeout
        .duration()
        .ok()
        .filter(|timeout| (Options::TIMEOUT_MIN..=Options::TIMEOUT_MAX).contains(timeout));
    let why = "timeout: use seconds, like 90, or a number and a unit, from \"1ms\" to \"24h\"";
    let invalid = || Problem::invalid("timeout", why);
    timeout.map(Some).ok_or_else(invalid)
}

fn take_deadline(fields: &mut Fields) -> Result<Option<Timestamp>, Problem> {
    let deadline = fields.take::<Timestamp>("deadline")?;
    match deadline {
        Some(deadline) if deadline <= Timestamp::now() => {
            let why = format!("deadline: {deadline} has passed: the task could never start");
            Err(Problem::invalid("deadline", why))
        }
        deadline => Ok(deadline),
    }
}

/// The task's id, where the caller names the task: by an id of its own, or by a key.
pub(super) fn take_id(
    category: Category,
    fields: &mut Fields,
    header: Option<Key>,
) -> Result<Option<TaskId>, Problem> {
    let chosen = fields.take::<TaskId>("task_id")?;
    let key = fields
        .take::<String>("idempotency_key")?
        .map(Key::check)
        .transpose()?;
    match (chosen, key.or(header)) {
        (Some(_), Some(_)) => {
            let why = "idempotency_key: the task has a task_id, which does the same";
            Err(Problem::invalid("idempotency_key", why).remedy("send one of the two"))
        }
        (Some(id), None) if id.is_reserved() => {
            let why = format!("task_id: {id} has the form of ids made of stream sequences");
            let problem = Problem::invalid("task_id", why);
            Err(problem.remedy("choose another id, or leave task_id out"))
        }
        (chosen, None) => Ok(chosen),
        (None, Some(Key(key))) => Ok(Some(TaskId::from_key(category, &key))),
    }
}

/// The header `Idempotency-Key`: whatever the caller has that names the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    const CHARS_MAX: usize = 255;

    fn check(text: String) -> Result<Self, Problem> {
        if (1..=Self::CHARS_MAX).contains(&text.chars().count()) {
            return Ok(Self(text));
        }
        let why = format!("idempotency_key: use 1 to {} characters", Self::CHARS_MAX);
        Err(Problem::invalid("idempotency_key", why))
    }
}

/// The key, where a request has that header.
pub(crate) struct Name(pub(super) Option<Key>);

impl Name {
    pub(super) fn is_given(&self) -> bool {
        self.0.is_some()
    }
}

impl<S: Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| {
            Problem::invalid("idempotency_key", "Idempotency-Key: use text in UTF-8")
        })?;
        Key::check(text.to_owned()).map(|key| Self(Some(key)))
    }
}

/// The task's payload carries a label; only its type is checked here.
pub(super) fn check_brand(fields: &Fields) -> Result<(), Problem> {
    fields.read::<String>("brand").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn terms_have_the_defaults_of_the_category() {
        let terms = Terms::take(Category::Query, &mut fields("{}")).unwrap();
        assert_eq!(terms.priority, Priority::Critical);
        assert_eq!(terms.options, Options::default());
    }

    #[test]
    fn terms_are_what_the_caller_says() {
        let mut fields = fields(
            r#"{"priority":"low","max_retries":0,"timeout":1.5,"deadline":"2999-01-01T00:00:00Z","needs":["openai"],"keep_outcome":"failures","url":"u"}"#,
        );
        let terms = Terms::take(Category::Scraping, &mut fields).unwrap();
        assert_eq!(terms.priority, Priority::Low);
        assert_eq!(terms.options.max_retries, 0);
        assert_eq!(terms.options.timeout, Some(Duration::from_millis(1_500)));
        assert!(terms.options.deadline.is_some());
        assert_eq!(terms.options.needs.to_string(), "openai");
        assert_eq!(terms.options.keep_outcome, KeepOutcome::Failures);
        assert_eq!(fields.to_payload(), r#"{"url":"u"}"#);
    }

    #[test]
    fn impossible_terms_are_refused() {
        for json in [
            r#"{"priority":"urgent"}"#,
            r#"{"priority":3}"#,
            r#"{"max_retries":21}"#,
            r#"{"max_retries":-1}"#,
            r#"{"timeout":0}"#,
            r#"{"timeout":"25h"}"#,
            r#"{"timeout":"soon"}"#,
            r#"{"deadline":"2020-01-01T00:00:00Z"}"#,
            r#"{"deadline":"tomorrow"}"#,
            r#"{"needs":["redis"]}"#,
            r#"{"keep_outcome":"never"}"#,
        ] {
            assert!(
                Terms::take(Category::Scraping, &mut fields(json)).is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_not_recorded_is_not_waited_for() {
        let options = |json| {
            Terms::take(Category::Query, &mut fields(json))
                .unwrap()
                .options
        };
        assert!(check_kept(&options(r#"{"keep_outcome":"always"}"#)).is_ok());
        assert!(check_kept(&options("{}")).is_ok());
        assert!(check_kept(&options(r#"{"keep_outcome":"failures"}"#)).is_err());
    }

    #[test]
    fn an_id_must_be_one_that_nobody_else_gets() {
        let take = |id: &str| {
            let mut fields = fields(&format!(r#"{{"task_id":"{id}"}}"#));
            take_id(Category::Scraping, &mut fields, None)
        };
        let own = TaskId::generate(Category::Scraping);
        assert_eq!(take(own.as_str()).unwrap(), Some(own));
        assert!(take("order-17").unwrap().is_some());
        assert!(take("query_mine").unwrap().is_some());
        assert!(take("scrape_17").is_err());
        assert!(take("a.b").is_err());
    }

    #[test]
    fn a_key_names_the_task_wherever_it_stands() {
        let take = |json: &str, header: Option<&str>| {
            let header = header.map(|key| Key(key.to_owned()));
            take_id(Category::Scraping, &mut fields(json), header)
        };
        let id = TaskId::from_key(Category::Scraping, "a b");
        assert_eq!(
            take(r#"{"idempotency_key":"a b"}"#, None).unwrap(),
            Some(id.clone())
        );
        assert_eq!(take("{}", Some("a b")).unwrap(), Some(id));
        assert!(take(r#"{"task_id":"x"}"#, Some("a b")).is_err());
        assert!(take(r#"{"idempotency_key":""}"#, None).is_err());
    }
}

//! The fields that every kind of submission takes beside its payload.

use flotilla_common::model::{Category, NewTask, Options, Priority, TaskId};

use crate::body::Fields;
use crate::problem::Problem;

/// How the tasks of a submission are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) category: Category,
    pub(super) priority: Priority,
    pub(super) options: Options,
}

impl Terms {
    pub(super) fn take(category: Category, fields: &mut Fields) -> Result<Self, Problem> {
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
            payload,
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
    Ok(Options {
        max_retries,
        ..Options::default()
    })
}

/// The caller's own id, where it has chosen one.
pub(super) fn take_id(fields: &mut Fields) -> Result<Option<TaskId>, Problem> {
    let chosen = fields.take::<TaskId>("task_id")?;
    match chosen {
        Some(id) if id.is_reserved() => {
            let why = format!("task_id: {id} has the form of ids made of stream sequences");
            let problem = Problem::invalid("task_id", why);
            Err(problem.remedy("choose another id, or leave task_id out"))
        }
        chosen => Ok(chosen),
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
        let mut fields = fields(r#"{"priority":"low","max_retries":0,"url":"u"}"#);
        let terms = Terms::take(Category::Scraping, &mut fields).unwrap();
        assert_eq!(terms.priority, Priority::Low);
        assert_eq!(terms.options.max_retries, 0);
        assert_eq!(fields.to_payload(), r#"{"url":"u"}"#);
    }

    #[test]
    fn impossible_terms_are_refused() {
        for json in [
            r#"{"priority":"urgent"}"#,
            r#"{"priority":3}"#,
            r#"{"max_retries":21}"#,
            r#"{"max_retries":-1}"#,
        ] {
            assert!(
                Terms::take(Category::Scraping, &mut fields(json)).is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn an_id_must_be_one_that_nobody_else_gets() {
        let take = |id: &str| take_id(&mut fields(&format!(r#"{{"task_id":"{id}"}}"#)));
        let own = TaskId::generate(Category::Scraping);
        assert_eq!(take(own.as_str()).unwrap(), Some(own));
        assert!(take("order-17").unwrap().is_some());
        assert!(take("query_mine").unwrap().is_some());
        assert!(take("scrape_17").is_err());
        assert!(take("a.b").is_err());
    }
}

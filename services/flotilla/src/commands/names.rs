//! The words of the fleet as values of the command line, with their completions.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};
use flotilla_common::model::category::is_name;
use flotilla_common::model::{Category, Dependency, KeepOutcome, Priority, TaskId, duration};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::exit::Failed;

/// A category by its name. Which ones there are beside the built-in ones is the fleet's to know,
/// and to say where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CategoryName(String);

#[derive(Debug, Clone)]
pub(super) struct CategoryParser;

pub(super) const fn category() -> CategoryParser {
    CategoryParser
}

impl CategoryName {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    pub(super) fn is(&self, category: Category) -> bool {
        self.0 == category.name()
    }

    /// A new id for a task of it.
    pub(super) fn new_id(&self) -> Result<TaskId, Failed> {
        let id = match Category::named(&self.0) {
            Some(category) => Ok(TaskId::generate(category)),
            None => TaskId::generate_as(&self.0),
        };
        id.map_err(|error| Failed::usage(error.to_string()))
    }

    /// Where the API takes its tasks.
    pub(super) fn path(&self) -> Vec<&str> {
        match Category::named(&self.0) {
            Some(Category::Scraping) => vec!["scrape"],
            Some(Category::Query) => vec!["query"],
            Some(Category::Embedding) => vec!["embed"],
            Some(Category::Batch) => vec!["batch"],
            Some(Category::Maintenance) => vec!["maintenance"],
            Some(Category::Custom(_)) | None => vec!["categories", &self.0, "tasks"],
        }
    }
}

impl TypedValueParser for CategoryParser {
    type Value = CategoryName;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<CategoryName, clap::Error> {
        let name = value.to_string_lossy();
        // As the paths of the API and the prefixes of ids have it.
        let by_name = |category: &Category| {
            [category.name(), category.queue_name(), category.id_prefix()].contains(&&*name)
        };
        let found = Category::BUILT_IN.into_iter().find(by_name);
        match found.map_or_else(|| name.parse(), Ok) {
            Ok(category) => Ok(CategoryName(category.name().to_owned())),
            Err(_) if is_name(&name) => Ok(CategoryName(name.into_owned())),
            Err(error) => {
                let kind = clap::error::ErrorKind::InvalidValue;
                Err(clap::Error::raw(kind, format!("{error}\n")).with_cmd(command))
            }
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let built_in = Category::BUILT_IN.into_iter();
        Some(Box::new(built_in.map(|c| PossibleValue::new(c.name()))))
    }
}

/// The categories that an answer has figures of, the built-in ones first.
pub(crate) fn ordered(figures: &Value) -> Vec<&str> {
    let names = figures.as_object().into_iter().flatten();
    let mut names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    let of_name = |name: &str| Category::named(name).or(Category::named(of_queue(name)));
    names.sort_by_key(|name| (of_name(name).is_none(), of_name(name), *name));
    names
}

pub(super) fn priority() -> impl TypedValueParser<Value = Priority> {
    let names = Priority::ALL
        .map(|priority| PossibleValue::new(priority.name()).alias(priority.api_name()));
    PossibleValuesParser::new(names).try_map(|name| name.to_lowercase().parse::<Priority>())
}

pub(super) fn dependency() -> impl TypedValueParser<Value = Dependency> {
    PossibleValuesParser::new(Dependency::ALL.map(Dependency::name))
        .try_map(|name| name.parse::<Dependency>())
}

pub(super) fn keep_outcome() -> impl TypedValueParser<Value = KeepOutcome> {
    PossibleValuesParser::new(KeepOutcome::ALL.map(KeepOutcome::name))
        .map(|name| KeepOutcome::named(&name).unwrap_or_default())
}

/// The category of a queue.
pub(crate) fn of_queue(queue: &str) -> &str {
    queue.strip_suffix("_queue").unwrap_or(queue)
}

/// `90s`, or a number of seconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => duration::parse(text),
    }
}

/// A time, or how long ago.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = span(text)
        .ok()
        .and_then(|ago| SignedDuration::try_from(ago).ok());
    let at = ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    at.ok_or_else(|| {
        "write a time, like 2026-11-24T12:00:00Z, or how long ago, like 90s, 2h or 7d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_one_of_ours_or_may_be_one_of_the_fleet() {
        let parse = |name: &str| {
            let parsed = category().parse_ref(&Command::new("x"), None, OsStr::new(name));
            parsed.map(|category| category.path().join("/"))
        };
        for (name, path) in [
            ("rag_query", "query"),
            ("scrape", "scrape"),
            ("embedding_queue", "embed"),
            ("translate", "categories/translate/tasks"),
        ] {
            assert_eq!(parse(name).unwrap(), path);
        }
        let error = parse("Bad.Name").unwrap_err().to_string();
        assert!(error.contains("scraping, query"), "{error}");
    }

    #[test]
    fn ours_are_shown_first() {
        let queues = serde_json::json!({"a_queue": 1, "batch_queue": 2, "query_queue": 3});
        assert_eq!(ordered(&queues), ["query_queue", "batch_queue", "a_queue"]);
    }

    #[test]
    fn times_are_written_either_way() {
        assert_eq!(
            moment("1970-01-01T00:00:10Z"),
            Ok(Timestamp::from_second(10).unwrap())
        );
        let hour = Timestamp::now().duration_since(moment("1h").unwrap());
        assert!((3_599..=3_601).contains(&hour.as_secs()));
        assert!(moment("yesterday").is_err());
    }
}

//! The words of the fleet as values of the command line, with their completions.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use flotilla_common::model::{Category, Dependency, Priority, duration};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

pub(super) fn category() -> impl TypedValueParser<Value = Category> {
    let names = Category::ALL.map(|category| {
        // As the paths of the API and the prefixes of ids have it.
        PossibleValue::new(category.name())
            .alias(category.queue_name())
            .alias(match category {
                Category::Query => "rag_query",
                Category::Scraping
                | Category::Embedding
                | Category::Batch
                | Category::Maintenance => category.id_prefix(),
            })
    });
    PossibleValuesParser::new(names).try_map(|name| {
        let by_name = |category: &Category| {
            [category.name(), category.queue_name(), category.id_prefix()].contains(&name.as_str())
        };
        let found = Category::ALL.into_iter().find(by_name);
        found.map_or_else(|| name.parse(), Ok)
    })
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

/// Where the API takes tasks of a category.
pub(super) const fn path(category: Category) -> &'static str {
    match category {
        Category::Scraping => "scrape",
        Category::Query => "query",
        Category::Embedding => "embed",
        Category::Batch => "batch",
        Category::Maintenance => "maintenance",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

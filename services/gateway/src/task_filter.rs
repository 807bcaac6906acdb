//! Which tasks are meant: the same names in a URL and in a body, each checked by itself, so that
//! whatever is wrong is named.

use axum::http::Uri;
use flotilla_common::model::{TaskFilter, duration};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::body::Fields;
use crate::problem::{Kind, Problem};

/// What the filter takes from a query or a body.
pub(crate) const FIELDS: &str =
    "category, priority, state, error_class, text, brand, since and until";

/// The parameters of a URL as if they were the fields of a body. One that is given several times
/// is a list.
pub(crate) fn parameters(uri: &Uri) -> Result<Fields, Problem> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let pairs = pairs.map_err(|rejection| Problem::new(Kind::Syntax, rejection.body_text()))?;
    let mut fields: Map<String, Value> = Map::new();
    for (name, value) in pairs.0 {
        match fields.get_mut(&name) {
            Some(Value::String(before)) => {
                before.push(',');
                before.push_str(&value);
            }
            _ => {
                fields.insert(name, value.into());
            }
        }
    }
    Ok(Fields::of(fields))
}

pub(crate) fn take(fields: &mut Fields) -> Result<TaskFilter, Problem> {
    let filter = TaskFilter {
        category: fields.take("category")?.unwrap_or_default(),
        priority: fields.take("priority")?.unwrap_or_default(),
        state: fields.take("state")?.unwrap_or_default(),
        error_class: fields.take("error_class")?.unwrap_or_default(),
        text: take_text(fields, "text")?,
        brand: take_text(fields, "brand")?,
        since: take_time(fields, "since")?,
        until: take_time(fields, "until")?,
    };
    if let (Some(since), Some(until)) = (filter.since, filter.until)
        && since >= until
    {
        let why = format!("until: {until} is not after since, {since}: nothing lies between");
        return Err(Problem::invalid("until", why));
    }
    Ok(filter)
}

/// A number, be it as text, as in a URL.
pub(crate) fn take_number(fields: &mut Fields, name: &str) -> Result<Option<usize>, Problem> {
    let invalid = || Problem::invalid(name, format!("{name}: use a whole number"));
    match fields.take::<Value>(name)? {
        None => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| invalid()),
        Some(value) => {
            let number = value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok());
            number.map(Some).ok_or_else(invalid)
        }
    }
}

/// Yes or no, be it as text, as in a URL.
pub(crate) fn take_flag(fields: &mut Fields, name: &str) -> Result<bool, Problem> {
    match fields.take::<Value>(name)? {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        Some(_) => Err(Problem::invalid(name, format!("{name}: use true or false"))),
    }
}

fn take_text(fields: &mut Fields, name: &str) -> Result<Option<String>, Problem> {
    const CHARS_MAX: usize = 200;
    let text = fields.take::<String>(name)?;
    match text.as_deref().map(|text| text.chars().count()) {
        Some(chars) if !(1..=CHARS_MAX).contains(&chars) => Err(Problem::invalid(
            name,
            format!("{name}: use 1 to {CHARS_MAX} characters, or leave it out"),
        )),
        _ => Ok(text),
    }
}

/// A time, or how long ago.
fn take_time(fields: &mut Fields, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = fields.take::<String>(name)? else {
        return Ok(None);
    };
    if let Ok(at) = text.parse() {
        return Ok(Some(at));
    }
    let ago = duration::parse(&text).ok();
    let at = ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    at.map(Some).ok_or_else(|| {
        let why = format!(
            "{name}: {text:?} is no time: write one like 2026-01-31T12:00:00Z, or how long ago, like 15m"
        );
        Problem::invalid(name, why)
    })
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::{Category, TaskState};

    use super::*;

    fn of(query: &str) -> Result<TaskFilter, Problem> {
        let uri = format!("/tasks?{query}").parse().unwrap();
        let mut fields = parameters(&uri)?;
        let filter = take(&mut fields)?;
        fields.nothing_else().map(|()| filter)
    }

    #[test]
    fn a_query_and_a_body_say_the_same() {
        let query = "category=scraping,rag_query&state=failed&state=expired&text=time%20out&brand=7&since=2026-01-31T12:00:00Z";
        let body = r#"{"category":["scraping","query"],"state":["failed","expired"],"text":"time out","brand":"7","since":"2026-01-31T12:00:00Z"}"#;
        let filter = of(query).unwrap();
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        assert_eq!(take(&mut fields).unwrap(), filter);
        assert_eq!(
            filter.category.named(),
            [Category::Scraping, Category::Query]
        );
        assert_eq!(
            filter.state.named(),
            [TaskState::Failed, TaskState::Expired]
        );
        assert!(of("since=15m").unwrap().since.is_some());
        assert!(of("").unwrap().is_empty());
    }

    #[test]
    fn whatever_is_wrong_is_named() {
        for (query, field) in [
            ("category=scrapping", "category"),
            ("priority=urgent", "priority"),
            ("state=done", "state"),
            ("since=yesterday", "since"),
            ("since=1m&until=2m", "until"),
            ("text=", "text"),
            ("stat=failed", "stat"),
        ] {
            let problem = of(query).unwrap_err();
            assert_eq!(problem.kind(), Kind::Validation, "{query}");
            assert!(problem.detail().starts_with(field), "{}", problem.detail());
        }
    }
}

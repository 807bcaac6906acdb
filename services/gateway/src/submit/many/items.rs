//! The tasks of a body, one after the other: no more than one of them is held as JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use crate::body::{AnyJson, Fields, Many, not_json};
use crate::problem::{Kind, Problem};

/// What `each` makes of every task. Of a document all has to be right JSON before anything is made of it; of lines
/// each is by itself.
pub(super) fn read<T>(
    many: &Many,
    max: usize,
    each: impl FnMut(Result<AnyJson, Problem>) -> T,
) -> Result<Vec<T>, Problem> {
    let mut reader = Reader {
        each,
        max,
        tasks: Vec::new(),
        is_object: false,
        is_given: false,
        problem: None,
    };
    match many.is_lines {
        true => reader.read_lines(&many.body)?,
        false => reader.read_document(&many.body)?,
    }
    match reader.tasks.is_empty() {
        true => Err(Problem::invalid("tasks", format!("tasks: send 1 to {max}"))),
        false => Ok(reader.tasks),
    }
}

struct Reader<T, F> {
    each: F,
    max: usize,
    tasks: Vec<T>,
    /// Of the document.
    is_object: bool,
    is_given: bool,
    /// Why reading ended, where that was not for the JSON.
    problem: Option<Problem>,
}

impl<T, F: FnMut(Result<AnyJson, Problem>) -> T> Reader<T, F> {
    fn read_lines(&mut self, body: &[u8]) -> Result<(), Problem> {
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty()) {
            self.add(serde_json::from_slice(line).map_err(|error| {
                Problem::new(Kind::Syntax, format!("the line is not valid JSON: {error}"))
            }))?;
        }
        Ok(())
    }

    fn read_document(&mut self, body: &[u8]) -> Result<(), Problem> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = json
            .deserialize_map(Document(self))
            .and_then(|()| json.end());
        let Err(error) = read else {
            return match self.is_given {
                true => Ok(()),
                false => Err(Problem::invalid("tasks", "tasks is missing")),
            };
        };
        Err(self.problem.take().unwrap_or_else(|| match error.classify() {
            Category::Data if self.is_object => {
                Problem::invalid("tasks", format!("tasks: {error}"))
            }
            Category::Data => Problem::new(Kind::Validation, "the body must be a JSON object")
                .remedy("send {\"tasks\": […]}, or a task a line with Content-Type: application/x-ndjson"),
            Category::Io | Category::Syntax | Category::Eof => not_json(&error),
        }))
    }

    fn add(&mut self, task: Result<Value, Problem>) -> Result<(), Problem> {
        if self.tasks.len() == self.max {
            let why = format!("tasks: there are more than {}", self.max);
            return Err(Problem::invalid("tasks", why).remedy(
                "send them in several requests; operators can raise gateway.bulk_tasks_max",
            ));
        }
        let task = task.map(|value| match value {
            Value::Object(fields) => AnyJson::Fields(Fields::of(fields)),
            other => AnyJson::Other(other.to_string().into()),
        });
        self.tasks.push((self.each)(task));
        Ok(())
    }

    fn end<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        let error = E::custom(problem.detail());
        self.problem = Some(problem);
        error
    }
}

/// The whole.
struct Document<'a, T, F>(&'a mut Reader<T, F>);

impl<'de, T, F: FnMut(Result<AnyJson, Problem>) -> T> Visitor<'de> for Document<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let reader = self.0;
        reader.is_object = true;
        while let Some(name) = map.next_key::<String>()? {
            if name != "tasks" {
                let why = format!("{name}: there is no such field");
                return Err(reader.end(Problem::invalid(name, why)));
            }
            if std::mem::replace(&mut reader.is_given, true) {
                return Err(reader.end(Problem::invalid("tasks", "tasks is given twice")));
            }
            map.next_value_seed(Tasks(reader))?;
        }
        Ok(())
    }
}

/// The list in it.
struct Tasks<'a, T, F>(&'a mut Reader<T, F>);

impl<'de, T, F: FnMut(Result<AnyJson, Problem>) -> T> DeserializeSeed<'de> for Tasks<'_, T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, T, F: FnMut(Result<AnyJson, Problem>) -> T> Visitor<'de> for Tasks<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tasks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tasks: A) -> Result<(), A::Error> {
        while let Some(task) = tasks.next_element()? {
            self.0
                .add(Ok(task))
                .map_err(|problem| self.0.end(problem))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a task's problem says, or its kind.
    fn said(item: Result<AnyJson, Problem>) -> String {
        match item {
            Ok(AnyJson::Fields(fields)) => String::from_utf8_lossy(&fields.to_payload()).into(),
            Ok(AnyJson::Other(other)) => String::from_utf8_lossy(&other).into(),
            Err(problem) => problem.detail().to_owned(),
        }
    }

    fn document(body: &'static str) -> Result<Vec<String>, Problem> {
        read(&Many::new(body, false), 2, said)
    }

    fn lines(body: &'static str) -> Result<Vec<String>, Problem> {
        read(&Many::new(body, true), 2, said)
    }

    #[test]
    fn a_list_or_a_line_for_each() {
        let tasks = document(r#" {"tasks": [{"a": 1}, "b"]} "#).unwrap();
        assert_eq!(tasks, [r#"{"a":1}"#, r#""b""#]);
        let tasks = lines("{\"a\": 1}\r\n\n [2]").unwrap();
        assert_eq!(tasks, [r#"{"a":1}"#, "[2]"]);
    }

    #[test]
    fn a_line_fails_alone_and_a_document_as_a_whole() {
        let tasks = lines("{\"a\":\n{}").unwrap();
        assert!(
            tasks[0].starts_with("the line is not valid JSON"),
            "{tasks:?}"
        );
        assert_eq!(tasks[1], "{}");
        let problem = document(r#"{"tasks": [{}, {"a":]}"#).unwrap_err();
        assert_eq!(problem.kind(), Kind::Syntax);
    }

    #[test]
    fn what_is_no_list_of_tasks_is_refused() {
        for (body, kind, detail) in [
            ("", Kind::Syntax, "not valid JSON"),
            ("[]", Kind::Validation, "must be a JSON object"),
            ("{}", Kind::Validation, "tasks is missing"),
            (r#"{"tasks": []}"#, Kind::Validation, "send 1 to 2"),
            (r#"{"tasks": {}}"#, Kind::Validation, "a list of tasks"),
            (r#"{"tasks": [1, 2, 3]}"#, Kind::Validation, "more than 2"),
            (r#"{"tasks": [1], "tasks": [2]}"#, Kind::Validation, "twice"),
            (
                r#"{"tasks": [1], "wait": 1}"#,
                Kind::Validation,
                "wait: there is no",
            ),
            (r#"{"tasks": [1]} x"#, Kind::Syntax, "trailing"),
        ] {
            let problem = document(body).unwrap_err();
            assert_eq!(problem.kind(), kind, "{body}");
            assert!(problem.detail().contains(detail), "{body}: {problem:?}");
        }
        assert!(lines("\n").is_err() && lines("1\n2\n3").is_err());
    }
}

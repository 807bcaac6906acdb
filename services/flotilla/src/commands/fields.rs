//! A payload as it is typed: JSON, or `field=value` for each field.

use std::io::Read;

use serde_json::{Map, Value};

use crate::exit::Failed;

/// How payloads are written, for `--help`.
pub(super) const HELP: &str = "\
The payload is JSON, '-' for JSON on standard input, '@FILE' for a file of it, or its fields:
  url=https://example.com/       a text
  k:=8                           JSON
  document.id=manual             a field within a field
  document.text=@manual.md       the text of a file";

pub(super) fn parse(words: &[String]) -> Result<Map<String, Value>, Failed> {
    match words {
        [word] if word == "-" => object(&stdin()?, "standard input"),
        [word] if word.starts_with('{') => object(word, "the payload"),
        [word] if word.starts_with('@') => {
            let path = word.trim_start_matches('@');
            object(&file(path)?, path)
        }
        words => {
            let mut fields = Map::new();
            words.iter().try_for_each(|word| set(&mut fields, word))?;
            Ok(fields)
        }
    }
}

/// Of what is called so in the message.
pub(super) fn object(text: &str, what: &str) -> Result<Map<String, Value>, Failed> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Failed::usage(format!("{what} is no JSON object"))),
        Err(error) => Err(Failed::usage(format!("{what} is not valid JSON: {error}"))),
    }
}

pub(super) fn stdin() -> Result<String, Failed> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failed::usage(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

pub(super) fn file(path: &str) -> Result<String, Failed> {
    std::fs::read_to_string(path)
        .map_err(|error| Failed::usage(format!("cannot read {path}: {error}")))
}

fn set(fields: &mut Map<String, Value>, word: &str) -> Result<(), Failed> {
    let wrong = || {
        Failed::usage(format!("{word:?} is no field of a payload"))
            .remedy("write field=text, field:=JSON, or the whole payload as one JSON object")
    };
    let (name, text) = word.split_once('=').ok_or_else(wrong)?;
    let (name, value) = match (name.strip_suffix(':'), text.strip_prefix('@')) {
        (Some(name), _) => {
            let value = serde_json::from_str(text);
            let value = value.map_err(|error| {
                Failed::usage(format!("{name}: {text:?} is not valid JSON: {error}"))
            })?;
            (name, value)
        }
        (None, Some(path)) => (name, Value::String(file(path)?)),
        (None, None) => (name, Value::String(text.to_owned())),
    };
    if name.split('.').any(str::is_empty) {
        return Err(wrong());
    }
    put(fields, name, value).ok_or_else(|| Failed::usage(format!("{name} is given twice")))
}

/// `None` where something stands there already.
fn put(fields: &mut Map<String, Value>, path: &str, value: Value) -> Option<()> {
    match path.split_once('.') {
        None => match fields.insert(path.to_owned(), value) {
            None => Some(()),
            Some(_) => None,
        },
        Some((outer, inner)) => {
            let within = fields.entry(outer).or_insert_with(|| Map::new().into());
            put(within.as_object_mut()?, inner, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(words: &[&str]) -> Result<Value, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        super::parse(&words)
            .map(Value::Object)
            .map_err(|failed| failed.message)
    }

    #[test]
    fn fields_are_typed_one_by_one_or_as_json() {
        let expected =
            json!({"url": "http://a/?b=c", "k": 8, "document": {"id": "m", "tags": ["x"]}});
        let typed = parse(&[
            "url=http://a/?b=c",
            "k:=8",
            "document.id=m",
            "document.tags:=[\"x\"]",
        ]);
        assert_eq!(typed, Ok(expected.clone()));
        assert_eq!(parse(&[&expected.to_string()]), Ok(expected));
        assert_eq!(parse(&[]), Ok(json!({})));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for (words, said) in [
            (&["url"][..], "no field"),
            (&["=x"], "no field"),
            (&["a..b=x"], "no field"),
            (&["k:=x"], "not valid JSON"),
            (&["a=1", "a=2"], "given twice"),
            (&["a=1", "a.b=2"], "given twice"),
            (&["[1]"], "no field"),
            (&["{"], "not valid JSON"),
            (&["@/nowhere"], "cannot read /nowhere"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(said), "{words:?}: {error}");
        }
    }
}

//! What a query task carries.

use serde::Deserialize;

const QUESTION_CHARS_MAX: usize = 2_000;
const PASSAGES_MAX: usize = 20;

/// Fields that we do not know are ignored: clients of the earlier API send more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Payload {
    pub question: String,
    /// Only documents of this brand; `None`: of all.
    pub brand: Option<String>,
    /// Passages to look at, and to answer with.
    pub k: usize,
    /// A document's sequence, as its embedding answered it: the answer knows that document.
    pub at_least: Option<u64>,
    pub mode: Mode,
    /// Says the answer on `tokens.query.<task_id>` while it is made.
    pub stream: bool,
}

/// Who makes the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The language model where there is one, and sentences of the documents otherwise.
    #[default]
    Auto,
    Generative,
    Extractive,
}

#[derive(Deserialize)]
struct Fields {
    query: String,
    brand: Option<String>,
    k: Option<usize>,
    at_least: Option<u64>,
    mode: Option<Mode>,
    stream: Option<bool>,
}

impl TryFrom<Fields> for Payload {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let question = fields.query.trim();
        let chars = question.chars().count();
        let k = fields.k.unwrap_or(5);
        if !(1..=QUESTION_CHARS_MAX).contains(&chars) {
            return Err(format!(
                "query has {chars} characters: use 1 to {QUESTION_CHARS_MAX}"
            ));
        }
        if !(1..=PASSAGES_MAX).contains(&k) {
            return Err(format!("k is {k}: use 1 to {PASSAGES_MAX}"));
        }
        Ok(Self {
            question: question.to_owned(),
            brand: fields.brand,
            k,
            at_least: fields.at_least,
            mode: fields.mode.unwrap_or_default(),
            stream: fields.stream.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_bounded() {
        let parse = |json: &str| serde_json::from_str::<Payload>(json);
        assert_eq!(parse(r#"{"query":" Why? "}"#).unwrap().question, "Why?");
        for json in [
            r"{}".to_owned(),
            r#"{"query":" "}"#.to_owned(),
            r#"{"query":"a","k":0}"#.to_owned(),
            r#"{"query":"a","k":21}"#.to_owned(),
            r#"{"query":"a","mode":"poetic"}"#.to_owned(),
            format!(r#"{{"query":"{}"}}"#, "x".repeat(2_001)),
        ] {
            assert!(parse(&json).is_err(), "{json}");
        }
    }
}

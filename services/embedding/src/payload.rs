//! What an embedding task carries: one document, some plain texts, or the key of a document
//! that is to be embedded anew.

use flotilla_common::model::DocumentKey;
use jiff::Timestamp;
use serde::Deserialize;

/// Fields that we do not know are ignored, as in every payload.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Payload {
    pub what: What,
    pub brand: Option<String>,
}

#[derive(Debug, Clone)]
pub enum What {
    Texts(Vec<Text>),
    /// A stored document, by its key; `force`: also where the same embedder has embedded it.
    Again {
        key: DocumentKey,
        force: bool,
    },
}

/// A document as it is submitted.
#[derive(Debug, Clone, Deserialize)]
pub struct Text {
    /// Its name: a text of the same name and brand replaces it.
    pub id: String,
    pub title: Option<String>,
    pub url: Option<String>,
    /// Markdown, or plain.
    pub text: String,
    /// When the text was true, RFC 3339; the time of submission where it is not given.
    pub as_of: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Fields {
    document: Option<Text>,
    texts: Option<Vec<String>>,
    again: Option<String>,
    #[serde(default)]
    force: bool,
    brand: Option<String>,
}

impl TryFrom<Fields> for Payload {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let what = match (fields.document, fields.texts, fields.again) {
            (Some(document), None, None) => {
                check("document.id", &document.id)?;
                check("document.text", &document.text)?;
                What::Texts(vec![document])
            }
            (None, Some(texts), None) => {
                if texts.is_empty() {
                    return Err("texts is empty: give at least one text".to_owned());
                }
                What::Texts(texts.into_iter().map(plain).collect::<Result<_, _>>()?)
            }
            (None, None, Some(key)) => {
                let key = DocumentKey::parse(&key);
                What::Again {
                    key: key.ok_or("again: not the key of a document")?,
                    force: fields.force,
                }
            }
            _ => {
                return Err("give either a document ({\"id\", \"text\"}) or texts".to_owned());
            }
        };
        Ok(Self {
            what,
            brand: fields.brand,
        })
    }
}

fn check(field: &str, text: &str) -> Result<(), String> {
    match text.trim().is_empty() {
        true => Err(format!("{field} is empty")),
        false => Ok(()),
    }
}

/// A text without a name has that of its content: the same text is stored once.
fn plain(text: String) -> Result<Text, String> {
    check("texts", &text)?;
    let hash = flotilla_knowledge::Document::hash("", None, &text);
    Ok(Text {
        id: format!("text-{}", &hash[..16]),
        title: None,
        url: None,
        text,
        as_of: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Payload, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_and_documents_are_taken() {
        let payload = parse(r#"{"document":{"id":"a","text":"b"},"brand":"c","old":1}"#).unwrap();
        assert_eq!(payload.brand.as_deref(), Some("c"));
        let payload = parse(r#"{"texts":["a","b","a"]}"#).unwrap();
        let What::Texts(texts) = payload.what else {
            panic!("texts");
        };
        assert!(texts[0].id == texts[2].id && texts[0].id != texts[1].id);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, expected) in [
            ("{}", "either a document"),
            (r#"{"texts":[]}"#, "texts is empty"),
            (r#"{"texts":[" "]}"#, "texts is empty"),
            (
                r#"{"texts":["a"],"document":{"id":"a","text":"b"}}"#,
                "either",
            ),
            (
                r#"{"document":{"id":"","text":"b"}}"#,
                "document.id is empty",
            ),
            (r#"{"document":{"id":"a"}}"#, "missing field `text`"),
            (r#"{"again":"*"}"#, "not the key"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}

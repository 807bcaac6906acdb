//! What a batch is to do: parsed as a whole, so that one wrong item refuses all, by name.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Category, Priority};

/// One task of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub category: Category,
    /// Where not that of the batch.
    pub priority: Option<Priority>,
    pub payload: Map<String, Value>,
}

/// The tasks of a batch, or where they are written down.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Items(Vec<Item>),
    /// An object of the bucket `flotilla`, which holds a manifest.
    Object(String),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Manifest {
    pub source: Source,
    pub brand: Option<String>,
    /// Children at once, where not the configured number.
    pub in_flight_max: Option<usize>,
}

/// What is wrong, and in which item and field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct InvalidManifest {
    pub field: String,
    pub why: String,
}

/// Fields that we do not know are ignored, as in every payload.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    urls: Vec<Value>,
    #[serde(default)]
    documents: Vec<Value>,
    #[serde(default)]
    operations: Vec<Value>,
    #[serde(default)]
    items: Vec<Value>,
    manifest_object: Option<String>,
    brand: Option<String>,
    in_flight_max: Option<usize>,
}

type Parsed = Result<Item, InvalidManifest>;

impl TryFrom<Fields> for Manifest {
    type Error = InvalidManifest;

    fn try_from(fields: Fields) -> Result<Self, InvalidManifest> {
        let brand = fields.brand;
        let mut items = Vec::new();
        let mut add = |name: &str, values: Vec<Value>, parse: fn(Value, &str) -> Parsed| {
            for (n, value) in values.into_iter().enumerate() {
                let mut item = parse(value, &format!("{name}[{n}]"))?;
                if let Some(brand) = &brand
                    && matches!(item.category, Category::Scraping | Category::Embedding)
                {
                    let own = item.payload.entry("brand");
                    own.or_insert_with(|| brand.as_str().into());
                }
                items.push(item);
            }
            Ok(())
        };
        add("items", fields.items, any)?;
        add("urls", fields.urls, |value, at| {
            url(Map::from_iter([("url".to_owned(), value)]), at)
        })?;
        add("documents", fields.documents, |value, at| {
            document(Map::from_iter([("document".to_owned(), value)]), at)
        })?;
        add("operations", fields.operations, |value, at| {
            operation(object(value, at)?, at)
        })?;
        let source = match (fields.manifest_object, items.is_empty()) {
            (Some(name), true) if !name.is_empty() => Source::Object(name),
            (None, false) => Source::Items(items),
            (Some(_), _) => {
                return Err(wrong(
                    "manifest_object",
                    "give the name of an object, and no items beside it",
                ));
            }
            (None, true) => {
                let why = "give at least one of items, urls, documents or operations, or the name of a manifest_object";
                return Err(wrong("items", why));
            }
        };
        if fields.in_flight_max == Some(0) {
            return Err(wrong("in_flight_max", "use 1 or more"));
        }
        Ok(Self {
            source,
            brand,
            in_flight_max: fields.in_flight_max,
        })
    }
}

fn wrong(field: impl Into<String>, why: impl Into<String>) -> InvalidManifest {
    InvalidManifest {
        field: field.into(),
        why: why.into(),
    }
}

fn object(value: Value, at: &str) -> Result<Map<String, Value>, InvalidManifest> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(wrong(at, "an item is an object")),
    }
}

/// What an item is shows in the fields that it has.
fn any(value: Value, at: &str) -> Parsed {
    let fields = object(value, at)?;
    let kinds = ["url", "document", "category"].map(|name| fields.contains_key(name));
    match kinds {
        [true, false, false] => url(fields, at),
        [false, true, false] => document(fields, at),
        [false, false, true] => operation(fields, at),
        _ => Err(wrong(
            at,
            "give one of url, document, or category with its payload",
        )),
    }
}

fn url(mut fields: Map<String, Value>, at: &str) -> Parsed {
    let field = match fields.len() {
        1 => at.to_owned(),
        _ => format!("{at}.url"),
    };
    let text = fields.get("url").and_then(Value::as_str);
    let text = text.ok_or_else(|| wrong(&field, "use a text"))?;
    let lower = text.trim().to_ascii_lowercase();
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| lower.strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) {
        let why = format!("{text:?} is no absolute address: give one like https://example.com/");
        return Err(wrong(field, why));
    }
    Ok(Item {
        category: Category::Scraping,
        priority: priority(&mut fields, at)?,
        payload: fields,
    })
}

fn document(mut fields: Map<String, Value>, at: &str) -> Parsed {
    for name in ["id", "text"] {
        let text = fields
            .get("document")
            .and_then(|document| document.get(name));
        let text = text.and_then(Value::as_str).unwrap_or_default();
        if text.trim().is_empty() {
            let field = match fields.len() {
                1 => format!("{at}.{name}"),
                _ => format!("{at}.document.{name}"),
            };
            return Err(wrong(field, "give a text that is not empty"));
        }
    }
    Ok(Item {
        category: Category::Embedding,
        priority: priority(&mut fields, at)?,
        payload: fields,
    })
}

fn operation(mut fields: Map<String, Value>, at: &str) -> Parsed {
    let field = || format!("{at}.category");
    let category = fields.get("category").and_then(Value::as_str);
    let category: Category = category
        .ok_or_else(|| wrong(field(), "name the category that is to do it"))?
        .parse()
        .map_err(|error: super::UnknownName| wrong(field(), error.to_string()))?;
    match category {
        Category::Batch => {
            return Err(wrong(field(), "a batch holds no batches: list their items"));
        }
        // Who may submit batches need not be one who may order that.
        Category::Maintenance => {
            return Err(wrong(field(), "maintenance is ordered by itself"));
        }
        _ => {}
    }
    match fields.remove("payload") {
        Some(Value::Object(payload)) => Ok(Item {
            category,
            priority: priority(&mut fields, at)?,
            payload,
        }),
        _ => Err(wrong(format!("{at}.payload"), "give an object")),
    }
}

fn priority(
    fields: &mut Map<String, Value>,
    at: &str,
) -> Result<Option<Priority>, InvalidManifest> {
    match fields.remove("priority") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => Priority::deserialize(value)
            .map(Some)
            .map_err(|error| wrong(format!("{at}.priority"), error.to_string())),
    }
}

impl Item {
    /// The same work, whatever its priority.
    pub fn work(&self) -> Value {
        json!([self.category, self.payload])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: Value) -> Result<Manifest, String> {
        Manifest::deserialize(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_taken() {
        let manifest = parse(json!({
            "brand": "acme",
            "items": [{"url": "http://a/", "priority": "HIGH", "embed": false}],
            "urls": ["https://b/"],
            "documents": [{"id": "a", "text": "b"}],
            "operations": [{"category": "rag_query", "payload": {"query": "Why?"}}],
        }))
        .unwrap();
        let Source::Items(items) = manifest.source else {
            panic!("items");
        };
        assert_eq!(items[0].priority, Some(Priority::High));
        assert_eq!(
            Value::from(items[0].payload.clone()),
            json!({"url": "http://a/", "embed": false, "brand": "acme"})
        );
        assert_eq!(items[1].payload["url"], "https://b/");
        assert_eq!(items[2].payload["document"]["id"], "a");
        assert_eq!(items[3].category, Category::Query);
        assert!(!items[3].payload.contains_key("brand"));
        let stored = parse(json!({"manifest_object": "m"})).unwrap();
        assert_eq!(stored.source, Source::Object("m".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, expected) in [
            (json!({}), "items: give at least one"),
            (json!({"urls": ["http://a/", "b"]}), "urls[1]: \"b\""),
            (json!({"urls": ["https://"]}), "urls[0]"),
            (json!({"documents": [{"id": "a"}]}), "documents[0].text"),
            (json!({"items": [5]}), "items[0]: an item"),
            (
                json!({"items": [{"url": "http://a/", "document": {}}]}),
                "items[0]: give one",
            ),
            (
                json!({"operations": [{"category": "x"}]}),
                "operations[0].category",
            ),
            (
                json!({"operations": [{"category": "batch", "payload": {}}]}),
                "no batches",
            ),
            (
                json!({"items": [{"category": "maintenance", "payload": {}}]}),
                "ordered by itself",
            ),
            (
                json!({"operations": [{"category": "query"}]}),
                "operations[0].payload",
            ),
            (
                json!({"items": [{"url": "http://a/", "priority": "x"}]}),
                "items[0].priority",
            ),
            (
                json!({"urls": ["http://a/"], "manifest_object": "m"}),
                "manifest_object",
            ),
            (
                json!({"urls": ["http://a/"], "in_flight_max": 0}),
                "in_flight_max",
            ),
        ] {
            let error = parse(json.clone()).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}

//! What maintenance is to do: parsed into orders that cannot do more than was said.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::DocumentKey;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Removes what nothing needs any more.
    Expire,
    /// Embeds again what another embedder has embedded.
    Reindex,
    /// Compares the indexes with the stored documents.
    Verify,
    /// Asks every dependency, and the broker, how they are.
    Probe,
    /// Takes documents out of the index for good.
    Retire,
}

impl Operation {
    pub const ALL: [Self; 5] = [
        Self::Expire,
        Self::Reindex,
        Self::Verify,
        Self::Probe,
        Self::Retire,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Expire => "expire",
            Self::Reindex => "reindex",
            Self::Verify => "verify",
            Self::Probe => "probe",
            Self::Retire => "retire",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An operation with its scope. Unlike in other payloads a field that is not known is refused: a
/// misspelt `dry_run` must not be none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Order {
    pub scope: Scope,
    /// Only tell what would be done.
    pub dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Expire,
    /// Of one brand, where it is named; `all`: those of the embedder in use as well.
    Reindex {
        brand: Option<String>,
        all: bool,
    },
    /// `repair`: what differs is built anew.
    Verify {
        repair: bool,
    },
    Probe,
    Retire(Retired),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retired {
    /// All documents of a brand.
    Brand(String),
    /// These ones, by their ids, of a brand or of none.
    Documents {
        brand: Option<String>,
        ids: Vec<String>,
    },
}

impl Retired {
    /// `None` where the documents are to be looked for.
    pub fn keys(&self) -> Option<Vec<DocumentKey>> {
        match self {
            Self::Brand(_) => None,
            Self::Documents { brand, ids } => {
                let key = |id: &String| DocumentKey::new(brand.as_deref(), id);
                Some(ids.iter().map(key).collect())
            }
        }
    }
}

/// What is wrong, and in which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct InvalidOrder {
    pub field: String,
    pub why: String,
}

impl Order {
    /// More are named one by one for no good reason: retire their brand, or do it in parts.
    pub const DOCUMENTS_MAX: usize = 1_000;

    pub fn operation(&self) -> Operation {
        match self.scope {
            Scope::Expire => Operation::Expire,
            Scope::Reindex { .. } => Operation::Reindex,
            Scope::Verify { .. } => Operation::Verify,
            Scope::Probe => Operation::Probe,
            Scope::Retire(_) => Operation::Retire,
        }
    }
}

fn wrong(field: &str, why: impl Into<String>) -> InvalidOrder {
    InvalidOrder {
        field: field.to_owned(),
        why: why.into(),
    }
}

/// Fields that are taken one by one; what is left over is a mistake.
struct Rest(Map<String, Value>);

impl Rest {
    fn flag(&mut self, name: &str) -> Result<bool, InvalidOrder> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(wrong(name, "use true or false")),
        }
    }

    fn brand(&mut self) -> Result<Option<String>, InvalidOrder> {
        match self.0.remove("brand") {
            None | Some(Value::Null) => Ok(None),
            // Whoever writes a pattern means more than one brand, and gets none.
            Some(Value::String(brand)) if !brand.trim().is_empty() && brand.trim() != "*" => {
                Ok(Some(brand))
            }
            Some(_) => Err(wrong("brand", "name one brand; there are no patterns")),
        }
    }

    fn ids(&mut self) -> Result<Option<Vec<String>>, InvalidOrder> {
        let max = Order::DOCUMENTS_MAX;
        let why = || format!("give 1 to {max} ids of documents, as they were submitted");
        match self.0.remove("documents") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(values)) if (1..=max).contains(&values.len()) => {
                let id = |value: Value| match value {
                    Value::String(id) if !id.trim().is_empty() => Ok(id),
                    _ => Err(wrong("documents", why())),
                };
                values
                    .into_iter()
                    .map(id)
                    .collect::<Result<_, _>>()
                    .map(Some)
            }
            Some(_) => Err(wrong("documents", why())),
        }
    }

    fn nothing_else(self, operation: Operation) -> Result<(), InvalidOrder> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(wrong(name, format!("{operation} takes no such field"))),
        }
    }
}

impl TryFrom<Map<String, Value>> for Order {
    type Error = InvalidOrder;

    fn try_from(fields: Map<String, Value>) -> Result<Self, InvalidOrder> {
        let mut rest = Rest(fields);
        let named = rest.0.remove("operation");
        let named = named.as_ref().and_then(Value::as_str).unwrap_or_default();
        let operation = Operation::ALL.into_iter().find(|o| o.name() == named);
        let operation = operation.ok_or_else(|| {
            let known = Operation::ALL.map(Operation::name).join(", ");
            wrong(
                "operation",
                format!("{named:?} is none: use one of {known}"),
            )
        })?;
        let dry_run = rest.flag("dry_run")?;
        let scope = match operation {
            Operation::Expire => Scope::Expire,
            Operation::Probe => Scope::Probe,
            Operation::Verify => Scope::Verify {
                repair: rest.flag("repair")?,
            },
            Operation::Reindex => Scope::Reindex {
                brand: rest.brand()?,
                all: rest.flag("all")?,
            },
            Operation::Retire => Scope::Retire(match (rest.brand()?, rest.ids()?) {
                (brand, Some(ids)) => Retired::Documents { brand, ids },
                (Some(brand), None) => Retired::Brand(brand),
                (None, None) => {
                    let why = "retire needs to be told what: name a brand, or the documents";
                    return Err(wrong("brand", why));
                }
            }),
        };
        rest.nothing_else(operation)?;
        Ok(Self { scope, dry_run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Order, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn orders_are_read() {
        let order = parse(r#"{"operation":"expire","dry_run":true}"#).unwrap();
        assert_eq!(
            (order.operation(), order.dry_run),
            (Operation::Expire, true)
        );
        let order = parse(r#"{"operation":"reindex","brand":"a","all":true}"#).unwrap();
        let brand = Some("a".to_owned());
        assert_eq!(order.scope, Scope::Reindex { brand, all: true });
        let order = parse(r#"{"operation":"retire","documents":["x"]}"#).unwrap();
        let Scope::Retire(retired) = order.scope else {
            panic!("retire");
        };
        assert_eq!(retired.keys(), Some(vec![DocumentKey::new(None, "x")]));
        for operation in Operation::ALL {
            let json = format!(r#"{{"operation":"{operation}","brand":"a"}}"#);
            assert_eq!(
                parse(&json).is_ok(),
                matches!(operation, Operation::Reindex | Operation::Retire),
                "{json}"
            );
        }
    }

    #[test]
    fn what_could_do_harm_is_refused_by_name() {
        for (json, expected) in [
            ("{}", "operation: \"\" is none: use one of expire"),
            (r#"{"operation":"drop"}"#, "operation: \"drop\""),
            (r#"{"operation":"retire"}"#, "brand: retire needs"),
            (r#"{"operation":"retire","brand":"*"}"#, "brand: name one"),
            (r#"{"operation":"retire","brand":" "}"#, "brand: name one"),
            (
                r#"{"operation":"retire","documents":[]}"#,
                "documents: give 1",
            ),
            (
                r#"{"operation":"retire","documents":[""]}"#,
                "documents: give 1",
            ),
            (
                r#"{"operation":"retire","brand":"a","dryrun":true}"#,
                "dryrun: retire takes no",
            ),
            (
                r#"{"operation":"retire","brand":"a","dry_run":"yes"}"#,
                "dry_run: use true",
            ),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}

//! Schemas as values: looked up, put together, and taken out with all that they refer to.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Where a description keeps its schemas; AsyncAPI and OpenAPI agree on it.
const COMPONENTS: &str = "#/components/schemas/";
/// Where a schema by itself does.
const DEFINITIONS: &str = "#/$defs/";

/// All schemas that have a name.
#[derive(Debug, Clone)]
pub(super) struct Schemas(pub(super) Map<String, Value>);

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("{COMPONENTS}{name}")})
}

impl Schemas {
    /// What a schema is, where it only says where that stands; nothing said is taken for anything.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str();
        let name = name.and_then(|target| target.strip_prefix(COMPONENTS));
        match name.and_then(|name| self.0.get(name)) {
            Some(found) => self.resolve(found),
            None => schema,
        }
    }

    /// A schema that stands by itself, as JSON Schema 2020-12.
    pub(super) fn standalone(&self, id: &str, title: &str, schema: &Value) -> Value {
        let mut names = BTreeSet::new();
        self.reach(schema, &mut names);
        let definitions: Map<_, _> = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), local(self.0.get(&name)?))))
            .collect();
        let mut whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": id,
            "title": title,
        });
        if let (Some(whole), Value::Object(members)) = (whole.as_object_mut(), local(schema)) {
            whole.extend(members);
            if !definitions.is_empty() {
                whole.insert("$defs".to_owned(), definitions.into());
            }
        }
        whole
    }

    /// The names that a schema refers to, and those that they refer to.
    pub(super) fn reach(&self, schema: &Value, names: &mut BTreeSet<String>) {
        match schema {
            Value::Object(members) => {
                let target = members.get("$ref").and_then(Value::as_str);
                let name = target.and_then(|target| target.strip_prefix(COMPONENTS));
                if let Some(name) = name
                    && names.insert(name.to_owned())
                    && let Some(schema) = self.0.get(name)
                {
                    self.reach(schema, names);
                }
                members.values().for_each(|value| self.reach(value, names));
            }
            Value::Array(items) => items.iter().for_each(|item| self.reach(item, names)),
            _ => {}
        }
    }
}

/// The same with references into itself.
fn local(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let target = value.as_str().filter(|_| name == "$ref");
                let target = target.and_then(|target| target.strip_prefix(COMPONENTS));
                let value = match target {
                    Some(target) => format!("{DEFINITIONS}{target}").into(),
                    None => local(value),
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(items) => items.iter().map(local).collect(),
        other => other.clone(),
    }
}

/// An object with these fields; those with `true` have to be there.
pub(super) fn object(fields: impl IntoIterator<Item = (String, Value, bool)>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, schema, is_required) in fields {
        if is_required {
            required.push(Value::from(name.clone()));
        }
        properties.insert(name, schema);
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_takes_along_what_it_refers_to() {
        let Value::Object(named) = json!({
            "A": {"properties": {"b": reference("B")}},
            "B": {"items": reference("B")},
            "C": {"type": "string"},
        }) else {
            panic!()
        };
        let schemas = Schemas(named);
        let whole = schemas.standalone("urn:a", "An a", &reference("A"));
        assert_eq!(whole["$ref"], "#/$defs/A");
        assert_eq!(whole["$defs"]["B"]["items"]["$ref"], "#/$defs/B");
        assert!(whole["$defs"].get("C").is_none());
    }
}

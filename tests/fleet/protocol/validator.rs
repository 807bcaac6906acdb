//! The schemas in deploy/protocol, as any client would use them.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, Draft, Schemas};
use serde_json::Value;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/protocol/schemas")
}

pub(super) fn names() -> Vec<String> {
    let files = fs::read_dir(directory()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .map(|name| name.strip_suffix(".json").unwrap().to_owned())
        .collect()
}

/// What is wrong with a message, by the schema of this name.
pub(super) fn fault(name: &str, message: &Value) -> Option<String> {
    let text = fs::read_to_string(directory().join(format!("{name}.json"))).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let place = format!("http://schemas/{name}.json");
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V2020_12);
    compiler.add_resource(&place, schema).unwrap();
    let mut schemas = Schemas::new();
    let compiled = compiler.compile(&place, &mut schemas);
    let compiled = compiled.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let checked = schemas.validate(message, compiled);
    checked.err().map(|error| format!("{error:#}"))
}

pub(super) fn check(name: &str, message: &Value) {
    if let Some(fault) = fault(name, message) {
        panic!("{name}: {fault}\n{message:#}");
    }
}

/// Whether a message has all that an expected one has: more is allowed anywhere. `<string>` and
/// the like stand for any value of that type.
pub(super) fn lacks(found: &Value, expected: &Value, at: &str) -> Option<String> {
    match (expected, found) {
        (Value::String(wanted), _) if wanted.starts_with('<') => {
            let is_so = match wanted.as_str() {
                "<string>" => found.is_string(),
                "<number>" => found.is_number(),
                "<boolean>" => found.is_boolean(),
                other => panic!("{other} is no type"),
            };
            (!is_so).then(|| format!("{at} is {found}, and not a {wanted}"))
        }
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().find_map(|(name, expected)| {
                let found = found.get(name).unwrap_or(&Value::Null);
                lacks(found, expected, &format!("{at}.{name}"))
            })
        }
        (Value::Array(expected), Value::Array(found)) => {
            let mut parts = expected.iter().enumerate();
            parts.find_map(|(n, expected)| {
                let found = found.get(n).unwrap_or(&Value::Null);
                lacks(found, expected, &format!("{at}[{n}]"))
            })
        }
        _ if expected == found => None,
        _ => Some(format!("{at} is {found}, and not {expected}")),
    }
}

#[test]
fn what_is_missing_is_told() {
    let found = serde_json::json!({"a": {"b": 1, "c": "x"}, "d": [1, 2]});
    let lacks = |expected| lacks(&found, &expected, "it");
    assert_eq!(
        lacks(serde_json::json!({"a": {"c": "<string>"}, "d": [1]})),
        None
    );
    for expected in [
        serde_json::json!({"a": {"b": 2}}),
        serde_json::json!({"e": "<string>"}),
        serde_json::json!({"d": [1, 2, 3]}),
        serde_json::json!([]),
    ] {
        assert!(lacks(expected).is_some());
    }
}

#[test]
fn a_schema_refuses_what_is_wrong() {
    let record = serde_json::json!({"task_id": "a b", "status": "completed"});
    assert!(fault("record", &record).is_some());
    let problem =
        serde_json::json!({"type": "urn:x", "title": "t", "status": "404", "detail": "d"});
    assert!(fault("refusal", &problem).is_some());
}

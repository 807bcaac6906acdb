//! What a fleet of version 1 has stored, or says while it is replaced process by process: today's
//! code reads it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flotilla_common::broker::Token;
use flotilla_common::model::{DeadLetter, Event, Record, TaskSummary};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::validator::{check, lacks};

/// Reads and writes it again: nothing is lost on the way.
fn through<T: DeserializeOwned + Serialize>(message: &Value) -> Value {
    let read: T = serde_json::from_value(message.clone())
        .unwrap_or_else(|error| panic!("{error}: {message}"));
    serde_json::to_value(read).unwrap()
}

#[test]
fn what_version_1_has_stored_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/v1/stored.json");
    let stored: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (kind, messages) in &stored {
        for message in messages {
            check(kind, message);
            let again = match kind.as_str() {
                "record" => through::<Record>(message),
                "record-summary" => through::<TaskSummary>(message),
                "dead-letter" => through::<DeadLetter>(message),
                "fleet-event" => through::<Event>(message),
                "token" => through::<Token>(message),
                other => panic!("{other} is no kind of message"),
            };
            assert_eq!(lacks(&again, message, kind), None, "{again}");
            check(kind, &again);
        }
    }
}

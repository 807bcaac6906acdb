//! The API's description of itself, held against the gateway that serves it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::fleet::Fleet;
use crate::harness::sse::Events;
use crate::harness::{http, test};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A path as a client calls it: whatever is named in it exists nowhere.
fn call(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{category}" => "query",
        part if part.starts_with('{') => "nothing",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_call_is_described_and_every_description_is_a_call() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let description = http::get(&fleet.address, "/api/openapi.json").await;
        assert_eq!(description.status, 200);
        assert_eq!(description.body["openapi"], "3.1.0");
        let paths = description.body["paths"].as_object().unwrap();
        assert!(paths.len() > 20, "{}", paths.len());
        let mut ids = BTreeSet::new();
        for (path, item) in paths {
            let described: BTreeSet<&str> = METHODS
                .into_iter()
                .filter(|method| item.get(method.to_lowercase()).is_some())
                .collect();
            for method in &described {
                let operation = &item[method.to_lowercase()];
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id), "{id} is there twice");
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(operation["responses"]["503"].is_object(), "{method} {path}");
            }
            // The one method that no call takes tells which ones there are.
            let path = call(path).strip_prefix("/api/hp").unwrap().to_owned();
            let refused = Events::open(&fleet.address, "TRACE", &path, "", "").await;
            assert_eq!(refused.status, 405, "{path}");
            let allowed = refused
                .head
                .lines()
                .find_map(|line| line.strip_prefix("allow: "));
            let allowed = allowed.unwrap().to_uppercase();
            let taken: BTreeSet<&str> = allowed.split(',').filter(|m| *m != "HEAD").collect();
            assert_eq!(taken, described, "{path}");
            let problem = refused.body().await;
            assert_eq!(problem["type"], "urn:flotilla:problem:method-not-allowed");
        }
        fleet.stop().await;
    });
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
                Value::String(target) if name == "$ref" => found.push(target),
                value => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let description = http::get(&fleet.address, "/api/openapi.json").await.body;
        let mut found = Vec::new();
        references(&description, &mut found);
        assert!(found.len() > 50, "{}", found.len());
        for reference in found {
            let target = reference.strip_prefix('#').unwrap();
            assert!(description.pointer(target).is_some(), "{reference}");
        }
        fleet.stop().await;
    });
}

#[test]
fn the_page_to_try_it_needs_nothing_else() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let page = http::get(&fleet.address, "/api/docs").await;
        assert_eq!(page.status, 200);
        assert!(
            page.head
                .contains("content-security-policy: default-src 'none'")
        );
        for part in ["/api/docs/page.css", "/api/docs/page.js"] {
            assert_eq!(http::get(&fleet.address, part).await.status, 200, "{part}");
        }
        fleet.stop().await;
    });
}

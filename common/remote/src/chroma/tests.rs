//! Against a server that answers what a test has lined up; the real one is met in `tests/`.

mod fake;

use std::time::Duration;

use flotilla_common::model::DocumentKey;
use serde_json::{Value, json};

use self::fake::Fake;
use super::*;
use crate::{CallError, Secret};

fn described(id: &str) -> Value {
    json!({
        "id": id,
        "name": "flotilla-0123",
        "metadata": {"flotilla_embedder": "e1", "flotilla_dimensions": 2},
        "configuration_json": {"hnsw": {"space": "cosine"}, "spann": null},
    })
}

fn missing() -> Value {
    json!({"error": "NotFoundError", "message": "Collection [old] does not exist."})
}

fn row(id: &str) -> Row {
    let document = DocumentKey::new(None, "manual");
    Row {
        id: id.to_owned(),
        vector: vec![0.5, -1.0],
        document,
        brand: "-".to_owned(),
    }
}

fn found(ids: &[&str]) -> Value {
    let distances: Vec<f32> = ids.iter().map(|_| 0.25).collect();
    json!({"ids": [ids], "distances": [distances], "include": ["distances"]})
}

#[tokio::test]
async fn a_collection_is_made_once_and_a_stale_id_refreshed_once() {
    let fake = Fake::start().await;
    let collection = fake.collection();
    fake.answer(200, described("one"))
        .answer(200, "{}")
        .answer(200, "{}");
    collection.upsert(&[row("a")]).await.unwrap();
    collection.upsert(&[row("a")]).await.unwrap();
    let made = [
        "POST /collections",
        "POST /collections/one/upsert",
        "POST /collections/one/upsert",
    ];
    assert_eq!(fake.asked(), made);

    fake.answer(404, missing())
        .answer(200, described("two"))
        .answer(200, "{}");
    collection.upsert(&[row("a")]).await.unwrap();
    assert_eq!(
        fake.asked()[3..],
        [
            "POST /collections/one/upsert",
            "POST /collections",
            "POST /collections/two/upsert"
        ]
    );

    // Reading makes none: it looks the collection up by its name.
    let by_name = format!("GET /collections/{}", collection.name());
    fake.answer(404, missing())
        .answer(200, described("three"))
        .answer(200, found(&["a"]));
    let matches = collection
        .query(&[1.0, 0.0], None, 5)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        matches,
        [Match {
            id: "a".to_owned(),
            cosine: 0.75
        }]
    );
    assert_eq!(
        fake.asked()[6..],
        [
            "POST /collections/two/query".to_owned(),
            by_name,
            "POST /collections/three/query".to_owned()
        ]
    );
    fake.answer(404, missing()).answer(404, missing());
    assert_eq!(collection.query(&[1.0, 0.0], None, 5).await.unwrap(), None);

    // Once is enough: a server that never knows what it has just named is not asked for ever.
    fake.answer(200, described("four"))
        .answer(404, missing())
        .answer(200, described("five"))
        .answer(404, missing());
    let error = collection.upsert(&[row("a")]).await.unwrap_err();
    assert!(matches!(error, Error::Missing(_)), "{error}");

    let script = fake.script.lock().unwrap();
    let (_, headers, body) = &script.asked[0];
    assert_eq!(headers["x-chroma-token"], "t0ken");
    assert_eq!(headers["authorization"], "Bearer t0ken");
    assert_eq!(
        body["metadata"],
        json!({"flotilla_embedder": "e1", "flotilla_dimensions": 2})
    );
    assert_eq!(body["configuration"]["hnsw"]["space"], "cosine");
    assert_eq!(script.asked[1].2["embeddings"], json!([[0.5, -1.0]]));
}

#[tokio::test]
async fn what_the_server_is_to_blame_for_is_an_outage_and_nothing_else() {
    let fake = Fake::start().await;
    let collection = fake.collection();
    fake.answer(200, described("one")).answer(200, "{}");
    collection.upsert(&[row("a")]).await.unwrap();
    let error = async || collection.query(&[1.0, 0.0], None, 5).await.unwrap_err();
    for (status, body, is_outage, says) in [
        (
            500,
            json!({"error": "InternalError", "message": "disk"}).to_string(),
            true,
            "500: disk",
        ),
        (503, String::new(), true, "503"),
        (429, "slow down".to_owned(), true, "429): slow down"),
        (200, "<html>".to_owned(), true, "unreadable answer"),
        (200, "[]".to_owned(), true, "unreadable answer"),
        (
            200,
            json!({"ids": [["a"]], "distances": null}).to_string(),
            true,
            "without a distance",
        ),
        (
            400,
            json!({"error": "InvalidArgumentError", "message": "dimension of 3, got 2"})
                .to_string(),
            false,
            "dimension of 3, got 2",
        ),
        (401, String::new(), false, "status 401"),
        (
            413,
            "Payload Too Large".to_owned(),
            false,
            "status 413: Payload Too Large",
        ),
        // Not from ChromaDB: the address is wrong.
        (
            404,
            "404 page not found".to_owned(),
            false,
            "404 page not found",
        ),
    ] {
        fake.answer(status, body);
        let error = error().await;
        assert_eq!(error.is_outage(), is_outage, "{status}: {error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(
            matches!(CallError::from(error), CallError::Passing { .. }),
            is_outage
        );
    }
    fake.answer_with(429, ("retry-after", "7"), "");
    let CallError::Passing { after, .. } = error().await.into() else {
        panic!("it may pass");
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_outage() {
    let fake = Fake::start().await;
    let nobody = Config {
        url: Some("http://127.0.0.1:9".to_owned()),
        ..Config::default()
    };
    let client = Client::new(&nobody).unwrap().unwrap();
    let error = client.heartbeat().await.unwrap_err();
    assert!(
        error.is_outage() && error.to_string().contains("cannot be connected to"),
        "{error}"
    );
    // Collections that are not ours are left alone, and so are their vectors.
    for (field, value, says) in [
        (
            "metadata",
            json!({"flotilla_embedder": "e2"}),
            "vectors of e2",
        ),
        ("metadata", Value::Null, "unknown embedder"),
        (
            "metadata",
            json!({"flotilla_embedder": "e1", "flotilla_dimensions": 3}),
            "3 dimensions",
        ),
        (
            "configuration_json",
            json!({"hnsw": {"space": "l2"}}),
            "the distance l2",
        ),
    ] {
        let mut other = described("one");
        other[field] = value;
        fake.answer(200, other);
        let error = fake.collection().upsert(&[row("a")]).await.unwrap_err();
        assert!(
            !error.is_outage() && error.to_string().contains(says),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_the_server_would_swallow_is_not_sent() {
    let fake = Fake::start().await;
    let collection = fake.collection();
    collection.upsert(&[]).await.unwrap();
    collection.delete(&[]).await.unwrap();
    let error = collection
        .upsert(&[row("a"), row("b"), row("a")])
        .await
        .unwrap_err();
    assert_eq!(error, Error::Duplicate("a".to_owned()));
    assert_eq!(fake.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn ids_come_page_by_page() {
    let fake = Fake::start().await;
    let collection = fake.collection();
    let page: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    fake.answer(200, described("one"))
        .answer(200, json!({"ids": page}))
        .answer(200, json!({"ids": ["last"]}));
    let ids = collection.ids(&DocumentKey::new(None, "a")).await.unwrap();
    assert_eq!((ids.len(), ids[300].as_str()), (301, "last"));
    assert_eq!(fake.script.lock().unwrap().asked[2].2["offset"], 300);
}

#[tokio::test]
async fn only_collections_with_the_name_of_their_own_tag_are_dropped() {
    let fake = Fake::start().await;
    let collection = fake.collection();
    let named = |prefix: &str, embedder: &str| {
        let client = collection.client().clone();
        Collection::of(client, prefix, embedder).name().to_owned()
    };
    let there = |name: &str, embedder: Option<&str>| {
        let metadata = embedder.map(|embedder| json!({"flotilla_embedder": embedder}));
        json!({"id": name, "name": name, "metadata": metadata})
    };
    let old = named("flotilla", "e0");
    let listing = json!([
        there(collection.name(), Some("e1")),
        there(&old, Some("e0")),
        there(&named("flotilla-staging", "e0"), Some("e0")),
        there(&named("flotilla", "e2"), Some("e3")),
        there(&named("flotilla", "e4"), None),
        there("flotilla-notes", Some("e0")),
    ]);
    fake.answer(200, listing).answer(200, "{}");
    assert_eq!(collection.drop_others().await, Ok(vec![old.clone()]));
    assert_eq!(
        fake.asked(),
        [
            "GET /collections".to_owned(),
            format!("DELETE /collections/{old}")
        ]
    );
}

#[test]
fn batches_keep_within_rows_and_bytes() {
    for (dimensions, rows, expected) in [(384, 501, 2), (384, 0, 0), (3_072, 1_000, 7), (2, 500, 1)]
    {
        let rows: Vec<Row> = (0..rows)
            .map(|n| Row {
                vector: vec![-1.234_567_9e-10; dimensions],
                ..row(&format!("{n:032}"))
            })
            .collect();
        let batches: Vec<&[Row]> = Collection::batches(&rows).collect();
        assert_eq!(batches.len(), expected, "{dimensions}");
        assert_eq!(
            batches.iter().map(|batch| batch.len()).sum::<usize>(),
            rows.len()
        );
        for batch in batches {
            let vectors: Vec<_> = batch.iter().map(|row| &row.vector).collect();
            assert!(serde_json::to_string(&vectors).unwrap().len() < 8 * 1_024 * 1_024);
        }
    }
}

#[test]
fn settings_that_cannot_work_are_named_and_the_token_is_never_shown() {
    type Change = fn(&mut Config);
    let with = |change: Change| {
        let mut config = Config {
            url: Some("http://localhost:8000".to_owned()),
            ..Config::default()
        };
        change(&mut config);
        Client::new(&config)
            .map(|client| client.is_some())
            .map_err(|error| error.to_string())
    };
    assert_eq!(with(|_| {}), Ok(true));
    assert_eq!(with(|config| config.url = None), Ok(false));
    let table: [(Change, &str); 7] = [
        (
            |config| config.url = Some("localhost".to_owned()),
            "chromadb.url",
        ),
        (
            |config| config.url = Some("ftp://localhost".to_owned()),
            "chromadb.url",
        ),
        (|config| config.tenant = String::new(), "chromadb.tenant"),
        (
            |config| config.collection_prefix = "-a".to_owned(),
            "collection_prefix",
        ),
        (
            |config| config.query_timeout = Duration::ZERO,
            "query_timeout",
        ),
        (
            |config| config.token_file = Some("/nonexistent/token".into()),
            "/nonexistent/token",
        ),
        (|config| config.token = Some(Secret::new("a\nb")), "token"),
    ];
    for (change, named) in table {
        let error = with(change).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
    let config = Config {
        token: Some(Secret::new("t0ken")),
        url: Some("http://a".to_owned()),
        ..Config::default()
    };
    let client = Client::new(&config).unwrap().unwrap();
    assert!(!format!("{config:?} {client:?}").contains("t0ken"));
}

//! An index that begins with a snapshot, on a real log: it ends like one that has read all, and a
//! snapshot that the log does not continue is left alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use flotilla_common::broker::{Broker, StreamLimits};
use flotilla_knowledge::{
    Chunk, Dense, Document, Kind, Live, Search, Snapshots, Vector, Vectors, answer,
};

use crate::harness::{Client, Nats, broker, eventually, test};

const STREAM: &str = "DOCUMENTS";

fn document(id: &str, text: &str) -> Document {
    Document {
        id: id.to_owned(),
        brand: None,
        title: format!("Pump {id}"),
        url: None,
        content_hash: text.to_owned(),
        as_of: jiff::Timestamp::UNIX_EPOCH,
        embedder: Some("test".to_owned()),
        chunks: vec![Chunk {
            headings: Vec::new(),
            text: text.to_owned(),
            vector: Vector::of(&[text.len() as f32, 1.0]),
        }],
    }
}

async fn put(broker: &Broker, id: &str, text: &str) -> u64 {
    let document = document(id, text);
    let body = serde_json::to_vec(&document).unwrap();
    let key = document.key();
    let (before, _) = broker.document_version(&key).await.unwrap();
    let put = broker.put_document(&key, document.summary(), body, before);
    put.await.unwrap()
}

async fn retire(broker: &Broker, id: &str) -> u64 {
    let key = document(id, "").key();
    broker.retire_document(&key).await.unwrap()
}

/// An index that has taken in all there is, from the snapshot in this directory on.
async fn index(broker: &Broker, directory: Option<&Path>) -> Live {
    let kind = Kind {
        embedder: Some("test".to_owned()),
        vectors: Vectors::Here,
    };
    let snapshots = directory.map(|directory| Snapshots {
        directory: directory.to_owned(),
        every: Duration::from_secs(3_600),
    });
    let live = Live::start(broker.clone(), kind, snapshots);
    live.current().await;
    live
}

fn texts(live: &Live) -> BTreeSet<String> {
    let hits = live.search(&search("pump")).hits.into_iter();
    hits.map(|hit| hit.entry.text.clone()).collect()
}

fn search(question: &str) -> Search<'_> {
    Search {
        question,
        dense: Dense::None,
        brand: None,
        k: 1_000,
    }
}

/// Takes a document's message away as nothing in the fleet does: an index that reads the log does
/// not find it, and one that has a snapshot cannot know.
async fn take_away(nats: &Nats, id: &str) {
    let client = Client::connect(nats).await;
    let stream = client.jetstream.get_stream(STREAM).await.unwrap();
    let subject = format!("documents.{}", document(id, "").key());
    stream.purge().filter(subject).await.unwrap();
}

#[test]
fn a_start_from_a_snapshot_ends_like_one_without() {
    test(async |nats| {
        let (broker, directory) = (
            broker(nats, &StreamLimits::default()).await,
            tempfile::tempdir().unwrap(),
        );
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..6 {
            for step in 0..15 {
                let id = format!("p{}", random.u8(..12));
                match random.u8(..4) {
                    0 => retire(&broker, &id).await,
                    _ => {
                        let text = format!("The tank of pump {id} holds {round}{step} litres.");
                        put(&broker, &id, &text).await
                    }
                };
            }
            let (with, without) = (
                index(&broker, Some(directory.path())).await,
                index(&broker, None).await,
            );
            let held = [&with, &without].map(|live| live.holdings("i", 64));
            assert_eq!(held[0], held[1], "round {round}");
            assert_eq!(texts(&with), texts(&without));
            for n in 0..12 {
                let question = format!("How many litres does the tank of p{n} hold?");
                let [a, b] = [&with, &without].map(|live| answer(&live.search(&search(&question))));
                assert_eq!((a.text, a.confidence), (b.text, b.confidence), "{question}");
            }
            with.save().await;
        }
        // And it was the snapshot that it began with.
        put(&broker, "kept", "Only the snapshot knows this pump.").await;
        index(&broker, Some(directory.path())).await.save().await;
        take_away(nats, "kept").await;
        let knows = |live: &Live| texts(live).iter().any(|text| text.contains("Only"));
        assert!(!knows(&index(&broker, None).await));
        assert!(knows(&index(&broker, Some(directory.path())).await));
        // It is as good as its last byte.
        let file = directory.path().join("documents.index");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let live = index(&broker, Some(directory.path())).await;
        assert!(!knows(&live));
        // A broken one is replaced as soon as there is something to replace it with.
        eventually("a whole one is written", async || {
            std::fs::metadata(&file).is_ok_and(|file| file.len() > bytes.len() as u64 / 2)
        })
        .await;
        assert!(!knows(&index(&broker, Some(directory.path())).await));
    });
}

#[test]
fn changes_after_a_snapshot_are_replayed_unless_their_tombstones_are_gone() {
    test(async |nats| {
        let (broker, directory) = (
            broker(nats, &StreamLimits::default()).await,
            tempfile::tempdir().unwrap(),
        );
        for id in ["a", "b", "c"] {
            put(&broker, id, &format!("The pump {id} is blue.")).await;
        }
        index(&broker, Some(directory.path())).await.save().await;
        let snapshot = std::fs::read(directory.path().join("documents.index")).unwrap();
        let restore = || std::fs::write(directory.path().join("documents.index"), &snapshot);
        retire(&broker, "a").await;
        let tombstone = retire(&broker, "b").await;
        put(&broker, "c", "The pump c is red.").await;
        let expected = BTreeSet::from(["The pump c is red.".to_owned()]);
        assert_eq!(
            texts(&index(&broker, Some(directory.path())).await),
            expected
        );

        // The tombstone of b goes before the snapshot is read again.
        restore().unwrap();
        broker.announce_compaction(tombstone).await.unwrap();
        assert!(broker.remove_tombstone(tombstone).await.unwrap());
        assert_eq!(
            texts(&index(&broker, Some(directory.path())).await),
            expected
        );
    });
}

#[test]
fn another_log_is_not_continued() {
    test(async |nats| {
        let limits = StreamLimits::default();
        let (broker, directory) = (broker(nats, &limits).await, tempfile::tempdir().unwrap());
        put(&broker, "old", "The old pump is blue.").await;
        index(&broker, Some(directory.path())).await.save().await;
        let client = Client::connect(nats).await;
        client.jetstream.delete_stream(STREAM).await.unwrap();
        broker.ensure_topology(&limits).await.unwrap();
        // More changes than the old log had: its sequences alone tell nothing.
        for n in 0..3 {
            put(&broker, "new", &format!("The new pump has {n} hoses.")).await;
        }
        let expected = BTreeSet::from(["The new pump has 2 hoses.".to_owned()]);
        let started = index(&broker, Some(directory.path())).await;
        assert_eq!(texts(&started), expected);
    });
}

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::Chunk;

fn document(id: &str, brand: Option<&str>, texts: &[&str]) -> Document {
    Document {
        id: id.to_owned(),
        brand: brand.map(str::to_owned),
        title: format!("Title of {id}"),
        url: None,
        content_hash: String::new(),
        as_of: Timestamp::UNIX_EPOCH,
        embedder: Some("test".to_owned()),
        chunks: texts.iter().map(|text| chunk(text)).collect(),
    }
}

fn chunk(text: &str) -> Chunk {
    let length = f32::from(u16::try_from(text.len()).unwrap());
    Chunk {
        headings: Vec::new(),
        text: text.to_owned(),
        vector: Vector::of(&[length, 1.0, 0.5]),
    }
}

fn texts(index: &Index, question: &str, brand: Option<&str>) -> Vec<String> {
    let search = Search {
        question,
        dense: Dense::None,
        brand,
        k: 10,
    };
    let hits = index.search(&search).hits;
    hits.into_iter().map(|hit| hit.entry.text.clone()).collect()
}

#[test]
fn rare_words_win_and_brands_are_apart() {
    let mut index = Index::new(None, Vectors::Here);
    index.put(document(
        "a",
        Some("x"),
        &["the pump needs oil", "the pump needs water", "a pump"],
    ));
    index.put(document("b", Some("y"), &["oil of another brand"]));
    assert_eq!(
        texts(&index, "Which oil for the pump?", Some("x"))[0],
        "the pump needs oil"
    );
    assert_eq!(texts(&index, "oil", Some("y")), ["oil of another brand"]);
    assert_eq!(texts(&index, "oil", None).len(), 2);
    assert_eq!(texts(&index, "oil", Some("z")), Vec::<String>::new());
}

#[test]
fn a_new_version_replaces_the_old_one_whole() {
    let mut index = Index::new(None, Vectors::Here);
    index.put(document("a", None, &["old pump", "old filter", "old hose"]));
    index.put(document("a", None, &["new pump"]));
    assert_eq!(texts(&index, "pump filter hose", None), ["new pump"]);
    assert_eq!((index.documents(), index.chunks()), (1, 1));
    index.remove(&DocumentKey::new(None, "a"));
    assert_eq!((index.documents(), index.chunks()), (0, 0));
}

#[test]
fn embedders_are_not_mixed() {
    let mut index = Index::new(Some("other".to_owned()), Vectors::Here);
    index.put(document("a", None, &["some text"]));
    assert_eq!(index.without_vectors(), 1);
    let vector = Vector::of(&[9.0, 1.0, 0.5]).unwrap();
    let search = Search {
        question: "nothing shared",
        dense: Dense::Vector(&vector),
        brand: None,
        k: 5,
    };
    assert_eq!(index.search(&search).hits, []);
    let mut index = Index::new(Some("test".to_owned()), Vectors::Here);
    index.put(document("a", None, &["some text"]));
    let hits = index.search(&search).hits;
    assert!(hits[0].cosine.unwrap() > 0.99);
}

#[test]
fn a_store_of_vectors_answers_for_the_index() {
    let mut index = Index::new(Some("test".to_owned()), Vectors::Elsewhere);
    let known = document("a", Some("x"), &["some text", "more of it"]);
    let ids: Vec<ChunkId> = known.chunk_ids().collect();
    index.put(known);
    let other = document("b", Some("y"), &["another brand"]);
    let (of_other, stale) = (other.chunk_ids().next().unwrap(), ids[0]);
    index.put(other);
    let found = [(of_other, 0.9), (ids[1], 0.8), (ids[0], 0.7)];
    let search = |index: &Index, brand| {
        let search = Search {
            question: "nothing shared",
            dense: Dense::Given(&found),
            brand,
            k: 5,
        };
        let hits = index.search(&search).hits.into_iter();
        hits.map(|hit| (hit.entry.text.clone(), hit.cosine.unwrap()))
            .collect::<Vec<_>>()
    };
    let of_x = [
        ("more of it".to_owned(), 0.8),
        ("some text".to_owned(), 0.7),
    ];
    assert_eq!(search(&index, Some("x")), of_x);
    assert_eq!(search(&index, None)[0], ("another brand".to_owned(), 0.9));
    assert_eq!(index.without_vectors(), 0);

    // Of a version that is no more: passed over.
    let mut changed = document("a", Some("x"), &["some text"]);
    changed.content_hash = "2".to_owned();
    assert_ne!(changed.chunk_ids().next(), Some(stale));
    index.put(changed);
    assert_eq!(search(&index, Some("x")), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However it came to be, an index answers like one that was just built.
    #[test]
    fn history_leaves_no_trace(
        steps in prop::collection::vec((0..6_u8, prop::option::of(prop::collection::vec("(pump|oil|hose|tap) (pump|oil|hose|tap)", 0..4))), 0..40),
    ) {
        let mut index = Index::new(Some("test".to_owned()), Vectors::Here);
        let mut latest = BTreeMap::new();
        for (id, texts) in &steps {
            let (id, brand) = (format!("d{id}"), (id % 2 == 0).then_some("x"));
            match texts {
                Some(texts) => {
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    index.put(document(&id, brand, &texts));
                    latest.insert(id.clone(), document(&id, brand, &texts));
                }
                None => {
                    index.remove(&DocumentKey::new(brand, &id));
                    latest.remove(&id);
                }
            }
        }
        let mut fresh = Index::new(Some("test".to_owned()), Vectors::Here);
        latest.into_values().for_each(|document| fresh.put(document));
        prop_assert_eq!((index.documents(), index.chunks()), (fresh.documents(), fresh.chunks()));
        let vector = Vector::of(&[8.0, 1.0, 0.5]).unwrap();
        for (question, dense) in [("pump oil", Dense::None), ("hose", Dense::Vector(&vector))] {
            let found = [&index, &fresh].map(|index| {
                let search = Search { question, dense, brand: None, k: 1_000 };
                let hits = index.search(&search).hits;
                let mut hits: Vec<_> = hits.into_iter().map(|hit| {
                    (hit.entry.document.id.clone(), hit.entry.ordinal, hit.cosine.map(f32::to_bits))
                }).collect();
                hits.sort();
                hits
            });
            prop_assert_eq!(&found[0], &found[1]);
        }
    }
}

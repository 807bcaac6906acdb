use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_common::broker::LastDocument;
use flotilla_common::model::DocumentKey;
use jiff::Timestamp;
use proptest::prelude::*;

use super::load::Unusable;
use super::*;
use crate::{Chunk, Dense, Document, Index, Search, Vector, Vectors, answer};

const EMBEDDER: &str = "test";

fn kind(vectors: Vectors) -> Kind {
    Kind {
        embedder: Some(EMBEDDER.to_owned()),
        vectors,
    }
}

fn document(id: &str, texts: &[&str]) -> Document {
    let chunk = |text: &&str| Chunk {
        headings: vec!["Parts".to_owned()],
        text: (*text).to_owned(),
        vector: Vector::of(&[text.len() as f32, 1.0, 0.5]),
    };
    Document {
        id: id.to_owned(),
        brand: id.ends_with('x').then(|| "x".to_owned()),
        title: format!("Title of {id}"),
        url: Some(format!("https://{id}.example/")),
        content_hash: texts.concat(),
        as_of: Timestamp::UNIX_EPOCH,
        // Of those of another embedder the words are kept.
        embedder: Some(
            if id.starts_with("old") {
                "old"
            } else {
                EMBEDDER
            }
            .to_owned(),
        ),
        chunks: texts.iter().map(chunk).collect(),
    }
}

fn last(sequence: u64) -> LastDocument {
    LastDocument {
        created: Timestamp::UNIX_EPOCH,
        sequence,
        is_empty: false,
        compacted: 0,
    }
}

fn write(index: &Index, directory: &Path, applied: u64) {
    let header = Header::new(index.kind().clone(), Timestamp::UNIX_EPOCH, applied);
    let mut draft = Draft::begin(directory, &header).unwrap();
    for key in index.keys() {
        draft.add(&index.held(&key).unwrap()).unwrap();
    }
    draft.finish().unwrap();
}

fn some_index() -> Index {
    let mut index = Index::of(kind(Vectors::Here));
    index.put(document(
        "pump",
        &["The tank holds 5 litres.", "Never use bleach."],
    ));
    index.put(document("oven-x", &["The oven weighs 31 kg.\nIt is blue."]));
    index
}

/// All that a search finds, in an order of its own: chunks that are equally good have none.
fn told(index: &Index, question: &str, dense: Dense<'_>, brand: Option<&str>) -> Vec<String> {
    let search = Search {
        question,
        dense,
        brand,
        k: 1_000,
    };
    let hits = index.search(&search).hits.into_iter();
    let mut told: Vec<String> = hits
        .map(|hit| format!("{:?} {:?}", hit.entry, hit.cosine))
        .collect();
    told.sort();
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever its history, an index that was written and read answers as it did.
    #[test]
    fn an_index_is_read_as_it_was_written(
        steps in prop::collection::vec((
            "(a|b|old)(x|y)?",
            prop::option::of(prop::collection::vec("(pump|oil|hose|tap|é\"\n) (pump|oil|hose|tap)", 0..4)),
        ), 0..20),
        is_elsewhere: bool,
    ) {
        let kind = kind(if is_elsewhere { Vectors::Elsewhere } else { Vectors::Here });
        let mut index = Index::of(kind.clone());
        for (id, texts) in &steps {
            match texts {
                Some(texts) => {
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    index.put(document(id, &texts));
                }
                None => index.remove(&document(id, &[]).key()),
            }
        }
        let directory = tempfile::tempdir().unwrap();
        write(&index, directory.path(), 7);
        let (read, applied) = load(directory.path(), &kind, &last(9)).unwrap().unwrap();
        prop_assert_eq!(applied, 7);
        prop_assert_eq!(read.holdings(64), index.holdings(64));
        prop_assert_eq!(read.without_vectors(), index.without_vectors());
        prop_assert_eq!((read.documents(), read.chunks()), (index.documents(), index.chunks()));
        let vector = Vector::of(&[8.0, 1.0, 0.5]).unwrap();
        let ids: Vec<_> = document("a", &["pump oil", "tap tap"]).chunk_ids().map(|id| (id, 0.5)).collect();
        for dense in [Dense::None, Dense::Vector(&vector), Dense::Given(&ids)] {
            for (question, brand) in [("pump oil", None), ("Which hose?", Some("x"))] {
                prop_assert_eq!(told(&read, question, dense, brand), told(&index, question, dense, brand));
            }
        }
    }
}

#[test]
fn answers_are_the_same_from_a_snapshot() {
    let (index, directory) = (some_index(), tempfile::tempdir().unwrap());
    write(&index, directory.path(), 1);
    let (read, _) = load(directory.path(), index.kind(), &last(1))
        .unwrap()
        .unwrap();
    for question in [
        "How much does the tank hold?",
        "What is the weight of the oven?",
    ] {
        let [a, b] = [&index, &read].map(|index| {
            answer(&index.search(&Search {
                question,
                dense: Dense::None,
                brand: None,
                k: 5,
            }))
        });
        assert!(a.text.is_some(), "{question}: {a:?}");
        assert_eq!((a.text, a.citations), (b.text, b.citations));
    }
}

#[test]
fn what_is_not_as_it_was_written_is_not_used() {
    let (index, directory) = (some_index(), tempfile::tempdir().unwrap());
    write(&index, directory.path(), 1);
    let path = file(directory.path());
    let whole = std::fs::read(&path).unwrap();
    let read = || load(directory.path(), index.kind(), &last(1));
    // Up to the last character, which is the end of a line that is whole.
    for length in 0..whole.len() - 1 {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(read().is_err(), "cut to {length} of {} bytes", whole.len());
    }
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        assert!(read().is_err(), "byte {at} is altered");
    }
    // One that is longer than what is read ahead.
    let mut long = Index::of(index.kind().clone());
    for n in 0..300 {
        long.put(document(&format!("d{n}"), &["some text"]));
    }
    write(&long, directory.path(), 1);
    let mut altered = std::fs::read(&path).unwrap();
    let line = altered.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    altered[line] = b'x';
    std::fs::write(&path, &altered).unwrap();
    assert!(read().is_err());
    let twice = [whole.as_slice(), &whole].concat();
    std::fs::write(&path, twice).unwrap();
    assert!(read().is_err());
    std::fs::write(&path, &whole).unwrap();
    assert!(read().unwrap().is_some());
    std::fs::remove_file(&path).unwrap();
    assert!(read().unwrap().is_none());
}

#[test]
fn what_is_foreign_or_too_old_is_not_used() {
    let (index, directory) = (some_index(), tempfile::tempdir().unwrap());
    write(&index, directory.path(), 5);
    let read = |kind: &Kind, last: LastDocument| match load(directory.path(), kind, &last) {
        Ok(read) => read.map(|(_, applied)| applied.to_string()).unwrap(),
        Err(error) => error.to_string(),
    };
    let ours = index.kind();
    assert_eq!(read(ours, last(5)), "5");
    let elsewhere = kind(Vectors::Elsewhere);
    let mut other = ours.clone();
    other.embedder = None;
    for foreign in [elsewhere, other] {
        assert!(read(&foreign, last(9)).contains("another kind"));
    }
    let created = Timestamp::UNIX_EPOCH + Duration::from_nanos(1);
    assert!(read(ours, LastDocument { created, ..last(9) }).contains("another log"));
    // Tombstones were removed that the snapshot does not know; it knows those up to 5.
    let compacted = |compacted| LastDocument {
        compacted,
        ..last(9)
    };
    assert_eq!(read(ours, compacted(5)), "5");
    assert!(read(ours, compacted(6)).contains("no longer goes on"));
    assert!(read(ours, last(4)).contains("no longer goes on"));

    let path = file(directory.path());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"format\":1", "\"format\":2")).unwrap();
    let error = load(directory.path(), ours, &last(5)).unwrap_err();
    assert!(matches!(error, Unusable::Format(2)), "{error}");
}

#[test]
fn processes_that_share_a_directory_mix_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let of = |n: u64| {
        let mut index = Index::of(kind(Vectors::Here));
        for id in 0..20 {
            index.put(document(&format!("d{id}"), &[&format!("number {n}")]));
        }
        index
    };
    write(&of(0), directory.path(), 1);
    std::thread::scope(|scope| {
        for n in 1..4 {
            let (directory, index) = (directory.path(), of(n));
            scope.spawn(move || (0..10).for_each(|_| write(&index, directory, n + 1)));
        }
        for _ in 0..20 {
            let read = load(directory.path(), &kind(Vectors::Here), &last(9));
            let (index, applied) = read.unwrap().unwrap();
            let texts = told(&index, "number", Dense::None, None);
            assert_eq!(texts.len(), 20);
            let is_of_it = |text: &String| text.contains(&format!("number {}", applied - 1));
            assert!(texts.iter().all(is_of_it), "{applied}: {texts:?}");
        }
    });
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 1, "no draft stays");
}

/// The test runs itself once more as the process that is killed.
#[test]
fn a_process_that_is_killed_while_it_writes_leaves_what_was_there() {
    const NAME: &str =
        "snapshot::tests::a_process_that_is_killed_while_it_writes_leaves_what_was_there";
    const INTO: &str = "FLOTILLA_TEST_WRITES_SNAPSHOTS_INTO";
    if let Some(directory) = std::env::var_os(INTO) {
        let mut index = Index::of(kind(Vectors::Here));
        for id in 0..300 {
            index.put(document(&format!("d{id}"), &["some text"; 10]));
        }
        loop {
            write(&index, directory.as_ref(), 1);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let drafts = || {
        let entries = std::fs::read_dir(directory.path()).unwrap().flatten();
        let paths = entries.map(|entry| entry.path());
        let is_draft = |path: &PathBuf| path.to_string_lossy().ends_with(DRAFT);
        paths.filter(is_draft).collect::<Vec<_>>()
    };
    for round in 0..8_u64 {
        let before = drafts().len();
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env(INTO, directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while drafts().len() == before && writer.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(round * 3));
        writer.kill().unwrap();
        writer.wait().unwrap();
        match load(directory.path(), &kind(Vectors::Here), &last(1)).unwrap() {
            Some((index, _)) => assert_eq!(index.documents(), 300),
            None => assert!(!file(directory.path()).exists()),
        }
    }
    let left = drafts();
    assert!(!left.is_empty(), "it was killed while it wrote");
    // They go once they are nobody's.
    for draft in left {
        let file = File::options().write(true).open(draft).unwrap();
        let long_ago = std::time::SystemTime::now() - ABANDONED_AFTER * 2;
        file.set_modified(long_ago).unwrap();
    }
    write(&some_index(), directory.path(), 1);
    assert_eq!(drafts(), [""; 0].map(PathBuf::from));
    let key = DocumentKey::new(None, "pump");
    let (index, _) = load(directory.path(), &kind(Vectors::Here), &last(1))
        .unwrap()
        .unwrap();
    assert_eq!(index.held(&key), some_index().held(&key));
}

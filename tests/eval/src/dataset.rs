//! The corpus and the questions, as BEIR lays them out: corpus.jsonl, queries.jsonl, qrels.tsv;
//! beside them answers.jsonl, with parts of the documents of which an answer must have one.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Debug)]
pub struct Dataset {
    pub documents: Vec<Text>,
    pub questions: Vec<Question>,
}

#[derive(Debug, Deserialize)]
pub struct Text {
    #[serde(rename = "_id")]
    pub id: String,
    pub title: String,
    pub text: String,
    pub metadata: Metadata,
}

#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub brand: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Question {
    pub id: String,
    pub text: String,
    pub brand: Option<String>,
    /// What makes it hard: `code`, `brand`, `paraphrase`, `typo`, `near` and the like.
    pub kind: String,
    /// The documents that answer it; of one that cannot be answered, none.
    pub relevant: BTreeSet<String>,
    /// One of these is in a right answer.
    pub answers: Vec<String>,
    pub half: Half,
}

/// Constants are fitted to one half and judged by the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Tune,
    Test,
}

#[derive(Deserialize)]
struct Query {
    #[serde(rename = "_id")]
    id: String,
    text: String,
    metadata: QueryMetadata,
}

#[derive(Deserialize)]
struct QueryMetadata {
    kind: String,
    brand: Option<String>,
}

#[derive(Deserialize)]
struct Answers {
    #[serde(rename = "_id")]
    id: String,
    answers: Vec<String>,
}

impl Dataset {
    /// The project's own.
    pub fn ours() -> anyhow::Result<Self> {
        Self::read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data"))
    }

    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut relevant = relevant(&read(&directory.join("qrels.tsv"))?)?;
        let answers: Vec<Answers> = lines(&directory.join("answers.jsonl"))?;
        let mut answers: HashMap<String, Vec<String>> =
            answers.into_iter().map(|a| (a.id, a.answers)).collect();
        let queries: Vec<Query> = lines(&directory.join("queries.jsonl"))?;
        let question = |(n, query): (usize, Query)| Question {
            relevant: relevant.remove(&query.id).unwrap_or_default(),
            answers: answers.remove(&query.id).unwrap_or_default(),
            // Questions of a kind stand together: taking turns gives each half some of each.
            half: if n % 2 == 0 { Half::Tune } else { Half::Test },
            id: query.id,
            text: query.text,
            brand: query.metadata.brand,
            kind: query.metadata.kind,
        };
        Ok(Self {
            questions: queries.into_iter().enumerate().map(question).collect(),
            documents: lines(&directory.join("corpus.jsonl"))?,
        })
    }

    pub fn half(&self, half: Half) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(move |q| q.half == half)
    }
}

impl Question {
    pub fn is_answerable(&self) -> bool {
        !self.relevant.is_empty()
    }
}

fn relevant(qrels: &str) -> anyhow::Result<HashMap<String, BTreeSet<String>>> {
    let mut relevant: HashMap<String, BTreeSet<String>> = HashMap::new();
    for line in qrels.lines().skip(1) {
        let mut fields = line.split('\t');
        let (Some(query), Some(document), Some(score)) =
            (fields.next(), fields.next(), fields.next())
        else {
            anyhow::bail!("qrels.tsv: {line:?} has not three fields");
        };
        if score != "0" {
            let documents = relevant.entry(query.to_owned()).or_default();
            documents.insert(document.to_owned());
        }
    }
    Ok(relevant)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn lines<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text = read(path)?;
    let parsed = text.lines().map(serde_json::from_str);
    parsed
        .collect::<Result<_, _>>()
        .with_context(|| path.display().to_string())
}

//! Asks questions of an index over the corpus, as the query service does.

use flotilla_knowledge::{
    Answer, Chunk, Dense, Document, Found, Index, Search, Vector, Vectors, answer, chunk, propose,
};
use flotilla_minilm::{Local, Model, Scratch};

use crate::dataset::{Dataset, Question, Text};

/// What the query service looks at where a question does not say.
const PASSAGES: usize = 5;
/// Enough chunks for ten documents.
const RANKED: usize = 40;

#[derive(Debug)]
pub struct Asked<'a> {
    pub question: &'a Question,
    /// Documents in the order in which their first chunks were found.
    pub ranking: Vec<String>,
    pub found: Found,
    pub answer: Answer,
    /// The answer that it would have been without the threshold.
    pub proposed: Answer,
}

/// How chunks are found.
#[derive(Debug, Clone, Copy)]
pub enum Retrieval<'a> {
    Lexical,
    Dense(&'a Model),
    Hybrid(&'a Model),
}

impl<'a> Retrieval<'a> {
    pub fn name(self) -> &'static str {
        match self {
            Self::Lexical => "lexical",
            Self::Dense(_) => "dense",
            Self::Hybrid(_) => "hybrid",
        }
    }

    fn model(self) -> Option<&'a Model> {
        match self {
            Self::Lexical => None,
            Self::Dense(model) | Self::Hybrid(model) => Some(model),
        }
    }

    fn vector(self, text: &str) -> Option<Vector> {
        let embeddings = self.model()?.embed(&[text], &mut Scratch::default());
        Vector::of(embeddings.first()?)
    }
}

/// The documents, cut and embedded as the embedding service does it.
pub fn documents(dataset: &Dataset, model: Option<&Model>) -> anyhow::Result<Vec<Document>> {
    let embedder = model.map(|_| Local::ID.to_owned());
    let document = |text: &Text| {
        let mut document = Document {
            id: text.id.clone(),
            brand: text.metadata.brand.clone(),
            title: text.title.clone(),
            url: None,
            content_hash: String::new(),
            as_of: jiff::Timestamp::UNIX_EPOCH,
            embedder: embedder.clone(),
            chunks: chunk(&text.text, Some(&text.title))?.chunks,
        };
        if let Some(model) = model {
            embed(&mut document, model);
        }
        Ok(document)
    };
    dataset.documents.iter().map(document).collect()
}

/// An index over documents that are all of one embedder, or of none.
pub fn index_of(documents: impl IntoIterator<Item = Document>) -> Index {
    let mut documents = documents.into_iter().peekable();
    let embedder = documents.peek().and_then(|first| first.embedder.clone());
    let mut index = Index::new(embedder, Vectors::Here);
    documents.for_each(|document| index.put(document));
    index
}

/// An index over the whole dataset.
pub fn index(dataset: &Dataset, model: Option<&Model>) -> anyhow::Result<Index> {
    Ok(index_of(documents(dataset, model)?))
}

fn embed(document: &mut Document, model: &Model) {
    let context = |chunk: &Chunk| document.context_of(chunk);
    let contexts: Vec<String> = document.chunks.iter().map(context).collect();
    let contexts: Vec<&str> = contexts.iter().map(String::as_str).collect();
    let embeddings = model.embed(&contexts, &mut Scratch::default());
    for (chunk, embedding) in document.chunks.iter_mut().zip(&embeddings) {
        chunk.vector = Vector::of(embedding);
    }
}

pub fn ask_all<'a>(
    index: &Index,
    retrieval: Retrieval<'_>,
    questions: impl Iterator<Item = &'a Question>,
) -> Vec<Asked<'a>> {
    questions
        .map(|question| ask(index, retrieval, question))
        .collect()
}

pub(crate) fn ask<'a>(
    index: &Index,
    retrieval: Retrieval<'_>,
    question: &'a Question,
) -> Asked<'a> {
    let vector = retrieval.vector(&question.text);
    let mut search = Search {
        question: match retrieval {
            // By meaning alone: no word is looked for.
            Retrieval::Dense(_) => "",
            _ => &question.text,
        },
        dense: vector.as_ref().map_or(Dense::None, Dense::Vector),
        brand: question.brand.as_deref(),
        k: RANKED,
    };
    let mut ranking: Vec<String> = Vec::new();
    for hit in index.search(&search).hits {
        let id = &hit.entry.document.id;
        if !ranking.contains(id) {
            ranking.push(id.clone());
        }
    }
    search.k = PASSAGES;
    let found = index.search(&search);
    Asked {
        question,
        ranking,
        answer: answer(&found),
        proposed: propose(&found),
        found,
    }
}

impl Asked<'_> {
    /// Whether the text has what the question asks for.
    pub fn is_right(&self, answer: &Answer) -> bool {
        let text = answer.text.as_deref().unwrap_or_default();
        let expected = &self.question.answers;
        expected.iter().any(|expected| text.contains(expected))
    }
}

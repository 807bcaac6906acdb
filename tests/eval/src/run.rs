//! Asks questions of an index over the corpus, as the query service does.

use flotilla_knowledge::{
    Answer, Dense, Document, Found, Index, Search, Vectors, answer, chunk, propose,
};

use crate::dataset::{Dataset, Question};

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

/// An index over the documents, cut as the embedding service cuts them.
pub fn index(dataset: &Dataset) -> anyhow::Result<Index> {
    let mut index = Index::new(None, Vectors::Here);
    for text in &dataset.documents {
        index.put(Document {
            id: text.id.clone(),
            brand: text.metadata.brand.clone(),
            title: text.title.clone(),
            url: None,
            content_hash: String::new(),
            as_of: jiff::Timestamp::UNIX_EPOCH,
            embedder: None,
            chunks: chunk(&text.text, Some(&text.title))?.chunks,
        });
    }
    Ok(index)
}

pub fn ask_all<'a>(index: &Index, questions: impl Iterator<Item = &'a Question>) -> Vec<Asked<'a>> {
    questions.map(|question| ask(index, question)).collect()
}

fn ask<'a>(index: &Index, question: &'a Question) -> Asked<'a> {
    let mut search = Search {
        question: &question.text,
        dense: Dense::None,
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

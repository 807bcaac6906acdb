//! The query category's handler: find, answer, cite.

use std::sync::Arc;
use std::time::Duration;

use flotilla_common::model::{Category, Failure, FailureCode, Outcome};
use flotilla_common::worker::{Attempt, Handler};
use flotilla_knowledge::{
    Answer, Citation, Dense, Embedder, Found, Hit, Live, Search, Vector, answer,
};
use serde::Serialize;
use tokio::time::timeout;

use crate::payload::Payload;

/// How long a question waits for a document that it wants to know.
const APPLIED_WITHIN: Duration = Duration::from_secs(3);
const NOT_FOUND: &str = "The documents do not answer this question.";

#[derive(Debug)]
pub struct QueryHandler {
    embedder: Embedder,
    index: Arc<Live>,
}

/// What a task answers with.
#[derive(Debug, Serialize)]
struct Answered {
    query: String,
    answer: String,
    /// Whether the documents hold an answer.
    found: bool,
    /// Where the answer comes from: addresses, or names where a document has none.
    sources: Vec<String>,
    citations: Vec<Citation>,
    confidence: f32,
    /// How the answer was made: `extractive` out of sentences of the documents.
    mode: &'static str,
    /// `hybrid`, or `lexical` where there are no embeddings.
    retrieval: &'static str,
    /// Whether something was missing that is configured: the answer may be better later.
    degraded: bool,
    passages: Vec<Passage>,
    /// The latest change of the documents that the answer knows of.
    applied_sequence: u64,
}

/// A part of a document that the answer was looked for in.
#[derive(Debug, Serialize)]
struct Passage {
    document_id: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headings: Vec<String>,
    chunk: usize,
    text: String,
    score: f32,
}

impl QueryHandler {
    pub fn new(embedder: Embedder, index: Live) -> Self {
        Self {
            embedder,
            index: Arc::new(index),
        }
    }

    async fn answer(&self, payload: Payload, attempt: &Attempt) -> Result<Answered, Outcome> {
        if let Some(sequence) = payload.at_least {
            let applied = timeout(APPLIED_WITHIN, self.index.applied(sequence)).await;
            applied.map_err(|_| behind(sequence, self.index.state().applied))?;
        }
        let vector = self.vector(&payload.question, attempt).await;
        let applied_sequence = self.index.state().applied;
        let is_hybrid = vector.is_some();
        let (payload, found, answer) = self.find(payload, vector).await?;
        Ok(Answered {
            query: payload.question,
            found: answer.text.is_some(),
            answer: answer.text.unwrap_or_else(|| NOT_FOUND.to_owned()),
            sources: sources(&answer.citations),
            citations: answer.citations,
            confidence: answer.confidence,
            mode: "extractive",
            retrieval: if is_hybrid { "hybrid" } else { "lexical" },
            degraded: self.embedder.id().is_some() && !is_hybrid,
            passages: found.hits.iter().map(passage).collect(),
            applied_sequence,
        })
    }

    /// Without it the question is answered by its words.
    async fn vector(&self, question: &str, attempt: &Attempt) -> Option<Vector> {
        let embedded = self
            .embedder
            .embed(vec![question.to_owned()], attempt)
            .await;
        match embedded {
            Ok(vectors) => vectors.into_iter().next().flatten(),
            Err(error) => {
                tracing::warn!(%error, "a question is answered by its words alone");
                None
            }
        }
    }

    /// On a blocking thread: a search takes a core for some milliseconds.
    async fn find(
        &self,
        payload: Payload,
        vector: Option<Vector>,
    ) -> Result<(Payload, Found, Answer), Outcome> {
        let index = Arc::clone(&self.index);
        let work = tokio::task::spawn_blocking(move || {
            let found = index.search(&Search {
                question: &payload.question,
                dense: vector.as_ref().map_or(Dense::None, Dense::Vector),
                brand: payload.brand.as_deref(),
                k: payload.k,
            });
            let answer = answer(&found);
            (payload, found, answer)
        });
        work.await
            .map_err(|error| Outcome::retry(Failure::new(FailureCode::PANIC, error.to_string())))
    }
}

impl Handler for QueryHandler {
    const CATEGORY: Category = Category::Query;
    type Payload = Payload;

    async fn handle(&self, payload: Payload, attempt: &Attempt) -> Outcome {
        match self
            .answer(payload, attempt)
            .await
            .map(serde_json::to_value)
        {
            Ok(Ok(result)) => Outcome::Done(result),
            Ok(Err(error)) => Outcome::Reject(Failure::new("unwritable_result", error.to_string())),
            Err(outcome) => outcome,
        }
    }
}

fn behind(wanted: u64, applied: u64) -> Outcome {
    let message = format!("the index has applied {applied}, and the question asks for {wanted}");
    Outcome::retry(Failure::new("index_behind", message))
}

/// Each document once, in the order of the answer.
fn sources(citations: &[Citation]) -> Vec<String> {
    let mut sources: Vec<String> = Vec::new();
    for citation in citations {
        let source = citation.url.as_ref().unwrap_or(&citation.document_id);
        if !sources.contains(source) {
            sources.push(source.clone());
        }
    }
    sources
}

fn passage(hit: &Hit) -> Passage {
    let entry = &hit.entry;
    Passage {
        document_id: entry.document.id.clone(),
        title: entry.document.title.clone(),
        url: entry.document.url.clone(),
        headings: entry.headings.clone(),
        chunk: entry.ordinal,
        text: entry.text.clone(),
        score: hit.score,
    }
}

//! The query category's handler: find, answer, cite.

use std::sync::Arc;
use std::time::Duration;

use flotilla_common::call;
use flotilla_common::model::{Category, Failure, FailureCode, Outcome, Probed};
use flotilla_common::worker::{Attempt, Handler};
use flotilla_knowledge::{Answer, Citation, Embedder, Found, Hit, Live, Search, answer, dense};
use flotilla_remote::openai::Usage;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::compose::compose;
use crate::generate::Writer;
use crate::meaning::Meaning;
use crate::payload::Payload;

/// How long a question waits for a document that it wants to know.
const APPLIED_WITHIN: Duration = Duration::from_secs(3);
const NOT_FOUND: &str = "The documents do not answer this question.";

#[derive(Debug)]
pub(crate) struct QueryHandler {
    embedder: Embedder,
    vectors: dense::Store,
    index: Arc<Live>,
    writer: Option<Writer>,
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
    /// How the answer was made: `extractive` out of sentences of the documents, `generative` by
    /// a language model, whose `[n]` are the n-th of `passages`.
    mode: &'static str,
    /// `hybrid`, or `lexical` where there are no embeddings.
    retrieval: &'static str,
    /// Whether something was missing that is configured: the answer may be better later.
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Sentences of the model that its sources did not support.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
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
    pub(crate) fn new(
        embedder: Embedder,
        vectors: dense::Store,
        index: Arc<Live>,
        writer: Option<Writer>,
    ) -> Self {
        Self {
            embedder,
            vectors,
            writer,
            index,
        }
    }

    async fn answer(&self, payload: Payload, attempt: &Attempt) -> Result<Answered, Outcome> {
        let since = Instant::now();
        if let Some(sequence) = payload.at_least {
            let applied = timeout(APPLIED_WITHIN, self.index.applied(sequence)).await;
            applied.map_err(|_| behind(sequence, self.index.state().applied))?;
        }
        let meaning = Meaning::of(
            &payload,
            &self.embedder,
            &self.vectors,
            &self.index,
            attempt,
        )
        .await;
        let applied_sequence = self.index.state().applied;
        let (is_hybrid, lexical_because) = match &meaning {
            Ok(Meaning::Unknown) => (false, None),
            Ok(_) => (true, None),
            Err(because) => (false, Some(because.clone())),
        };
        let meaning = meaning.unwrap_or(Meaning::Unknown);
        let (payload, found, answer) = self.find(payload, meaning).await?;
        let writer = self.writer.as_ref();
        let composed = compose(writer, &payload, &found, answer, since, attempt).await;
        let reason = composed.degraded_reason.or(lexical_because);
        Ok(Answered {
            query: payload.question,
            found: composed.text.is_some(),
            answer: composed.text.unwrap_or_else(|| NOT_FOUND.to_owned()),
            sources: sources(&composed.citations),
            citations: composed.citations,
            confidence: composed.confidence,
            mode: composed.mode,
            retrieval: if is_hybrid { "hybrid" } else { "lexical" },
            degraded: reason.is_some(),
            degraded_reason: reason,
            model: composed.model,
            usage: composed.usage,
            left_out: composed.left_out,
            passages: found.hits.iter().map(passage).collect(),
            applied_sequence,
        })
    }

    /// On a blocking thread: a search takes a core for some milliseconds.
    async fn find(
        &self,
        payload: Payload,
        meaning: Meaning,
    ) -> Result<(Payload, Found, Answer), Outcome> {
        let _span = call!("internal", "search");
        let index = Arc::clone(&self.index);
        let work = tokio::task::spawn_blocking(move || {
            let found = index.search(&Search {
                question: &payload.question,
                dense: meaning.dense(),
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
    type Payload = Payload;

    fn category(&self) -> Category {
        Category::Query
    }

    async fn probe(&self) -> Vec<Probed> {
        let openai = match &self.writer {
            Some(writer) => writer.client().probe().await,
            None => self.embedder.probe().await,
        };
        vec![openai, self.vectors.probe().await]
    }

    async fn handle(&self, payload: Payload, attempt: &Attempt) -> Outcome {
        let answered = self.answer(payload, attempt).await;
        answered.map_or_else(|outcome| outcome, |answered| Outcome::done(&answered))
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
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

//! `/embeddings`: vectors of texts, in their order.

use std::time::Duration;

use flotilla_common::worker::Attempt;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::Client;
use super::client::{Begun, Until};
use super::fault::Fault;
use crate::CallError;
use crate::http;

/// Texts in one call.
const BATCH: usize = 128;
const ANSWER_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// These let the caller choose how many dimensions they answer with.
const SHORTENABLE: &str = "text-embedding-3";

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Vec<f32>,
}

impl Client {
    /// The vector of each text; each call has so long. One that is given up earlier than a call
    /// may take says nothing of the API's health.
    pub async fn embed(
        &self,
        model: &str,
        texts: &[String],
        attempt: &Attempt,
        within: Duration,
    ) -> Result<Vec<Vec<f32>>, CallError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            vectors.extend(self.embed_batch(model, batch, attempt, within).await?);
        }
        Ok(vectors)
    }

    async fn embed_batch(
        &self,
        model: &str,
        texts: &[String],
        attempt: &Attempt,
        within: Duration,
    ) -> Result<Vec<Vec<f32>>, CallError> {
        let dimensions = self.config().embedding_dimensions;
        let mut body = json!({"model": model, "input": texts, "encoding_format": "float"});
        if model.starts_with(SHORTENABLE) {
            body["dimensions"] = json!(dimensions);
        }
        let (started, total) = (Instant::now(), self.config().total_timeout);
        let until = Until {
            at: started + total.min(within),
            is_patience: within < total,
        };
        let begun = self.post("embeddings", &body, attempt, until).await?;
        let Begun {
            response, permit, ..
        } = begun;
        let vectors = match timeout_at(until.at, http::read(response, ANSWER_BYTES_MAX)).await {
            Ok(Ok(body)) => vectors(&body, texts.len(), dimensions),
            Ok(Err(error)) => Err(Fault::broken(&http::first_cause(&error))),
            Err(_) => Err(until.late("to send its embeddings", started)),
        };
        match vectors {
            Ok(vectors) => {
                permit.succeeded();
                Ok(vectors)
            }
            Err(fault) => {
                fault.tell(permit);
                Err(fault.into())
            }
        }
    }
}

/// By `index`, whatever the order of the answer is.
fn vectors(body: &[u8], count: usize, dimensions: usize) -> Result<Vec<Vec<f32>>, Fault> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| Fault::unreadable(&error.to_string()))?;
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
    for (place, item) in answer.data.into_iter().enumerate() {
        let index = item.index.unwrap_or(place);
        let vector = vectors.get_mut(index);
        let vector = vector.ok_or_else(|| Fault::unreadable("more embeddings than texts"))?;
        if item.embedding.len() != dimensions {
            let message = format!(
                "the embedding model answers with {} dimensions, and openai.embedding_dimensions is {dimensions}: set it to what the model has",
                item.embedding.len()
            );
            return Err(Fault::permanent("embedding_dimensions", message));
        }
        *vector = Some(item.embedding);
    }
    let all: Option<Vec<_>> = vectors.into_iter().collect();
    all.ok_or_else(|| Fault::unreadable("fewer embeddings than texts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_their_texts() {
        let body =
            br#"{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}],"x":1}"#;
        assert_eq!(vectors(body, 2, 2).unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
        let body = br#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#;
        assert_eq!(vectors(body, 2, 1).unwrap(), [[1.0], [2.0]]);
    }

    #[test]
    fn what_does_not_fit_is_told_apart() {
        let body = br#"{"data":[{"index":0,"embedding":[1,2]}]}"#;
        assert!(!vectors(body, 1, 3).unwrap_err().may_pass());
        assert!(vectors(body, 2, 2).unwrap_err().may_pass());
        assert!(vectors(b"{", 1, 2).unwrap_err().may_pass());
        let twice = br#"{"data":[{"index":0,"embedding":[1]},{"index":7,"embedding":[1]}]}"#;
        assert!(vectors(twice, 2, 1).is_err());
    }
}

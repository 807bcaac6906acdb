//! What turns text into vectors, if anything does.

use crate::{Config, Vector};

/// Makes the vectors of documents and of questions; both must come from the same one.
#[derive(Debug, Clone)]
pub enum Embedder {
    /// There is none: documents are found by their words alone.
    None,
}

#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    #[error("the embedder's thread has ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl Embedder {
    pub fn new(_config: &Config) -> Result<Self, EmbedError> {
        Ok(Self::None)
    }

    /// Its name with its version: vectors of different embedders cannot be compared.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::None => None,
        }
    }

    /// The vector of each text; `None` where the text has none.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Option<Vector>>, EmbedError> {
        match self {
            Self::None => Ok(vec![None; texts.len()]),
        }
    }
}

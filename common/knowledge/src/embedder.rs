//! What turns text into vectors, if anything does.

use flotilla_common::worker::Attempt;
use flotilla_remote::CallError;

use crate::{Config, Vector};

/// Makes the vectors of documents and of questions; both must come from the same one.
#[derive(Debug, Clone)]
pub enum Embedder {
    /// There is none: documents are found by their words alone.
    None,
}

/// The embedder cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {}

impl Embedder {
    pub fn new(_config: &Config) -> Result<Self, SetupError> {
        Ok(Self::None)
    }

    /// Its name with its version: vectors of different embedders cannot be compared.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::None => None,
        }
    }

    /// The vector of each text; `None` where the text has none. The attempt is that of the task
    /// on whose behalf it is: calls elsewhere go through its breakers.
    pub async fn embed(
        &self,
        texts: Vec<String>,
        _attempt: &Attempt,
    ) -> Result<Vec<Option<Vector>>, CallError> {
        match self {
            Self::None => Ok(vec![None; texts.len()]),
        }
    }
}

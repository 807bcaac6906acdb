//! What turns text into vectors, if anything does.

use std::sync::Arc;
use std::time::Duration;

use flotilla_common::call;
use flotilla_common::model::{Condition, Dependency, Failure, Probed};
use flotilla_common::worker::Attempt;
use flotilla_minilm::{Failed, LoadError, Local};
use flotilla_remote::{CallError, openai};

use crate::config::Choice;
use crate::{Config, Vector};

/// A question is answered by its words where its vector takes longer.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(3);

/// Makes the vectors of documents and of questions; both must come from the same one.
#[derive(Debug, Clone)]
pub enum Embedder {
    /// There is none: documents are found by their words alone.
    None,
    /// all-MiniLM-L6-v2 in this process.
    Local(Arc<Local>),
    /// A model behind an OpenAI-compatible API.
    Remote {
        client: openai::Client,
        model: String,
    },
}

/// The embedder cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(
        "knowledge.embedder is \"openai\": set openai.embedding_model, and openai.api_key_file or openai.base_url"
    )]
    NoModel,
    #[error(
        "knowledge.embedder is \"local\": set knowledge.model_dir to the model's directory, which './just model' fetches and prints"
    )]
    NoLocal,
    #[error("knowledge.model_dir (or FLOTILLA_MODEL_DIR, where that is not set)")]
    Local(#[from] LoadError),
}

impl Embedder {
    /// `client` is of section `[openai]`, where that is configured.
    pub fn new(config: &Config, client: Option<&openai::Client>) -> Result<Self, SetupError> {
        let remote = client.and_then(|client| {
            let model = client.config().embedding_model.clone()?;
            let client = client.clone();
            Some(Self::Remote { client, model })
        });
        match config.embedder {
            Choice::None => Ok(Self::None),
            Choice::OpenAi => remote.ok_or(SetupError::NoModel),
            Choice::Local => Self::local(config)?.ok_or(SetupError::NoLocal),
            Choice::Auto => match remote {
                Some(remote) => Ok(remote),
                None => Ok(Self::local(config)?.unwrap_or(Self::None)),
            },
        }
    }

    fn local(config: &Config) -> Result<Option<Self>, SetupError> {
        let directory = config.model_dir();
        let local = directory.map(|directory| Local::load(&directory));
        Ok(local.transpose()?.map(Self::Local))
    }

    /// Its name with its version: vectors of different embedders cannot be compared.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Local(_) => Some(Local::ID.to_owned()),
            Self::Remote { client, model } => {
                let dimensions = client.config().embedding_dimensions;
                Some(format!("openai:{model}:{dimensions}"))
            }
        }
    }

    /// How many texts are embedded in one go.
    pub fn batch(&self) -> usize {
        match self {
            Self::None | Self::Local(_) => 32,
            Self::Remote { .. } => 128,
        }
    }

    /// The vector of each text; `None` where the text has none. The attempt is that of the task
    /// on whose behalf it is: calls elsewhere go through its breakers.
    pub async fn embed(
        &self,
        texts: Vec<String>,
        attempt: &Attempt,
    ) -> Result<Vec<Option<Vector>>, CallError> {
        self.embed_within(texts, attempt, Duration::MAX).await
    }

    /// The same for somebody who waits: ahead of all documents.
    pub async fn embed_question(
        &self,
        question: &str,
        attempt: &Attempt,
    ) -> Result<Option<Vector>, CallError> {
        if let Self::Local(local) = self {
            let _span = call!("internal", "embed", flotilla.texts = 1);
            let vector = local.embed_question(question.to_owned()).await;
            return Ok(Vector::of(&vector.map_err(local_failed)?));
        }
        let texts = vec![question.to_owned()];
        let vectors = self.embed_within(texts, attempt, QUESTION_TIME_MAX).await?;
        Ok(vectors.into_iter().next().flatten())
    }

    async fn embed_within(
        &self,
        texts: Vec<String>,
        attempt: &Attempt,
        within: Duration,
    ) -> Result<Vec<Option<Vector>>, CallError> {
        match self {
            Self::None => Ok(vec![None; texts.len()]),
            Self::Local(local) => {
                let _span = call!("internal", "embed", flotilla.texts = texts.len());
                let vectors = local.embed_documents(texts).await.map_err(local_failed)?;
                Ok(vectors.iter().map(|floats| Vector::of(floats)).collect())
            }
            Self::Remote { client, model } => {
                let vectors = client.embed(model, &texts, attempt, within).await?;
                Ok(vectors.iter().map(|floats| Vector::of(floats)).collect())
            }
        }
    }

    /// How what it calls is, where it calls anything.
    pub async fn probe(&self) -> Probed {
        match self {
            Self::Remote { client, .. } => client.probe().await,
            Self::None | Self::Local(_) => Probed {
                dependency: Dependency::OpenAi,
                condition: Condition::Disabled,
                detail: Some("no embedding model of it is used".to_owned()),
            },
        }
    }
}

fn local_failed(error: Failed) -> CallError {
    CallError::passing(Failure::new("local_model", error.to_string()))
}

//! Section `[knowledge]`: what the embedding and the query service must agree on.

use std::path::PathBuf;
use std::time::Duration;

use flotilla_common::model::duration;
use serde::Deserialize;

use crate::Snapshots;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What makes the vectors of documents and questions.
    pub embedder: Choice,
    /// The directory of all-MiniLM-L6-v2 (`model.safetensors` and `tokenizer.json`). Without it
    /// documents are found by their words alone.
    pub model_dir: Option<PathBuf>,
    /// Where query processes write their index down, so that the next start reads only what came
    /// after. Without it every start reads all documents.
    pub snapshot_dir: Option<PathBuf>,
    /// How often, where anything has changed.
    #[serde(with = "duration")]
    pub snapshot_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            embedder: Choice::default(),
            model_dir: None,
            snapshot_dir: None,
            snapshot_every: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// A snapshot is as large as the documents are.
    const SNAPSHOT_EVERY_MIN: Duration = Duration::from_secs(1);

    /// Says which setting is wrong and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        match self.snapshot_every < Self::SNAPSHOT_EVERY_MIN {
            true => Err("knowledge.snapshot_every must be 1s or longer".to_owned()),
            false => Ok(()),
        }
    }

    pub fn snapshots(&self) -> Option<Snapshots> {
        let directory = self.snapshot_dir.clone()?;
        Some(Snapshots {
            directory,
            every: self.snapshot_every,
        })
    }

    /// Where not set, what `./just up` has fetched: it says so by FLOTILLA_MODEL_DIR, which,
    /// unlike a setting's variable, does not override a file of settings.
    pub fn model_dir(&self) -> Option<PathBuf> {
        let fetched = || std::env::var_os("FLOTILLA_MODEL_DIR").filter(|dir| !dir.is_empty());
        let set = self.model_dir.clone();
        set.or_else(|| fetched().map(PathBuf::from))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The API where `openai.embedding_model` is set, a local model where there is one, or none.
    #[default]
    Auto,
    Local,
    OpenAi,
    None,
}

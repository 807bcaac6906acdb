//! Section `[knowledge]`: what the embedding and the query service must agree on.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What makes the vectors of documents and questions.
    pub embedder: Choice,
    /// The directory of all-MiniLM-L6-v2 (`model.safetensors` and `tokenizer.json`). Without it
    /// documents are found by their words alone.
    pub model_dir: Option<PathBuf>,
}

impl Config {
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

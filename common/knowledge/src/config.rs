//! Section `[knowledge]`: what the embedding and the query service must agree on.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The directory of all-MiniLM-L6-v2 (`model.safetensors` and `tokenizer.json`). Without it
    /// documents are found by their words alone.
    pub model_dir: Option<PathBuf>,
}

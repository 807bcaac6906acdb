//! Section `[openai]`, read by the embedding and the query service.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::Secret;

const BASE_URL: &str = "https://api.openai.com/v1";

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the API is, with its version.
    pub base_url: String,
    /// Sent as a bearer token. Better in a file, or in the environment.
    pub api_key: Option<Secret>,
    /// A file with nothing but the key.
    pub api_key_file: Option<PathBuf>,
    /// Makes the vectors of documents and questions.
    pub embedding_model: Option<String>,
    /// What that model answers with; asked of those that let it be chosen.
    pub embedding_dimensions: usize,
    /// Writes the answers; without it they are sentences of the documents.
    pub chat_model: Option<String>,
    #[serde(with = "flotilla_common::service::duration")]
    pub connect_timeout: Duration,
    /// From the request to the first piece of an answer.
    #[serde(with = "flotilla_common::service::duration")]
    pub first_token_timeout: Duration,
    /// Between two pieces of an answer.
    #[serde(with = "flotilla_common::service::duration")]
    pub idle_timeout: Duration,
    /// One call, from its start to its end.
    #[serde(with = "flotilla_common::service::duration")]
    pub total_timeout: Duration,
    /// How long a question waits for the language model; then it has its extractive answer.
    #[serde(with = "flotilla_common::service::duration")]
    pub answer_timeout: Duration,
    /// Calls that one service has under way at once.
    pub calls_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: BASE_URL.to_owned(),
            api_key: None,
            api_key_file: None,
            embedding_model: None,
            embedding_dimensions: 1_536,
            chat_model: None,
            connect_timeout: Duration::from_secs(2),
            first_token_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            total_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(20),
            calls_max: 16,
        }
    }
}

impl Config {
    /// With neither a key nor a server of one's own there is nobody to call.
    pub fn is_enabled(&self) -> bool {
        self.api_key.is_some() || self.api_key_file.is_some() || self.base_url != BASE_URL
    }

    /// Says which setting is wrong and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let is_used = self.embedding_model.is_some() || self.chat_model.is_some();
        let is_http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        let is_set = |model: &Option<String>| model.as_ref().is_none_or(|m| !m.trim().is_empty());
        let rules = [
            (
                is_http(&self.base_url) && reqwest::Url::parse(&self.base_url).is_ok(),
                "openai.base_url must be an http or https URL, like https://api.openai.com/v1",
            ),
            (
                self.api_key.is_none() || self.api_key_file.is_none(),
                "openai.api_key and openai.api_key_file exclude each other: set one",
            ),
            (
                self.is_enabled() || !is_used,
                "openai.embedding_model or openai.chat_model is set, but there is nobody to call: set openai.api_key_file, or openai.base_url for a server of your own",
            ),
            (
                is_set(&self.embedding_model) && is_set(&self.chat_model),
                "openai.embedding_model and openai.chat_model must be names of models, or left out",
            ),
            (
                (1..=16_384).contains(&self.embedding_dimensions),
                "openai.embedding_dimensions must be from 1 to 16384: as many as the model answers with",
            ),
            (
                (1..=1_024).contains(&self.calls_max),
                "openai.calls_max must be from 1 to 1024",
            ),
            (
                self.connect_timeout <= self.total_timeout
                    && self.first_token_timeout <= self.total_timeout,
                "openai.total_timeout must be the longest of the timeouts of a call",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err((*rule).to_owned()),
            None => Ok(()),
        }
    }

    pub(super) fn key(&self) -> Result<Option<Secret>, std::io::Error> {
        let Some(path) = &self.api_key_file else {
            return Ok(self.api_key.clone());
        };
        let text = std::fs::read_to_string(path)?;
        Ok(Some(Secret::new(text.trim())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let config = Config {
            api_key: Some(Secret::new("sk-very-secret")),
            ..Config::default()
        };
        assert!(config.is_enabled() && !format!("{config:?}").contains("very"));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let default = Config::default;
        assert_eq!(default().validate(), Ok(()));
        assert!(!default().is_enabled());
        let model = Some("m".to_owned());
        for (config, named) in [
            (
                Config {
                    chat_model: model,
                    ..default()
                },
                "openai.api_key_file",
            ),
            (
                Config {
                    base_url: "localhost".to_owned(),
                    ..default()
                },
                "openai.base_url",
            ),
            (
                Config {
                    calls_max: 0,
                    ..default()
                },
                "openai.calls_max",
            ),
        ] {
            assert!(config.validate().unwrap_err().contains(named), "{named}");
        }
    }
}

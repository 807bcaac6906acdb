//! Answers that a language model writes out of the passages found. `prompt` is what it is asked,
//! `check` what of its answer stands: each sentence has to be supported by what it cites.

mod check;
mod prompt;

use std::time::Duration;

use flotilla_common::worker::Attempt;
use flotilla_knowledge::{CallError, Citation, Hit};
use flotilla_remote::openai::{Chat, Client, Usage};

use self::check::Checked;
use crate::tokens::Tokens;

/// The language model, where one is configured.
#[derive(Debug)]
pub(crate) struct Writer {
    client: Client,
    model: String,
}

/// What the model made of the passages.
#[derive(Debug)]
pub(crate) struct Written {
    /// `None`: it says that the passages hold no answer.
    pub(crate) text: Option<String>,
    pub(crate) citations: Vec<Citation>,
    /// The share of its sentences that stand, from 0 to 1.
    pub(crate) supported: f32,
    /// Sentences that were left out: uncited, or not supported by what they cite.
    pub(crate) left_out: usize,
    pub(crate) model: String,
    pub(crate) usage: Option<Usage>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWritten {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the language model's answer has no sentence that its sources support")]
    Unsupported,
}

impl Writer {
    /// `None` without a model.
    pub(crate) fn new(client: Option<&Client>) -> Option<Self> {
        let client = client?;
        let model = client.config().chat_model.clone()?;
        Some(Self {
            client: client.clone(),
            model,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        self.client.config().answer_timeout
    }

    /// Asks the model, passes its words on as they come, and checks them when all are there.
    pub(crate) async fn write(
        &self,
        question: &str,
        hits: &[Hit],
        within: Duration,
        attempt: &Attempt,
        tokens: &mut Tokens<'_>,
    ) -> Result<Written, NotWritten> {
        let user = prompt::user(question, hits);
        let chat = Chat {
            model: &self.model,
            system: prompt::SYSTEM,
            user: &user,
        };
        let mut answering = self.client.chat(chat, attempt, within).await?;
        let mut text = String::new();
        while let Some(piece) = answering.next().await? {
            tokens.say(&piece).await;
            text.push_str(&piece);
        }
        let model = answering.model.take().unwrap_or_else(|| self.model.clone());
        let usage = answering.usage;
        if prompt::is_not_found(&text) {
            return Ok(Written {
                text: None,
                citations: Vec::new(),
                supported: 0.0,
                left_out: 0,
                model,
                usage,
            });
        }
        let Checked {
            text,
            citations,
            kept,
            left_out,
        } = check::check(&text, hits);
        if kept == 0 {
            return Err(NotWritten::Unsupported);
        }
        #[allow(clippy::cast_precision_loss, reason = "counts of sentences")]
        let supported = kept as f32 / (kept + left_out) as f32;
        Ok(Written {
            text: Some(text),
            citations,
            supported,
            left_out,
            model,
            usage,
        })
    }
}

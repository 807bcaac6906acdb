//! Which answer a question gets: written by the language model, or made of sentences of the
//! documents where there is no model, it is not wanted, or it fails.

use std::time::Duration;

use flotilla_common::worker::Attempt;
use flotilla_knowledge::{Answer, Citation, Found};
use flotilla_remote::openai::Usage;
use tokio::time::Instant;

use crate::generate::Writer;
use crate::payload::{Mode, Payload};
use crate::tokens::Tokens;

/// With less left a model is not asked: it would be interrupted.
const WRITING_TIME_MIN: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) text: Option<String>,
    pub(crate) citations: Vec<Citation>,
    pub(crate) confidence: f32,
    pub(crate) mode: &'static str,
    /// Why there is no answer of the model, where there should be one.
    pub(crate) degraded_reason: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) left_out: usize,
}

impl Composed {
    fn extractive(answer: Answer, degraded_reason: Option<String>) -> Self {
        Self {
            text: answer.text,
            citations: answer.citations,
            confidence: answer.confidence,
            mode: "extractive",
            degraded_reason,
            model: None,
            usage: None,
            left_out: 0,
        }
    }
}

/// `extractive` is the answer in sentences of the documents; `since` is when the attempt began.
pub(crate) async fn compose(
    writer: Option<&Writer>,
    payload: &Payload,
    found: &Found,
    extractive: Answer,
    since: Instant,
    attempt: &Attempt,
) -> Composed {
    let mut tokens = Tokens::new(attempt, payload.stream);
    let composed = match written(
        writer,
        payload,
        found,
        &extractive,
        since,
        attempt,
        &mut tokens,
    )
    .await
    {
        Ok(Some(composed)) => composed,
        Ok(None) => fallen_back(extractive, None, &mut tokens).await,
        Err(reason) => {
            tracing::warn!(reason, "a question is answered without the language model");
            fallen_back(extractive, Some(reason), &mut tokens).await
        }
    };
    tokens.end().await;
    composed
}

async fn fallen_back(answer: Answer, reason: Option<String>, tokens: &mut Tokens<'_>) -> Composed {
    tokens.begin_anew();
    if let Some(text) = &answer.text {
        tokens.say(text).await;
    }
    Composed::extractive(answer, reason)
}

/// `None` where the model is not to be asked; the error says why there is no answer of it.
async fn written(
    writer: Option<&Writer>,
    payload: &Payload,
    found: &Found,
    extractive: &Answer,
    since: Instant,
    attempt: &Attempt,
    tokens: &mut Tokens<'_>,
) -> Result<Option<Composed>, String> {
    let writer = match (payload.mode, writer) {
        (Mode::Extractive, _) | (Mode::Auto, None) => return Ok(None),
        (Mode::Generative, None) => {
            return Err("no language model is configured: set openai.chat_model".to_owned());
        }
        (Mode::Generative | Mode::Auto, Some(writer)) => writer,
    };
    // What the documents do not support no model can answer from them.
    if extractive.text.is_none() {
        return Ok(None);
    }
    let within = writer.answer_timeout().saturating_sub(since.elapsed());
    if within < WRITING_TIME_MIN {
        return Err("there was no time left to ask the language model".to_owned());
    }
    let writing = writer.write(&payload.question, &found.hits, within, attempt, tokens);
    let written = writing.await.map_err(|error| error.to_string())?;
    Ok(Some(Composed {
        // What the model takes for no answer, against the words, is unlikely to be one.
        confidence: match written.text {
            Some(_) => extractive.confidence * written.supported,
            None => 0.0,
        },
        text: written.text,
        citations: written.citations,
        mode: "generative",
        degraded_reason: None,
        model: Some(written.model),
        usage: written.usage,
        left_out: written.left_out,
    }))
}

//! An OpenAI-compatible API: `/embeddings`, `/chat/completions` as a stream, and `/models` to
//! see whether it is there. Every call but the last goes through the breaker `openai`.

mod chat;
mod client;
mod config;
mod embeddings;
mod fault;

pub use chat::{Answering, Chat, Usage};
pub use client::{Client, SetupError};
pub use config::Config;

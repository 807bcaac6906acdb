//! Clients of what may run elsewhere: an OpenAI-compatible API, ChromaDB. `http` and `sse` are
//! what they share, and `CallError` how a task hears of a call that came to nothing.

mod call_span;
pub mod chroma;
mod error;
pub mod http;
pub mod openai;
pub mod retry_after;
mod secret;
pub mod sse;

pub use call_span::CallSpan;
pub use error::CallError;
pub use secret::Secret;

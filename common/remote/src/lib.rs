//! Clients of what may run elsewhere: an OpenAI-compatible API, ChromaDB.

mod error;

pub use error::CallError;

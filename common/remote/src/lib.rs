//! Clients of what may run elsewhere: an OpenAI-compatible API, ChromaDB.

//! The sentence embedding model all-MiniLM-L6-v2, on the CPU: 384 dimensions, up to 256 tokens.
//!
//! In reading order: [`Local`] is what a service uses; [`Model`] is the forward pass;
//! `tokenizer` is what goes in; `multiply` and `curves` do the computing, over matrices as
//! `blocks` lays them out; `weights` reads the files.

mod blocks;
mod curves;
mod local;
mod model;
mod multiply;
mod tokenizer;
mod weights;

pub use local::{Failed, Local, give_way};
pub use model::{DIMENSIONS, Embedding, Model, Scratch, TOKENS_MAX};
pub use weights::LoadError;

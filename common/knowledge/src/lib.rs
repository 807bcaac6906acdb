//! What the fleet knows: documents cut into chunks, an index over them, and answers out of it.
//!
//! In reading order: [`Document`] is what is stored; `chunks` cuts a text; `terms` is how text
//! is compared; [`Index`] finds chunks, by itself or with what a store of vectors ([`dense`]) finds; [`Live`] keeps an index equal to what is stored, from a `snapshot` on; and
//! `answer` makes an answer out of what was found.

mod answer;
mod calibration;
mod chunk_id;
mod chunks;
mod config;
pub mod dense;
mod document;
mod embedder;
mod evidence;
mod grounding;
mod index;
mod live;
mod polarity;
mod question;
mod sentences;
mod snapshot;
mod terms;
mod vector;

pub use answer::{Answer, Citation, answer, propose};
pub use calibration::{CONFIDENCE_MIN, confidence};
pub use chunk_id::ChunkId;
pub use chunks::{Chunked, TooManyChunks, chunk, short};
pub use config::{Choice, Config};
pub use document::{Chunk, Document};
pub use embedder::{Embedder, SetupError};
pub use evidence::{Evidence, FEATURES};
pub use flotilla_remote::{CallError, chroma};
pub use grounding::{Support, statements, support};
pub use index::{Dense, Entry, Found, Hit, Index, Kind, Prepared, Search, Source, Vectors};
pub use live::{Live, LiveState, Snapshots};
pub use question::Asks;
pub use vector::Vector;

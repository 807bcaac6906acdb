//! What the integration tests, the benchmark and `test-worker` share: a real nats-server and a
//! Jaeger of one's own, a handler that does what its payload says, and the rules of traces.

mod cluster;
mod jaeger;
mod nats;
mod openai;
pub mod otlp;
mod process;
mod script;
pub mod traces;

pub use cluster::Cluster;
pub use jaeger::Jaeger;
pub use nats::{Nats, program};
pub use openai::{FakeOpenAi, Mood};
pub use process::{launched, signal};
pub use script::{End, Script, Scripted, Started};

//! The runtime of a category: pulls tasks by priority, runs them in slots through one seam,
//! [`Handler`], records what came of each, and only then settles it with the broker.

mod attempt;
mod body;
mod children;
mod conclude;
mod config;
mod controls;
mod dispatch;
mod figures;
mod handler;
mod hearing;
mod large_result;
mod ledger;
mod meter;
mod nudge;
mod payload;
mod prober;
mod progress;
mod report;
mod retry;
mod run;
mod running;
mod scheduler;
mod slots;
mod work;

pub use children::{Child, Children, Ended as ChildEnded, Family, Standing};
pub use config::{Config, Timeout};
pub use handler::{Attempt, Handler};
pub use meter::Meter;
pub use payload::Payload;
pub use progress::{CHECKPOINT_BYTES_MAX, CheckpointTooLarge};
pub use report::{Reporter, State as ReportedState};
pub use run::run;
pub(crate) use run::{Worker, live};
pub(crate) use work::Work;

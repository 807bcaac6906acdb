//! The batch category: fans a manifest out to the other categories, keeps to a bound of tasks
//! under way, and reports what became of each. The waiting itself is `worker::Children`.

mod config;
mod handler;
mod report;

use std::process::ExitCode;

use flotilla_common::service::{self, Context, Running, StartError, serve};

pub use config::Config;
pub use handler::BatchHandler;

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("batch", run)
}

/// Runs until the context's stop, then drains.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        config.validate().map_err(StartError::Invalid)?;
        serve(context, BatchHandler::new(config)).await
    })
}

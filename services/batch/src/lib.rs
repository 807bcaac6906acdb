//! The batch category: fans a manifest out to the other categories, keeps to a bound of tasks
//! under way, and reports what became of each. The waiting itself is `worker::Children`.

mod config;
mod handler;
mod report;

use flotilla_common::service::{Context, StartError, serve};

pub use config::Config;
pub use handler::BatchHandler;

/// Runs until the context's stop, then drains.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    config.validate().map_err(StartError::Invalid)?;
    serve(context, BatchHandler::new(config)).await
}

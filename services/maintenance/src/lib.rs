//! The maintenance category: removes what nothing needs, has documents embedded again, compares
//! the indexes with what is stored, probes dependencies, and retires documents. `operations` has
//! one file for each; `lease` keeps two attempts at one operation apart; `schedules` has them run by
//! themselves.

mod config;
mod handler;
mod lease;
mod operations;
mod schedules;

use std::process::ExitCode;

use flotilla_common::service::{self, Context, Running, StartError, serve};

pub use config::{Config, Schedules};
pub use handler::MaintenanceHandler;

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("maintenance", run)
}

/// Runs until the context's stop, then drains.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        config.validate().map_err(StartError::Invalid)?;
        let chroma = context.settings.section("chromadb")?;
        let schedules_max = context.streams()?.schedules_max;
        let broker = context.broker("maintenance-start").await?;
        // Without its schedules the service still does what it is told.
        if let Err(error) = schedules::ensure(&broker, &config.schedules, schedules_max).await {
            tracing::warn!(%error, "maintenance is not scheduled as it is configured");
        }
        broker.close().await;
        serve(context, MaintenanceHandler::new(config, chroma)).await
    })
}

//! The scraping service, from its settings to its last task.

use anyhow::{anyhow, ensure};
use flotilla_common::model::Category;
use flotilla_common::service::{Context, serve};

use crate::{Config, ScrapeHandler};

/// Runs until the context's stop, then drains.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    config
        .validate()
        .map_err(|rule| anyhow!("section [scraping]: {rule}"))?;
    let timeout = context.worker()?.timeout(Category::Scraping);
    ensure!(
        config.total_timeout < timeout,
        "scraping.total_timeout must be shorter than worker.timeout.scraping, or every slow page ends as a stuck worker"
    );
    let is_indexed = context.fleet()?.categories.contains(&Category::Embedding);
    serve(context, ScrapeHandler::new(&config)?.indexed(is_indexed)).await
}

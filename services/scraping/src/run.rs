//! The scraping service, from its settings to its last task.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use flotilla_common::model::Category;
use flotilla_common::service::{self, Context, Running, serve};

use crate::browser::Browser;
use crate::{BrowserConfig, Config, ScrapeHandler, pdf};

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("scraping", run)
}

/// Runs until the context's stop, then drains.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        config
            .validate()
            .map_err(|rule| anyhow!("section [scraping]: {rule}"))?;
        let timeout = context.worker()?.timeout(Category::Scraping);
        ensure!(
            config.total_timeout < timeout,
            "scraping.total_timeout must be shorter than worker.timeout.scraping, or every slow page ends as a stuck worker"
        );
        let settings: BrowserConfig = context.settings.section("browser")?;
        settings
            .validate()
            .map_err(|rule| anyhow!("section [browser]: {rule}"))?;
        ensure!(
            config.total_timeout + config.pdf_timeout < timeout,
            "scraping.total_timeout and scraping.pdf_timeout must together be shorter than worker.timeout.scraping"
        );
        // A plain fetch, the wait for a tab, and the page in it.
        ensure!(
            config.total_timeout + 2 * settings.render_timeout < timeout,
            "scraping.total_timeout and twice browser.render_timeout must together be shorter than worker.timeout.scraping"
        );
        if let Err(error) = pdf::Reader::check() {
            tracing::warn!(%error, "PDF files cannot be read");
        }
        let browser = Browser::start(settings, &config).await;
        let browser = Arc::new(browser.context("cannot listen on browser.proxy_listen")?);
        let is_indexed = context.fleet()?.categories.contains(&Category::Embedding);
        let handler = ScrapeHandler::new(&config)?
            .indexed(is_indexed)
            .with_browser(Arc::clone(&browser));
        let served = serve(context, handler).await;
        browser.close().await;
        served
    })
}

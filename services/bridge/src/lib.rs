//! Categories whose handlers are processes in any language: the worker runtime as everywhere,
//! with a handler that sends each attempt to `handlers.<category>` and hears what comes of it.
//! HANDLERS.md describes what is said.

mod answer;
mod config;
mod handler;
mod outstanding;
mod payload;

use std::process::ExitCode;

use flotilla_common::model::Category;
use flotilla_common::service::{self, Context, Running, StartError, persist, serve};
use futures::future::try_join_all;

pub use config::Config;
use handler::Bridge;

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("bridge", run)
}

/// Serves all categories that are the bridge's until the context's stop, then drains.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        let categories: Vec<Category> = Category::all().filter(|c| config.serves(*c)).collect();
        anyhow::ensure!(
            !categories.is_empty(),
            "there is no category to serve: define one in [categories], or name some in bridge.categories"
        );
        // Each by itself: what ends one of them must not drop what the others run.
        let services = categories.into_iter().map(|category| {
            let config = config.clone();
            let begin = move |context| run_one(context, category, config.clone());
            persist(context.clone(), Box::new(begin))
        });
        try_join_all(services).await.map(drop)
    })
}

/// Serves one of them.
pub fn run_one(context: Context, category: Category, config: Config) -> Running {
    Box::pin(async move {
        config.validate().map_err(StartError::Invalid)?;
        serve(context, Bridge::new(category, &config)).await
    })
}

//! The scraping category's handler: fetch, decode, extract, answer.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use flotilla_common::model::{Category, Failure, FailureCode, Outcome};
use flotilla_common::worker::{Attempt, Handler};
use jiff::{Timestamp, Unit};
use tokio::sync::Semaphore;

use crate::client::SetupError;
use crate::extract::{self, Extracted};
use crate::fetch::{Fetcher, Page};
use crate::media::Media;
use crate::payload::Payload;
use crate::result::{self, Scraped};
use crate::{Config, charset, failure};

#[derive(Debug)]
pub struct ScrapeHandler {
    fetcher: Fetcher,
    /// Extraction is CPU work: more at once than there are cores only makes each slower.
    extractions: Arc<Semaphore>,
    links_max: usize,
    content_bytes_max: usize,
}

impl ScrapeHandler {
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            fetcher: Fetcher::new(config)?,
            extractions: Arc::new(Semaphore::new(cores)),
            links_max: config.links_max,
            content_bytes_max: config.content_bytes_max,
        })
    }

    /// Fetches the page and turns it into a result.
    pub async fn scrape(&self, payload: Payload) -> Outcome {
        let page = match self.fetcher.fetch(payload.url.url()).await {
            Ok(page) => page,
            Err(error) => return failure::of_fetch(&error),
        };
        let (status, content_type) = (page.status, page.content_type.essence.clone());
        let final_url = page.url.to_string();
        let extracted = match self.extract(page).await {
            Ok(extracted) => extracted,
            Err(outcome) => return outcome,
        };
        let content_hash = result::hash(&extracted.content);
        let (content, truncated) = result::truncate(extracted.content, self.content_bytes_max);
        let scraped = Scraped {
            url: payload.url.asked().to_owned(),
            final_url,
            status: status.as_u16(),
            title: extracted.title,
            content,
            truncated,
            links: extracted.links,
            content_type,
            content_hash,
            extracted_by: extracted.method,
            language: extracted.language,
            brand: payload.brand,
            scraped_at: now(),
        };
        scraped.into_outcome().unwrap_or_else(|error| {
            Outcome::Reject(Failure::new("unwritable_result", failure::chain(&error)))
        })
    }

    /// On a blocking thread. It keeps its permit until it ends, also when the task that
    /// waits for it is dropped: a running extraction cannot be stopped.
    async fn extract(&self, page: Page) -> Result<Extracted, Outcome> {
        let permit = Arc::clone(&self.extractions).acquire_owned().await;
        let links_max = self.links_max;
        let work = tokio::task::spawn_blocking(move || {
            let extracted = read(&page, links_max);
            drop(permit);
            extracted
        });
        match work.await {
            Ok(Ok(extracted)) => Ok(extracted),
            Ok(Err(error)) => Err(failure::of_extraction(&error)),
            Err(error) => {
                let message = format!("converting the page: {error}");
                Err(Outcome::retry(Failure::new(FailureCode::PANIC, message)))
            }
        }
    }
}

impl Handler for ScrapeHandler {
    const CATEGORY: Category = Category::Scraping;
    type Payload = Payload;

    async fn handle(&self, payload: Payload, _: &Attempt) -> Outcome {
        self.scrape(payload).await
    }
}

fn read(page: &Page, links_max: usize) -> Result<Extracted, extract::Error> {
    let text = charset::decode(&page.body, page.content_type.charset.as_deref());
    match page.media {
        Media::Html => extract::html(&text, &page.url, links_max),
        Media::Markdown | Media::Text => Ok(extract::text(text, &page.url)),
    }
}

fn now() -> String {
    let now = Timestamp::now();
    // Fails only at the end of representable time.
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}

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
use crate::{Config, charset, failure, index};

#[derive(Debug)]
pub struct ScrapeHandler {
    fetcher: Fetcher,
    /// Extraction is CPU work: more at once than there are cores only makes each slower.
    extractions: Arc<Semaphore>,
    links_max: usize,
    content_bytes_max: usize,
    /// Whether anybody in this fleet indexes what is scraped.
    is_indexed: bool,
}

impl ScrapeHandler {
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            fetcher: Fetcher::new(config)?,
            extractions: Arc::new(Semaphore::new(cores)),
            links_max: config.links_max,
            content_bytes_max: config.content_bytes_max,
            is_indexed: false,
        })
    }

    /// Pages go on to be indexed, unless their task says otherwise.
    #[must_use]
    pub fn indexed(self, is_indexed: bool) -> Self {
        Self { is_indexed, ..self }
    }

    /// Fetches the page and turns it into a result; indexes nothing.
    pub async fn scrape(&self, payload: Payload) -> Outcome {
        let scraped = self.read_page(payload).await;
        scraped.map_or_else(|outcome| outcome, Scraped::into_outcome)
    }

    async fn read_page(&self, payload: Payload) -> Result<Scraped, Outcome> {
        let page = self.fetcher.fetch(payload.url.url()).await;
        let page = page.map_err(|error| failure::of_fetch(&error))?;
        let (status, content_type) = (page.status, page.content_type.essence.clone());
        let final_url = page.url.to_string();
        let extracted = self.extract(page).await?;
        let content_hash = result::hash(&extracted.content);
        let (content, truncated) = result::truncate(extracted.content, self.content_bytes_max);
        Ok(Scraped {
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
            embed_task_id: None,
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

    async fn handle(&self, payload: Payload, attempt: &Attempt) -> Outcome {
        let is_indexed = self.is_indexed && payload.embed;
        let mut scraped = match self.read_page(payload).await {
            Ok(scraped) => scraped,
            Err(outcome) => return outcome,
        };
        if is_indexed && !scraped.content.trim().is_empty() {
            match index::submit(&scraped, attempt).await {
                Ok(id) => scraped.embed_task_id = Some(id),
                Err(outcome) => return outcome,
            }
        }
        scraped.into_outcome()
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

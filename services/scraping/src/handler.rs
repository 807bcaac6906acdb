//! The scraping category's handler: fetch, decode, extract, answer.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use flotilla_common::model::{Category, Failure, FailureCode, Outcome, Probed};
use flotilla_common::worker::{Attempt, Handler};
use flotilla_remote::http::SetupError;
use jiff::{Timestamp, Unit};
use reqwest::StatusCode;
use tokio::sync::Semaphore;

use crate::browser::Browser;
use crate::condition::Validators;
use crate::discover::Discovery;
use crate::extract::Extracted;
use crate::fetch::{Fetched, Fetcher, Page};
use crate::media::Media;
use crate::obtain::Read;
use crate::payload::{Payload, WaitFor};
use crate::result::{self, Rendering, Scraped, Unchanged};
use crate::{Config, browser, charset, extract, failure, index, pdf};

#[derive(Debug)]
pub struct ScrapeHandler {
    pub(crate) fetcher: Fetcher,
    pub(crate) browser: Option<Arc<Browser>>,
    /// Extraction is CPU work: more at once than there are cores only makes each slower.
    extractions: Arc<Semaphore>,
    pdfs: pdf::Reader,
    discovery_in_flight: usize,
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
            browser: None,
            extractions: Arc::new(Semaphore::new(cores)),
            pdfs: pdf::Reader::new(config),
            discovery_in_flight: config.discovery_in_flight,
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

    pub(crate) fn with_browser(self, browser: Arc<Browser>) -> Self {
        Self {
            browser: Some(browser),
            ..self
        }
    }

    /// Fetches the page and turns it into a result; renders and indexes nothing.
    pub async fn scrape(&self, payload: Payload) -> Outcome {
        let scraped = self.read_page(payload, None).await;
        scraped.map_or_else(|outcome| outcome, |scraped| Outcome::done(&scraped))
    }

    async fn read_page(
        &self,
        payload: Payload,
        attempt: Option<&Attempt>,
    ) -> Result<Scraped, Outcome> {
        // Boxed: few tasks have a browser's part in them, which is long.
        let read = Box::pin(self.obtain(&payload, attempt)).await?;
        let extracted = read.extracted;
        let content_hash = result::hash(&extracted.content);
        if !payload.known.is_met_by(&content_hash) {
            let hash = Some(content_hash);
            let unchanged = unchanged(&payload, read.url, read.status, hash, read.validators);
            return Err(Outcome::done(&unchanged));
        }
        let (content, truncated) = result::truncate(extracted.content, self.content_bytes_max);
        Ok(Scraped {
            url: payload.url.asked().to_owned(),
            final_url: read.url,
            status: read.status,
            title: extracted.title,
            content,
            truncated,
            links: extracted.links,
            content_type: read.content_type,
            content_hash,
            extracted_by: extracted.method,
            rendering: read.rendering,
            canonical_url: extracted.canonical_url,
            nofollow: extracted.nofollow,
            pages: extracted.pages,
            validators: read.validators,
            changed: payload.known.asks().then_some(true),
            language: extracted.language,
            brand: payload.brand,
            scraped_at: now(),
            embed_task_id: None,
        })
    }

    pub(crate) async fn fetch(&self, payload: &Payload) -> Result<Page, Outcome> {
        let only_site = payload.only_site.as_ref();
        let fetched = self
            .fetcher
            .fetch(payload.url.url(), &payload.known, only_site);
        let fetched = fetched.await;
        match fetched.map_err(|error| failure::of_fetch(&error))? {
            Fetched::Page(page) => Ok(page),
            Fetched::NotModified { url, validators } => {
                let known = payload.known.if_changed_from.as_ref();
                let hash = known.map(|hash| hash.as_str().to_owned());
                let status = StatusCode::NOT_MODIFIED.as_u16();
                let unchanged = unchanged(payload, url.into(), status, hash, validators);
                Err(Outcome::done(&unchanged))
            }
        }
    }

    /// The page as text, and why it should be rendered, if it should. On a blocking thread. It
    /// keeps its permit until it ends, also when the task that waits for it is dropped: a
    /// running extraction cannot be stopped.
    pub(crate) async fn read_judging(
        &self,
        page: Page,
        wait_for: Option<WaitFor>,
    ) -> Result<(Read, Option<&'static str>), Outcome> {
        let permit = Arc::clone(&self.extractions).acquire_owned().await;
        if page.media == Media::Pdf {
            let text = self.pdfs.read(&page.body).await;
            let text = text.map_err(|error| failure::of_pdf(&error))?;
            let extracted = extract::pdf(text, &page.url);
            return Ok((read_of(&page, extracted), None));
        }
        let links_max = self.links_max;
        let work = tokio::task::spawn_blocking(move || {
            let read = read(&page, links_max, wait_for.as_ref());
            drop(permit);
            read
        });
        match work.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(failure::of_extraction(&error)),
            Err(error) => {
                let message = format!("converting the page: {error}");
                Err(Outcome::retry(Failure::new(FailureCode::PANIC, message)))
            }
        }
    }
}

impl Handler for ScrapeHandler {
    type Payload = Payload;

    fn category(&self) -> Category {
        Category::Scraping
    }

    async fn probe(&self) -> Vec<Probed> {
        match &self.browser {
            Some(browser) => vec![browser.probe().await],
            None => Vec::new(),
        }
    }

    async fn handle(&self, payload: Payload, attempt: &Attempt) -> Outcome {
        if let Some(options) = &payload.discover {
            if payload.known.asks() {
                let why = "if_changed_from, etag and last_modified are of one page: leave them out where discover is given";
                return Outcome::Reject(Failure::new(FailureCode::INVALID_PAYLOAD, why));
            }
            let discovery = Discovery {
                fetcher: &self.fetcher,
                in_flight_max: self.discovery_in_flight,
                payload: &payload,
                options,
                attempt,
            };
            // Boxed: few tasks are discoveries.
            return Box::pin(discovery.run()).await;
        }
        let is_indexed = self.is_indexed && payload.embed;
        let mut scraped = match self.read_page(payload, Some(attempt)).await {
            Ok(scraped) => scraped,
            Err(outcome) => return outcome,
        };
        if is_indexed && !scraped.content.trim().is_empty() {
            match index::submit(&scraped, attempt).await {
                Ok(id) => scraped.embed_task_id = Some(id),
                Err(outcome) => return outcome,
            }
        }
        Outcome::done(&scraped)
    }
}

fn read(
    page: &Page,
    links_max: usize,
    wait_for: Option<&WaitFor>,
) -> Result<(Read, Option<&'static str>), extract::Error> {
    let text = charset::decode(&page.body, page.content_type.charset.as_deref());
    let (extracted, need) = match page.media {
        Media::Html => {
            let extracted = extract::html(&text, &page.url, links_max)?;
            let chars = extracted.content.chars().count();
            let need = browser::need(&text, chars, wait_for.map(WaitFor::as_str));
            (extracted, need)
        }
        Media::Markdown | Media::Text | Media::Pdf => (extract::text(text, &page.url), None),
    };
    Ok((read_of(page, extracted), need))
}

fn read_of(page: &Page, extracted: Extracted) -> Read {
    Read {
        url: page.url.to_string(),
        status: page.status.as_u16(),
        content_type: page.content_type.essence.clone(),
        validators: page.validators.clone(),
        extracted,
        rendering: Rendering::none(),
    }
}

fn unchanged(
    payload: &Payload,
    final_url: String,
    status: u16,
    content_hash: Option<String>,
    validators: Validators,
) -> Unchanged {
    Unchanged {
        url: payload.url.asked().to_owned(),
        final_url,
        status,
        changed: false,
        content_hash,
        validators,
        brand: payload.brand.clone(),
        scraped_at: now(),
    }
}

fn now() -> String {
    let now = Timestamp::now();
    // Fails only at the end of representable time.
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}

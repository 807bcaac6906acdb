//! Documentation discovery: a scraping task with `discover` scrapes its page, and then the pages
//! of the same site that the sitemaps and the links lead to, each as a task of its own.
//!
//! The pages' tasks run wherever there is a slot, each worker at its own pace per host; this task
//! is where their links come together. It holds no slot while it waits (`worker::children`): it
//! submits a level, gives its slot back, reads the results once the level has ended, and goes on
//! with the next one, with what it knows (`crawl`) in its checkpoint. A page's task is named by
//! this task and the page's address, so that no crash and no retry scrapes a page twice.

mod crawl;
mod report;
mod site;
mod sitemap;

use flotilla_common::broker::{BrokerError, ObjectError};
use flotilla_common::model::{Category, Discover, Failure, FailureCode, Outcome, Status};
use flotilla_common::worker::{Attempt, Child, Children, Family};
use futures::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Duration, Instant};
use url::Url;

use self::crawl::{Crawl, End, Seen, SitemapRead};
use self::report::Report;
pub(crate) use self::site::{Site, is_same_page};
use crate::failure;
use crate::fetch::{self, Fetcher};
use crate::payload::Payload;

/// Where most sites have theirs.
const USUAL_SITEMAP: &str = "/sitemap.xml";
/// After reading sitemaps for so long the task gives its slot back, and goes on later.
const SITEMAPS_TIME: Duration = Duration::from_secs(5);
/// Results that are in memory at once.
const READS_MAX: usize = 8;
/// A hash's start, enough to tell the pages of a site apart.
const HASH_CHARS: usize = 16;
/// Also a discovery whose pages never end comes to one.
const TIME_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

pub(crate) struct Discovery<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) in_flight_max: usize,
    pub(crate) payload: &'a Payload,
    pub(crate) options: &'a Discover,
    pub(crate) attempt: &'a Attempt,
}

/// The checkpoint.
#[derive(Deserialize)]
struct Kept {
    crawl: String,
    family: Family,
}

/// What came of asking for a sitemap.
enum Fetched {
    Found(Vec<u8>),
    /// It is not the host's turn yet.
    Later(Duration),
    Failed(String),
}

impl Discovery<'_> {
    pub(crate) async fn run(&self) -> Outcome {
        self.crawl()
            .await
            .map_or_else(|outcome| outcome, |report| Outcome::done(&report))
    }

    async fn crawl(&self) -> Result<Report, Outcome> {
        let (mut crawl, mut family) = self.resume();
        let children = Children::new(self.attempt, self.in_flight_max);
        loop {
            let packed = crawl.pack();
            let keep = |family: &Family| json!({"crawl": packed, "family": family});
            let waited = children
                .run_keeping(&mut family, |n| self.child(&children, &crawl, n), keep)
                .await;
            match waited {
                Ok(()) => {}
                Err(_) if self.is_late() => return Ok(self.report(&children, crawl)),
                Err(outcome) => return Err(outcome),
            }
            if crawl.read == 0 {
                let start = self.start(&mut crawl, &children).await?;
                // Before the links: what a site says of itself as a whole comes first where not
                // all of it is wanted.
                self.read_sitemaps(&mut crawl, &family, &start).await?;
            }
            self.read_results(&mut crawl, family.total(), &children)
                .await?;
            crawl.fit(family.total());
            if crawl.pages.len() == family.total() || self.is_late() {
                return Ok(self.report(&children, crawl));
            }
            family.grow(crawl.pages.len());
        }
    }

    fn resume(&self) -> (Crawl, Family) {
        let kept = self.attempt.checkpoint();
        let kept = kept.and_then(|kept| Kept::deserialize(kept).ok());
        let kept = kept.and_then(|kept| Some((Crawl::unpack(&kept.crawl)?, kept.family)));
        kept.unwrap_or_else(|| {
            let start = self.payload.url.url();
            (Crawl::new(start), Family::new(start.as_str(), 1))
        })
    }

    fn child(&self, children: &Children, crawl: &Crawl, n: usize) -> Child {
        let page = &crawl.pages[n];
        // The first page may lead to the site's real name; the others have to stay there.
        let site = crawl.site.as_ref().filter(|_| n > 0);
        let payload = json!({
            "url": page.url,
            "brand": self.payload.brand,
            "embed": self.payload.embed,
            "render": self.payload.render.as_str(),
            "wait_for": self.payload.wait_for.as_ref().map(|selector| selector.as_str()),
            "only_site": site.map(Site::as_str),
        });
        Child {
            id: children.id_of(Category::Scraping, &page.url),
            category: Category::Scraping,
            priority: self.attempt.priority(),
            payload: payload.to_string().into(),
        }
    }

    /// Where the first page is. Without it a discovery has nothing to go on from: it fails as
    /// that did.
    async fn start(&self, crawl: &mut Crawl, children: &Children<'_>) -> Result<Url, Outcome> {
        let asked = &crawl.pages[0].url;
        let lost = FailureCode::from("start_lost");
        let (code, why) = match self.result_of(children, asked).await? {
            (_, Some(seen)) => match Url::parse(&seen.final_url) {
                Ok(url) => {
                    crawl.site = Some(Site::of(&url));
                    return Ok(url);
                }
                Err(_) => (lost, "has a result that names no address"),
            },
            (End::Failed(code), None) => (code.into(), "failed, and says why itself"),
            (_, None) => (lost, "was cancelled, or its result is no longer kept"),
        };
        let id = children.id_of(Category::Scraping, asked);
        let message = format!("the task of the first page ({id}) {why}");
        Err(Outcome::Reject(Failure::new(code, message)))
    }

    async fn read_results(
        &self,
        crawl: &mut Crawl,
        ended: usize,
        children: &Children<'_>,
    ) -> Result<(), Outcome> {
        let urls: Vec<_> = crawl.pages[crawl.read.min(ended)..ended]
            .iter()
            .map(|page| page.url.clone())
            .collect();
        let reads: Vec<_> = urls
            .iter()
            .map(|url| self.result_of(children, url))
            .collect();
        let mut reads = stream::iter(reads).buffered(READS_MAX);
        while let Some(read) = reads.next().await {
            let (end, seen) = read?;
            crawl.absorb(end, seen.as_ref(), self.options);
        }
        Ok(())
    }

    async fn result_of(
        &self,
        children: &Children<'_>,
        url: &str,
    ) -> Result<(End, Option<Seen>), Outcome> {
        let id = children.id_of(Category::Scraping, url);
        let broker = self.attempt.broker();
        let unread = |error: &BrokerError| Outcome::Defer {
            reason: Failure::new("results_unread", failure::chain(error)),
            after: Duration::from_secs(5),
        };
        let stored = broker.record_in(Category::Scraping, &id).await;
        let Some(stored) = stored.map_err(|error| unread(&error))? else {
            return Ok((End::Lost, None));
        };
        // It may be too large for its record.
        let record = match broker.with_result(stored.record).await {
            Ok(record) => record,
            Err(ObjectError::Broker(error)) => return Err(unread(&error)),
            Err(_) => return Ok((End::Lost, None)),
        };
        Ok(match record.status {
            Status::Completed { result, .. } => match Seen::deserialize(&result) {
                Ok(seen) => {
                    let hash = seen.content_hash.chars().take(HASH_CHARS).collect();
                    (End::Completed(hash), Some(seen))
                }
                Err(_) => (End::Lost, None),
            },
            Status::Failed { error, .. } => (End::Failed(error.code.to_string()), None),
            _ => (End::Lost, None),
        })
    }

    /// Those that robots.txt names, or the usual one, and those that they name.
    async fn read_sitemaps(
        &self,
        crawl: &mut Crawl,
        family: &Family,
        start: &Url,
    ) -> Result<(), Outcome> {
        if !self.options.sitemap {
            return Ok(());
        }
        if !crawl.sitemaps.is_begun {
            // Whatever is wrong with the file, the pages' own tasks say.
            let named = self.fetcher.sitemaps(start).await.unwrap_or_default();
            crawl.sitemaps.begin(match named.is_empty() {
                true => vec![USUAL_SITEMAP.to_owned()],
                false => named,
            });
        }
        let began = Instant::now();
        while let Some(address) = crawl.sitemaps.next() {
            let later = match self.read_sitemap(crawl, start, &address).await {
                Err(wait) => {
                    crawl.sitemaps.put_back(address);
                    Some(wait)
                }
                Ok(()) => (began.elapsed() > SITEMAPS_TIME).then_some(Duration::from_millis(100)),
            };
            if let Some(after) = later {
                crawl.fit(family.total());
                let kept = json!({"crawl": crawl.pack(), "family": family});
                // It fits: it has just been made to.
                let _ = self.attempt.save_checkpoint(kept);
                let message = format!("{} sitemaps have been read", crawl.sitemaps.read.len());
                let reason = Failure::new("reading_sitemaps", message);
                return Err(Outcome::Defer { reason, after });
            }
        }
        Ok(())
    }

    /// `Err` where the host is to be asked later, and how much.
    async fn read_sitemap(
        &self,
        crawl: &mut Crawl,
        start: &Url,
        address: &str,
    ) -> Result<(), Duration> {
        let taken_in = match self.fetch_sitemap(start, address).await {
            Fetched::Later(wait) => return Err(wait),
            Fetched::Failed(why) => Err(why),
            Fetched::Found(file) => self.take_in(crawl, start, file).await,
        };
        let (addresses, error) = match taken_in {
            Ok(addresses) => (addresses, None),
            Err(why) => (0, Some(why)),
        };
        crawl.sitemaps.read.push(SitemapRead {
            url: address.to_owned(),
            addresses,
            error,
        });
        Ok(())
    }

    async fn fetch_sitemap(&self, start: &Url, address: &str) -> Fetched {
        let site = Site::of(start);
        let url = match start.join(address) {
            Ok(url) if site.has(&url) => url,
            Ok(_) => return Fetched::Failed("it is on another site".to_owned()),
            Err(error) => return Fetched::Failed(error.to_string()),
        };
        let bytes_max = sitemap::BYTES_MAX;
        match self.fetcher.fetch_file(&url, bytes_max, &site).await {
            Ok(file) => Fetched::Found(file),
            Err(fetch::Error::NotItsTurn { wait, .. }) => Fetched::Later(wait),
            Err(error) => Fetched::Failed(failure::chain(&error)),
        }
    }

    /// Up to 50 MB of text and as many as 50,000 addresses: not on a thread that others wait for.
    async fn take_in(
        &self,
        crawl: &mut Crawl,
        start: &Url,
        file: Vec<u8>,
    ) -> Result<usize, String> {
        // A copy, so that nothing is lost where this one ends badly.
        let mut grown = crawl.clone();
        let (start, options) = (start.clone(), self.options.clone());
        let work = tokio::task::spawn_blocking(move || {
            let found = sitemap::parse(&file)?;
            drop(file);
            let addresses = grown.take_in(found, &start, &options);
            Ok::<_, sitemap::Error>((grown, addresses))
        });
        match work.await {
            Ok(Ok((grown, addresses))) => {
                *crawl = grown;
                Ok(addresses)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn is_late(&self) -> bool {
        jiff::Timestamp::now().duration_since(self.attempt.submitted_at()) > TIME_MAX
    }

    fn report(&self, children: &Children, crawl: Crawl) -> Report {
        let id = |url: &str| children.id_of(Category::Scraping, url);
        Report::new(self.payload, crawl, id)
    }
}

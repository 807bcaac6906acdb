//! Asks each site's robots.txt before its pages are fetched, and remembers the answer for a
//! while. The file comes through the same guarded client as the pages (`client.rs`);
//! `rules.rs` reads it.

mod cache;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use flotilla_remote::retry_after;
use reqwest::StatusCode;
use tokio::sync::OnceCell;
use url::Url;

use self::cache::Cache;
pub(crate) use self::rules::{Rules, matches};
use crate::client::{self, Client};
use crate::redirect;

/// RFC 9309: a crawler reads at least 500 KiB, and may ignore what follows.
const ROBOTS_BYTES_MAX: usize = 500 * 1024;

/// RFC 9309: at least five redirects are followed; a longer chain counts as no file.
const ROBOTS_REDIRECTS_MAX: usize = 5;

/// A site that asks for more is asked this often: a task cannot wait for minutes.
const CRAWL_DELAY_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Robots {
    name: String,
    cache: Cache,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "robots.txt of {host} forbids {path} to {name}: ask the site's owner, or set robots to false"
    )]
    Denied {
        host: String,
        path: String,
        name: String,
    },
    /// The site is having trouble: RFC 9309 says to stay away until it answers.
    #[error("robots.txt of {host} answered with status {status}")]
    Unavailable {
        host: String,
        status: StatusCode,
        after: Option<Duration>,
    },
    #[error("reading robots.txt of {host}")]
    Unreachable {
        host: String,
        #[source]
        source: client::Error,
    },
}

/// What a site's rules say about one page that may be fetched.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Permission {
    pub(crate) crawl_delay: Option<Duration>,
}

impl Robots {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cache: Cache::default(),
        }
    }

    /// The addresses of sitemaps that the site's file names, for everybody.
    pub(crate) async fn sitemaps(&self, client: &Client, url: &Url) -> Result<Vec<String>, Error> {
        let entry = self.entry(url);
        let rules = entry
            .get_or_try_init(|| fetch(client, url, &self.name))
            .await?;
        Ok(rules.sitemaps.clone())
    }

    fn entry(&self, url: &Url) -> Arc<OnceCell<Rules>> {
        let origin = url.origin().ascii_serialization();
        self.cache.entry(&origin, std::time::Instant::now())
    }

    pub(crate) async fn permit(&self, client: &Client, url: &Url) -> Result<Permission, Error> {
        let entry = self.entry(url);
        // Tasks that meet at the same site wait for one request; a failure is not kept.
        let rules = entry
            .get_or_try_init(|| fetch(client, url, &self.name))
            .await?;
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        if !rules.allow(path) {
            return Err(Error::Denied {
                host: client::host(url),
                path: url.path().to_owned(),
                name: self.name.clone(),
            });
        }
        Ok(Permission {
            crawl_delay: rules.crawl_delay.map(|delay| delay.min(CRAWL_DELAY_MAX)),
        })
    }
}

async fn fetch(client: &Client, page: &Url, name: &str) -> Result<Rules, Error> {
    let host = client::host(page);
    let mut url = page.clone();
    url.set_path("/robots.txt");
    url.set_query(None);
    url.set_fragment(None);
    for hop in 0..=ROBOTS_REDIRECTS_MAX {
        let response = match client.get(&url).await {
            Ok(response) => response,
            // A file that is moved to where we may not look is no file.
            Err(client::Error::Refused { .. }) if hop > 0 => return Ok(Rules::default()),
            Err(source) => return Err(Error::Unreachable { host, source }),
        };
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let after = retry_after::of(&response);
            return Err(Error::Unavailable {
                host,
                status,
                after,
            });
        }
        if status.is_success() {
            let text = client::read_start(response, &url, ROBOTS_BYTES_MAX)
                .await
                .map_err(|source| Error::Unreachable { host, source })?;
            return Ok(Rules::parse(&String::from_utf8_lossy(&text), name));
        }
        match redirect::target(&response, &url) {
            Some(Ok(next)) => url = next,
            // No file, or none that can be read: everything is allowed.
            Some(Err(_)) | None => return Ok(Rules::default()),
        }
    }
    Ok(Rules::default())
}

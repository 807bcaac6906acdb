//! Fetches one page: for each hop of its redirects the address filter, robots.txt, the
//! host's turn, then the request. Nothing about an earlier hop is taken as settled.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flotilla_remote::{http::SetupError, retry_after};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::Config;
use crate::client::{self, Client};
use crate::condition::{Conditions, Validators};
use crate::discover::Site;
use crate::media::{self, ContentType, Media, Unsupported};
use crate::pace::Pace;
use crate::redirect::{self, BadRedirect};
use crate::robots::{self, Permission, Robots};

#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client,
    robots: Option<Robots>,
    pace: Mutex<Pace>,
    redirects_max: usize,
    body_bytes_max: usize,
    pdf_bytes_max: usize,
    total_timeout: Duration,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) content_type: ContentType,
    pub(crate) media: Media,
    pub(crate) validators: Validators,
    pub(crate) body: Vec<u8>,
}

/// What a page's server answered.
#[derive(Debug)]
pub(crate) enum Fetched {
    Page(Page),
    /// It is what the task says it was.
    NotModified {
        url: Url,
        validators: Validators,
    },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("fetching the page")]
    Client(#[from] client::Error),
    #[error("asking whether the page may be fetched")]
    Robots(#[from] robots::Error),
    #[error("{host} answered with status {status}")]
    Status {
        host: String,
        status: StatusCode,
        after: Option<Duration>,
    },
    #[error("{host} may only be asked again in {} s", wait.as_secs())]
    NotItsTurn { host: String, wait: Duration },
    #[error("the page did not arrive within {} s", within.as_secs_f64())]
    Timeout { within: Duration },
    #[error("more than {redirects_max} redirects, the last to {url}")]
    TooManyRedirects { redirects_max: usize, url: String },
    #[error("{host} sent a redirect that leads nowhere")]
    Redirect {
        host: String,
        #[source]
        source: BadRedirect,
    },
    #[error("the page's redirects lead away from {}", site.as_str())]
    LeftSite { site: Site },
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

impl Fetcher {
    pub(crate) fn new(config: &Config) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client::new(config)?,
            robots: config.robots.then(|| Robots::new(config.robots_name())),
            pace: Mutex::new(Pace::new(config.requests_per_second_per_host)),
            redirects_max: config.redirects_max,
            body_bytes_max: config.html_bytes_max,
            pdf_bytes_max: config.pdf_bytes_max,
            total_timeout: config.total_timeout,
        })
    }

    /// `only_site` is where its redirects have to stay.
    pub(crate) async fn fetch(
        &self,
        url: &Url,
        only: &Conditions,
        only_site: Option<&Site>,
    ) -> Result<Fetched, Error> {
        let fetch = async {
            let (response, url) = self.follow(url, &only.headers(), only_site).await?;
            self.receive(response, url, only).await
        };
        self.in_time(fetch).await
    }

    /// A file for ourselves, such as a sitemap, as it comes.
    pub(crate) async fn fetch_file(
        &self,
        url: &Url,
        bytes_max: usize,
        only_site: &Site,
    ) -> Result<Vec<u8>, Error> {
        let fetch = async {
            let headers = HeaderMap::new();
            let (response, url) = self.follow(url, &headers, Some(only_site)).await?;
            let response = successful(response, &url)?;
            Ok(client::read(response, &url, bytes_max).await?)
        };
        self.in_time(fetch).await
    }

    /// The sitemaps that the site's robots.txt names, where that is read.
    pub(crate) async fn sitemaps(&self, url: &Url) -> Result<Vec<String>, Error> {
        match &self.robots {
            Some(robots) => Ok(robots.sitemaps(&self.client, url).await?),
            None => Ok(Vec::new()),
        }
    }

    async fn in_time<T>(&self, fetch: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let within = self.total_timeout;
        match tokio::time::timeout(within, fetch).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { within }),
        }
    }

    /// The answer that is no redirect, and where it came from.
    async fn follow(
        &self,
        url: &Url,
        headers: &HeaderMap,
        only_site: Option<&Site>,
    ) -> Result<(Response, Url), Error> {
        let mut url = url.clone();
        for _ in 0..=self.redirects_max {
            stays(&url, only_site)?;
            let response = self.ask(&url, headers.clone()).await?;
            match redirect::target(&response, &url) {
                None => return Ok((response, url)),
                Some(Ok(next)) => url = next,
                Some(Err(source)) => {
                    let host = client::host(&url);
                    return Err(Error::Redirect { host, source });
                }
            }
        }
        Err(Error::TooManyRedirects {
            redirects_max: self.redirects_max,
            url: client::without_secrets(&url),
        })
    }

    /// One request, with everything that has to be asked before it.
    async fn ask(&self, url: &Url, headers: HeaderMap) -> Result<Response, Error> {
        self.permit(url).await?;
        Ok(self.client.get_with(url, headers).await?)
    }

    /// Returns once the page may be asked for, by us or by the browser.
    pub(crate) async fn permit(&self, url: &Url) -> Result<(), Error> {
        self.check(url)?;
        let permission = match &self.robots {
            Some(robots) => robots.permit(&self.client, url).await?,
            None => Permission::default(),
        };
        self.await_turn(url, permission.crawl_delay).await
    }

    /// What the address filter can say before the name is resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Error> {
        Ok(self.client.check(url).map(|_| ())?)
    }

    pub(crate) fn check_redirects(&self, followed: usize, url: &Url) -> Result<(), Error> {
        if followed <= self.redirects_max {
            return Ok(());
        }
        Err(Error::TooManyRedirects {
            redirects_max: self.redirects_max,
            url: client::without_secrets(url),
        })
    }

    pub(crate) fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    async fn await_turn(&self, url: &Url, crawl_delay: Option<Duration>) -> Result<(), Error> {
        let host = client::host(url);
        // Half is left for the page itself; a longer wait is spent in the queue instead.
        let wait_max = self.total_timeout / 2;
        let reserved = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.reserve(&host, crawl_delay, Instant::now(), wait_max)
        };
        match reserved {
            Ok(wait) => tokio::time::sleep(wait).await,
            Err(too_soon) => {
                let wait = too_soon.wait;
                return Err(Error::NotItsTurn { host, wait });
            }
        }
        Ok(())
    }

    async fn receive(
        &self,
        response: Response,
        url: Url,
        only: &Conditions,
    ) -> Result<Fetched, Error> {
        let validators = Validators::of(&response);
        if response.status() == StatusCode::NOT_MODIFIED && !only.is_none() {
            return Ok(Fetched::NotModified { url, validators });
        }
        let response = successful(response, &url)?;
        let status = response.status();
        let header = response.headers().get(CONTENT_TYPE);
        let header = header.and_then(|value| value.to_str().ok());
        let content_type = ContentType::parse(header.unwrap_or_default());
        // Known before the body is read, for most: a film is not downloaded to be refused.
        let called = content_type.media()?;
        let bytes_max = match called {
            Some(Media::Html | Media::Markdown | Media::Text) => self.body_bytes_max,
            Some(Media::Pdf) | None => self.body_bytes_max.max(self.pdf_bytes_max),
        };
        let body = client::read(response, &url, bytes_max).await?;
        let media = media::judge(called, &body)?;
        let bytes_max = match media {
            Media::Pdf => self.pdf_bytes_max,
            Media::Html | Media::Markdown | Media::Text => self.body_bytes_max,
        };
        if body.len() > bytes_max {
            return Err(client::too_large(&url, bytes_max).into());
        }
        Ok(Fetched::Page(Page {
            url,
            status,
            content_type,
            media,
            validators,
            body,
        }))
    }
}

/// Whether a page that was found on one site is still there.
pub(crate) fn stays(url: &Url, only_site: Option<&Site>) -> Result<(), Error> {
    match only_site.filter(|site| !site.has(url)) {
        Some(site) => Err(Error::LeftSite { site: site.clone() }),
        None => Ok(()),
    }
}

fn successful(response: Response, url: &Url) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(Error::Status {
        host: client::host(url),
        status,
        after: retry_after::of(&response),
    })
}

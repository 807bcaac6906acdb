//! The life of one page in a tab: every request judged, until the page is at rest.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, timeout_at};
use url::Url;

use super::cdp::{self, Event};
use super::error::{Error, is_fault};
use super::proxy::USER;
use super::tab::{State, Tab, text};
use crate::client::{self, without_secrets};
use crate::condition::Validators;
use crate::discover::Site;
use crate::fetch::{self, Fetcher, Page};
use crate::media::{ContentType, Media};
use flotilla_remote::retry_after;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A page that has not changed for so long, with nothing under way, is at rest.
const QUIET: Duration = Duration::from_millis(500);
/// Some always have a request under way, which answers when there is news.
const QUIET_WHILE_LOADING: Duration = Duration::from_secs(4);
const REQUESTS_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) url: &'a Url,
    pub(crate) wait_for: Option<&'a str>,
    pub(crate) only_site: Option<&'a Site>,
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) within: Duration,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

struct Life<'a> {
    tab: &'a Tab,
    order: Order<'a>,
    answers: FuturesUnordered<Answer<'a>>,
    under_way: std::collections::HashSet<String>,
    requests: usize,
    documents: usize,
    main: Option<Main>,
    quiet_since: Instant,
    last: Option<State>,
}

/// The answer that the page came with.
struct Main {
    url: Url,
    status: StatusCode,
    content_type: String,
    after: Option<Duration>,
}

/// The page as its scripts have built it, its errors those of a plain fetch where they can be.
pub(super) async fn page(tab: &mut Tab, order: Order<'_>) -> Result<Page, Error> {
    let deadline = Instant::now() + order.within;
    let mut events = std::mem::replace(&mut tab.events, tokio::sync::mpsc::channel(1).1);
    let tab = &*tab;
    let mut life = Life::new(tab, order);
    // Answered when the server has; the deadline comes first.
    let navigating = tab.session.connection.call_within(
        2 * order.within,
        Some(tab.session_id()),
        "Page.navigate",
        json!({"url": order.url.as_str()}),
    );
    let mut navigating = std::pin::pin!(navigating);
    let mut is_navigated = false;
    let mut looks = interval(LOOK_EVERY);
    // One at a time, beside the events: a page that shows a dialog answers only afterwards.
    let mut looking = FuturesUnordered::new();
    let living = async {
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => life.hear(&event)?,
                    None => return Err(cdp::Error::Closed.into()),
                },
                Some(answered) = life.answers.next() => answered?,
                navigated = &mut navigating, if !is_navigated => {
                    is_navigated = true;
                    life.navigated(&navigated?)?;
                }
                Some(state) = looking.next() => {
                    if life.is_at_rest(state)? {
                        return Ok(());
                    }
                }
                _ = looks.tick(), if life.main.is_some() && looking.is_empty() => {
                    looking.push(tab.state(order.wait_for));
                }
            }
        }
    };
    let lived: Result<Result<(), Error>, _> = timeout_at(deadline, living).await;
    match lived {
        Ok(ended) => ended?,
        Err(_) => life.is_worth_reading()?,
    }
    life.read().await
}

impl<'a> Life<'a> {
    fn new(tab: &'a Tab, order: Order<'a>) -> Self {
        Self {
            tab,
            order,
            answers: FuturesUnordered::new(),
            under_way: std::collections::HashSet::new(),
            requests: 0,
            documents: 0,
            main: None,
            quiet_since: Instant::now(),
            last: None,
        }
    }

    fn hear(&mut self, event: &Event) -> Result<(), Error> {
        let (tab, params) = (self.tab, &event.params);
        let id = || text(&params["requestId"]);
        match event.method.as_str() {
            "Fetch.requestPaused" => self.judge(params)?,
            "Fetch.authRequired" => self
                .answers
                .push(Box::pin(authenticate(tab, params.clone()))),
            "Network.requestWillBeSent" => {
                self.under_way.insert(id());
            }
            "Network.loadingFinished" => {
                self.under_way.remove(&id());
            }
            "Network.loadingFailed" => {
                self.under_way.remove(&id());
                let is_document = params["type"] == "Document";
                if is_document && params["blockedReason"].is_null() {
                    let cause = text(&params["errorText"]);
                    // The document before it stays, and may be what there is to read.
                    if self.main.is_none() {
                        return Err(self.load_error(self.order.url, cause));
                    }
                }
            }
            "Network.responseReceived" => self.receive(params)?,
            "Page.javascriptDialogOpening" => self.answers.push(Box::pin(async move {
                let refuse = json!({"accept": false});
                ignore_refusal(tab.call("Page.handleJavaScriptDialog", refuse).await)
            })),
            "Target.targetCreated" => {
                let target = text(&params["targetInfo"]["targetId"]);
                self.answers.push(Box::pin(async move {
                    tab.close_window(&target).await;
                    Ok(())
                }));
            }
            "Inspector.targetCrashed" => {
                let cause = "the page's process crashed".to_owned();
                let url = without_secrets(self.order.url);
                return Err(Error::Fault { url, cause });
            }
            _ => {}
        }
        Ok(())
    }

    /// The second guard, before the proxy: what is not needed, or may not be called, is not even
    /// asked for. A document of the page itself has to pass as a plain fetch would.
    fn judge(&mut self, params: &Value) -> Result<(), Error> {
        let (tab, fetcher) = (self.tab, self.order.fetcher);
        let request = text(&params["requestId"]);
        let kind = params["resourceType"].as_str().unwrap_or_default();
        let method = params["request"]["method"].as_str().unwrap_or_default();
        let url = params["request"]["url"].as_str().unwrap_or_default();
        let url = Url::parse(url).ok();
        self.requests += 1;
        let is_main = kind == "Document" && params["frameId"] == *tab.frame;
        // A frame's document is not part of what is read; neither is what only eyes see.
        let is_unneeded = matches!(kind, "Image" | "Media" | "Font" | "Ping" | "Prefetch")
            || (kind == "Document" && !is_main);
        let is_harmless = matches!(method, "GET" | "HEAD" | "POST" | "OPTIONS");
        let allowed = url.filter(|url| {
            let is_allowed = is_main || fetcher.check(url).is_ok();
            is_allowed && is_harmless && !is_unneeded && self.requests <= REQUESTS_MAX
        });
        let Some(url) = allowed else {
            self.answers.push(Box::pin(async move {
                let refusal = json!({"requestId": request, "errorReason": "BlockedByClient"});
                ignore_refusal(tab.call("Fetch.failRequest", refusal).await)
            }));
            return Ok(());
        };
        if is_main {
            self.documents += 1;
            fetcher.check_redirects(self.documents - 1, &url)?;
            fetch::stays(&url, self.order.only_site)?;
        }
        self.answers.push(Box::pin(async move {
            if is_main {
                fetcher.permit(&url).await?;
            }
            let go = json!({"requestId": request});
            ignore_refusal(tab.call("Fetch.continueRequest", go).await)
        }));
        Ok(())
    }

    fn receive(&mut self, params: &Value) -> Result<(), Error> {
        let is_main = params["type"] == "Document" && params["frameId"] == *self.tab.frame;
        let response = &params["response"];
        let Some(url) = response["url"]
            .as_str()
            .and_then(|url| Url::parse(url).ok())
        else {
            return Ok(());
        };
        if !is_main {
            return Ok(());
        }
        if let Some(failure) = self.tab.account.failure(&url) {
            return Err(fetch::Error::from(failure).into());
        }
        let status = response["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let header = response["headers"].as_object().and_then(|headers| {
            let mut named = headers.iter();
            let (_, value) = named.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
            value.as_str()
        });
        let main = Main {
            url,
            status: status.unwrap_or_default(),
            content_type: text(&response["mimeType"]),
            after: header.and_then(retry_after::of_text),
        };
        if !main.status.is_success() {
            return Err(fetch::Error::Status {
                host: client::host(&main.url),
                status: main.status,
                after: main.after,
            }
            .into());
        }
        if !matches!(&*main.content_type, "text/html" | "application/xhtml+xml") {
            return Err(Error::NotHtml(main.content_type));
        }
        self.main = Some(main);
        self.last = None;
        self.quiet_since = Instant::now();
        Ok(())
    }

    fn navigated(&self, answer: &Value) -> Result<(), Error> {
        match answer["errorText"].as_str() {
            None | Some("") => Ok(()),
            // The page was left for another before it came.
            Some("net::ERR_ABORTED") if self.main.is_some() => Ok(()),
            Some(cause) => Err(self.load_error(self.order.url, cause.to_owned())),
        }
    }

    fn load_error(&self, url: &Url, cause: String) -> Error {
        if let Some(failure) = self.tab.account.failure(url) {
            return fetch::Error::from(failure).into();
        }
        let url = without_secrets(url);
        if is_fault(&cause) {
            Error::Fault { url, cause }
        } else {
            Error::Load { url, cause }
        }
    }

    fn is_at_rest(&mut self, state: Result<Option<State>, cdp::Error>) -> Result<bool, Error> {
        let now = Instant::now();
        let selector = self.order.wait_for;
        let state = match state {
            Ok(state) => state,
            // Its scripts keep it busy; the deadline bounds that.
            Err(cdp::Error::Silent(_)) => None,
            Err(error) => return Err(error.into()),
        };
        if state.as_ref().is_some_and(|state| state.found.is_none()) {
            return Err(Error::Selector(selector.unwrap_or_default().to_owned()));
        }
        if state.is_none() || state != self.last {
            self.quiet_since = now;
        }
        self.last = state;
        let Some(state) = &self.last else {
            return Ok(false);
        };
        let quiet = now - self.quiet_since;
        let is_loaded = state.ready == "complete" && self.under_way.is_empty();
        let is_still =
            quiet >= QUIET && is_loaded || quiet >= QUIET_WHILE_LOADING && state.ready != "loading";
        Ok(is_still && state.found == Some(true))
    }

    /// The time is up: a page that is there is taken as it is, one that still comes is not.
    fn is_worth_reading(&self) -> Result<(), Error> {
        let within = self.order.within;
        match &self.last {
            Some(state) if state.ready != "loading" => match self.order.wait_for {
                Some(selector) if state.found != Some(true) => {
                    let selector = selector.to_owned();
                    Err(Error::Awaited { selector, within })
                }
                _ => Ok(()),
            },
            _ => Err(fetch::Error::Timeout { within }.into()),
        }
    }

    async fn read(self) -> Result<Page, Error> {
        let bytes_max = self.order.fetcher.body_bytes_max();
        let within = self.order.within;
        let Some(main) = self.main else {
            return Err(fetch::Error::Timeout { within }.into());
        };
        let too_large = || fetch::Error::from(client::too_large(&main.url, bytes_max)).into();
        if self.tab.account.is_spent() {
            return Err(too_large());
        }
        let html = match self.tab.html(bytes_max).await {
            Ok(Ok(html)) if html.len() <= bytes_max => html,
            Ok(_) => return Err(too_large()),
            // Its scripts keep it busy.
            Err(cdp::Error::Silent(_)) => return Err(fetch::Error::Timeout { within }.into()),
            Err(error) => return Err(error.into()),
        };
        Ok(Page {
            url: main.url,
            status: main.status,
            content_type: ContentType {
                essence: main.content_type,
                charset: Some("utf-8".to_owned()),
            },
            media: Media::Html,
            // Those of the page before its scripts ran say nothing about what they made of it.
            validators: Validators::default(),
            body: html.into_bytes(),
        })
    }
}

/// Our proxy has the password; a web server that asks gets none.
async fn authenticate(tab: &Tab, params: Value) -> Result<(), Error> {
    let challenge = &params["authChallenge"];
    let response = if challenge["source"] == "Proxy" && challenge["realm"] == "flotilla" {
        json!({
            "response": "ProvideCredentials",
            "username": USER,
            "password": tab.account.password,
        })
    } else {
        json!({"response": "CancelAuth"})
    };
    let params = json!({"requestId": params["requestId"], "authChallengeResponse": response});
    ignore_refusal(tab.call("Fetch.continueWithAuth", params).await)
}

/// What was answered may be gone meanwhile.
fn ignore_refusal(answered: Result<Value, cdp::Error>) -> Result<(), Error> {
    match answered {
        Ok(_) | Err(cdp::Error::Refused { .. } | cdp::Error::Silent(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

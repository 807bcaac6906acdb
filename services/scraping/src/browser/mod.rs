//! Pages that their scripts build, rendered by a real Chromium over CDP: launched by us when one
//! is first needed, or running somewhere else.
//!
//! What keeps pages from where they may not look is the `proxy`: every context that we open in
//! the browser, launched or remote, is told to go through it, and it judges and makes each
//! connection. Before it, `render` judges each request by its address and drops what reading
//! does not need; a document of the page itself asks robots.txt and waits for its turn there.
//! The proxy alone is the guarantee: requests of workers and websockets pass it, not `render`.
//! A websocket without TLS is refused; one with it goes where any page may go.

mod cdp;
mod config;
mod error;
mod find;
mod need;
mod process;
mod profile;
mod proxy;
mod render;
mod session;
mod tab;

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use flotilla_common::breaker::BreakerOpen;
use flotilla_common::model::{Condition, Dependency, Probed};
use flotilla_common::worker::Attempt;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

pub use self::config::Config;
pub(crate) use self::error::Error as RenderError;
use self::find::Source;
pub(crate) use self::need::reason as need;
use self::proxy::Proxy;
use self::render::Order;
use self::session::Session;
use self::tab::Tab;
use crate::address::Policy;
use crate::failure;
use crate::fetch::{Fetcher, Page};
use crate::payload::{Payload, WaitFor};

/// Closing is tidying up: the page has been read.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Browser {
    config: Config,
    user_agent: String,
    ready: Result<Ready, String>,
}

/// A browser is configured.
#[derive(Debug)]
struct Ready {
    source: Source,
    proxy: Proxy,
    tabs: Semaphore,
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    session: Mutex<Option<Arc<Session>>>,
    used_at: StdMutex<Instant>,
}

/// Why there is no rendered page.
#[derive(Debug)]
pub(crate) enum Missed {
    /// There is no browser, or none that can be started; the page can be read without.
    Skipped(String),
    /// All tabs are taken, for longer than it is worth to wait.
    Busy,
    Failed(RenderError),
}

impl Browser {
    /// Launches nothing yet.
    pub(crate) async fn start(config: Config, scraping: &crate::Config) -> std::io::Result<Self> {
        let ready = match find::source(&config) {
            Ok(source) => {
                let policy = Arc::new(Policy::of(scraping));
                let timeout = scraping.connect_timeout;
                let proxy = Proxy::start(config.proxy_listen, policy, timeout).await?;
                let running = Arc::new(Running {
                    session: Mutex::default(),
                    used_at: StdMutex::new(Instant::now()),
                });
                Ok(Ready {
                    tabs: Semaphore::new(config.tabs_max),
                    source,
                    proxy,
                    running,
                })
            }
            Err(reason) => Err(reason),
        };
        Ok(Self {
            user_agent: scraping.user_agent.clone(),
            config,
            ready,
        })
    }

    /// The page as its scripts build it. What is the browser's fault counts for its breaker;
    /// what is the page's, or its server's, does not.
    pub(crate) async fn render(
        &self,
        payload: &Payload,
        fetcher: &Fetcher,
        attempt: &Attempt,
    ) -> Result<Page, Missed> {
        let ready = match &self.ready {
            Ok(ready) => ready,
            Err(reason) => return Err(Missed::Skipped(format!("no browser: {reason}"))),
        };
        let waiting = timeout(self.config.render_timeout, ready.tabs.acquire());
        let Ok(Ok(_tab)) = waiting.await else {
            return Err(Missed::Busy);
        };
        let permit = attempt.guard(Dependency::Playwright).await;
        let permit = permit.map_err(|open: BreakerOpen| Missed::Skipped(open.to_string()))?;
        let session = match ready.session(&self.config).await {
            Ok(session) => session,
            Err(error) => {
                let why = failure::chain(&error);
                permit.failed(&why);
                return Err(Missed::Skipped(why));
            }
        };
        let order = Order {
            url: payload.url.url(),
            wait_for: payload.wait_for.as_ref().map(WaitFor::as_str),
            only_site: payload.only_site.as_ref(),
            fetcher,
            within: self.config.render_timeout,
        };
        let rendered = self.render_in(&session, ready, order).await;
        ready.running.touch();
        match rendered {
            Ok(page) => {
                permit.succeeded();
                Ok(page)
            }
            Err(error) => {
                // A page may hang; a browser may not.
                let is_fault = match &error {
                    RenderError::Cdp(_) | RenderError::Fault { .. } => true,
                    _ => session.version().await.is_err(),
                };
                if is_fault {
                    permit.failed(&failure::chain(&error));
                    if session.version().await.is_err() {
                        ready.running.replace(&session).await;
                    }
                } else {
                    permit.succeeded();
                }
                Err(Missed::Failed(error))
            }
        }
    }

    async fn render_in(
        &self,
        session: &Arc<Session>,
        ready: &Ready,
        order: Order<'_>,
    ) -> Result<Page, RenderError> {
        let account = ready.proxy.open(self.config.page_bytes_max);
        let proxy = format!("{}:{}", self.config.proxy_name(), ready.proxy.port());
        // Sites see a browser, and who sends it.
        let user_agent = format!("{} {}", session.user_agent, self.user_agent);
        let opening = Tab::open(Arc::clone(session), account, &proxy, &user_agent);
        let mut tab = timeout(order.within, opening)
            .await
            .map_err(|_| cdp::Error::Silent("the opening of a tab"))??;
        let page = render::page(&mut tab, order).await;
        // One that cannot be closed is noticed by the next question to the browser.
        let _ = timeout(CLOSE_TIMEOUT, tab.close()).await;
        page
    }

    /// How the browser is, whatever its breaker says.
    pub(crate) async fn probe(&self) -> Probed {
        let (condition, detail) = match &self.ready {
            Err(reason) => (Condition::Disabled, reason.clone()),
            Ok(ready) => match ready.version(&self.config).await {
                Ok(version) => (Condition::Up, version),
                Err(why) => (Condition::Down, why),
            },
        };
        Probed {
            dependency: Dependency::Playwright,
            condition,
            detail: Some(detail),
        }
    }

    /// Ends the browser, if one was launched.
    pub(crate) async fn close(&self) {
        if let Ok(ready) = &self.ready {
            ready.running.end().await;
        }
    }
}

impl Ready {
    /// The browser that runs, or a new one.
    async fn session(&self, config: &Config) -> Result<Arc<Session>, session::Error> {
        let mut running = self.running.session.lock().await;
        self.running.touch();
        if let Some(session) = &*running
            && !session.connection.is_closed()
        {
            return Ok(Arc::clone(session));
        }
        if let Some(gone) = running.take() {
            gone.end().await;
        }
        let session = Arc::new(Session::start(config, &self.source, &self.proxy).await?);
        tracing::info!(browser = session.product, "the browser is ready");
        *running = Some(Arc::clone(&session));
        tokio::spawn(end_when_idle(
            Arc::downgrade(&self.running),
            config.idle_timeout,
        ));
        Ok(session)
    }

    /// Asked of the browser that runs; of the program, where none does.
    async fn version(&self, config: &Config) -> Result<String, String> {
        let running = self.running.session.lock().await.clone();
        if let Some(session) = running {
            let asked = session.version().await;
            return match asked {
                Ok(()) => Ok(session.product.clone()),
                Err(error) => Err(error.to_string()),
            };
        }
        match &self.source {
            Source::Remote(_) => {
                let session = Session::start(config, &self.source, &self.proxy).await;
                session
                    .map(|session| session.product.clone())
                    .map_err(|error| failure::chain(&error))
            }
            Source::Launch(program) => process::version(program).await,
        }
    }
}

impl Running {
    fn touch(&self) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn used_at(&self) -> Instant {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next page gets another browser; pages that are still in this one end with it.
    async fn replace(&self, failed: &Arc<Session>) {
        let mut running = self.session.lock().await;
        if running
            .as_ref()
            .is_some_and(|session| Arc::ptr_eq(session, failed))
        {
            *running = None;
            failed.end().await;
        }
    }

    async fn end(&self) {
        if let Some(session) = self.session.lock().await.take() {
            session.end().await;
        }
    }
}

async fn end_when_idle(running: std::sync::Weak<Running>, idle: Duration) {
    let mut until = Instant::now() + idle;
    loop {
        sleep_until(until).await;
        let Some(running) = running.upgrade() else {
            return;
        };
        until = running.used_at() + idle;
        if until > Instant::now() {
            continue;
        }
        let mut session = running.session.lock().await;
        // Somebody may be rendering for that long.
        match session.take().map(Arc::try_unwrap) {
            None => return,
            Some(Ok(idle)) => return idle.end().await,
            Some(Err(busy)) => *session = Some(busy),
        }
        until = Instant::now() + idle;
    }
}

//! How a page is got: plainly, or rendered where the task asks for it or the page needs it.

use std::time::Duration;

use flotilla_common::model::{Failure, Outcome};
use flotilla_common::worker::Attempt;
use flotilla_common::{call, telemetry};
use tracing::Instrument;
use tracing::field::Empty;

use crate::browser::{Missed, RenderError};
use crate::condition::Validators;
use crate::extract::Extracted;
use crate::failure;
use crate::fetch::{self, Page};
use crate::handler::ScrapeHandler;
use crate::payload::{Payload, Render};
use crate::result::Rendering;

/// A tab is free again after this, most likely.
const BUSY_FOR: Duration = Duration::from_secs(5);

/// After so many attempts a page that could not be rendered is read without.
const FAILURES_MAX: u32 = 2;

/// A page, as it is known once its body has been turned into text.
pub(crate) struct Read {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) validators: Validators,
    pub(crate) extracted: Extracted,
    pub(crate) rendering: Rendering,
}

impl ScrapeHandler {
    pub(crate) async fn obtain(
        &self,
        payload: &Payload,
        attempt: Option<&Attempt>,
    ) -> Result<Read, Outcome> {
        match payload.render {
            Render::Never => self.plainly(payload, Rendering::none()).await,
            Render::Always => match self.rendered(payload, attempt).await {
                Ok(page) => {
                    self.read(page, Rendering::done("the task asks for it"))
                        .await
                }
                Err(Missed::Skipped(why)) => self.plainly(payload, Rendering::skipped(why)).await,
                Err(Missed::Failed(error @ RenderError::NotHtml(_))) => {
                    self.plainly(payload, Rendering::not(error.to_string()))
                        .await
                }
                Err(missed) => Err(outcome(&missed)),
            },
            Render::Auto => self.as_needed(payload, attempt).await,
        }
    }

    async fn as_needed(
        &self,
        payload: &Payload,
        attempt: Option<&Attempt>,
    ) -> Result<Read, Outcome> {
        let page = self.fetch(payload).await?;
        let wait_for = payload.wait_for.clone();
        let (plain, need) = self.read_judging(page, wait_for).await?;
        let Some(need) = need else {
            return Ok(plain);
        };
        let skipped = |why: String| Read {
            rendering: Rendering::skipped(format!("{need}, but {why}")),
            ..plain
        };
        let is_early = attempt.is_some_and(|attempt| attempt.number() < FAILURES_MAX);
        match self.rendered(payload, attempt).await {
            Ok(page) => self.read(page, Rendering::done(need)).await,
            Err(Missed::Skipped(why)) => Ok(skipped(why)),
            // There is a page already, if a poor one: better than none where another attempt
            // would end the same way.
            Err(Missed::Failed(error)) if !outweighs_page(&error, is_early) => {
                Ok(skipped(failure::chain(&error)))
            }
            Err(missed) => Err(outcome(&missed)),
        }
    }

    async fn plainly(&self, payload: &Payload, rendering: Rendering) -> Result<Read, Outcome> {
        let page = self.fetch(payload).await?;
        self.read(page, rendering).await
    }

    async fn rendered(&self, payload: &Payload, attempt: Option<&Attempt>) -> Result<Page, Missed> {
        let (Some(browser), Some(attempt)) = (&self.browser, attempt) else {
            return Err(Missed::Skipped("there is no browser here".to_owned()));
        };
        let span = call!("internal", "render", flotilla.reason = Empty);
        let rendering = browser.render(payload, &self.fetcher, attempt);
        let rendered = rendering.instrument(span.clone()).await;
        match &rendered {
            Ok(_) => {}
            Err(Missed::Failed(_)) => telemetry::fail(&span, "render_failed"),
            Err(Missed::Busy) => _ = span.record("flotilla.reason", "busy"),
            Err(Missed::Skipped(_)) => _ = span.record("flotilla.reason", "skipped"),
        }
        rendered
    }

    async fn read(&self, page: Page, rendering: Rendering) -> Result<Read, Outcome> {
        let (read, _) = self.read_judging(page, None).await?;
        Ok(Read { rendering, ..read })
    }
}

/// A browser's crash may pass, and so may a server's trouble, but not every time; what a page does
/// to the browser, or does not show in time, hardly will.
fn outweighs_page(error: &RenderError, is_early: bool) -> bool {
    match error {
        RenderError::Fetch(error) => fetch_outweighs_page(error, is_early),
        RenderError::Cdp(_) | RenderError::Fault { .. } => is_early,
        // The caller's own mistake, to be told.
        RenderError::Selector(_) => true,
        RenderError::NotHtml(_) | RenderError::Awaited { .. } | RenderError::Load { .. } => false,
    }
}

fn fetch_outweighs_page(error: &fetch::Error, is_early: bool) -> bool {
    match error {
        // Whether it may be read at all is not for the plain page to say.
        fetch::Error::LeftSite { .. } | fetch::Error::Robots(_) => true,
        // Of the page's own scripts, most likely.
        fetch::Error::Timeout { .. } => false,
        error => match failure::of_fetch(error) {
            // Its host is asked later, and not by another attempt.
            Outcome::Defer { .. } => true,
            Outcome::Retry { .. } => is_early,
            _ => false,
        },
    }
}

fn outcome(missed: &Missed) -> Outcome {
    match missed {
        Missed::Failed(error) => failure::of_rendering(error),
        Missed::Busy => Outcome::Defer {
            reason: Failure::new("browser_busy", "all tabs of the browser are taken"),
            after: BUSY_FOR,
        },
        Missed::Skipped(why) => Outcome::retry(Failure::new("browser", why.clone())),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::{client, robots};

    fn status(status: StatusCode) -> fetch::Error {
        let host = "example.com".to_owned();
        fetch::Error::Status {
            host,
            status,
            after: None,
        }
    }

    #[test]
    fn a_page_is_given_up_only_for_what_may_pass() {
        let within = Duration::from_secs(1);
        let (host, url) = ("example.com".to_owned(), "http://example.com/".to_owned());
        let lasting = [
            status(StatusCode::FORBIDDEN),
            fetch::Error::Timeout { within },
            fetch::Error::TooManyRedirects {
                redirects_max: 1,
                url,
            },
            client::Error::TooLarge { host, bytes_max: 1 }.into(),
        ];
        for error in lasting.map(RenderError::Fetch) {
            assert!(!outweighs_page(&error, true), "{error}");
        }
        let passing = RenderError::Fetch(status(StatusCode::BAD_GATEWAY));
        assert!(outweighs_page(&passing, true));
        assert!(!outweighs_page(&passing, false));
    }

    #[test]
    fn a_page_is_given_up_where_it_may_not_be_read_or_not_yet() {
        let host = "example.com".to_owned();
        let wait = Duration::from_secs(1);
        let site = crate::discover::Site::of(&url::Url::parse("http://example.com").unwrap());
        let errors = [
            fetch::Error::NotItsTurn { host, wait },
            fetch::Error::LeftSite { site },
            robots::Error::Denied {
                host: "example.com".to_owned(),
                path: "/".to_owned(),
                name: "flotilla".to_owned(),
            }
            .into(),
        ];
        for error in errors.map(RenderError::Fetch) {
            assert!(outweighs_page(&error, false), "{error}");
        }
    }
}

//! Which failures may pass and which are final. One exhaustive match per error: a new kind
//! of error does not compile until it is decided here.

use std::error::Error as StdError;
use std::time::Duration;

use flotilla_common::model::{Failure, FailureCode, Outcome};
use reqwest::StatusCode;

use crate::browser::RenderError;
use crate::{client, extract, fetch, pdf, robots};

enum Fate {
    Retry(Option<Duration>),
    /// Nothing failed: the host is asked later.
    Defer(Duration),
    Final,
}

use Fate::{Defer, Final, Retry};

pub(crate) fn of_fetch(error: &fetch::Error) -> Outcome {
    let (code, fate) = match error {
        fetch::Error::Client(error) => client(error),
        fetch::Error::Robots(error) => robots(error),
        fetch::Error::Status { status, after, .. } => http(*status, *after),
        fetch::Error::NotItsTurn { wait, .. } => ("host_busy".into(), Defer(*wait)),
        fetch::Error::Timeout { .. } => ("timeout".into(), Retry(None)),
        fetch::Error::TooManyRedirects { .. } => ("too_many_redirects".into(), Final),
        fetch::Error::Redirect { .. } => ("bad_redirect".into(), Final),
        fetch::Error::LeftSite { .. } => ("left_site".into(), Final),
        fetch::Error::Unsupported(_) => ("unsupported_type".into(), Final),
    };
    outcome(code, fate, error)
}

pub(crate) fn of_rendering(error: &RenderError) -> Outcome {
    let (code, fate) = match error {
        RenderError::Fetch(error) => return of_fetch(error),
        RenderError::NotHtml(_) => ("unsupported_type", Final),
        RenderError::Selector(_) => ("invalid_payload", Final),
        RenderError::Awaited { .. } => ("wait_for_missing", Retry(None)),
        RenderError::Load { .. } => ("not_loaded", Retry(None)),
        RenderError::Fault { .. } | RenderError::Cdp(_) => ("browser", Retry(None)),
    };
    outcome(code.into(), fate, error)
}

pub(crate) fn of_extraction(error: &extract::Error) -> Outcome {
    let (code, fate) = match error {
        extract::Error::Nesting { .. } => ("too_deep", Final),
        extract::Error::Nodes { .. } => ("too_large", Final),
        // The machine may have been busy; the attempts are limited.
        extract::Error::Time => ("extraction_timeout", Retry(None)),
    };
    outcome(code.into(), fate, error)
}

/// Whatever is wrong with a file is wrong with it tomorrow; only the machine may be better.
pub(crate) fn of_pdf(error: &pdf::Error) -> Outcome {
    let (code, fate) = match error {
        pdf::Error::Missing { .. } => ("pdf_reader_missing", Retry(None)),
        pdf::Error::Io(_) | pdf::Error::NoAnswer { .. } => ("pdf_reader", Retry(None)),
        pdf::Error::Timeout { .. } => ("extraction_timeout", Retry(None)),
        pdf::Error::Fault(fault) => match fault {
            pdf::Fault::Encrypted => ("pdf_encrypted", Final),
            pdf::Fault::NoText { .. } => ("pdf_without_text", Final),
            pdf::Fault::Broken(_) => ("pdf_broken", Final),
            pdf::Fault::TooLarge(_) => ("too_large", Final),
            pdf::Fault::TooManyPages { .. } => ("pdf_too_many_pages", Final),
        },
    };
    outcome(code.into(), fate, error)
}

fn client(error: &client::Error) -> (FailureCode, Fate) {
    let (code, fate) = match error {
        client::Error::Refused { .. } => ("address_refused", Final),
        client::Error::Dns { .. } => ("dns", Retry(None)),
        client::Error::Connect { .. } => ("connect", Retry(None)),
        client::Error::Timeout { .. } => ("timeout", Retry(None)),
        client::Error::Interrupted { .. } => ("body_interrupted", Retry(None)),
        client::Error::TooLarge { .. } => ("too_large", Final),
    };
    (code.into(), fate)
}

fn robots(error: &robots::Error) -> (FailureCode, Fate) {
    match error {
        robots::Error::Denied { .. } => ("robots_denied".into(), Final),
        robots::Error::Unavailable { after, .. } => ("robots_unavailable".into(), Retry(*after)),
        robots::Error::Unreachable { source, .. } => match source {
            // These say that the page's own host cannot be asked at all.
            client::Error::Refused { .. }
            | client::Error::Dns { .. }
            | client::Error::Connect { .. } => client(source),
            client::Error::Timeout { .. }
            | client::Error::Interrupted { .. }
            | client::Error::TooLarge { .. } => ("robots_unavailable".into(), Retry(None)),
        },
    }
}

fn http(status: StatusCode, after: Option<Duration>) -> (FailureCode, Fate) {
    let passes = status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS;
    let code = format!("http_{}", status.as_u16()).into();
    (code, if passes { Retry(after) } else { Final })
}

fn outcome(code: FailureCode, fate: Fate, error: &dyn StdError) -> Outcome {
    let failure = Failure::new(code, chain(error));
    match fate {
        Retry(after) => Outcome::Retry { failure, after },
        Defer(after) => Outcome::Defer {
            reason: failure,
            after,
        },
        Final => Outcome::Reject(failure),
    }
}

/// What we were doing and why it failed, in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut message = error.to_string();
    for cause in causes(error).map(ToString::to_string) {
        // Some libraries repeat their source in their own message.
        if !message.ends_with(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    message
}

/// Without the error itself.
pub(crate) fn causes<'a>(
    error: &'a dyn StdError,
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_status(status: u16) -> Outcome {
        of_fetch(&fetch::Error::Status {
            host: "example.com".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            after: Some(Duration::from_secs(7)),
        })
    }

    #[test]
    fn statuses_that_may_pass_are_retried_when_the_server_says() {
        for status in [408, 429, 500, 502, 503, 504] {
            let Outcome::Retry { failure, after } = of_status(status) else {
                panic!("{status} must be retried");
            };
            assert_eq!(failure.code.as_str(), format!("http_{status}"));
            assert_eq!(after, Some(Duration::from_secs(7)));
        }
        for status in [400, 401, 403, 404, 410, 418, 451] {
            assert!(matches!(of_status(status), Outcome::Reject(_)), "{status}");
        }
    }

    #[test]
    fn messages_carry_their_causes_once() {
        let error = fetch::Error::Redirect {
            host: "example.com".to_owned(),
            source: crate::redirect::BadRedirect::NoLocation(StatusCode::FOUND),
        };
        assert_eq!(
            chain(&error),
            "example.com sent a redirect that leads nowhere: status 302 Found without a Location header",
        );
    }
}

//! Why a page was not rendered, and whose fault that is.

use std::time::Duration;

use super::cdp;
use crate::fetch;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// As for a plain fetch.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error("the page is {0}, which is not rendered")]
    NotHtml(String),
    #[error("nothing in the page matched wait_for {selector:?} within {} s", within.as_secs_f64())]
    Awaited { selector: String, within: Duration },
    #[error("wait_for {0:?} is no CSS selector")]
    Selector(String),
    /// The page's or its server's fault, as far as can be told.
    #[error("the browser could not load {url}: {cause}")]
    Load { url: String, cause: String },
    /// The browser's.
    #[error("the browser failed at {url}: {cause}")]
    Fault { url: String, cause: String },
    #[error("talking to the browser")]
    Cdp(#[from] cdp::Error),
}

/// Most of the browser's errors are about the server; these are about itself and its way out.
pub(super) fn is_fault(cause: &str) -> bool {
    const FAULTS: [&str; 7] = [
        "ERR_FAILED",
        "ERR_PROXY_",
        "ERR_NO_SUPPORTED_PROXIES",
        "ERR_MANDATORY_PROXY",
        "ERR_INSUFFICIENT_RESOURCES",
        "ERR_OUT_OF_MEMORY",
        "ERR_INTERNET_DISCONNECTED",
    ];
    FAULTS.iter().any(|fault| cause.contains(fault))
}

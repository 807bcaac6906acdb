//! What the service and the program that reads a PDF say to each other: the limits as an
//! argument, the file on stdin, the answer on stdout, all but the file as JSON.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) pages_max: usize,
    /// What all streams of the file may become together.
    pub(crate) inflated_bytes_max: usize,
    pub(crate) content_bytes_max: usize,
    pub(crate) links_max: usize,
    /// The whole program's address space.
    pub(crate) memory_bytes_max: u64,
    /// Of processor time.
    pub(crate) seconds_max: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) title: Option<String>,
    pub(crate) language: Option<String>,
    /// Markdown.
    pub(crate) content: String,
    pub(crate) links: Vec<String>,
    pub(crate) pages: usize,
}

/// Why there is no text. None of these passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    #[error("the PDF is encrypted and opens only with a password: scrape a copy without one")]
    Encrypted,
    #[error(
        "none of the {pages} pages of the PDF has text that can be read ({why}): run text recognition over it first"
    )]
    NoText { pages: usize, why: String },
    #[error("the PDF is broken: {0}")]
    Broken(String),
    #[error("the PDF is too large: {0}")]
    TooLarge(String),
    #[error("the PDF has {pages} pages: at most {pages_max} are read")]
    TooManyPages { pages: usize, pages_max: usize },
}

pub(crate) type Answer = Result<Text, Fault>;

//! The scraping category: fetches the page that a task names, politely and only where it
//! may, and turns it into Markdown.
//!
//! In reading order: `handler` runs a task; `fetch` gets the page, asking `robots` and
//! `pace` first, through the guarded `client` (`address`, `resolver`); `charset` and
//! `extract` turn it into text; where a page is built by its scripts, `obtain` has the `browser`
//! run them; `pdf` reads PDF files in a process of their own; `discover` follows a site;
//! `failure` decides what is retried.

mod address;
mod browser;
mod charset;
mod client;
mod condition;
mod config;
mod discover;
mod extract;
mod failure;
mod fetch;
mod handler;
mod index;
mod markup;
mod media;
mod obtain;
mod pace;
mod payload;
mod pdf;
mod redirect;
mod resolver;
mod result;
mod robots;
mod run;
mod text;

pub use browser::Config as BrowserConfig;
pub use condition::{Conditions, Hash, InvalidHash, InvalidValidator, Validator};
pub use config::Config;
pub use handler::ScrapeHandler;
pub use payload::{InvalidTarget, InvalidWaitFor, Payload, Render, Target, WaitFor};
pub use pdf::read_pdf_from_stdin;
pub use run::{main, run};

//! Taking tasks in: what callers send becomes a task, and the task goes to the broker.

pub(crate) mod any;
pub(crate) mod batch;
mod batch_answer;
mod fields;
mod later;
pub(crate) mod many;
mod placed;
mod scraping;
pub(crate) mod single;
mod submission;
mod url;

pub(crate) use fields::{Terms, check_kept};
pub(crate) use single::check_payload;
pub(crate) use submission::{Accepted, Beside};

//! Taking tasks in: what callers send becomes a task, and the task goes to the broker.

mod batch;
mod batch_answer;
mod fields;
mod later;
mod scraping;
mod single;
mod submission;
mod url;

pub(crate) use batch::scrape_batch;
pub(crate) use fields::Terms;
pub(crate) use single::{batch, check_payload, embed, maintenance, query, scrape};
pub(crate) use submission::Accepted;

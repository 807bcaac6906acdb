//! The answer as it is made, passed on to whoever asked to see it.

use flotilla_common::broker::Token;
use flotilla_common::model::Category;
use flotilla_common::worker::Attempt;

/// Says nothing where nobody asked for it.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    attempt: Option<&'a Attempt>,
    number: u64,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(attempt: &'a Attempt, is_wanted: bool) -> Self {
        Self {
            attempt: is_wanted.then_some(attempt),
            number: 0,
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(text.to_owned(), false).await;
    }

    /// What was said is void; another answer follows.
    pub(crate) fn begin_anew(&mut self) {
        self.number = 0;
    }

    pub(crate) async fn end(&mut self) {
        self.send(String::new(), true).await;
    }

    async fn send(&mut self, text: String, end: bool) {
        let Some(attempt) = self.attempt else {
            return;
        };
        let token = Token {
            attempt: attempt.number(),
            number: self.number,
            text,
            end,
        };
        self.number += 1;
        let said = attempt
            .broker()
            .say_token(Category::Query, attempt.task_id(), &token);
        // The result has the whole answer, and is stored.
        if let Err(error) = said.await {
            tracing::debug!(%error, "a piece of an answer was not passed on");
        }
    }
}

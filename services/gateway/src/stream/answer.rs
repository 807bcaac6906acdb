//! A question's answer while it is made: `task`, then `token`s and a `restart` where the answer
//! begins anew, and in the end `result`, or `error`. What counts is the result; the tokens are
//! the model's words before anybody has checked them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flotilla_common::broker::{Outcomes, Token, TokenFeed};
use flotilla_common::model::Record;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::time::Sleep;

use super::{Queue, Seat, Source, draining, event, failed};
use crate::Gateway;
use crate::problem::{Kind, Problem};
use crate::submit::Accepted;
use crate::tasks::Found;
use crate::wait::settled;

pub(crate) struct Following {
    gateway: Arc<Gateway>,
    check_url: String,
    /// `None` once they have ended for good.
    tokens: Option<TokenFeed>,
    outcome: BoxFuture<'static, Record>,
    time_is_up: Pin<Box<Sleep>>,
    said: Said,
    queue: Queue,
    _seat: Seat,
}

/// A piece of the answer. Numbers go up from 0 without gaps: a gap means that some were lost.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Piece {
    attempt: u32,
    number: u64,
    text: String,
}

/// Forget all pieces so far.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Restart {
    attempt: u32,
}

impl Following {
    /// Of a task that has been submitted after both were subscribed to.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        seat: Seat,
        task: &Accepted,
        tokens: TokenFeed,
        mut outcomes: Outcomes,
        wait: Duration,
    ) -> Self {
        let mut queue = Queue::default();
        queue.push(event("task", task));
        Self {
            gateway,
            check_url: task.check_url.clone(),
            tokens: Some(tokens),
            outcome: async move { settled(&mut outcomes).await }.boxed(),
            time_is_up: Box::pin(tokio::time::sleep(wait)),
            said: Said::default(),
            queue,
            _seat: seat,
        }
    }

    /// The same of a task that has its outcome already.
    pub(crate) async fn finish(&mut self, outcome: Found) {
        let last = match self.gateway.view(outcome).await {
            Ok(view) => event("result", &view),
            Err(problem) => failed(&problem),
        };
        self.queue.end(last);
    }

    fn hear(&mut self, token: Option<Token>) {
        let Some(token) = token else {
            self.tokens = None;
            return;
        };
        let (restart, piece) = self.said.hear(token);
        if let Some(restart) = restart {
            self.queue.push(event("restart", &restart));
        }
        if let Some(piece) = piece {
            self.queue.push(event("token", &piece));
        }
    }
}

impl Source for Following {
    fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    async fn step(&mut self) {
        tokio::select! {
            // What was said before the outcome comes before it.
            biased;
            token = next_token(&mut self.tokens) => self.hear(token),
            record = &mut self.outcome => self.finish(Found::Recorded(record)).await,
            () = &mut self.time_is_up => self.queue.end(failed(&unfinished(&self.check_url))),
            () = self.gateway.stop.cancelled() => self.queue.end(failed(&draining(&self.check_url))),
        }
    }
}

async fn next_token(tokens: &mut Option<TokenFeed>) -> Option<Token> {
    match tokens {
        Some(tokens) => tokens.next().await,
        None => std::future::pending().await,
    }
}

fn unfinished(check_url: &str) -> Problem {
    Problem::new(
        Kind::Unfinished,
        "the answer takes longer than this stream waits; the task goes on",
    )
    .remedy("look at check_url for its outcome, or ask with a longer ?wait=")
    .with("check_url", check_url)
}

/// Where the answer is: the attempt and number of its last piece.
#[derive(Debug, Default)]
struct Said {
    last: Option<(u32, u64)>,
}

impl Said {
    fn hear(&mut self, token: Token) -> (Option<Restart>, Option<Piece>) {
        let Token {
            attempt,
            number,
            text,
            ..
        } = token;
        let last = self.last.replace((attempt, number));
        if let Some((latest, _)) = last.filter(|(latest, _)| attempt < *latest) {
            // An attempt that was given up, and does not know it yet.
            self.last = last;
            tracing::debug!(attempt, latest, "a piece of an answer came too late");
            return (None, None);
        }
        // Its first piece may have been lost: a number that does not go up is enough.
        let is_anew = last.is_some_and(|(latest, before)| attempt > latest || number <= before);
        let piece = (!text.is_empty()).then_some(Piece {
            attempt,
            number,
            text,
        });
        (is_anew.then_some(Restart { attempt }), piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(attempt: u32, number: u64, text: &str) -> Token {
        Token {
            attempt,
            number,
            text: text.to_owned(),
            end: text.is_empty(),
        }
    }

    /// `+` for a piece, `!` for a beginning anew.
    fn heard(tokens: &[(u32, u64, &str)]) -> String {
        let mut said = Said::default();
        let mut heard = String::new();
        for (attempt, number, text) in tokens {
            let (restart, piece) = said.hear(token(*attempt, *number, text));
            heard.extend(restart.map(|_| '!').into_iter().chain(piece.map(|_| '+')));
        }
        heard
    }

    #[test]
    fn pieces_follow_each_other_and_the_end_is_none() {
        assert_eq!(heard(&[(1, 0, "a"), (1, 1, "b"), (1, 2, "")]), "++");
        assert_eq!(heard(&[(1, 4, "a"), (1, 9, "b")]), "++", "some were lost");
    }

    #[test]
    fn an_answer_may_begin_anew() {
        assert_eq!(heard(&[(1, 0, "a"), (1, 1, "b"), (1, 0, "c")]), "++!+");
        assert_eq!(heard(&[(1, 0, "a"), (2, 0, "b")]), "+!+");
        assert_eq!(heard(&[(1, 5, "a"), (1, 2, "b")]), "+!+", "its 0 was lost");
        assert_eq!(heard(&[(1, 0, "a"), (1, 0, "")]), "+!");
    }

    #[test]
    fn an_attempt_that_was_given_up_is_not_heard() {
        assert_eq!(heard(&[(2, 0, "a"), (1, 7, "b"), (2, 1, "c")]), "++");
    }
}

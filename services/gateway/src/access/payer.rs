//! Who submits many tasks by one request: each of them counts as if it had come alone.

use std::sync::Arc;

use flotilla_common::model::Category;

use super::guard::{require, scope_of};
use super::keyring::{Admitted, Keyring};
use crate::Gateway;
use crate::problem::{Kind, Problem};

/// Of the tasks the request itself has counted as one.
#[derive(Clone)]
pub(crate) struct Payer {
    keyring: Arc<Keyring>,
    admitted: Admitted,
}

impl Payer {
    pub(super) fn new(keyring: Arc<Keyring>, admitted: Admitted) -> Self {
        Self { keyring, admitted }
    }

    /// What is to be said of each of these tasks before it is submitted, as if it had come alone; nothing of
    /// those that the key may submit now.
    pub(crate) async fn check(
        &self,
        gateway: &Gateway,
        categories: impl ExactSizeIterator<Item = Option<Category>>,
    ) -> Vec<Option<Problem>> {
        let Self { keyring, admitted } = self;
        let more = (categories.len() as u64).saturating_sub(1);
        let (taken, standing) = keyring.take_some(admitted, more);
        let wait = standing.wait.unwrap_or_default();
        let mut all = Vec::with_capacity(categories.len());
        let mut away = None;
        for (index, category) in (0..).zip(categories) {
            let checked = match category {
                _ if index > taken => Err(admitted.too_fast(wait)),
                Some(category) => self.check_one(gateway, category, &mut away).await,
                None => Ok(()),
            };
            all.push(checked.err());
        }
        all
    }

    /// Once the broker is away, each task after that would wait for it as long as the first: what is said of
    /// that one holds for them.
    async fn check_one(
        &self,
        gateway: &Gateway,
        category: Category,
        away: &mut Option<Problem>,
    ) -> Result<(), Problem> {
        let key = &self.admitted.key;
        require(key, scope_of(category), "a task of this category")?;
        if let (Some(_), Some(problem)) = (key.backlog_max, &away) {
            return Err(problem.clone());
        }
        let checked = gateway.check_backlog(key, category, 1).await;
        if let Err(problem) = &checked
            && problem.kind() == Kind::Unavailable
        {
            *away = Some(problem.clone());
        }
        checked
    }

    /// Whether the key may submit so many tasks of a category now: all of them, or none. Of more than it
    /// may send at once the rest is on credit.
    pub(crate) async fn cover(
        &self,
        gateway: &Gateway,
        category: Category,
        tasks: usize,
    ) -> Result<(), Problem> {
        let Self { keyring, admitted } = self;
        let tasks = tasks as u64;
        let more = tasks.saturating_sub(1);
        if let Some(wait) = keyring.take_all(admitted, more).wait {
            return Err(admitted.too_fast(wait));
        }
        gateway.check_backlog(&admitted.key, category, tasks).await
    }
}

//! Which tasks a call is about: that has to be said in so many words.

use flotilla_common::model::{TaskFilter, TaskId, TaskKey};

use super::{Action, LIMIT_MAX};
use crate::body::Fields;
use crate::paging;
use crate::problem::Problem;
use crate::task_filter::{self, FIELDS};

/// Which tasks one call is about.
pub(super) enum Which {
    Named(Vec<TaskId>),
    Found(TaskFilter, Option<TaskKey>),
}

impl Which {
    /// Tasks by name, or by a filter that says something, or all of them, and that in so many words.
    pub(super) fn take(fields: &mut Fields, action: &Action) -> Result<Self, Problem> {
        let named = fields.take::<Vec<TaskId>>("task_ids")?;
        let all = fields.take::<bool>("all")?.unwrap_or(false);
        let mut filter = task_filter::take(fields)?;
        let cursor = fields.take::<TaskKey>("cursor")?;
        fields.nothing_else()?;
        if let Some(ids) = named {
            if all || !filter.is_empty() {
                let why = "task_ids: a filter, or all, is given as well";
                return Err(Problem::invalid("task_ids", why).remedy("send one of them"));
            }
            paging::bounded(ids.len(), LIMIT_MAX).map_err(|_| {
                Problem::invalid("task_ids", format!("task_ids: name 1 to {LIMIT_MAX} tasks"))
            })?;
            return Ok(Which::Named(ids));
        }
        if filter.is_empty() && !all {
            let why = format!("nothing says which tasks are meant: {FIELDS} can, or task_ids");
            return Err(Problem::invalid("all", why)
                .remedy("name at least one, or send \"all\": true to mean every task"));
        }
        let states = action.states();
        if filter.state.is_any() {
            filter.state = states.to_vec().into();
        }
        let other = filter
            .state
            .named()
            .iter()
            .find(|state| !states.contains(state));
        if let Some(other) = other {
            let known: Vec<_> = states.iter().map(|state| state.name()).collect();
            let why = format!(
                "state: there is nothing to do for tasks that are {}: use {}",
                other.name(),
                known.join(", ")
            );
            return Err(Problem::invalid("state", why));
        }
        Ok(Which::Found(filter, cursor))
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::broker::Requeue;

    use super::*;

    fn which(action: &Action, body: &str) -> Result<Which, Problem> {
        Which::take(&mut Fields::parse(body.as_bytes()).unwrap(), action)
    }

    #[test]
    fn all_tasks_are_meant_only_where_that_is_said() {
        for body in ["{}", r#"{"all":false}"#, r#"{"state":[]}"#] {
            let problem = which(&Action::Cancel, body).err().unwrap();
            assert!(problem.detail().contains("which tasks are meant"), "{body}");
        }
        let all = which(&Action::Cancel, r#"{"all":true}"#).unwrap();
        let Which::Found(filter, None) = all else {
            panic!("no filter");
        };
        assert_eq!(filter.state.named(), Action::Cancel.states());
    }

    #[test]
    fn what_has_ended_cannot_be_cancelled_and_what_has_not_cannot_be_retried() {
        let retry = Action::Retry(Requeue::default());
        assert!(which(&retry, r#"{"state":"failed","brand":"acme"}"#).is_ok());
        assert!(which(&retry, r#"{"state":"failed,completed"}"#).is_err());
        assert!(which(&Action::Cancel, r#"{"state":"failed"}"#).is_err());
        assert!(which(&Action::Cancel, r#"{"task_ids":["a"],"all":true}"#).is_err());
        assert!(which(&Action::Cancel, r#"{"task_ids":[]}"#).is_err());
        assert!(matches!(
            which(&Action::Cancel, r#"{"task_ids":["a"]}"#),
            Ok(Which::Named(ids)) if ids.len() == 1
        ));
    }
}

//! What a submission's subject says: `fleet.ask.<category>` or `fleet.ask.<category>.<priority>`.

use flotilla_common::model::{Category, Priority};

use crate::problem::Problem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) category: Category,
    pub(super) priority: Option<Priority>,
}

impl Lane {
    pub(super) fn of(subject: &str) -> Result<Self, Problem> {
        let mut tokens = subject.split('.').skip(2);
        let name = tokens.next().unwrap_or_default();
        // By no other name: permissions go by the subject.
        let category = Category::named(name).ok_or_else(|| {
            let known: Vec<_> = Category::all().map(Category::name).collect();
            let known = known.join(", ");
            let why = format!("the subject's category: {name:?} is none: use one of {known}");
            Problem::invalid("category", why)
        })?;
        let priority = tokens.next().map(|name| {
            let named = Priority::ALL.into_iter().find(|known| known.name() == name);
            named.ok_or_else(|| {
                let known = Priority::ALL.map(Priority::name).join(", ");
                let why = format!("the subject's priority: {name:?} is none: use one of {known}");
                Problem::invalid("priority", why)
            })
        });
        let lane = Self {
            category,
            priority: priority.transpose()?,
        };
        match tokens.next() {
            None => Ok(lane),
            Some(more) => {
                let why = format!("the subject goes on after the priority, with {more:?}");
                Err(Problem::invalid("subject", why).remedy(
                    "name the task in the header Flotilla-Task-Id, or in the field task_id",
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_says_what_and_how_urgent() {
        for (subject, priority) in [
            ("fleet.ask.query", None),
            ("fleet.submit.query.high", Some(Priority::High)),
        ] {
            let lane = Lane::of(subject).unwrap();
            assert_eq!((lane.category, lane.priority), (Category::Query, priority));
        }
        for (subject, field) in [
            ("fleet.ask.scrapping", "category"),
            ("fleet.ask.query.urgent", "priority"),
            ("fleet.ask.query.high.mine", "subject"),
        ] {
            let problem = format!("{:?}", Lane::of(subject).unwrap_err());
            assert!(
                problem.contains(&format!("field: Some({field:?})")),
                "{problem}"
            );
        }
    }
}

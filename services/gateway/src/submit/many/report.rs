//! What came of each of many tasks.

use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::{Document, Problem};
use crate::submit::Accepted;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubmittedTasks)]
pub(crate) struct Report {
    /// Tasks that are in good hands, those that had been submitted before among them.
    accepted: usize,
    refused: usize,
    /// In the order in which they were sent.
    tasks: Vec<Told>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SubmittedTask)]
enum Told {
    Accepted(Accepted),
    Refused(Refused),
}

/// The problem that the task alone would have been answered with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedTask)]
struct Refused {
    /// Its place among those that were sent, from 0; empty lines do not count.
    index: usize,
    /// When it may be submitted again, where that may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(flatten)]
    problem: Document,
}

impl Report {
    /// Where none is accepted, the first one's problem stands for all.
    pub(super) fn of(answers: Vec<Result<Accepted, Problem>>) -> Result<Self, Problem> {
        let (mut refused, mut first) = (0, None);
        let mut tell = |(index, answer)| match answer {
            Ok(accepted) => Told::Accepted(accepted),
            Err(problem) => {
                let problem: Problem = problem;
                refused += 1;
                let told = Refused {
                    index,
                    retry_after_seconds: problem.retry_after_seconds(),
                    problem: problem.document(),
                };
                first.get_or_insert(problem);
                Told::Refused(told)
            }
        };
        let tasks: Vec<_> = answers.into_iter().enumerate().map(&mut tell).collect();
        let accepted = tasks.len() - refused;
        match first {
            Some(problem) if accepted == 0 => Err(problem
                .with("accepted", accepted)
                .with("refused", refused)
                .with("tasks", tasks)),
            _ => Ok(Self {
                accepted,
                refused,
                tasks,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::problem::Kind;

    fn full() -> Result<Accepted, Problem> {
        Err(Problem::new(Kind::QueueFull, "full").retry_after(Duration::from_secs(5)))
    }

    #[test]
    fn each_is_told_in_its_place() {
        let answers = vec![full(), Ok(Accepted::sample()), full()];
        let report = serde_json::to_value(Report::of(answers).unwrap()).unwrap();
        assert_eq!(
            (&report["accepted"], &report["refused"]),
            (&json!(1), &json!(2))
        );
        assert_eq!(report["tasks"][1]["status"], "queued");
        let last = &report["tasks"][2];
        assert_eq!((&last["index"], &last["status"]), (&json!(2), &json!(429)));
        assert_eq!(last["type"], "urn:flotilla:problem:queue-full");
        assert_eq!(last["retry_after_seconds"], 5);
    }

    #[test]
    fn none_accepted_is_a_problem_as_a_whole() {
        let invalid = Err(Problem::invalid("url", "url: no"));
        let problem = Report::of(vec![full(), invalid]).unwrap_err();
        assert_eq!(problem.kind(), Kind::QueueFull);
        assert_eq!(problem.retry_after_seconds(), Some(5));
        let tasks: &Value = problem.member("tasks");
        assert_eq!(tasks[1]["field"], "url");
    }
}

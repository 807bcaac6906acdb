//! When a submission is to be queued, if not at once: at a time, or after a delay.

use flotilla_common::broker::{Accepted, BrokerError};
use flotilla_common::model::duration::Written;
use flotilla_common::model::{AHEAD_MAX, NewTask};
use jiff::Timestamp;

use crate::Gateway;
use crate::body::Fields;
use crate::problem::Problem;

/// `run_at` or `delay`; a time that has passed is now.
pub(super) fn take_run_at(fields: &mut Fields) -> Result<Option<Timestamp>, Problem> {
    let now = Timestamp::now();
    let run_at = fields.take::<Timestamp>("run_at")?;
    let delay = fields.take::<Written>("delay")?;
    let (field, at) = match (run_at, delay) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let why = "delay: run_at is given as well";
            return Err(Problem::invalid("delay", why).remedy("send one of the two"));
        }
        (Some(at), None) => ("run_at", Some(at)),
        (None, Some(delay)) => {
            let delay = delay.duration().ok();
            ("delay", delay.and_then(|delay| now.checked_add(delay).ok()))
        }
    };
    match at {
        Some(at) if at <= now => Ok(None),
        Some(at) if at <= now + AHEAD_MAX => Ok(Some(at)),
        _ => {
            let why = format!("{field}: use a time within a year, or a delay like 90 or \"90s\"");
            Err(Problem::invalid(field, why))
        }
    }
}

impl Gateway {
    /// Schedules many at once; the answers are in the order of the tasks.
    pub(super) async fn schedule_all(
        &self,
        tasks: &[NewTask],
        at: Timestamp,
    ) -> Vec<Result<Accepted, BrokerError>> {
        let scheduling = tasks
            .iter()
            .map(|task| self.broker.submit_at(task, at, self.schedules_max));
        futures::future::join_all(scheduling).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(json: &str) -> Result<Option<Timestamp>, Problem> {
        take_run_at(&mut Fields::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_time_or_a_delay() {
        assert_eq!(take("{}").unwrap(), None);
        assert_eq!(
            take(r#"{"run_at":"2020-01-01T00:00:00Z"}"#).unwrap(),
            None,
            "it is time"
        );
        assert_eq!(take(r#"{"delay":0}"#).unwrap(), None);
        for json in [r#"{"delay":60}"#, r#"{"delay":"1m"}"#] {
            let ahead = take(json)
                .unwrap()
                .unwrap()
                .duration_since(Timestamp::now());
            assert!((58..=60).contains(&ahead.as_secs()), "{ahead}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for json in [
            r#"{"run_at":"tomorrow"}"#,
            r#"{"run_at":"2999-01-01T00:00:00Z"}"#,
            r#"{"delay":-1}"#,
            r#"{"delay":"500d"}"#,
            r#"{"delay":1,"run_at":"2999-01-01T00:00:00Z"}"#,
        ] {
            assert!(take(json).is_err(), "{json}");
        }
    }
}

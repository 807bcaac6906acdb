//! Has operations run by themselves, through the fleet's own schedules. What was written last is
//! noted, so that a schedule that an operator has changed or removed stays as the operator wants
//! it, until its configuration changes.

use std::collections::BTreeMap;

use flotilla_common::broker::{Broker, BrokerError, Recurring, WriteError};
use flotilla_common::model::{Category, Cron, InvalidTaskId, Operation, Options};
use serde_json::json;

use crate::Schedules;

/// The note of what was written, by operation.
const NOTE: &str = "maintenance-schedules";
const TIME_ZONE: &str = "UTC";

type Written = BTreeMap<Operation, String>;

/// What to do about one schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Write,
    Remove,
    /// It is an operator's by now.
    Leave,
}

pub(crate) async fn ensure(
    broker: &Broker,
    schedules: &Schedules,
    schedules_max: u64,
) -> anyhow::Result<()> {
    let noted = broker.note::<Written>(NOTE).await?;
    let (before, revision) = noted.map_or_else(Default::default, |n| (n.value, n.revision));
    let mut written = before.clone();
    for operation in Operation::ALL {
        let Some(wanted) = schedules.of(operation) else {
            continue;
        };
        let id = format!("flotilla-{operation}").parse()?;
        let stored = broker.schedule(&id).await?.map(|stored| stored.recurring);
        let last = before.get(&operation).map(String::as_str);
        let is_ours = |stored: &Recurring| {
            let cron = last.unwrap_or(wanted);
            recurring(operation, cron).is_ok_and(|ours| ours == *stored)
        };
        let is_ours = stored.as_ref().map(is_ours);
        match step(wanted, last, is_ours) {
            Step::Keep => {}
            Step::Write => write(broker, &recurring(operation, wanted)?, schedules_max).await?,
            Step::Remove => {
                broker.remove_schedule(&id).await?;
            }
            Step::Leave => {
                tracing::info!(%operation, "its schedule was changed by somebody, and stays so");
            }
        }
        written.insert(operation, wanted.to_owned());
    }
    if written != before {
        match broker.set_note(NOTE, &written, revision).await {
            // Another process has started at the same time, and noted the same.
            Ok(_) | Err(WriteError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// `last` is what we wrote last; `is_ours` is whether that is what is stored, where anything is.
fn step(wanted: &str, last: Option<&str>, is_ours: Option<bool>) -> Step {
    let is_changed = last != Some(wanted);
    match is_ours {
        Some(false) => Step::Leave,
        Some(true) if wanted.is_empty() => Step::Remove,
        Some(true) if is_changed && last.is_some() => Step::Write,
        Some(true) => Step::Keep,
        None if wanted.is_empty() => Step::Keep,
        // Written before, and gone: somebody has removed it.
        None if !is_changed => Step::Leave,
        None => Step::Write,
    }
}

async fn write(
    broker: &Broker,
    recurring: &Recurring,
    schedules_max: u64,
) -> Result<(), BrokerError> {
    tracing::info!(schedule = %recurring.id, cron = recurring.cron, "scheduled");
    broker.replace_schedule(recurring, schedules_max).await
}

fn recurring(operation: Operation, cron: &str) -> anyhow::Result<Recurring> {
    let pattern: Cron = cron.parse()?;
    let id: Result<_, InvalidTaskId> = format!("flotilla-{operation}").parse();
    Ok(Recurring {
        id: id?,
        category: Category::Maintenance,
        priority: Category::Maintenance.default_priority(),
        options: Options::default(),
        payload: json!({"operation": operation}).to_string().into(),
        cron: cron.to_owned(),
        pattern: pattern.to_string(),
        time_zone: TIME_ZONE.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_written_once_and_then_the_operators() {
        let (a, b) = ("0 3 * * *", "0 4 * * *");
        for (wanted, last, is_ours, expected) in [
            // The first start, and the next.
            (a, None, None, Step::Write),
            (a, Some(a), Some(true), Step::Keep),
            // Configured anew, and away.
            (b, Some(a), Some(true), Step::Write),
            ("", Some(a), Some(true), Step::Remove),
            ("", Some(""), None, Step::Keep),
            (a, Some(""), None, Step::Write),
            // Changed by somebody, removed by somebody.
            (a, Some(a), Some(false), Step::Leave),
            (b, Some(a), Some(false), Step::Leave),
            ("", Some(a), Some(false), Step::Leave),
            (a, Some(a), None, Step::Leave),
            (b, Some(a), None, Step::Write),
            // The note is lost, the schedule is not.
            (a, None, Some(true), Step::Keep),
            (a, None, Some(false), Step::Leave),
        ] {
            let got = step(wanted, last, is_ours);
            assert_eq!(got, expected, "{wanted:?} {last:?} {is_ours:?}");
        }
    }

    #[test]
    fn every_default_is_a_task_that_maintenance_takes() {
        let schedules = Schedules::default();
        for operation in Operation::ALL {
            let Some(cron) = schedules.of(operation) else {
                continue;
            };
            let recurring = recurring(operation, cron).unwrap();
            let order = serde_json::from_slice(&recurring.payload);
            let order: flotilla_common::model::Order = order.unwrap();
            assert_eq!(order.operation(), operation);
        }
    }
}

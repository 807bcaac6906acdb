//! What operators set for a category, live and for the whole fleet: pause, resume, slots.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use flotilla_common::broker::{BrokerError, WriteError};
use flotilla_common::model::{Category, Control, Priority, UnknownName};
use flotilla_common::worker;
use jiff::Timestamp;

use crate::Gateway;
use crate::body::{Fields, MaybeFields};
use crate::openapi::{bodies, orders};
use crate::problem::Problem;

/// Whoever writes at the same time is done after so many attempts.
const ATTEMPTS_MAX: usize = 10;

type Answer = Result<Json<Control>, Problem>;
pub(crate) type CategoryPath = Result<Path<String>, PathRejection>;

/// Rests a category, or one priority of it
#[utoipa::path(
    post, path = "/queues/{category}/pause", operation_id = "pause_queue", tag = "queues",
    params(
        ("category" = bodies::CategoryOrQueue, Path, description = "The category, or the name of its queue."),
    ),
    request_body = Option<orders::Pause>,
    responses((status = 200, description = "Done.", body = Control)),
)]
pub(crate) async fn pause(
    State(gateway): State<Arc<Gateway>>,
    category: CategoryPath,
    MaybeFields(fields): MaybeFields,
) -> Answer {
    let (category, priorities) = target(category, fields)?;
    let pause = |control: &mut Control| control.paused.extend(&priorities);
    gateway.change(category, pause).await
}

/// Goes on with it
#[utoipa::path(
    post, path = "/queues/{category}/resume", operation_id = "resume_queue", tag = "queues",
    params(
        ("category" = bodies::CategoryOrQueue, Path, description = "The category, or the name of its queue."),
    ),
    request_body = Option<orders::Pause>,
    responses((status = 200, description = "Done.", body = Control)),
)]
pub(crate) async fn resume(
    State(gateway): State<Arc<Gateway>>,
    category: CategoryPath,
    MaybeFields(fields): MaybeFields,
) -> Answer {
    let (category, priorities) = target(category, fields)?;
    let resume = |control: &mut Control| control.paused.retain(|p| !priorities.contains(p));
    gateway.change(category, resume).await
}

/// Sets the slots of a category's workers
#[utoipa::path(
    put, path = "/queues/{category}/slots", operation_id = "set_slots", tag = "queues",
    params(
        ("category" = bodies::CategoryOrQueue, Path, description = "The category, or the name of its queue."),
    ),
    request_body = orders::Slots,
    responses((status = 200, description = "Done.", body = Control)),
)]
pub(crate) async fn set_slots(
    State(gateway): State<Arc<Gateway>>,
    category: CategoryPath,
    mut fields: Fields,
) -> Answer {
    let category = parse_category(category)?;
    let Some(slots) = fields.take_given::<usize>("slots")? else {
        let problem = Problem::invalid("slots", "slots is missing");
        return Err(
            problem.remedy("send {\"slots\": 8}, or {\"slots\": null} for the configured number")
        );
    };
    let max = worker::Config::SLOTS_MAX;
    if slots.is_some_and(|slots| !(1..=max).contains(&slots)) {
        let problem = Problem::invalid("slots", format!("slots: use 1 to {max}, or null"));
        return Err(problem.remedy("to stop a category, pause it"));
    }
    fields.nothing_else()?;
    gateway
        .change(category, |control| control.slots = slots)
        .await
}

/// The category, and the priority that is meant, or all.
fn target(
    category: CategoryPath,
    mut fields: Fields,
) -> Result<(Category, Vec<Priority>), Problem> {
    let category = parse_category(category)?;
    let priority = fields.take::<Priority>("priority")?;
    fields.nothing_else()?;
    let priorities = priority.map_or(Priority::ALL.to_vec(), |priority| vec![priority]);
    Ok((category, priorities))
}

/// By the category's name, or its queue's.
pub(crate) fn parse_category(path: CategoryPath) -> Result<Category, Problem> {
    let Path(name) = path.map_err(|error| Problem::invalid("category", error.body_text()))?;
    named_category(&name)
}

/// By its own name, or by that of its queue.
pub(crate) fn named_category(name: &str) -> Result<Category, Problem> {
    category_of(name).map_err(|error| Problem::invalid("category", format!("category: {error}")))
}

pub(crate) fn category_of(name: &str) -> Result<Category, UnknownName> {
    let by_queue = Category::all().find(|category| category.queue_name() == name);
    by_queue.map_or_else(|| name.parse(), Ok)
}

impl Gateway {
    /// Changes what is set; what others set meanwhile is kept.
    async fn change(&self, category: Category, change: impl Fn(&mut Control)) -> Answer {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.broker.category_control(category).await?;
            let mut control = found.value.clone();
            change(&mut control);
            if control == found.value {
                return Ok(Json(control));
            }
            control.changed_at = Timestamp::now();
            match self
                .broker
                .set_category_control(&control, found.revision)
                .await
            {
                Ok(_) => return Ok(Json(control)),
                Err(WriteError::Conflict) => {}
                Err(error) => return Err(unwritten(category, error).into()),
            }
        }
        Err(unwritten(category, WriteError::Conflict).into())
    }
}

fn unwritten(category: Category, error: WriteError) -> BrokerError {
    match error {
        WriteError::Broker(error) => error,
        WriteError::Conflict | WriteError::TooLarge(_) => BrokerError::Unavailable {
            doing: format!("changing how {category} runs"),
        },
    }
}

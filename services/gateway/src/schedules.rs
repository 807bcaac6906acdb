//! Recurring tasks: made, listed, changed and removed. The broker keeps and fires them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use flotilla_common::broker::{BrokerError, Recurring, StoredSchedule, WriteError};
use flotilla_common::model::{Category, Cron, Dependency, KeepOutcome, ScheduleId, TaskId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::body::Fields;
use crate::openapi::orders::Schedule;
use crate::paging;
use crate::problem::{Document, Kind, Problem};
use crate::submit::{Terms, check_payload};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    id: ScheduleId,
    category: Category,
    priority: &'static str,
    cron: String,
    time_zone: String,
    /// By our reading of the expression; the broker fires within a quarter of a second of it.
    next_run_at: Option<Timestamp>,
    /// `null` where it is too large for a list: GET the schedule for it.
    payload: Value,
    max_retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<f64>,
    /// What has to work for a run to start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    needs: Vec<Dependency>,
    /// Where the successes of its runs are not recorded.
    #[serde(skip_serializing_if = "KeepOutcome::is_always")]
    #[schema(required = false)]
    keep_outcome: KeepOutcome,
    changed_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SchedulePage)]
pub(crate) struct Page {
    schedules: Vec<ScheduleView>,
    /// What to send as `after` for the next page; none is left where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// What `next` of the page before says.
    #[param(maximum = 9007199254740991_u64)]
    after: Option<u64>,
    /// The most that a page has.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

type IdPath = Result<Path<String>, PathRejection>;

/// Makes a schedule
#[utoipa::path(
    post, path = "/schedules", operation_id = "create_schedule", tag = "schedules",
    request_body = Schedule,
    responses(
        (status = 201, description = "Made.", body = ScheduleView),
        (status = 409, description = "It exists.",
            body = Document, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    mut fields: Fields,
) -> Result<(StatusCode, Json<ScheduleView>), Problem> {
    let chosen = fields.take::<ScheduleId>("id")?;
    let made = |category| chosen.unwrap_or_else(|| TaskId::generate(category));
    let recurring = parse(fields, made)?;
    let schedules_max = gateway.schedules_max;
    match gateway
        .broker
        .create_schedule(&recurring, schedules_max)
        .await
    {
        Ok(()) => Ok((StatusCode::CREATED, Json(gateway.stored(recurring).await?))),
        Err(WriteError::Conflict) => {
            let detail = format!("schedule {} exists", recurring.id);
            Err(Problem::new(Kind::Conflict, detail).remedy(
                "replace it (PUT, or fleet.schedule.replace over NATS), or choose another id",
            ))
        }
        Err(error) => Err(refused(error)),
    }
}

/// Makes or changes a schedule
#[utoipa::path(
    put, path = "/schedules/{id}", operation_id = "replace_schedule", tag = "schedules",
    params(("id" = TaskId, Path, description = "The schedule.")),
    request_body = Schedule,
    responses((status = 200, description = "Done.", body = ScheduleView)),
)]
pub(crate) async fn replace(
    State(gateway): State<Arc<Gateway>>,
    id: IdPath,
    mut fields: Fields,
) -> Result<Json<ScheduleView>, Problem> {
    let id = parse_id(id)?;
    if fields
        .take::<ScheduleId>("id")?
        .is_some_and(|given| given != id)
    {
        return Err(Problem::invalid(
            "id",
            "id: it differs from the one in the path",
        ));
    }
    let recurring = parse(fields, |_| id)?;
    gateway
        .broker
        .replace_schedule(&recurring, gateway.schedules_max)
        .await
        .map_err(|error| refused(WriteError::Broker(error)))?;
    gateway.stored(recurring).await.map(Json)
}

/// Shows a schedule
#[utoipa::path(
    get, path = "/schedules/{id}", operation_id = "show_schedule", tag = "schedules",
    params(("id" = TaskId, Path, description = "The schedule.")),
    responses((status = 200, description = "Done.", body = ScheduleView)),
)]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    id: IdPath,
) -> Result<Json<ScheduleView>, Problem> {
    let id = parse_id(id)?;
    let found = gateway.broker.schedule(&id).await?;
    let mut found = found.ok_or_else(|| unknown(&id))?;
    let _turn = gateway.turns.next_if(found.object.is_some()).await?;
    if let Some(name) = found.object.take() {
        let max = gateway.object_bytes_max;
        found.recurring.payload = gateway.broker.object(&name, max).await?;
    }
    Ok(Json(view(found)))
}

/// Lists the schedules
#[utoipa::path(
    get, path = "/schedules", operation_id = "list_schedules", tag = "schedules",
    params(PageQuery),
    responses((status = 200, description = "Done.", body = Page)),
)]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(Kind::Syntax, error.body_text()))?;
    let (from, limit) = (paging::first(query.after)?, paging::limit(query.limit)?);
    let found = gateway.broker.schedules(from, limit).await?;
    let is_full = found.len() == limit;
    Ok(Json(Page {
        next: found.last().filter(|_| is_full).map(|last| last.sequence),
        schedules: found.into_iter().map(view).collect(),
    }))
}

/// Removes a schedule
#[utoipa::path(
    delete, path = "/schedules/{id}", operation_id = "remove_schedule", tag = "schedules",
    params(("id" = TaskId, Path, description = "The schedule.")),
    responses((status = 204, description = "Removed.")),
)]
pub(crate) async fn remove(
    State(gateway): State<Arc<Gateway>>,
    id: IdPath,
) -> Result<StatusCode, Problem> {
    let id = parse_id(id)?;
    match gateway.broker.remove_schedule(&id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown(&id)),
    }
}

impl Gateway {
    async fn stored(&self, recurring: Recurring) -> Result<ScheduleView, Problem> {
        // Removed again by somebody already: then as it was asked for.
        let stored = self.broker.schedule(&recurring.id).await?;
        Ok(view(StoredSchedule {
            changed_at: stored.map_or_else(Timestamp::now, |stored| stored.changed_at),
            recurring,
            object: None,
            sequence: 0,
        }))
    }
}

fn parse(
    mut fields: Fields,
    id: impl FnOnce(Category) -> ScheduleId,
) -> Result<Recurring, Problem> {
    let category = Fields::require("category", fields.take::<Category>("category")?)?;
    let text = Fields::require("cron", fields.take::<String>("cron")?)?;
    let cron: Cron = text
        .parse()
        .map_err(|error| Problem::invalid("cron", format!("cron: {error}")))?;
    let time_zone = fields
        .take::<String>("time_zone")?
        .unwrap_or_else(|| "UTC".to_owned());
    TimeZone::get(&time_zone).map_err(|_| {
        let why = format!("time_zone: {time_zone:?} is not known");
        Problem::invalid("time_zone", why).remedy("use an IANA name, like Europe/Berlin or UTC")
    })?;
    if fields.take::<Value>("deadline")?.is_some() {
        let why = "deadline: runs of a schedule have no common deadline";
        return Err(Problem::invalid("deadline", why).remedy("use timeout to bound a run"));
    }
    let terms = Terms::take(category, &mut fields)?;
    let payload = fields.take::<Map<String, Value>>("payload")?;
    let payload = fields.part(Fields::require("payload", payload)?);
    fields.nothing_else()?;
    check_payload(category, &payload)?;
    Ok(Recurring {
        id: id(category),
        category,
        priority: terms.priority,
        options: terms.options,
        payload: payload.to_payload(),
        pattern: cron.to_string(),
        cron: text,
        time_zone,
    })
}

fn view(stored: StoredSchedule) -> ScheduleView {
    let StoredSchedule {
        recurring,
        changed_at,
        ..
    } = stored;
    let cron = recurring.pattern.parse::<Cron>().ok();
    let zone = TimeZone::get(&recurring.time_zone).unwrap_or(TimeZone::UTC);
    ScheduleView {
        next_run_at: cron.and_then(|cron| cron.next_after(Timestamp::now(), &zone)),
        id: recurring.id,
        category: recurring.category,
        priority: recurring.priority.api_name(),
        cron: recurring.cron,
        time_zone: recurring.time_zone,
        // Published by somebody else, it need not be JSON.
        payload: serde_json::from_slice(&recurring.payload).unwrap_or_default(),
        max_retries: recurring.options.max_retries,
        timeout_seconds: recurring
            .options
            .timeout
            .map(|timeout| timeout.as_secs_f64()),
        needs: recurring.options.needs.iter().collect(),
        keep_outcome: recurring.options.keep_outcome,
        changed_at,
    }
}

fn refused(error: WriteError) -> Problem {
    match error {
        WriteError::Broker(error) => error.into(),
        WriteError::TooLarge(why) => Problem::new(Kind::TooLarge, why),
        WriteError::Conflict => BrokerError::Unavailable {
            doing: "storing a schedule".to_owned(),
        }
        .into(),
    }
}

fn parse_id(id: IdPath) -> Result<ScheduleId, Problem> {
    let Path(text) = id.map_err(|rejection| Problem::invalid("id", rejection.body_text()))?;
    text.parse().map_err(|_| {
        Problem::invalid(
            "id",
            format!("id: {text:?} is not valid: use 1 to 128 characters of A-Z a-z 0-9 _ -"),
        )
    })
}

fn unknown(id: &ScheduleId) -> Problem {
    Problem::new(Kind::UnknownSchedule, format!("there is no schedule {id}")).remedy(
        "GET /api/hp/schedules, or fleet.schedule.list over NATS, lists those that there are",
    )
}

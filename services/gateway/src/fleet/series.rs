//! `GET /stats/series`: what happened in the last hour or day, stretch by stretch.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use flotilla_common::model::{Series, SeriesQuery};

use crate::Gateway;
use crate::find::unanswered;
use crate::openapi::finding::SeriesOf;
use crate::problem::Problem;
use crate::refusal::unavailable;
use crate::task_filter::parameters;

/// Tells what happened when
#[utoipa::path(
    get, path = "/stats/series", operation_id = "show_series", tag = "fleet",
    params(SeriesOf),
    responses((status = 200, description = "Done.", body = Series)),
)]
pub(crate) async fn series(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Json<Series>, Problem> {
    let mut fields = parameters(&uri)?;
    let query = SeriesQuery {
        range: fields.take("range")?.unwrap_or_default(),
        category: fields.take("category")?.unwrap_or_default(),
        priority: fields.take("priority")?.unwrap_or_default(),
        by: fields.take("by")?.unwrap_or_default(),
    };
    fields.nothing_else()?;
    if !gateway.broker.is_connected() {
        return Err(unavailable("the gateway is not connected to the broker"));
    }
    let series = gateway.broker.series(&query).await.map_err(unanswered)?;
    Ok(Json(series))
}

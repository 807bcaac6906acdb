//! The API's description of itself: OpenAPI 3.1, made of the handlers and types that it
//! describes, and a page to read and try it.

pub(crate) mod bodies;
mod complete;
pub(crate) mod event;
pub(crate) mod finding;
pub(crate) mod orders;
pub(crate) mod outcome;
mod page;
pub(crate) mod parameters;

use utoipa::OpenApi;

pub(crate) use complete::complete;
pub(crate) use page::routes;

#[derive(OpenApi)]
#[openapi(
    // Parameters alone refer to it.
    components(schemas(bodies::CategoryOrQueue)),
    info(
        title = "Flotilla",
        description = "A fleet of task consumers: submit tasks, follow them, and run the fleet.",
    ),
    tags(
        (name = "tasks", description = "Work: submitted, followed, cancelled."),
        (name = "fleet", description = "How the fleet is, and what it does."),
        (name = "queues", description = "What waits, and how fast it may go."),
        (name = "dead letters", description = "What failed for good."),
        (name = "schedules", description = "What runs again and again."),
        (name = "documents", description = "What questions are answered from."),
    )
)]
pub(crate) struct Description;

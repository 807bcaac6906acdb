//! How the names of the model look to whoever reads the API's description: made of the same
//! lists that they are parsed by.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{
    BreakerState, Category, Dependency, FailureCode, Priority, TaskId, TaskKey, TaskState,
};

macro_rules! names {
    ($($type:ident: $names:expr, $about:literal;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                string().enum_values(Some($names)).description(Some($about)).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    )+};
}

names! {
    Category: Self::all().map(Self::name), "What kind of work it is.";
    Priority: Self::ALL.map(Self::name), "How urgent it is.";
    TaskState: Self::ALL.map(Self::name), "What a task is doing, or how it ended.";
    Dependency: Self::ALL.map(Self::name), "What a breaker guards.";
    BreakerState: [Self::Closed, Self::Open, Self::HalfOpen].map(Self::name), "Of a circuit breaker.";
}

impl PartialSchema for TaskId {
    fn schema() -> RefOr<Schema> {
        let schema = string().pattern(Some("^[A-Za-z0-9_-]{1,128}$"));
        schema
            .description(Some("Names a task, or a schedule."))
            .into()
    }
}

impl ToSchema for TaskId {
    fn name() -> Cow<'static, str> {
        "TaskId".into()
    }
}

impl PartialSchema for TaskKey {
    fn schema() -> RefOr<Schema> {
        let schema = string().pattern(Some("^[0-9a-f]{24}$"));
        let about = "A place in a listing, to go on from.";
        schema.description(Some(about)).into()
    }
}

impl ToSchema for TaskKey {
    fn name() -> Cow<'static, str> {
        "TaskKey".into()
    }
}

impl PartialSchema for FailureCode {
    fn schema() -> RefOr<Schema> {
        let schema = string().description(Some("A stable name by which failures are told apart."));
        schema.into()
    }
}

impl ToSchema for FailureCode {
    fn name() -> Cow<'static, str> {
        "FailureCode".into()
    }
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

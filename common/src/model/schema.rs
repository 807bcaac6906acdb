//! How the names of the model look to whoever reads the API's description: made of the same
//! lists that they are parsed by.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, ArrayItems, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{
    BreakerState, Category, Counts, Dependency, FailureCode, Histogram, Lane, Priority, Tally,
    TaskId, TaskKey, TaskState,
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

/// Written as pairs, since the keys of a JSON object are text.
impl PartialSchema for Tally {
    fn schema() -> RefOr<Schema> {
        let part = AnyOfBuilder::new()
            .item(Ref::from_schema_name(Lane::name()))
            .item(Ref::from_schema_name(Counts::name()));
        let pair = pair(part);
        let about = "Pairs: a category and priority, and what was counted.";
        let pairs = ArrayBuilder::new().items(pair);
        pairs.description(Some(about)).into()
    }
}

impl ToSchema for Tally {
    fn name() -> Cow<'static, str> {
        "Tally".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Lane::name().into(), Lane::schema()));
        Lane::schemas(schemas);
        schemas.push((Counts::name().into(), Counts::schema()));
        Counts::schemas(schemas);
    }
}

impl PartialSchema for Histogram {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer));
        let counts = ArrayBuilder::new().items(pair(number));
        let counts = counts.description(Some(
            "Pairs: i, and how many lasted for more than g^(i-1) and at most g^i microseconds, where g is 1.02 / 0.98.",
        ));
        let sum = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Number));
        let object = ObjectBuilder::new()
            .property("buckets", counts)
            .property("sum_seconds", sum)
            .required("buckets")
            .required("sum_seconds");
        object.description(Some("How long something took.")).into()
    }
}

impl ToSchema for Histogram {
    fn name() -> Cow<'static, str> {
        "Histogram".into()
    }
}

/// Two of these. What each of them is, is said in words: drafts of JSON Schema do not agree on how.
fn pair(part: impl Into<ArrayItems>) -> ArrayBuilder {
    let pair = ArrayBuilder::new().items(part);
    pair.min_items(Some(2)).max_items(Some(2))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

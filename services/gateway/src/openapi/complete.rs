//! What is true of every call, added to the description of each: the problems that it may be
//! answered with, and the key that it needs.

use axum::http::{Method, StatusCode};
use utoipa::PartialSchema as _;
use utoipa::ToSchema as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response};

use crate::access::{scope, submits};
use crate::problem::Document;

const BEARER: &str = "bearer";
const HEADER: &str = "header";

/// Of every call.
const ALWAYS: [StatusCode; 5] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];
/// Of one that needs a key, where keys are asked for.
const KEYED: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
/// Of one that submits: its task's id may be that of a task of another category.
const ID_IS_TAKEN: StatusCode = StatusCode::CONFLICT;
/// Of one that has a body.
const WITH_BODY: [StatusCode; 4] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::INSUFFICIENT_STORAGE,
];
/// Of one that names something in its path.
const WITH_NAME: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::CONFLICT];

pub(crate) fn complete(mut api: OpenApi) -> OpenApi {
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            complete_call(operation, &method, path);
        }
    }
    let components = api.components.take().unwrap_or_default();
    let mut components: ComponentsBuilder = components.into();
    let mut schemas = vec![(Document::name().into_owned(), Document::schema())];
    Document::schemas(&mut schemas);
    components = components.schemas_from_iter(schemas);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
    components = components
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .security_scheme(HEADER, SecurityScheme::ApiKey(header));
    api.components = Some(components.build());
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let methods = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    methods
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn complete_call(operation: &mut Operation, method: &Method, path: &str) {
    let mut statuses = ALWAYS.to_vec();
    if let Some(scope) = scope(method, path) {
        statuses.extend(KEYED);
        let needs = |scheme| SecurityRequirement::new(scheme, [scope.name()]);
        operation.security = Some(vec![
            SecurityRequirement::default(),
            needs(BEARER),
            needs(HEADER),
        ]);
    }
    if submits(method, path) {
        statuses.push(ID_IS_TAKEN);
    }
    if operation.request_body.is_some() {
        statuses.extend(WITH_BODY);
    }
    if path.contains('{') {
        statuses.extend(WITH_NAME);
    }
    for status in statuses {
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| RefOr::T(problem(status)));
    }
}

fn problem(status: StatusCode) -> Response {
    let schema = Ref::from_schema_name(Document::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let about = status.canonical_reason().unwrap_or_default();
    let mut response = ResponseBuilder::new()
        .description(about)
        .content("application/problem+json", content);
    if status == StatusCode::TOO_MANY_REQUESTS {
        let seconds = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer));
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds after which the request may be sent again."));
        response = response.header("Retry-After", header.build());
    }
    response.build()
}

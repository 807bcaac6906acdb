//! A request's body: bounded in size and time, and a JSON object whose fields are taken one
//! by one, so that whatever is wrong is named.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use crate::Gateway;
use crate::problem::{Kind, Problem};
use crate::turns::{Turn, Turns};

/// A body that is not complete by then, and a second more for each MiB of it, is not coming.
const BODY_TIME_MAX: Duration = Duration::from_secs(15);
/// Larger bodies have to take turns.
const SMALL_BYTES_MAX: u64 = MIB;
const MIB: u64 = 1_024 * 1_024;
/// JSON by lines has no registered name, and these are in use.
const LINES: [&str; 3] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
];

#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Map<String, Value>, Turn);

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Err(Problem::new(Kind::Syntax, "the body is empty")
                .remedy("send a JSON object, like {\"url\": \"https://example.com/\"}"));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self::of(fields)),
            Ok(_) => Err(Problem::new(
                Kind::Validation,
                "the body must be a JSON object",
            )),
            Err(error) => Err(not_json(&error)),
        }
    }

    pub(crate) fn of(fields: Map<String, Value>) -> Self {
        Self(fields, Turn::default())
    }

    /// What was taken out of these, in their turn.
    pub(crate) fn part(&self, fields: Map<String, Value>) -> Self {
        Self(fields, self.1.clone())
    }

    /// A field's value, left where it is. `null` is the same as nothing.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .or_else(|error| match whole(value) {
                    Some(number) => serde_json::from_value(number.into()),
                    None => Err(error),
                })
                .map(Some)
                .map_err(|error| Problem::invalid(name, format!("{name}: {error}"))),
        }
    }

    /// A field's value, taken out of the payload.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let value = self.read(name);
        self.0.remove(name);
        value
    }

    /// The same, where `null` is a value of its own; `None` where nothing is given.
    pub(crate) fn take_given<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<Option<T>>, Problem> {
        if !self.0.contains_key(name) {
            return Ok(None);
        }
        self.take(name).map(Some)
    }

    /// For bodies that carry no payload: what is left over is a mistake.
    pub(crate) fn nothing_else(&self) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::invalid(
                name,
                format!("{name}: there is no such field"),
            )),
        }
    }

    /// The same but for some.
    pub(crate) fn without<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut fields = self.0.clone();
        for name in names {
            fields.remove(name);
        }
        self.part(fields)
    }

    pub(crate) fn require<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| Problem::invalid(name, format!("{name} is missing")))
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The fields as they go to the worker, in the turn of the body.
    pub(crate) fn to_payload(&self) -> Bytes {
        // Writing a JSON value into memory does not fail.
        let written = serde_json::to_vec(&self.0).unwrap_or_default();
        self.1.held_by(written.into())
    }

    /// The turn of the body, or one for what is loaded beside a small one.
    pub(crate) async fn turn(&self, turns: &Turns) -> Result<Turn, Problem> {
        self.1.or_next(turns).await
    }
}

/// A whole number that is written with a fraction, like 1.0: to JSON it is the same.
fn whole(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|_| value.is_f64())?;
    let is_exact = number.fract() == 0.0 && number.abs() <= 2_f64.powi(53);
    is_exact.then_some(number as i64)
}

impl FromRequest<Arc<Gateway>> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let (body, turn) = read_json(request, gateway).await?;
        Ok(Self(Self::parse(&body)?.0, turn))
    }
}

async fn read_json(request: Request, gateway: &Arc<Gateway>) -> Result<(Bytes, Turn), Problem> {
    require_json(request.headers())?;
    read(request, gateway).await
}

async fn read(request: Request, gateway: &Arc<Gateway>) -> Result<(Bytes, Turn), Problem> {
    let bytes_max = gateway.config.body_bytes_max;
    let size = request.body().size_hint();
    if usize::try_from(size.lower()).is_ok_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let is_small = size.upper().is_some_and(|bytes| bytes <= SMALL_BYTES_MAX);
    let turn = gateway.turns.next_if(!is_small).await?;
    // From here on it is the client's time.
    let time_max = BODY_TIME_MAX + Duration::from_secs(size.lower() / MIB);
    let body = Bytes::from_request(request, gateway);
    match tokio::time::timeout(time_max, body).await {
        Ok(Ok(body)) => Ok((body, turn)),
        Ok(Err(rejection)) => Err(unread(&rejection, bytes_max)),
        Err(_) => Err(Problem::new(
            Kind::TooSlow,
            format!("the body was not complete after {} s", time_max.as_secs()),
        )),
    }
}

/// A body that may be left out.
#[derive(Debug)]
pub(crate) struct MaybeFields(pub(crate) Fields);

impl FromRequest<Arc<Gateway>> for MaybeFields {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let is_empty = request.body().size_hint().exact() == Some(0);
        if is_empty {
            return Ok(Self(Fields::default()));
        }
        let (body, turn) = read_json(request, gateway).await?;
        match body.trim_ascii() {
            b"null" => Ok(Self(Fields::default())),
            body => Ok(Self(Fields(Fields::parse(body)?.0, turn))),
        }
    }
}

/// Any JSON: fields to be taken one by one, or what is no object and so has none.
#[derive(Debug)]
pub(crate) enum AnyJson {
    Fields(Fields),
    Other(Bytes),
}

impl FromRequest<Arc<Gateway>> for AnyJson {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let (body, turn) = read_json(request, gateway).await?;
        Ok(match Self::parse(body)? {
            Self::Fields(fields) => Self::Fields(Fields(fields.0, turn)),
            Self::Other(body) => Self::Other(turn.held_by(body)),
        })
    }
}

impl AnyJson {
    pub(crate) fn parse(body: Bytes) -> Result<Self, Problem> {
        let is_object = matches!(body.trim_ascii_start(), [] | [b'{', ..]);
        if is_object {
            return Fields::parse(&body).map(Self::Fields);
        }
        match serde_json::from_slice::<IgnoredAny>(&body) {
            Ok(IgnoredAny) => Ok(Self::Other(body)),
            Err(error) => Err(not_json(&error)),
        }
    }
}

/// A body of many things: one JSON document, or a line for each.
#[derive(Debug)]
pub(crate) struct Many {
    pub(crate) body: Bytes,
    pub(crate) is_lines: bool,
    _turn: Turn,
}

impl FromRequest<Arc<Gateway>> for Many {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let said = media_type(request.headers());
        let is_lines = said.is_some_and(|said| LINES.iter().any(|known| is(said, known)));
        if !is_lines {
            require_json(request.headers())?;
        }
        let (body, turn) = read(request, gateway).await?;
        Ok(Self {
            body,
            is_lines,
            _turn: turn,
        })
    }
}

#[cfg(test)]
impl Many {
    pub(crate) fn new(body: &'static str, is_lines: bool) -> Self {
        Self {
            body: Bytes::from_static(body.as_bytes()),
            is_lines,
            _turn: Turn::default(),
        }
    }
}

pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    let why = format!("the body is not valid JSON: {error}");
    Problem::new(Kind::Syntax, why)
}

/// JSON, or nothing said. What an HTML form can send is refused, so that a web page elsewhere
/// cannot submit tasks through its visitor's browser.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(media_type) = media_type(headers) else {
        return Ok(());
    };
    let suffix = media_type.iter().rposition(|byte| *byte == b'+');
    if is(media_type, "application/json")
        || suffix.is_some_and(|suffix| is(&media_type[suffix..], "+json"))
    {
        return Ok(());
    }
    let media_type = String::from_utf8_lossy(media_type);
    Err(
        Problem::new(Kind::MediaType, format!("the body is sent as {media_type}"))
            .remedy("send JSON with the header Content-Type: application/json"),
    )
}

/// Without its parameters; `None` where nothing is said.
fn media_type(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let end = value.iter().position(|byte| *byte == b';');
    Some(value[..end.unwrap_or(value.len())].trim_ascii())
}

/// The case of a media type means nothing.
fn is(media_type: &[u8], known: &str) -> bool {
    media_type.eq_ignore_ascii_case(known.as_bytes())
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        Kind::TooLarge,
        format!("the body is larger than {bytes_max} bytes"),
    )
    .remedy("send less at once; operators can raise gateway.body_bytes_max and streams.object_bytes_max")
}

fn unread(rejection: &BytesRejection, bytes_max: usize) -> Problem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            too_large(bytes_max)
        }
        _ => Problem::new(Kind::Syntax, "the body broke off"),
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::Priority;

    use super::*;

    #[test]
    fn what_is_no_object_is_refused() {
        for (body, kind) in [
            ("", Kind::Syntax),
            ("{\"url\":", Kind::Syntax),
            ("\u{0}", Kind::Syntax),
            ("[1]", Kind::Validation),
            ("null", Kind::Validation),
        ] {
            let problem = Fields::parse(body.as_bytes()).unwrap_err();
            assert_eq!(problem.kind(), kind, "{body}");
        }
    }

    #[test]
    fn fields_are_taken_out_and_the_rest_is_the_payload() {
        let mut fields =
            Fields::parse(br#"{"url":"u","priority":2,"brand":null,"render":"auto"}"#).unwrap();
        assert_eq!(fields.take("priority").unwrap(), Some(Priority::High));
        assert_eq!(fields.read::<String>("brand").unwrap(), None);
        assert_eq!(
            fields.to_payload(),
            r#"{"brand":null,"render":"auto","url":"u"}"#
        );
    }

    #[tokio::test]
    async fn the_payload_is_held_in_the_turn_of_the_body() {
        let turns = Turns::new();
        let all = turns.left();
        let mut fields = Fields::parse(br#"{"url":"u"}"#).unwrap();
        fields.1 = turns.next().await.unwrap();
        let payload = fields.to_payload();
        drop(fields);
        assert_eq!(
            (&payload[..], turns.left()),
            (&br#"{"url":"u"}"#[..], all - 1)
        );
        drop(payload);
        assert_eq!(turns.left(), all);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let fields = Fields::parse(br#"{"url":5}"#).unwrap();
        let problem = fields.read::<String>("url").unwrap_err();
        assert!(problem.detail().starts_with("url: invalid type: integer"));
    }

    #[test]
    fn json_is_what_says_so_or_says_nothing() {
        let with = |value: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())])
        };
        assert!(require_json(&HeaderMap::new()).is_ok());
        assert!(require_json(&with("Application/JSON; charset=utf-8")).is_ok());
        assert!(require_json(&with("application/vnd.x+json")).is_ok());
        assert!(require_json(&with("text/plain")).is_err());
    }
}

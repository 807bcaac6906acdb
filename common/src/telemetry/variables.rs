//! What OpenTelemetry's own variables say (`OTEL_*`) of one signal, read once. Anything that would
//! be ignored is an error: an operator who misspells a protocol has to hear it now, not miss traces
//! later.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use percent_encoding::percent_decode_str;

/// This process among others of its service.
static INSTANCE: LazyLock<String> =
    LazyLock::new(|| ulid::Ulid::generate().to_string().to_lowercase());

/// How a signal is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Where a signal goes, how, and from whom.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) signal: Signal,
    pub endpoint: reqwest::Url,
    pub protocol: Protocol,
    pub headers: Vec<(String, String)>,
    /// For one request.
    pub timeout: Duration,
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// What the collector knows us by.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Who we are, as attributes.
    pub resource: Vec<(String, String)>,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// Over HTTP, below the endpoint of all signals.
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// Over gRPC.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

/// A variable that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidVariable(pub(super) String);

pub(super) type Read<T> = Result<T, InvalidVariable>;

/// Looks variables up.
pub(super) struct Variables<'a> {
    pub(super) look: &'a dyn Fn(&str) -> Option<String>,
    pub(super) signal: Signal,
}

impl Variables<'_> {
    /// Where the signal goes. `None` where it is off: unless somebody names an endpoint, or asks for
    /// the usual one by `OTEL_<signal>_EXPORTER=otlp`, it is.
    pub(super) fn connection(&self, service: &str) -> Read<Option<Connection>> {
        if self.is_true("OTEL_SDK_DISABLED")? {
            return Ok(None);
        }
        let exporter = self.exporter();
        match self.get(&exporter).as_deref() {
            Some("none") => return Ok(None),
            None if self.signal("ENDPOINT").is_none() => return Ok(None),
            None | Some("otlp") => {}
            Some(other) => return wrong(format!("{exporter} is {other:?}: use otlp, or none")),
        }
        let protocol = self.protocol()?;
        Ok(Some(Connection {
            signal: self.signal,
            endpoint: self.endpoint(protocol)?,
            protocol,
            headers: self.headers()?,
            timeout: self.millis_of_signal("TIMEOUT", Duration::from_secs(10))?,
            ca_file: self.signal("CERTIFICATE").map(PathBuf::from),
            client_certificate: self.client_certificate()?,
            resource: self.resource(service)?,
        }))
    }

    /// Whether this very signal was asked for, and not all that there are.
    pub(super) fn is_asked_for(&self) -> bool {
        let is_set = |name: &str| self.get(name).is_some();
        is_set(&self.exporter()) || is_set(&self.own("ENDPOINT"))
    }

    fn exporter(&self) -> String {
        format!("OTEL_{}_EXPORTER", self.signal.name())
    }

    /// Of `OTEL_EXPORTER_OTLP_…`, the one for this signal alone.
    fn own(&self, name: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{name}", self.signal.name())
    }

    /// Empty means unset, as the specification has it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.look)(name).filter(|value| !value.trim().is_empty())
    }

    /// What is said of one signal goes before what is said of all.
    fn signal(&self, name: &str) -> Option<String> {
        self.get(&self.own(name))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    fn is_true(&self, name: &str) -> Read<bool> {
        match self.get(name).map(|text| text.to_lowercase()).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => wrong(format!("{name} is {other:?}: use true or false")),
        }
    }

    fn protocol(&self) -> Read<Protocol> {
        if let Some(compression) = self.signal("COMPRESSION").filter(|how| how != "none") {
            return wrong(format!(
                "OTEL_EXPORTER_OTLP_COMPRESSION is {compression:?}: what goes out is sent as it is; leave it out, or write none"
            ));
        }
        match self.signal("PROTOCOL").as_deref() {
            Some("grpc") => Ok(Protocol::Grpc),
            None | Some("http/protobuf") => Ok(Protocol::HttpProtobuf),
            Some(other) => wrong(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is {other:?}: use grpc or http/protobuf"
            )),
        }
    }

    fn endpoint(&self, protocol: Protocol) -> Read<reqwest::Url> {
        let (own, all) = (self.own("ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT");
        let path = self.signal.path();
        let (name, text) = match (self.get(&own), self.get(all)) {
            (Some(text), _) => (own.as_str(), text),
            (None, Some(text)) => (all, text),
            (None, None) => {
                let usual = match protocol {
                    Protocol::Grpc => "http://localhost:4317".to_owned(),
                    Protocol::HttpProtobuf => format!("http://localhost:4318{path}"),
                };
                (own.as_str(), usual)
            }
        };
        let is_http = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https");
        let url = text.trim().parse::<reqwest::Url>().ok();
        let Some(mut url) = url.filter(|url| is_http(url) && url.has_host()) else {
            return wrong(format!(
                "{name} is {text:?}: write it with http:// or https:// before it, like http://localhost:4318"
            ));
        };
        // What names the endpoint of all signals is where theirs are below.
        if protocol == Protocol::HttpProtobuf && name != own {
            let path = format!("{}{path}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(url)
    }

    fn headers(&self) -> Read<Vec<(String, String)>> {
        let pairs = self.signal("HEADERS");
        pairs.map_or(Ok(Vec::new()), |text| {
            pairs_of("OTEL_EXPORTER_OTLP_HEADERS", &text)
        })
    }

    fn client_certificate(&self) -> Read<Option<(PathBuf, PathBuf)>> {
        match (self.signal("CLIENT_CERTIFICATE"), self.signal("CLIENT_KEY")) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some((certificate.into(), key.into()))),
            _ => wrong(
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go together: set both or neither",
            ),
        }
    }

    /// Who we are.
    fn resource(&self, service: &str) -> Read<Vec<(String, String)>> {
        let mut resource = match self.get("OTEL_RESOURCE_ATTRIBUTES") {
            Some(text) => pairs_of("OTEL_RESOURCE_ATTRIBUTES", &text)?,
            None => Vec::new(),
        };
        // What is said explicitly goes before what we know.
        let mut put = |name: &str, value: String, wins: bool| {
            if wins {
                resource.retain(|(known, _)| known != name);
            } else if resource.iter().any(|(known, _)| known == name) {
                return;
            }
            resource.push((name.to_owned(), value));
        };
        match self.get("OTEL_SERVICE_NAME") {
            Some(name) => put("service.name", name, true),
            None => put("service.name", service.to_owned(), false),
        }
        put(
            "service.version",
            env!("CARGO_PKG_VERSION").to_owned(),
            false,
        );
        put("service.instance.id", INSTANCE.clone(), false);
        put("telemetry.sdk.name", "flotilla".to_owned(), true);
        put("telemetry.sdk.language", "rust".to_owned(), true);
        put(
            "telemetry.sdk.version",
            env!("CARGO_PKG_VERSION").to_owned(),
            true,
        );
        Ok(resource)
    }

    pub(super) fn number(&self, name: &str, usual: usize) -> Read<usize> {
        let Some(text) = self.get(name) else {
            return Ok(usual);
        };
        let number = text.trim().parse().ok().filter(|number| *number > 0);
        number.map_or_else(
            || wrong(format!("{name} is {text:?}: use a whole number from 1 on")),
            Ok,
        )
    }

    pub(super) fn millis(&self, name: &str, usual: Duration) -> Read<Duration> {
        let millis = usize::try_from(usual.as_millis()).unwrap_or(usize::MAX);
        Ok(Duration::from_millis(self.number(name, millis)? as u64))
    }

    fn millis_of_signal(&self, name: &str, usual: Duration) -> Read<Duration> {
        let all = self.millis(&format!("OTEL_EXPORTER_OTLP_{name}"), usual)?;
        self.millis(&self.own(name), all)
    }
}

/// `name=value,…`, the values percent-encoded.
fn pairs_of(variable: &str, text: &str) -> Read<Vec<(String, String)>> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let parts = pair.split_once('=').filter(|(name, _)| !name.is_empty());
        let value = |text: &str| {
            percent_decode_str(text.trim())
                .decode_utf8_lossy()
                .into_owned()
        };
        match parts {
            Some((name, text)) => Ok((name.trim().to_owned(), value(text))),
            // The value may be a secret, and so is not shown.
            None => wrong(format!(
                "{variable} is a list of name=value, separated by commas: one of its parts is none"
            )),
        }
    });
    pairs.collect()
}

fn wrong<T>(why: impl Into<String>) -> Read<T> {
    Err(InvalidVariable(why.into()))
}

/// Looks variables up among these, for tests.
#[cfg(test)]
pub(super) fn among(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    |name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

//! What OpenTelemetry's own variables say (`OTEL_*`), read once. Anything that would be ignored
//! is an error: an operator who misspells a protocol has to hear it now, not miss traces later.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::Value;
use percent_encoding::percent_decode_str;

use super::sampler::Sampler;

/// How traces are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Where traces go, and how. There is none where nobody wants any.
#[derive(Debug, Clone)]
pub struct Config {
    pub endpoint: reqwest::Url,
    pub protocol: Protocol,
    pub headers: Vec<(String, String)>,
    /// For one request.
    pub timeout: Duration,
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// What the collector knows us by.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    pub sampler: Sampler,
    pub queue: QueueConfig,
    /// Who we are, as attributes.
    pub resource: Vec<(String, Value)>,
}

#[derive(Debug, Clone, Copy)]
pub struct QueueConfig {
    /// Spans that may wait; what comes when there is no room is left out.
    pub spans_max: usize,
    /// Spans in one request.
    pub batch_max: usize,
    /// How long a span waits for others.
    pub delay: Duration,
    /// For one batch, with all its repetitions.
    pub export_timeout: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            spans_max: 16_384,
            batch_max: 2_048,
            delay: Duration::from_secs(1),
            export_timeout: Duration::from_secs(30),
        }
    }
}

/// A variable that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidVariable(String);

type Read<T> = Result<T, InvalidVariable>;

/// Looks a variable up.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Config {
    /// `None` where traces are off: unless somebody names an endpoint, or asks for the usual one
    /// by `OTEL_TRACES_EXPORTER=otlp`, they are.
    pub fn from_env(service: &str) -> Read<Option<Self>> {
        Self::read(service, &|name| std::env::var(name).ok())
    }

    /// The same from anywhere.
    pub fn read(service: &str, look: &dyn Fn(&str) -> Option<String>) -> Read<Option<Self>> {
        let variables = Variables(look);
        if variables.is_true("OTEL_SDK_DISABLED")? {
            return Ok(None);
        }
        let exporter = variables.get("OTEL_TRACES_EXPORTER");
        let named = variables.signal("ENDPOINT");
        match exporter.as_deref() {
            Some("none") => return Ok(None),
            None if named.is_none() => return Ok(None),
            None | Some("otlp") => {}
            Some(other) => {
                return wrong(format!(
                    "OTEL_TRACES_EXPORTER is {other:?}: use otlp, or none"
                ));
            }
        }
        let protocol = variables.protocol()?;
        Ok(Some(Self {
            endpoint: variables.endpoint(protocol)?,
            protocol,
            headers: variables.headers()?,
            timeout: variables.millis_of_signal("TIMEOUT", Duration::from_secs(10))?,
            ca_file: variables.signal("CERTIFICATE").map(PathBuf::from),
            client_certificate: variables.client_certificate()?,
            sampler: variables.sampler()?,
            queue: variables.queue()?,
            resource: variables.resource(service)?,
        }))
    }
}

impl Variables<'_> {
    /// Empty means unset, as the specification has it.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    /// What is said of traces goes before what is said of all signals.
    fn signal(&self, name: &str) -> Option<String> {
        self.get(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
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
                "OTEL_EXPORTER_OTLP_COMPRESSION is {compression:?}: traces are sent as they are; leave it out, or write none"
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
        let own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let (name, text) = match (self.get(own), self.get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            (Some(text), _) => (own, text),
            (None, Some(text)) => ("OTEL_EXPORTER_OTLP_ENDPOINT", text),
            (None, None) => {
                let usual = match protocol {
                    Protocol::Grpc => "http://localhost:4317",
                    Protocol::HttpProtobuf => "http://localhost:4318/v1/traces",
                };
                (own, usual.to_owned())
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
            let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
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

    fn sampler(&self) -> Read<Sampler> {
        let Some(name) = self.get("OTEL_TRACES_SAMPLER") else {
            return Ok(Sampler::default());
        };
        let argument = self.get("OTEL_TRACES_SAMPLER_ARG");
        Sampler::parse(name.trim(), argument.as_deref()).map_err(InvalidVariable)
    }

    fn queue(&self) -> Read<QueueConfig> {
        let usual = QueueConfig::default();
        let spans_max = self.number("OTEL_BSP_MAX_QUEUE_SIZE", usual.spans_max)?;
        let batch_max = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch_max)?;
        Ok(QueueConfig {
            spans_max,
            batch_max: batch_max.min(spans_max),
            delay: self.millis("OTEL_BSP_SCHEDULE_DELAY", usual.delay)?,
            export_timeout: self.millis("OTEL_BSP_EXPORT_TIMEOUT", usual.export_timeout)?,
        })
    }

    fn resource(&self, service: &str) -> Read<Vec<(String, Value)>> {
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
        let instance = ulid::Ulid::generate().to_string().to_lowercase();
        put("service.instance.id", instance, false);
        put("telemetry.sdk.name", "flotilla".to_owned(), true);
        put("telemetry.sdk.language", "rust".to_owned(), true);
        put(
            "telemetry.sdk.version",
            env!("CARGO_PKG_VERSION").to_owned(),
            true,
        );
        let values = resource.into_iter();
        Ok(values.map(|(name, value)| (name, value.into())).collect())
    }

    fn number(&self, name: &str, usual: usize) -> Read<usize> {
        let Some(text) = self.get(name) else {
            return Ok(usual);
        };
        let number = text.trim().parse().ok().filter(|number| *number > 0);
        number.map_or_else(
            || wrong(format!("{name} is {text:?}: use a whole number from 1 on")),
            Ok,
        )
    }

    fn millis(&self, name: &str, usual: Duration) -> Read<Duration> {
        let millis = usize::try_from(usual.as_millis()).unwrap_or(usize::MAX);
        Ok(Duration::from_millis(self.number(name, millis)? as u64))
    }

    fn millis_of_signal(&self, name: &str, usual: Duration) -> Read<Duration> {
        let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
        let all = format!("OTEL_EXPORTER_OTLP_{name}");
        self.millis(&own, self.millis(&all, usual)?)
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

#[cfg(test)]
mod tests;

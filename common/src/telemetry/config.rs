//! What OpenTelemetry's own variables say (`OTEL_*`), read once. Anything that would be ignored
//! is an error: an operator who misspells a protocol has to hear it now, not miss traces later.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::sampler::Sampler;
use super::span::Value;

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
                let port = match protocol {
                    Protocol::Grpc => 4317,
                    Protocol::HttpProtobuf => 4318,
                };
                (own, format!("http://localhost:{port}/v1/traces"))
            }
        };
        let is_http = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https");
        let url = text.trim().parse::<reqwest::Url>().ok();
        let Some(mut url) = url.filter(|url| is_http(url) && url.has_host()) else {
            return wrong(format!(
                "{name} is {text:?}: write it with http:// or https:// before it, like http://localhost:4318"
            ));
        };
        match protocol {
            Protocol::Grpc => {
                url.set_path("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
            }
            // What names the endpoint of all signals is where theirs are below.
            Protocol::HttpProtobuf if name != own => {
                let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
                url.set_path(&path);
            }
            Protocol::HttpProtobuf => {}
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
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Read<Option<Config>> {
        let look = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::read("flotilla-test", &look)
    }

    fn on(variables: &[(&str, &str)]) -> Config {
        read(variables).unwrap().unwrap()
    }

    fn named<'a>(config: &'a Config, name: &str) -> Option<&'a Value> {
        let found = config.resource.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    #[test]
    fn off_unless_somebody_asks() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "true")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(variables).unwrap().is_none(), "{variables:?}");
        }
        let usual = on(&[("OTEL_TRACES_EXPORTER", "otlp")]);
        assert_eq!(usual.endpoint.as_str(), "http://localhost:4318/v1/traces");
    }

    #[test]
    fn what_is_said_of_traces_wins() {
        let config = on(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://all:1/base/"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                "authorization=Bearer%20x, b = 2",
            ),
        ]);
        assert_eq!(config.endpoint.as_str(), "https://all:1/base/v1/traces");
        assert_eq!(config.timeout, Duration::from_millis(250));
        let headers = [("authorization", "Bearer x"), ("b", "2")];
        assert_eq!(
            config.headers,
            headers.map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        let exact = on(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/exactly")]);
        assert_eq!(exact.endpoint.as_str(), "http://t:1/exactly");
        let grpc = on(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://t:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ]);
        assert!(grpc.endpoint.path().ends_with("TraceService/Export"));
    }

    #[test]
    fn who_we_are() {
        let base = ("OTEL_TRACES_EXPORTER", "otlp");
        let attributes = (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=theirs,k8s.pod.name=p%201",
        );
        let config = on(&[base]);
        assert_eq!(
            named(&config, "service.name"),
            Some(&"flotilla-test".into())
        );
        let config = on(&[base, attributes]);
        assert_eq!(named(&config, "service.name"), Some(&"theirs".into()));
        assert_eq!(named(&config, "k8s.pod.name"), Some(&"p 1".into()));
        let config = on(&[base, attributes, ("OTEL_SERVICE_NAME", "mine")]);
        assert_eq!(named(&config, "service.name"), Some(&"mine".into()));
    }

    #[test]
    fn what_cannot_be_obeyed_says_what_to_do() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for (variable, value, remedy) in [
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "collector:4318",
                "http://",
            ),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost", "http://"),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "http/json",
                "grpc or http/protobuf",
            ),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "none"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "otlp"),
            ("OTEL_TRACES_SAMPLER", "sometimes", "always_on"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1 on"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "whole number"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "token", "name=value"),
            (
                "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                "key.pem",
                "both or neither",
            ),
            ("OTEL_SDK_DISABLED", "yes", "true or false"),
        ] {
            let error = read(&[ENDPOINT, (variable, value)])
                .unwrap_err()
                .to_string();
            let stem = variable.replace("_TRACES_", "_");
            assert!(error.contains(remedy), "{variable}: {error}");
            assert!(
                error.replace("_TRACES_", "_").contains(&stem),
                "{variable}: {error}"
            );
        }
    }
}

//! Whether metrics are pushed, where to, and how often.

use std::time::Duration;

use super::super::variables::{Connection, Read, Signal, Variables};

/// Where metrics go, and how often. There is none where nobody wants them that way.
#[derive(Debug, Clone)]
pub struct Config {
    pub connection: Connection,
    pub every: Duration,
    /// For one push, with all its repetitions.
    pub export_timeout: Duration,
    /// Whether metrics were named. Where all signals are sent to one place, that may be one that takes
    /// only traces, like Jaeger.
    pub is_asked_for: bool,
}

impl Config {
    /// `None` where metrics are not pushed.
    pub fn from_env(service: &str) -> Read<Option<Self>> {
        Self::read(service, &|name| std::env::var(name).ok())
    }

    /// The same from anywhere.
    pub fn read(service: &str, look: &dyn Fn(&str) -> Option<String>) -> Read<Option<Self>> {
        let signal = Signal::Metrics;
        let variables = Variables { look, signal };
        let Some(connection) = variables.connection(service)? else {
            return Ok(None);
        };
        let every = Duration::from_secs(60);
        let export_timeout = Duration::from_secs(30);
        Ok(Some(Self {
            connection,
            every: variables.millis("OTEL_METRIC_EXPORT_INTERVAL", every)?,
            export_timeout: variables.millis("OTEL_METRIC_EXPORT_TIMEOUT", export_timeout)?,
            is_asked_for: variables.is_asked_for(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::variables::among;
    use super::*;

    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");

    fn read(variables: &[(&str, &str)]) -> Read<Option<Config>> {
        Config::read("flotilla-test", &among(variables))
    }

    fn on(variables: &[(&str, &str)]) -> Config {
        read(variables).unwrap().unwrap()
    }

    #[test]
    fn off_unless_somebody_asks() {
        for variables in [
            &[][..],
            &[("OTEL_TRACES_EXPORTER", "otlp")],
            &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://j:4318")],
            &[ALL, ("OTEL_SDK_DISABLED", "true")],
            &[ALL, ("OTEL_METRICS_EXPORTER", "none")],
        ] {
            assert!(read(variables).unwrap().is_none(), "{variables:?}");
        }
        let usual = on(&[("OTEL_METRICS_EXPORTER", "otlp")]);
        let endpoint = usual.connection.endpoint.as_str();
        assert_eq!(endpoint, "http://localhost:4318/v1/metrics");
        assert_eq!(usual.every, Duration::from_secs(60));
    }

    #[test]
    fn an_endpoint_for_all_is_one_for_metrics_that_nobody_named() {
        let config = on(&[ALL, ("OTEL_METRIC_EXPORT_INTERVAL", "1500")]);
        let endpoint = config.connection.endpoint.as_str();
        assert_eq!(endpoint, "http://c:4318/v1/metrics");
        assert_eq!(config.every, Duration::from_millis(1_500));
        assert!(!config.is_asked_for);
        for named in [
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:1/exactly"),
        ] {
            assert!(on(&[ALL, named]).is_asked_for, "{named:?}");
        }
    }

    #[test]
    fn what_is_said_of_metrics_wins() {
        let config = on(&[
            ALL,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "ca.pem"),
        ]);
        let connection = config.connection;
        assert_eq!(connection.endpoint.as_str(), "https://m:4317/");
        assert_eq!(connection.protocol, super::super::super::Protocol::Grpc);
        assert_eq!(connection.timeout, Duration::from_millis(250));
        assert_eq!(connection.headers, [("a".to_owned(), "1".to_owned())]);
        assert_eq!(connection.ca_file, Some("ca.pem".into()));
    }

    #[test]
    fn what_cannot_be_obeyed_says_what_to_do() {
        for (variable, value, remedy) in [
            ("OTEL_METRICS_EXPORTER", "prometheus", "otlp, or none"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1m", "whole number"),
            ("OTEL_METRIC_EXPORT_TIMEOUT", "0", "from 1 on"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "m:4318", "http://"),
        ] {
            let error = read(&[ALL, (variable, value)]).unwrap_err().to_string();
            assert!(
                error.contains(remedy) && error.contains(variable),
                "{error}"
            );
        }
    }
}

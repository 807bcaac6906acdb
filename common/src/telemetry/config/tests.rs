use super::super::variables::among;
use super::*;

fn read(variables: &[(&str, &str)]) -> Read<Option<Config>> {
    Config::read("flotilla-test", &among(variables))
}

fn on(variables: &[(&str, &str)]) -> Config {
    read(variables).unwrap().unwrap()
}

fn named<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    let found = config
        .connection
        .resource
        .iter()
        .find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
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
    assert_eq!(
        usual.connection.endpoint.as_str(),
        "http://localhost:4318/v1/traces"
    );
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
    assert_eq!(
        config.connection.endpoint.as_str(),
        "https://all:1/base/v1/traces"
    );
    assert_eq!(config.connection.timeout, Duration::from_millis(250));
    let headers = [("authorization", "Bearer x"), ("b", "2")];
    assert_eq!(
        config.connection.headers,
        headers.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    let exact = on(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/exactly")]);
    assert_eq!(exact.connection.endpoint.as_str(), "http://t:1/exactly");
    let grpc = on(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://t:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    assert_eq!(grpc.connection.endpoint.as_str(), "http://t:4317/");
}

#[test]
fn who_we_are() {
    let base = ("OTEL_TRACES_EXPORTER", "otlp");
    let attributes = (
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=theirs,k8s.pod.name=p%201",
    );
    let config = on(&[base]);
    assert_eq!(named(&config, "service.name"), Some("flotilla-test"));
    let config = on(&[base, attributes]);
    assert_eq!(named(&config, "service.name"), Some("theirs"));
    assert_eq!(named(&config, "k8s.pod.name"), Some("p 1"));
    let config = on(&[base, attributes, ("OTEL_SERVICE_NAME", "mine")]);
    assert_eq!(named(&config, "service.name"), Some("mine"));
}

/// A collector tells instances apart by their ids: traces and metrics are of one.
#[test]
fn all_signals_are_of_one_instance() {
    let id = |config: &Config| named(config, "service.instance.id").unwrap().to_owned();
    let config = on(&[("OTEL_TRACES_EXPORTER", "otlp")]);
    assert_eq!(id(&config), id(&on(&[("OTEL_TRACES_EXPORTER", "otlp")])));
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

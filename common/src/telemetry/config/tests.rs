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
    assert_eq!(grpc.endpoint.as_str(), "http://t:4317/");
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

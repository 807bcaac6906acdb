//! What can be told from the settings alone.

use std::net::{IpAddr, SocketAddr};

use flotilla_common::service::Settings;
use flotilla_gateway::Config as Gateway;
use flotilla_knowledge::{Choice, Config as Knowledge};
use flotilla_remote::openai;

use super::finding::Finding;
use crate::fleet;

/// What the look at the settings themselves is called.
pub(super) const CHECK: &str = "settings";

const MODEL_FILES: [&str; 2] = ["model.safetensors", "tokenizer.json"];

pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    if let Err(error) = fleet::check(settings) {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        return vec![
            Finding::error(CHECK, causes.join(": "))
                .remedy("no service starts with these; deploy/flotilla.toml documents every key"),
        ];
    }
    let mut findings = vec![Finding::ok(
        CHECK,
        "every section reads, and fits the others",
    )];
    if let Ok(gateway) = settings.section::<Gateway>("gateway") {
        findings.push(listening(&gateway));
    }
    if let (Ok(knowledge), Ok(openai)) = (
        settings.section::<Knowledge>("knowledge"),
        settings.section::<openai::Config>("openai"),
    ) {
        findings.push(model(&knowledge, openai.embedding_model.as_deref()));
    }
    findings
}

/// What makes the vectors, by these settings: whether an API answers is asked of the workers.
fn model(knowledge: &Knowledge, remote: Option<&str>) -> Finding {
    let may_be_remote = matches!(knowledge.embedder, Choice::Auto | Choice::OpenAi);
    if let Some(remote) = remote.filter(|_| may_be_remote) {
        return Finding::ok("model", format!("{remote}, by API, makes the vectors"));
    }
    let dir = knowledge.model_dir();
    let Some(dir) = dir.filter(|_| knowledge.embedder != Choice::None) else {
        return Finding::note(
            "model",
            "no model makes vectors: documents are found by their words alone",
        )
        .remedy("'./just model' fetches one and prints its directory, for knowledge.model_dir");
    };
    // In a container only those processes that compute vectors may have it.
    if !dir.is_dir() {
        return Finding::note(
            "model",
            format!("the one in {} makes the vectors, which is not there where this looks", dir.display()),
        )
        .remedy("see that query and embedding have it: without it they do not start; './just model' fetches one");
    }
    let missing = MODEL_FILES.iter().find(|name| !dir.join(name).is_file());
    match missing {
        None => Finding::ok(
            "model",
            format!("the one in {} makes the vectors", dir.display()),
        ),
        Some(name) => Finding::error("model", format!("{} has no {name}", dir.display()))
            .remedy("'./just model' fetches it and prints its directory, for knowledge.model_dir"),
    }
}

fn listening(gateway: &Gateway) -> Finding {
    let listen = &gateway.listen;
    let has_keys = gateway.keys_file.is_some();
    match (is_loopback(listen), has_keys, gateway.open_to_all) {
        (true, _, _) => Finding::ok(
            "listening",
            format!("gateway.listen is {listen}: this machine only"),
        ),
        (false, true, _) => Finding::note(
            "listening",
            format!("gateway.listen is {listen}: it is reached from elsewhere, with a key"),
        )
        .remedy("put TLS in front of it: keys and payloads are readable on their way"),
        (false, false, true) => Finding::warning(
            "listening",
            format!("gateway.listen is {listen}, and gateway.open_to_all lets everybody in who gets there"),
        )
        .remedy("see that something else decides who gets there; or set gateway.keys_file"),
        (false, false, false) => Finding::error(
            "listening",
            format!("gateway.listen is {listen}, and there are no keys: the gateway does not start"),
        )
        .remedy("make a key with 'flotilla keys new' and set gateway.keys_file, or listen on 127.0.0.1"),
    }
}

/// Of a host and port.
pub(super) fn is_loopback(listen: &str) -> bool {
    let host = match listen.parse::<SocketAddr>() {
        Ok(address) => return is_own(address.ip()),
        Err(_) => listen.rsplit_once(':').map_or(listen, |(host, _)| host),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(is_own)
}

fn is_own(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn who_is_let_in_from_elsewhere_is_judged() {
        let judge = |listen: &str, keys: Option<&str>, open_to_all| {
            let gateway = Gateway {
                listen: listen.to_owned(),
                keys_file: keys.map(Into::into),
                open_to_all,
                ..Gateway::default()
            };
            listening(&gateway).severity
        };
        assert_eq!(judge("127.0.0.1:80", None, false), Severity::Ok);
        assert_eq!(
            judge("0.0.0.0:80", Some("keys.json"), false),
            Severity::Note
        );
        assert_eq!(judge("0.0.0.0:80", None, true), Severity::Warning);
        assert_eq!(judge("0.0.0.0:80", None, false), Severity::Error);
    }

    #[test]
    fn a_model_is_there_or_its_absence_is_told() {
        let knowledge = |embedder, model_dir: &str| Knowledge {
            embedder,
            model_dir: Some(model_dir.into()),
            ..Knowledge::default()
        };
        let elsewhere = knowledge(Choice::Auto, "/nowhere");
        assert_eq!(model(&elsewhere, None).severity, Severity::Note);
        assert_eq!(model(&elsewhere, Some("m")).severity, Severity::Ok);
        let empty = knowledge(Choice::Auto, env!("CARGO_MANIFEST_DIR"));
        assert_eq!(model(&empty, None).severity, Severity::Error);
        assert_eq!(
            model(&knowledge(Choice::None, "/nowhere"), None).severity,
            Severity::Note
        );
    }

    #[test]
    fn who_is_reached_from_elsewhere() {
        for own in [
            "127.0.0.1:80",
            "[::1]:80",
            "localhost:80",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "example.com:80"] {
            assert!(!is_loopback(open), "{open}");
        }
    }
}

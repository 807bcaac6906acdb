//! The gateway as its clients find it: whether it answers, whom it lets in, what it says of the
//! fleet.

use flotilla_common::service::Settings;

use super::finding::Finding;
use super::settings::is_loopback;
use crate::client::{Answer, Api, Target};
use crate::commands::items;
use crate::exit::{Code, Failed};
use crate::terminal::one_line;

pub(super) async fn check(api: &Api, target: &Target) -> Vec<Finding> {
    let health = match api.get(&["health"]).send_any().await {
        Ok(health) => health,
        Err(failed) => {
            let finding = Finding::error("gateway", failed.message);
            return vec![match failed.remedy {
                Some(remedy) => finding.remedy(remedy),
                None => finding,
            }];
        }
    };
    let mut findings = judge(&health, api.address());
    findings.extend(access(api, target).await);
    findings
}

fn judge(health: &Answer, address: &str) -> Vec<Finding> {
    if health.body["healthy"].is_null() {
        let failed = health.failed();
        return vec![
            Finding::error("gateway", failed.message)
                .remedy(failed.remedy.unwrap_or_else(|| "see its log".to_owned())),
        ];
    }
    let mut findings = vec![match health.body["healthy"] == true {
        true => Finding::ok(
            "gateway",
            format!("the fleet at {address} says that it is healthy"),
        ),
        false => Finding::error("gateway", format!("the fleet at {address} is not healthy"))
            .remedy("see what else is found here, and the logs of its services"),
    }];
    for problem in items(&health.body, "problems") {
        let problem = one_line(problem.as_str().unwrap_or_default());
        findings.push(
            Finding::warning("fleet", problem)
                .remedy("start the service that is missing, or look into its log"),
        );
    }
    for (name, state) in health.body["circuit_breakers"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if state != "closed" {
            let state = state.as_str().unwrap_or_default();
            findings.push(
                Finding::warning(
                    "breaker",
                    format!("the breaker {name} is {state}: tasks that need it wait"),
                )
                .remedy(format!(
                    "'flotilla breakers list' says why; 'flotilla breakers reset {name}' closes it"
                )),
            );
        }
    }
    findings
}

/// Whether we are let in, and whether somebody without a key is, from elsewhere: tried, not read.
async fn access(api: &Api, target: &Target) -> Option<Finding> {
    if let Err(failed) = api.get(&["queues"]).send().await
        && failed.code == Code::Refused
    {
        let remedy = failed.remedy.unwrap_or_default();
        return Some(Finding::error("access", failed.message).remedy(remedy));
    }
    let (scheme, rest) = api.address().split_once("://")?;
    let host = rest.split('/').next().unwrap_or_default();
    let has_port = host
        .rsplit(':')
        .next()
        .is_some_and(|port| port.parse::<u16>().is_ok());
    let listen = if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    if is_loopback(&listen) {
        return None;
    }
    let stranger = Target {
        api_key: None,
        nats: None,
        ..target.clone()
    };
    let stranger = Api::open(&stranger, &Settings::default()).await.ok()?;
    let let_in = stranger.get(&["queues"]).send().await;
    Some(judge_access(
        let_in.map(drop),
        api.address(),
        scheme == "https",
    ))
}

fn judge_access(stranger: Result<(), Failed>, address: &str, is_encrypted: bool) -> Finding {
    match stranger {
        Ok(()) => Finding::error(
            "access",
            format!("{address} lets anybody in: whoever reaches it may submit, cancel and purge"),
        )
        .remedy("set gateway.keys_file, or have it listen on 127.0.0.1 only"),
        Err(failed) if failed.code == Code::Refused && !is_encrypted => {
            Finding::warning("access", "keys are asked for, and sent unencrypted")
                .remedy("put TLS in front of the gateway, and use https:// with --server")
        }
        Err(failed) if failed.code == Code::Refused => {
            Finding::ok("access", "nobody is let in without a key")
        }
        Err(failed) => Finding::note(
            "access",
            format!("it could not be told who is let in: {failed}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::finding::Severity;

    fn answer(status: u16, body: serde_json::Value) -> Answer {
        Answer {
            status,
            text: body.to_string(),
            body,
            retry_after: None,
        }
    }

    #[test]
    fn strangers_are_not_to_be_let_in() {
        let refused = || Err(Failed::new(Code::Refused, "no"));
        let severity = |stranger, is_encrypted| judge_access(stranger, "h", is_encrypted).severity;
        assert_eq!(severity(Ok(()), true), Severity::Error);
        assert_eq!(severity(refused(), false), Severity::Warning);
        assert_eq!(severity(refused(), true), Severity::Ok);
    }

    #[test]
    fn what_health_says_is_told() {
        let sick = answer(
            503,
            json!({
                "healthy": false, "problems": ["no stats service is running"],
                "circuit_breakers": {"openai": "open", "chromadb": "closed"},
            }),
        );
        let told = judge(&sick, "http://h");
        let severities: Vec<_> = told.iter().map(|f| (f.check, f.severity)).collect();
        assert_eq!(
            severities,
            [
                ("gateway", Severity::Error),
                ("fleet", Severity::Warning),
                ("breaker", Severity::Warning),
            ]
        );
        let well = judge(&answer(200, json!({"healthy": true})), "http://h");
        assert_eq!((well.len(), well[0].severity), (1, Severity::Ok));
        assert_eq!(
            judge(&answer(200, json!({"hello": 1})), "h")[0].severity,
            Severity::Error
        );
    }
}

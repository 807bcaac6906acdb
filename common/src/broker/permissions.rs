//! What these credentials may do, by trying what the table of roles lists (`broker::roles`): each
//! attempt is one that the server refuses or drops even where it is allowed, so that nothing
//! comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::header::NATS_EXPECTED_STREAM;
use async_nats::{Client, Event, HeaderMap, ServerError};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::connect::{explain, options};
use super::roles::{API, OUTSIDE_API};
use super::{Config, ConnectError, Role};

/// A name that nothing has: no stream, no task, no schedule.
const NOTHING: &str = "flotilla-doctor";
/// The server's word about all that went before is there by then.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(3);

/// Something that the credentials may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Who cannot work without.
    pub roles: Vec<Role>,
    pub is_subscription: bool,
    /// As the server's configuration has to name it.
    pub subject: String,
}

/// Those that are missing for any of the roles.
pub async fn missing_permissions(
    config: &Config,
    roles: &[Role],
) -> Result<Vec<Permission>, ConnectError> {
    let (refusals, mut refused) = mpsc::unbounded_channel();
    let options = options(config)
        .await?
        .name(NOTHING)
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(text)) = event {
                // Whoever listened has an answer by now.
                let _ = refusals.send(text.to_lowercase());
            }
            std::future::ready(())
        });
    let urls: Vec<&str> = config.url.split(',').map(str::trim).collect();
    let client = options.connect(urls).await;
    let client = client.map_err(|error| explain(config, error))?;
    let inbox = config.inbox().unwrap_or_else(|| "_INBOX".to_owned());
    let mut wanted = wanted(roles, &inbox);
    try_all(&client, &wanted).await;
    let mut texts = Vec::new();
    while let Ok(text) = refused.try_recv() {
        texts.push(text);
    }
    wanted.retain(|permission| is_refused(permission, &texts));
    // Fails only where there is no connection any more.
    let _ = client.drain().await;
    Ok(wanted)
}

/// Each once, with all roles that need it.
fn wanted(roles: &[Role], inbox: &str) -> Vec<Permission> {
    let mut by_subject: BTreeMap<(bool, String), Vec<Role>> = BTreeMap::new();
    for role in roles {
        let grants = role.grants();
        let publish = grants.publish.into_iter().map(|subject| (false, subject));
        let subscribe = grants.subscribe.into_iter().map(|subject| (true, subject));
        let own = (true, format!("{inbox}.>"));
        for permission in publish.chain(subscribe).chain([own]) {
            by_subject.entry(permission).or_default().push(*role);
        }
    }
    let permission = |((is_subscription, subject), roles)| Permission {
        roles,
        is_subscription,
        subject,
    };
    by_subject.into_iter().map(permission).collect()
}

async fn try_all(client: &Client, wanted: &[Permission]) {
    let failed = |error: &dyn std::fmt::Display| {
        // Only a connection that is gone fails here: then nothing was refused, and it is told.
        tracing::debug!(%error, "a permission was not tried");
    };
    let mut kept = Vec::new();
    for permission in wanted.iter().filter(|wanted| wanted.is_subscription) {
        match client.subscribe(permission.subject.clone()).await {
            Ok(subscriber) => kept.push(subscriber),
            Err(error) => failed(&error),
        }
    }
    for permission in wanted.iter().filter(|wanted| !wanted.is_subscription) {
        let (subject, body) = attempt(&permission.subject);
        let mut headers = HeaderMap::new();
        if !subject.starts_with("$JS.") && !subject.starts_with(OUTSIDE_API) {
            // What a stream would store, were it not for another one.
            headers.insert(NATS_EXPECTED_STREAM, NOTHING);
        }
        let sent =
            client.publish_with_headers(subject, headers, Bytes::from_static(body.as_bytes()));
        sent.await.unwrap_or_else(|error| failed(&error));
    }
    // A role may not speak to itself: then the refusal is the word that comes after all others,
    // and there is no hurry.
    let inbox = client.new_inbox();
    let Ok(mut echo) = client.subscribe(inbox.clone()).await else {
        return;
    };
    // What comes back to us comes after all that was refused before.
    let told = client.publish(inbox, Bytes::new()).await;
    match told {
        Ok(()) => {
            let _ = tokio::time::timeout(ROUND_TRIP_MAX, echo.next()).await;
        }
        Err(error) => failed(&error),
    }
}

/// Something harmless that the pattern takes: of nothing that exists, and with a body that is
/// refused where it is allowed.
fn attempt(pattern: &str) -> (String, &'static str) {
    let named = |token| match token {
        "*" | ">" => NOTHING,
        token => token,
    };
    let subject = pattern.split('.').map(named).collect::<Vec<_>>().join(".");
    let api = [API, OUTSIDE_API].map(|api| format!("{api}."));
    let mut calls = api
        .iter()
        .filter_map(|api| pattern.strip_prefix(api.as_str()));
    let call = calls.next();
    let is = |name: &str| call.is_some_and(|call| call.starts_with(name));
    let body = if pattern.starts_with("$JS.ACK.") {
        // No word that settles anything.
        NOTHING
    } else if is("STREAM.PURGE.") {
        r#"{"filter":"flotilla-doctor"}"#
    } else if is("STREAM.MSG.") {
        r#"{"seq":0}"#
    } else if is("CONSUMER.CREATE.") {
        r#"{"stream_name":"flotilla-doctor","config":{}}"#
    } else if is("CONSUMER.MSG.NEXT.") {
        // Without a place to answer to, the server gives nothing out.
        "{"
    } else if is("STREAM.CREATE.") || is("STREAM.UPDATE.") || is("DIRECT.GET.") {
        // The stream's name within differs.
        "{}"
    } else if call.is_some() {
        ""
    } else {
        "null"
    };
    (subject, body)
}

fn is_refused(permission: &Permission, texts: &[String]) -> bool {
    let (kind, subject) = match permission.is_subscription {
        true => ("subscription", permission.subject.clone()),
        false => ("publish", attempt(&permission.subject).0),
    };
    let subject = format!("\"{}\"", subject.to_lowercase());
    let names_it = |text: &&String| text.contains(kind) && text.contains(&subject);
    texts
        .iter()
        .any(|text| text.contains("permissions violation") && names_it(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_one_subject_and_one_kind() {
        let publish = Permission {
            roles: Vec::new(),
            is_subscription: false,
            subject: "tasks.query.normal.*".to_owned(),
        };
        let text = |text: &str| [text.to_lowercase()];
        let refusal = "Permissions Violation for Publish to \"tasks.query.normal.flotilla-doctor\"";
        assert!(is_refused(&publish, &text(refusal)));
        assert!(!is_refused(
            &publish,
            &text("Permissions Violation for Publish to \"tasks.query\"")
        ));
        assert!(!is_refused(
            &publish,
            &text(&refusal.replace("Publish", "Subscription"))
        ));
    }

    #[test]
    fn what_is_tried_is_of_nothing() {
        for role in Role::all() {
            for pattern in role.grants().publish {
                let (subject, body) = attempt(&pattern);
                assert!(!subject.contains(['*', '>']), "{subject}");
                let is_api = [API, OUTSIDE_API]
                    .iter()
                    .any(|api| subject.starts_with(api));
                // Neither would be harmless with the body that it usually has.
                assert!(!is_api || body != "null", "{subject}");
                assert!(!subject.contains("PURGE") || body.contains(NOTHING));
            }
        }
    }
}

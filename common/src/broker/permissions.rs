//! What these credentials may do, by trying: each attempt is one that the server refuses or drops
//! even where it is allowed, so that nothing comes of it.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_STREAM;
use async_nats::{Event, HeaderMap, ServerError};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::client::{explain, options};
use super::objects::BUCKET;
use super::subjects::{
    CONTROL_STREAM, EVENTS, EVENTS_STREAM, INDEX_CALLS, RESULTS_STREAM, SCHED_STREAM,
    SERIES_REQUEST, STATS_REQUEST, TASKS_REQUEST, consumer, tasks_stream, worker_calls,
};
use super::{Config, ConnectError, Kept};
use crate::model::{Category, Dependency, Priority, Range};

/// A name that nothing has: no stream, no task, no schedule.
const NOTHING: &str = "flotilla-doctor";
/// The server's word about all that went before is there by then.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(3);

/// Something that part of the fleet has to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Who cannot work without.
    pub role: &'static str,
    pub is_subscription: bool,
    pub subject: String,
}

struct Try {
    permission: Permission,
    headers: HeaderMap,
    body: &'static str,
}

/// Those that are missing.
pub async fn missing_permissions(config: &Config) -> Result<Vec<Permission>, ConnectError> {
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
    let (publishing, mut wanted) = (publications(), subscriptions());
    let failed = |error: &dyn std::fmt::Display| {
        // Only a connection that is gone fails here: then nothing was refused, and it is told.
        tracing::debug!(%error, "a permission was not tried");
    };
    let mut kept = Vec::new();
    for permission in &wanted {
        match client.subscribe(permission.subject.clone()).await {
            Ok(subscriber) => kept.push(subscriber),
            Err(error) => failed(&error),
        }
    }
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.ok();
    for attempt in publishing {
        let Try {
            permission,
            headers,
            body,
        } = attempt;
        let subject = permission.subject.clone();
        let sent = client
            .publish_with_headers(subject, headers, Bytes::from_static(body.as_bytes()))
            .await;
        sent.unwrap_or_else(|error| failed(&error));
        wanted.push(permission);
    }
    // What comes back to us comes after all that was refused before.
    if client.publish(inbox, Bytes::new()).await.is_ok()
        && let Some(echo) = &mut echo
    {
        let _ = tokio::time::timeout(ROUND_TRIP_MAX, echo.next()).await;
    }
    let mut texts = Vec::new();
    while let Ok(text) = refused.try_recv() {
        texts.push(text);
    }
    wanted.retain(|permission| is_refused(permission, &texts));
    // Fails only where there is no connection any more.
    let _ = client.drain().await;
    Ok(wanted)
}

fn is_refused(permission: &Permission, texts: &[String]) -> bool {
    let kind = if permission.is_subscription {
        "subscription"
    } else {
        "publish"
    };
    let subject = format!("\"{}\"", permission.subject.to_lowercase());
    let names_it = |text: &&String| text.contains(kind) && text.contains(&subject);
    texts
        .iter()
        .any(|text| text.contains("permissions violation") && names_it(&text))
}

fn subscriptions() -> Vec<Permission> {
    let mut wanted = vec![
        listen("the gateway, for ?wait=", "outcomes.*.*".to_owned()),
        listen("stats", STATS_REQUEST.to_owned()),
        listen("stats", TASKS_REQUEST.to_owned()),
        listen("stats", SERIES_REQUEST.to_owned()),
        listen("the query workers", INDEX_CALLS.to_owned()),
        listen("everybody, for answers", "_INBOX.>".to_owned()),
    ];
    let workers = |category| listen(worker(category), worker_calls(category));
    wanted.extend(Category::all().map(workers));
    wanted
}

fn listen(role: &'static str, subject: String) -> Permission {
    Permission {
        role,
        is_subscription: true,
        subject,
    }
}

fn worker(category: Category) -> &'static str {
    match category {
        Category::Scraping => "the scraping workers",
        Category::Query => "the query workers",
        Category::Embedding => "the embedding workers",
        Category::Batch => "the batch workers",
        Category::Maintenance => "the maintenance workers",
        Category::Custom(custom) => custom.workers(),
    }
}

fn publications() -> Vec<Try> {
    let by_category = Category::all().flat_map(of_category);
    of_the_fleet().into_iter().chain(by_category).collect()
}

fn of_the_fleet() -> Vec<Try> {
    vec![
        stored(
            "the gateway, to schedule",
            format!("schedules.once.{NOTHING}"),
        ),
        stored("every service, to report", EVENTS.to_owned()),
        stored("stats", Kept::Snapshot.to_string()),
        stored("stats", Kept::Outcomes.to_string()),
        stored("stats", Kept::Stretch(Range::Hour.name(), 0).to_string()),
        stored(
            "the embedding workers",
            format!("documents.{NOTHING}.{NOTHING}"),
        ),
        stored(
            "everybody, for what is large",
            format!("$O.{BUCKET}.M.{NOTHING}"),
        ),
        stored(
            "everybody, for breakers",
            format!("control.breaker.{}", Dependency::OpenAi.name()),
        ),
        // Refused where it is allowed: the stream's name within differs.
        asked(
            "every service, to start",
            format!("$JS.API.STREAM.CREATE.{EVENTS_STREAM}"),
            "{}",
        ),
        asked(
            "every service, to start",
            format!("$JS.API.STREAM.UPDATE.{EVENTS_STREAM}"),
            "{}",
        ),
        asked(
            "every service",
            format!("$JS.API.STREAM.INFO.{CONTROL_STREAM}"),
            "",
        ),
        asked(
            "every service",
            format!("$JS.API.DIRECT.GET.{RESULTS_STREAM}"),
            "{}",
        ),
        asked(
            "every worker, to follow what is set",
            format!("$JS.API.CONSUMER.CREATE.{CONTROL_STREAM}"),
            r#"{"stream_name":"flotilla-doctor","config":{}}"#,
        ),
        // Of a subject that nothing is stored on.
        asked(
            "the gateway, to cancel what is scheduled",
            format!("$JS.API.STREAM.PURGE.{SCHED_STREAM}"),
            r#"{"filter":"schedules.once.flotilla-doctor"}"#,
        ),
    ]
}

fn of_category(category: Category) -> Vec<Try> {
    let (stream, role) = (tasks_stream(category), worker(category));
    let priority = Priority::Normal;
    vec![
        stored(
            "the gateway, to submit",
            format!("tasks.{category}.{priority}.{NOTHING}"),
        ),
        stored(role, format!("results.{category}.{NOTHING}")),
        stored(role, format!("dead.{category}.{NOTHING}")),
        stored(
            "the gateway, to cancel",
            format!("ended.{category}.{NOTHING}"),
        ),
        asked(
            "stats, to find what waits",
            format!("$JS.API.DIRECT.GET.{stream}"),
            "{}",
        ),
        // Without a place to answer to, the server gives nothing out.
        asked(
            role,
            format!(
                "$JS.API.CONSUMER.MSG.NEXT.{stream}.{}",
                consumer(category, priority)
            ),
            "{",
        ),
        // Acknowledges what no consumer has ever delivered.
        asked(role, format!("$JS.ACK.{stream}.{NOTHING}.1.1.1.1.1"), ""),
        asked(
            "the gateway, to cancel",
            format!("$JS.API.STREAM.MSG.DELETE.{stream}"),
            r#"{"seq":0}"#,
        ),
        asked("the gateway, to cancel", worker_calls(category), "null"),
    ]
}

/// What a stream would store, were it not for another one.
fn stored(role: &'static str, subject: String) -> Try {
    let mut attempt = asked(role, subject, "");
    attempt.headers.insert(NATS_EXPECTED_STREAM, NOTHING);
    attempt
}

fn asked(role: &'static str, subject: String, body: &'static str) -> Try {
    Try {
        permission: Permission {
            role,
            is_subscription: false,
            subject,
        },
        headers: HeaderMap::new(),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_one_subject_and_one_kind() {
        let publish = asked("x", "tasks.query.normal.a".to_owned(), "").permission;
        let text = |text: &str| [text.to_lowercase()];
        let refusal = "Permissions Violation for Publish to \"tasks.query.normal.a\"";
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
}

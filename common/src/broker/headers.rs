//! A task's options as headers: read from what anybody publishes, written for what we publish.

use std::fmt::Display;
use std::time::Duration;

use async_nats::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::header_names::{
    BRAND, DEADLINE, IDEMPOTENCY_KEY, KEEP_OUTCOME, LINKED_TRACE, MAX_RETRIES, NEEDS, PARENT,
    PROTOCOL_VERSION, REQUEUE_OF, SCHEDULE, SENT_AT, TASK_ID, TIMEOUT, TRACEPARENT, TRACESTATE,
};
use super::subjects::OBJECT_HEADER;
use crate::model::{
    KeepOutcome, Lineage, Needs, NewTask, Options, Origin, PROTOCOL, TraceContext, duration,
    other_protocol, short_brand,
};

/// How all of these begin.
const OURS: &[u8] = b"Flotilla-";
/// What a publisher may say of a task beside its body.
pub const TASK_HEADERS: [(&str, &str); 13] = [
    (
        TASK_ID,
        "The task's id, where it does not stand in the subject.",
    ),
    (
        IDEMPOTENCY_KEY,
        "Any text: all tasks of one category and key are one task.",
    ),
    (
        MAX_RETRIES,
        "Attempts after the first one, 0 to 20; 3 where nothing is said.",
    ),
    (
        TIMEOUT,
        "How long one attempt may run: a number and a unit, 1ms to 24h.",
    ),
    (
        DEADLINE,
        "A time as in RFC 3339: what has not started by then expires.",
    ),
    (
        BRAND,
        "Whose task it is; the payload's field brand where nothing is said.",
    ),
    (
        NEEDS,
        "Dependencies with commas between: while the breaker of one is open, the task waits.",
    ),
    (
        KEEP_OUTCOME,
        "Which outcomes are recorded: always, or failures, where a success at once is only counted.",
    ),
    (
        OBJECT_HEADER,
        "The object of the bucket flotilla that holds the body, in a message without one.",
    ),
    (
        PROTOCOL_VERSION,
        "The version of the contract that the publisher keeps to.",
    ),
    (
        "Nats-Msg-Id",
        "What was published under it within 2 minutes is not stored again.",
    ),
    (
        TRACEPARENT,
        "The trace that the task is a part of, as in W3C Trace Context.",
    ),
    (TRACESTATE, "What goes with it."),
];

/// A header with a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("header {MAX_RETRIES} is {0:?}: use a whole number from 0 to {max}", max = Options::MAX_RETRIES_MAX)]
    MaxRetries(String),
    #[error("header {TIMEOUT} is {0:?}: use a number and a unit from 1ms to 24h, like 30s")]
    Timeout(String),
    #[error("header {DEADLINE} is {0:?}: use a time like 2030-01-31T12:00:00Z")]
    Deadline(String),
    #[error("header {PROTOCOL_VERSION} is {0:?}, and this fleet speaks {PROTOCOL}")]
    Protocol(String),
    #[error("header {KEEP_OUTCOME} is {0:?}: use always or failures")]
    KeepOutcome(String),
    #[error("header {NEEDS}: {0}")]
    Needs(#[from] crate::model::UnknownName),
    #[error("header {REQUEUE_OF}, {SCHEDULE} or {PARENT}: {0}")]
    Origin(#[from] crate::model::InvalidTaskId),
}

/// The options and the origin; where a header is wrong, the defaults and what is wrong.
pub(super) fn read(
    headers: Option<&HeaderMap>,
) -> (Options, Option<Origin>, Option<InvalidHeader>) {
    match parse(headers) {
        Ok((options, origin)) => (options, origin, None),
        Err(fault) => (Options::default(), None, Some(fault)),
    }
}

/// The headers, where one of ours is among them: most tasks have none, which is told at less cost than
/// by a look for each.
pub(super) fn ours(headers: Option<&HeaderMap>) -> Option<&HeaderMap> {
    headers.filter(|headers| headers.iter().any(|(name, _)| is_ours(name.as_ref())))
}

fn is_ours(name: &str) -> bool {
    let prefix = name.as_bytes().get(..OURS.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(OURS))
}

fn parse(headers: Option<&HeaderMap>) -> Result<(Options, Option<Origin>), InvalidHeader> {
    if let Some(other) = header(headers, PROTOCOL_VERSION).and_then(other_protocol) {
        return Err(InvalidHeader::Protocol(other.to_owned()));
    }
    let mut options = Options::default();
    if let Some(text) = header(headers, MAX_RETRIES) {
        let parsed = text.trim().parse().ok();
        let allowed = parsed.filter(|max_retries| *max_retries <= Options::MAX_RETRIES_MAX);
        options.max_retries = allowed.ok_or_else(|| InvalidHeader::MaxRetries(text.to_owned()))?;
    }
    if let Some(text) = header(headers, TIMEOUT) {
        let parsed = duration::parse(text.trim()).ok();
        let range = Options::TIMEOUT_MIN..=Options::TIMEOUT_MAX;
        let allowed = parsed.filter(|timeout| range.contains(timeout));
        options.timeout = Some(allowed.ok_or_else(|| InvalidHeader::Timeout(text.to_owned()))?);
    }
    if let Some(text) = header(headers, DEADLINE) {
        let parsed = text.trim().parse::<Timestamp>();
        options.deadline = Some(parsed.map_err(|_| InvalidHeader::Deadline(text.to_owned()))?);
    }
    if let Some(text) = header(headers, NEEDS) {
        options.needs = text.parse::<Needs>()?;
    }
    if let Some(text) = header(headers, KEEP_OUTCOME) {
        let known = KeepOutcome::named(text.trim());
        options.keep_outcome = known.ok_or_else(|| InvalidHeader::KeepOutcome(text.to_owned()))?;
    }
    Ok((options, origin(headers)?))
}

pub(super) fn brand(headers: Option<&HeaderMap>) -> Option<String> {
    let brand = short_brand(header(headers, BRAND)?.trim());
    (!brand.is_empty()).then(|| brand.to_owned())
}

/// The second life of a scheduled run, or of a part, is a second life above all.
fn origin(headers: Option<&HeaderMap>) -> Result<Option<Origin>, InvalidHeader> {
    if let Some(text) = header(headers, REQUEUE_OF) {
        return Ok(Some(Origin::RequeueOf(text.parse()?)));
    }
    if let Some(text) = header(headers, SCHEDULE) {
        return Ok(Some(Origin::Schedule(text.parse()?)));
    }
    match header(headers, PARENT) {
        Some(text) => Ok(Some(Origin::ChildOf(text.parse()?))),
        None => Ok(None),
    }
}

/// The trace. A run of a schedule is none of whoever made the schedule, but is linked to it.
/// What is malformed is as good as nothing: no task fails for it.
pub(super) fn lineage(headers: Option<&HeaderMap>, origin: Option<&Origin>) -> Lineage {
    let parent = header(headers, TRACEPARENT)
        .and_then(|text| TraceContext::parse(text, header(headers, TRACESTATE)));
    if let Some(Origin::Schedule(_)) = origin {
        return Lineage {
            link: parent,
            ..Lineage::default()
        };
    }
    let ours = ours(headers);
    Lineage {
        parent,
        link: header(ours, LINKED_TRACE).and_then(|text| TraceContext::parse(text, None)),
        sent_at: header(ours, SENT_AT).and_then(|text| text.trim().parse().ok()),
    }
}

/// Puts the trace in, replacing what is there.
pub(super) fn write_trace(headers: &mut HeaderMap, context: Option<&TraceContext>) {
    let Some(context) = context else { return };
    remove(headers, TRACEPARENT);
    remove(headers, TRACESTATE);
    headers.insert(TRACEPARENT, context.traceparent());
    if let Some(state) = &context.state {
        headers.insert(TRACESTATE, &**state);
    }
}

/// For a second life: the trace of the first one becomes what it is linked to.
pub(super) fn unlink_trace(headers: &mut HeaderMap, first_life: Option<&TraceContext>) {
    for name in [TRACEPARENT, TRACESTATE, LINKED_TRACE, SENT_AT] {
        remove(headers, name);
    }
    if let Some(first_life) = first_life {
        headers.insert(LINKED_TRACE, first_life.traceparent());
    }
}

pub(super) fn write_sent_at(headers: &mut HeaderMap, at: Timestamp) {
    remove(headers, SENT_AT);
    headers.insert(SENT_AT, at.to_string());
}

/// What a task says of itself beside its payload.
pub(super) fn of_task(task: &NewTask, origin: Option<&Origin>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    write(&mut headers, &task.options, origin);
    if let Some(brand) = &task.brand {
        headers.insert(BRAND, short_brand(brand));
    }
    headers
}

/// Puts in the options that are not the defaults, replacing what is there.
pub(super) fn write(headers: &mut HeaderMap, options: &Options, origin: Option<&Origin>) {
    let mut put = |name: &'static str, value: Option<&dyn Display>| {
        remove(headers, name);
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value.to_string());
        }
    };
    let defaults = Options::default();
    let timeout = options.timeout.map(millis);
    put(
        MAX_RETRIES,
        (options.max_retries != defaults.max_retries).then_some(&options.max_retries),
    );
    put(TIMEOUT, timeout.as_ref().map(|text| text as &dyn Display));
    put(
        DEADLINE,
        options.deadline.as_ref().map(|at| at as &dyn Display),
    );
    put(NEEDS, (!options.needs.is_empty()).then_some(&options.needs));
    let keep = options.keep_outcome;
    let keep = (keep != defaults.keep_outcome).then(|| keep.name());
    put(KEEP_OUTCOME, keep.as_ref().map(|name| name as &dyn Display));
    match origin {
        Some(Origin::RequeueOf(id)) => put(REQUEUE_OF, Some(id)),
        Some(Origin::Schedule(id)) => put(SCHEDULE, Some(id)),
        Some(Origin::ChildOf(id)) => put(PARENT, Some(id)),
        None => {}
    }
}

pub(super) fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// Removes a header, however its name is written.
pub(super) fn remove(headers: &mut HeaderMap, name: &str) {
    let names: Vec<_> = headers
        .iter()
        .map(|(key, _)| key.clone())
        .filter(|key| AsRef::<str>::as_ref(key).eq_ignore_ascii_case(name))
        .collect();
    if !names.is_empty() {
        let kept = headers
            .iter()
            .filter(|(key, _)| !names.contains(key))
            .flat_map(|(key, values)| values.iter().map(|value| (key.clone(), value.clone())))
            .collect::<Vec<_>>();
        *headers = HeaderMap::new();
        for (key, value) in kept {
            headers.append(key, value);
        }
    }
}

/// A header's value, whatever the case of its name: NATS compares names exactly, and clients
/// disagree on how to write them. Compared one by one, as the map would make a name to hash of each that
/// is looked for, and a task that has headers has a few.
pub(super) fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    let mut found = None;
    for (key, values) in headers?.iter() {
        let key: &str = key.as_ref();
        let is_exact = key == name;
        if is_exact || (found.is_none() && key.eq_ignore_ascii_case(name)) {
            found = values.first();
        }
        if is_exact {
            break;
        }
    }
    found.map(|value| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (*name, *value)).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn what_is_written_reads_back() {
        let options = Options {
            max_retries: 7,
            timeout: Some(Duration::from_millis(1_500)),
            deadline: Some("2030-01-31T12:00:00Z".parse().unwrap()),
            needs: "openai".parse().unwrap(),
            keep_outcome: KeepOutcome::Failures,
        };
        let origin = Some(Origin::RequeueOf("a-1".parse().unwrap()));
        let mut written = headers(&[("flotilla-max-retries", "1"), ("Other", "kept")]);
        write(&mut written, &options, origin.as_ref());
        assert_eq!(read(Some(&written)), (options, origin, None));
        assert_eq!(header(Some(&written), "other"), Some("kept"));
    }

    #[test]
    fn a_name_as_it_is_written_here_comes_before_others() {
        for pairs in [
            [("Flotilla-Brand", "exact"), ("flotilla-brand", "other")],
            [("FLOTILLA-BRAND", "other"), ("Flotilla-Brand", "exact")],
        ] {
            assert_eq!(header(Some(&headers(&pairs)), BRAND), Some("exact"));
            assert_eq!(header(Some(&headers(&pairs)), TIMEOUT), None);
        }
        assert_eq!(
            header(Some(&headers(&[("FLOTILLA-BRAND", "a")])), BRAND),
            Some("a")
        );
    }

    #[test]
    fn a_trace_is_read_whatever_its_case_and_malformed_is_none() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = |name: &str, value: &str| {
            lineage(
                Some(&headers(&[(name, value), ("TraceState", "a=b")])),
                None,
            )
            .parent
        };
        let parent = read("traceparent", PARENT).unwrap();
        assert_eq!(parent.traceparent(), PARENT);
        assert_eq!(parent.state.as_deref(), Some("a=b"));
        assert_eq!(read("Traceparent", PARENT).as_ref(), Some(&parent));
        assert_eq!(read("TRACEPARENT", PARENT).as_ref(), Some(&parent));
        assert_eq!(read("traceparent", "00-garbage"), None);
        let schedule = Origin::Schedule("s".parse().unwrap());
        let run = lineage(Some(&headers(&[("traceparent", PARENT)])), Some(&schedule));
        assert_eq!(
            (run.parent, run.link.map(|link| link.traceparent())),
            (None, Some(PARENT.to_owned()))
        );
        let mut again = headers(&[("Traceparent", PARENT), ("tracestate", "a=b")]);
        unlink_trace(&mut again, Some(&parent));
        let again = lineage(Some(&again), None);
        assert_eq!(
            (again.parent, again.link.map(|link| link.trace)),
            (None, Some(parent.trace))
        );
    }

    #[test]
    fn defaults_need_no_header() {
        let mut written = HeaderMap::new();
        write(&mut written, &Options::default(), None);
        assert!(written.is_empty());
    }

    #[test]
    fn impossible_values_are_named() {
        for (name, value) in [
            (MAX_RETRIES, "21"),
            (MAX_RETRIES, "-1"),
            (TIMEOUT, "30"),
            (TIMEOUT, "0s"),
            (TIMEOUT, "25h"),
            (DEADLINE, "tomorrow"),
            (NEEDS, "redis"),
            (KEEP_OUTCOME, "never"),
            (PROTOCOL_VERSION, "2"),
            (REQUEUE_OF, "a.b"),
        ] {
            let (options, _, fault) = read(Some(&headers(&[(name, value)])));
            let fault = fault
                .unwrap_or_else(|| panic!("{name}: {value}"))
                .to_string();
            assert!(fault.contains(name), "{fault}");
            assert_eq!(options, Options::default());
        }
    }
}

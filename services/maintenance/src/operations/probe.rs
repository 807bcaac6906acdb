//! Has every worker ask its dependencies now, and looks at the broker itself.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_common::broker::{Facts, STATS_REQUEST, StreamFacts};
use flotilla_common::model::{Category, Condition, Outcome, ProbedBy, Snapshot};
use futures::future::join_all;
use serde_json::{Map, json};

use crate::handler::{Findings, Work, broker_failed};

/// A worker's own probe takes no longer than 5 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);
/// A stream that is fuller than this is told, in percent.
const FULL_FROM: u64 = 80;

pub(crate) async fn run(work: &Work<'_>) -> Result<Findings, Outcome> {
    let broker = work.attempt.broker();
    let facts = broker.facts().await.map_err(broker_failed)?;
    let expected = live_workers(work).await;
    let asking = Category::all().map(|category| {
        let expected = expected.as_ref();
        let expected = expected.map(|e| e.get(category.name()).copied().unwrap_or(0));
        broker.probe_workers(category, expected, ANSWERED_WITHIN)
    });
    let mut answers = Vec::new();
    for gathered in join_all(asking).await {
        answers.extend(gathered.map_err(broker_failed)?);
    }
    let mut problems = broker_problems(&facts);
    let silent = expected
        .map(|expected| expected.values().sum::<usize>())
        .map_or(0, |expected| expected.saturating_sub(answers.len()));
    if silent > 0 {
        problems.push(format!("{silent} workers that report did not answer"));
    }
    problems.extend(answers.iter().flat_map(dependency_problems));
    let mut counts = Map::new();
    counts.insert("workers".to_owned(), answers.len().into());
    counts.insert("problems".to_owned(), problems.len().into());
    Ok(Findings {
        counts,
        report: json!({"problems": problems, "workers": answers, "broker": facts}),
    })
}

/// By service, as stats has heard of them. Without stats nobody knows how many there are, and
/// whoever answers in time is there.
async fn live_workers(work: &Work<'_>) -> Option<BTreeMap<String, usize>> {
    let answer = work.attempt.broker().ask(STATS_REQUEST).await.ok()?;
    let snapshot: Snapshot = serde_json::from_slice(&answer).ok()?;
    let mut workers = BTreeMap::new();
    let alive = snapshot.instances.into_iter().filter(|seen| seen.is_alive);
    for seen in alive.filter(|seen| seen.worker.is_some()) {
        *workers.entry(seen.instance.service).or_default() += 1;
    }
    Some(workers)
}

fn broker_problems(facts: &Facts) -> Vec<String> {
    let missing = facts.missing.iter().map(|what| {
        format!("{what} is missing: start any service of the fleet, which makes it anew")
    });
    let is_full = |stream: &&StreamFacts| stream.percent_full() >= FULL_FROM;
    let full = facts.storage.streams.iter().filter(is_full).map(|stream| {
        let percent = stream.percent_full();
        format!("stream {} is {percent} % full: see [streams]", stream.name)
    });
    missing.chain(full).collect()
}

fn dependency_problems(answer: &ProbedBy) -> Vec<String> {
    let amiss = answer
        .probes
        .answers
        .iter()
        .filter(|probed| matches!(probed.condition, Condition::Down | Condition::Unknown));
    let tell = |probed: &flotilla_common::model::Probed| {
        let (name, condition) = (probed.dependency.name(), probed.condition.name());
        let detail = probed.detail.as_deref().unwrap_or("without saying why");
        format!("{name} is {condition} for {}: {detail}", answer.from.id)
    };
    amiss.map(tell).collect()
}

#[cfg(test)]
mod tests {
    use flotilla_common::broker::Storage;

    use super::*;

    #[test]
    fn what_is_missing_or_nearly_full_is_told() {
        let stream = |name: &str, bytes| StreamFacts {
            name: name.to_owned(),
            messages: 1,
            bytes,
            messages_max: None,
            bytes_max: Some(100),
        };
        let facts = Facts {
            server_version: "2.15.1".to_owned(),
            storage: Storage {
                bytes: 1,
                bytes_max: None,
                streams: vec![stream("RESULTS", 79), stream("DOCUMENTS", 80)],
            },
            missing: vec!["consumer query_low".to_owned()],
        };
        let problems = broker_problems(&facts);
        assert_eq!(problems.len(), 2);
        assert!(problems[0].starts_with("consumer query_low is missing"));
        assert!(problems[1].starts_with("stream DOCUMENTS is 80 % full"));
    }
}

//! The workers: whether they are there, what they say of their dependencies, and their clocks.
//! They are asked themselves, now.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_common::broker::{Broker, STATS_REQUEST};
use flotilla_common::model::{Category, Condition, ProbedBy, SeenInstance, Snapshot};
use futures::future::join_all;
use jiff::Timestamp;

use super::finding::Finding;
use super::{Patient, clocks, unseen};

/// A probe gives up after five seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let known = known(&patient.broker).await;
    let mut findings = match &known {
        Some(snapshot) => deaf(snapshot).into_iter().chain(versions(snapshot)).collect(),
        None => vec![
            Finding::error("stats", "the stats service does not answer: nothing is counted, and health knows nothing")
                .remedy("start flotilla-stats; what happens meanwhile is counted later, as far back as the event log reaches"),
        ],
    };
    let asking = Category::all().map(|category| {
        let alive = known
            .as_ref()
            .map_or(0, |snapshot| alive(snapshot, category));
        ask(patient, category, alive.max(1))
    });
    findings.extend(join_all(asking).await.into_iter().flatten());
    if patient.worker.probe_every > Duration::from_secs(300) {
        findings.push(
            Finding::warning(
                "probes",
                format!(
                    "worker.probe_every is {:?}: /health tells of a dependency that late",
                    patient.worker.probe_every
                ),
            )
            .remedy("use a minute or less"),
        );
    }
    findings
}

async fn known(broker: &Broker) -> Option<Snapshot> {
    let answer = broker.ask(STATS_REQUEST).await.ok()?;
    serde_json::from_slice(&answer).ok()
}

fn alive(snapshot: &Snapshot, category: Category) -> usize {
    let of_it = |seen: &&SeenInstance| seen.is_alive && seen.instance.service == category.name();
    snapshot.instances.iter().filter(of_it).count()
}

/// Processes that were left behind by an update.
fn versions(snapshot: &Snapshot) -> Option<Finding> {
    let alive = snapshot.instances.iter().filter(|seen| seen.is_alive);
    let others = alive.filter(|seen| seen.instance.version != env!("CARGO_PKG_VERSION"));
    let others: Vec<String> = others
        .map(|seen| format!("{} is {}", seen.instance.id, seen.instance.version))
        .collect();
    let what = format!(
        "this program is {}; {}",
        env!("CARGO_PKG_VERSION"),
        others.join(", ")
    );
    (!others.is_empty()).then(|| {
        Finding::warning("versions", what).remedy("update them one by one: work goes on meanwhile")
    })
}

fn deaf(snapshot: &Snapshot) -> Vec<Finding> {
    let is_deaf = |seen: &&SeenInstance| {
        seen.is_alive && seen.worker.is_some_and(|worker| !worker.is_receiving)
    };
    let deaf = snapshot.instances.iter().filter(is_deaf);
    deaf.map(|seen| {
        let who = &seen.instance.id;
        Finding::error("workers", format!("{who} is connected and receives none of the tasks that wait"))
            .remedy("it makes its requests anew by itself; where that does not help look at the topology above, and restart it")
    })
    .collect()
}

/// `expected` answers are waited for, as so many live.
async fn ask(patient: &Patient, category: Category, expected: usize) -> Vec<Finding> {
    let asked_at = Timestamp::now();
    let asked = patient
        .broker
        .probe_workers(category, Some(expected), ANSWER_TIME_MAX)
        .await;
    let answers = match asked {
        Ok(answers) => answers,
        Err(error) => return vec![unseen("workers", &error)],
    };
    if answers.is_empty() {
        return vec![
            Finding::warning(
                "workers",
                format!("no worker of {category} answers: its tasks wait"),
            )
            .remedy("start one, unless this fleet is to do without (fleet.categories), or starts it on demand (fleet.on_demand)"),
        ];
    }
    let took = Timestamp::now().duration_since(asked_at).unsigned_abs();
    let mut findings = vec![Finding::ok(
        "workers",
        format!("{category}: {} of {expected} answer", answers.len()),
    )];
    for answer in &answers {
        // It checked at some moment between our question and now.
        let ahead = answer.probes.checked_at.duration_since(asked_at) - half(took);
        let clock = clocks::judge(&format!("the clock of {}", answer.from.id), ahead, took / 2);
        findings.extend(Some(clock).filter(|clock| clock.severity != super::Severity::Ok));
    }
    findings.extend(dependencies(category, &answers));
    findings
}

fn half(took: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(took / 2).unwrap_or_default()
}

fn dependencies(category: Category, answers: &[ProbedBy]) -> Vec<Finding> {
    let mut worst = BTreeMap::new();
    for probed in answers.iter().flat_map(|answer| &answer.probes.answers) {
        let name = probed.dependency.name();
        if worst.get(name).is_none_or(|(condition, _)| {
            probed.condition == Condition::Down && *condition != Condition::Down
        }) {
            let detail = probed.detail.clone().unwrap_or_default();
            worst.insert(name, (probed.condition, detail));
        }
    }
    let finding = |(name, (condition, detail)): (&str, (Condition, String))| {
        let what = format!(
            "{category}: {name} is {}{}",
            condition.name(),
            match detail.is_empty() {
                true => String::new(),
                false => format!(": {detail}"),
            }
        );
        match condition {
            Condition::Up => Finding::ok("dependency", what),
            Condition::Disabled => Finding::note("dependency", what),
            Condition::Unknown => Finding::warning("dependency", what)
                .remedy("it did not answer in time: see whether it is overloaded"),
            Condition::Down => Finding::error("dependency", what)
                .remedy("start it, or correct its address and key in the settings; until then what needs it waits or is degraded"),
        }
    };
    worst.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::{Dependency, Instance, Probed, Probes, Tally};

    use super::*;
    use crate::doctor::finding::Severity;

    fn says(condition: Condition) -> ProbedBy {
        ProbedBy {
            from: Instance::new("query"),
            probes: Probes {
                checked_at: Timestamp::UNIX_EPOCH,
                answers: vec![Probed {
                    dependency: Dependency::OpenAi,
                    condition,
                    detail: Some("refused".to_owned()),
                }],
            },
        }
    }

    fn seen(version: &str, is_receiving: bool) -> Snapshot {
        let answer = serde_json::json!({
            "since": Timestamp::UNIX_EPOCH, "tally": Tally::default(), "breakers": [],
            "breaker_history": [], "lanes": [],
            "instances": [{
                "id": "query-1", "service": "query", "version": version,
                "last_seen": Timestamp::UNIX_EPOCH, "is_alive": true,
                "worker": {"category": "query", "slots": 1, "busy": 0, "is_receiving": is_receiving},
            }],
        });
        serde_json::from_value(answer).unwrap()
    }

    #[test]
    fn the_deaf_and_the_old_are_named() {
        let ours = env!("CARGO_PKG_VERSION");
        assert_eq!(
            (deaf(&seen(ours, true)).len(), versions(&seen(ours, true))),
            (0, None)
        );
        assert_eq!(deaf(&seen(ours, false))[0].severity, Severity::Error);
        let old = versions(&seen("0.0.1", true)).unwrap();
        assert!(old.message.contains("is 0.0.1"));
    }

    #[test]
    fn the_worst_word_about_a_dependency_counts() {
        let told = dependencies(
            Category::Query,
            &[says(Condition::Up), says(Condition::Down)],
        );
        assert_eq!((told.len(), told[0].severity), (1, Severity::Error));
        assert_eq!(told[0].message, "query: openai is down: refused");
        let told = dependencies(Category::Query, &[says(Condition::Disabled)]);
        assert_eq!(told[0].severity, Severity::Note);
    }
}

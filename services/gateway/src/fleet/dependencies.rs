//! How the fleet's dependencies are, as its processes found them when they asked: their breakers
//! are another matter.

use std::collections::BTreeMap;

use flotilla_common::model::{Condition, Dependency, Probed, Snapshot};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A dependency in the eyes of all who use it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DependencyView)]
pub(super) struct View {
    /// `disabled` where nobody is configured to use it; `down` where it is for anybody.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// When the latest of them asked.
    checked_at: Option<Timestamp>,
    /// What each service says.
    services: BTreeMap<String, &'static str>,
}

pub(super) type Views = BTreeMap<&'static str, View>;

struct Word<'a> {
    service: &'a str,
    checked_at: Timestamp,
    probed: &'a Probed,
}

/// Every dependency there is, and sentences about those that are amiss.
pub(super) fn view(snapshot: Option<&Snapshot>) -> (Views, Vec<String>) {
    let mut problems = Vec::new();
    let views = Dependency::ALL.map(|dependency| {
        let words = snapshot.map_or_else(Vec::new, |snapshot| words(snapshot, dependency));
        let view = View::of(&words);
        let (name, status) = (dependency.name(), view.status);
        let is_told = status == Condition::Unknown.name() && !words.is_empty();
        if is_told || status == Condition::Down.name() {
            let saying = view.services.iter().filter(|(_, said)| **said == status);
            let who: Vec<&str> = saying.map(|(service, _)| service.as_str()).collect();
            let detail = view.detail.as_deref().unwrap_or("without saying why");
            let who = who.join(" and ");
            problems.push(format!("{name} is {status} for {who}: {detail}"));
        }
        (name, view)
    });
    (views.into(), problems)
}

fn words(snapshot: &Snapshot, dependency: Dependency) -> Vec<Word<'_>> {
    let said = snapshot
        .alive()
        .filter_map(|seen| Some((seen, seen.probes.as_ref()?)));
    said.flat_map(|(seen, probes)| {
        let about = probes.answers.iter();
        let about = about.filter(move |probed| probed.dependency == dependency);
        about.map(move |probed| Word {
            service: &seen.instance.service,
            checked_at: probes.checked_at,
            probed,
        })
    })
    .collect()
}

impl View {
    fn of(words: &[Word<'_>]) -> Self {
        let mut services: BTreeMap<String, Condition> = BTreeMap::new();
        for word in words {
            let condition = word.probed.condition;
            let said = services.entry(word.service.to_owned()).or_insert(condition);
            *said = said.or_weightier(condition);
        }
        let telling = words
            .iter()
            .max_by_key(|word| (word.probed.condition.weight(), word.checked_at));
        let status = telling.map_or(Condition::Unknown, |word| word.probed.condition);
        Self {
            status: status.name(),
            detail: telling.and_then(|word| word.probed.detail.clone()),
            checked_at: words.iter().map(|word| word.checked_at).max(),
            services: services
                .into_iter()
                .map(|(service, said)| (service, said.name()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::{Category, Probes, SeenInstance};
    use serde_json::{Value, json};

    use super::super::samples::{snapshot, worker};
    use super::*;

    fn says(category: Category, condition: Condition, second: i64) -> SeenInstance {
        let answers = vec![Probed {
            dependency: Dependency::OpenAi,
            condition,
            detail: (condition == Condition::Down).then(|| "connection refused".to_owned()),
        }];
        let checked_at = Timestamp::from_second(second).unwrap();
        SeenInstance {
            probes: Some(Probes {
                checked_at,
                answers,
            }),
            ..worker(category, 1, true)
        }
    }

    fn openai(instances: Vec<SeenInstance>) -> (Value, Vec<String>) {
        let (views, problems) = view(Some(&snapshot(instances)));
        (serde_json::to_value(&views["openai"]).unwrap(), problems)
    }

    #[test]
    fn whoever_finds_it_down_is_named() {
        let (shown, problems) = openai(vec![
            says(Category::Query, Condition::Up, 5),
            says(Category::Embedding, Condition::Down, 3),
            says(Category::Batch, Condition::Disabled, 4),
        ]);
        assert_eq!(
            shown,
            json!({
                "status": "down", "detail": "connection refused",
                "checked_at": "1970-01-01T00:00:05Z",
                "services": {"query": "up", "embedding": "down", "batch": "disabled"},
            })
        );
        assert_eq!(
            problems,
            ["openai is down for embedding: connection refused"]
        );
    }

    #[test]
    fn what_works_for_one_is_not_disabled() {
        let (shown, problems) = openai(vec![
            says(Category::Query, Condition::Disabled, 5),
            says(Category::Embedding, Condition::Up, 3),
        ]);
        assert_eq!(
            (&shown["status"], problems.len()),
            (&json!("up"), 0),
            "{shown}"
        );
        let (shown, problems) = openai(vec![says(Category::Query, Condition::Disabled, 5)]);
        assert_eq!((&shown["status"], problems.len()), (&json!("disabled"), 0));
    }

    #[test]
    fn what_nobody_alive_has_said_is_unknown() {
        let mut dead = says(Category::Query, Condition::Up, 5);
        dead.is_alive = false;
        let (shown, problems) = openai(vec![dead]);
        assert_eq!(
            shown,
            json!({"status": "unknown", "checked_at": null, "services": {}})
        );
        assert_eq!(problems.len(), 0);
        let (_, problems) = openai(vec![says(Category::Query, Condition::Unknown, 5)]);
        assert!(problems[0].contains("openai is unknown for query"));
    }
}

//! What is in deploy/ for those who watch a fleet speaks of metrics that there are, and of alerts
//! that somebody can do something about. That queries are answered is `./just test-metrics`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flotilla_common::metrics::{FAMILIES, Kind};
use serde_json::Value;

/// Labels that Prometheus adds, that only alerts have, or that are of figures that are not ours.
const ADDED: [&str; 9] = [
    "namespace",
    "persistentvolumeclaim",
    "job",
    "instance",
    "le",
    "alertname",
    "alertstate",
    "severity",
    "of",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn dashboards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap();
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let json = serde_json::from_str(&std::fs::read_to_string(path).unwrap());
        let json = json.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, json)
    };
    files.map(read).collect()
}

/// Every string under a key of this name, wherever it is.
fn texts<'a>(json: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match json {
        Value::Object(members) => {
            found.extend(members.get(key).and_then(Value::as_str));
            members.values().for_each(|value| texts(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':')
}

/// The names in a query, and what stands behind each.
fn words(query: &str) -> Vec<(&str, &str)> {
    let mut words = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(|c: char| is_word(c) || c == '"') {
        rest = &rest[start..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted.split_once('"').map_or("", |(_, behind)| behind);
            continue;
        }
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        words.push((&rest[..end], &rest[end..]));
        rest = &rest[end..];
    }
    words
}

/// The labels that a family has, by the name that one of its series goes by.
fn labels_of(series: &str) -> Option<Vec<&'static str>> {
    FAMILIES.iter().find_map(|family| {
        let suffix = series.strip_prefix(family.name)?;
        let is_it = match family.kind {
            Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&suffix),
            _ => suffix.is_empty(),
        };
        is_it.then(|| family.labels.to_vec())
    })
}

fn recorded() -> BTreeSet<String> {
    let text = read("deploy/prometheus/rules/recording.yml");
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    names.map(str::to_owned).collect()
}

/// What a query speaks of and is not there.
fn unknown(query: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let mut unknown = Vec::new();
    let all: BTreeSet<&str> = FAMILIES
        .iter()
        .flat_map(|family| family.labels)
        .copied()
        .collect();
    let is_known = |label: &str| all.contains(label) || ADDED.contains(&label);
    for (word, behind) in words(query) {
        let is_metric = word.contains("flotilla_") || word.starts_with("process_");
        let labels = labels_of(word);
        if is_metric && labels.is_none() && !recorded.contains(word) {
            unknown.push(word.to_owned());
        }
        if let Some(selector) = behind.strip_prefix('{') {
            let end = selector.find('}').unwrap();
            for (label, _) in words(&selector[..end]) {
                let has_it = match &labels {
                    Some(labels) => labels.contains(&label) || ADDED.contains(&label),
                    None => is_known(label),
                };
                if !has_it {
                    unknown.push(format!("{word}{{{label}}}"));
                }
            }
        }
        if ["by", "without"].contains(&word) {
            let list = behind.trim_start().trim_start_matches('(');
            let (list, _) = list.split_once(')').unwrap();
            let named = list.split(',').map(str::trim);
            unknown.extend(named.filter(|label| !is_known(label)).map(str::to_owned));
        }
    }
    unknown
}

#[test]
fn what_is_unknown_is_found() {
    let none = BTreeSet::new();
    let query = r#"sum by (category, tenant) (rate(flotilla_tasks_endd_total{outcome="a,b"}[5m])) / flotilla_slots{priority=~"x"}"#;
    let found = unknown(query, &none);
    assert_eq!(
        found,
        [
            "tenant",
            "flotilla_tasks_endd_total",
            "flotilla_slots{priority}"
        ]
    );
    assert_eq!(
        unknown("flotilla_task_wait_seconds", &none).len(),
        1,
        "it has no such series"
    );
}

#[test]
fn dashboards_and_rules_speak_of_what_there_is() {
    let recorded = recorded();
    assert!(!recorded.is_empty());
    for file in ["recording.yml", "alerts.yml"] {
        let text = read(&format!("deploy/prometheus/rules/{file}"));
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        for line in lines.filter(|line| !line.contains("summary:")) {
            assert_eq!(unknown(line, &recorded), [""; 0], "{file}: {line}");
        }
    }
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 5);
    for (name, dashboard) in &dashboards {
        let mut queries = Vec::new();
        for key in ["expr", "definition"] {
            texts(dashboard, key, &mut queries);
        }
        assert!(queries.len() > 5, "{name}");
        for query in queries {
            assert_eq!(unknown(query, &recorded), [""; 0], "{name}: {query}");
        }
    }
}

#[test]
fn dashboards_load_and_no_panel_hides_another() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(
            uids.insert(dashboard["uid"].as_str().unwrap().to_owned()),
            "{name}"
        );
        assert!(
            dashboard["title"].is_string() && dashboard["schemaVersion"].is_number(),
            "{name}"
        );
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}");
            let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(
                of("x") + of("w") <= 24,
                "{name}: {title} is beyond the edge"
            );
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(
                        taken.insert((x, y)),
                        "{name}: {title} lies over another panel"
                    );
                }
            }
            if panel["type"] != "row" {
                assert_eq!(
                    panel["datasource"]["uid"], "${datasource}",
                    "{name}: {title}"
                );
                assert!(
                    panel["fieldConfig"]["defaults"]["unit"].is_string(),
                    "{name}: {title}"
                );
                assert!(
                    !panel["targets"].as_array().unwrap().is_empty(),
                    "{name}: {title}"
                );
            }
        }
    }
}

/// The titles of the runbook, each with what follows it.
fn chapters(runbook: &str) -> Vec<(&str, &str)> {
    let chapters = runbook.split("\n### ").skip(1);
    chapters
        .map(|chapter| chapter.split_once('\n').unwrap())
        .collect()
}

#[test]
fn every_alert_has_its_line_in_the_runbook_and_is_tested() {
    let (alerts, runbook) = (
        read("deploy/prometheus/rules/alerts.yml"),
        read("deploy/RUNBOOK.md"),
    );
    let tests = read("tests/prometheus/alerts.yml");
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    let chapters = chapters(&runbook);
    let mut names = Vec::new();
    for rule in rules {
        let name = rule.lines().next().unwrap().trim();
        let link = format!("runbook_url: deploy/RUNBOOK.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&link), "{name} has no {link}");
        for part in ["severity: ", "summary: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        let test = format!("alertname=\"{name}\"");
        assert!(
            tests.contains(&test),
            "{name} never fires in tests/prometheus/alerts.yml"
        );
        names.push(name);
    }
    let titles: Vec<&str> = chapters.iter().map(|(title, _)| *title).collect();
    assert_eq!(titles, names, "the runbook has the alerts, in their order");
    for (title, text) in chapters {
        for part in ["**Means**", "**Look**", "**Do**"] {
            assert!(text.contains(part), "{title} lacks {part}");
        }
    }
}

//! What Prometheus sees of a process.

use std::collections::BTreeMap;

use super::http;

/// The samples, by name and labels as they are written.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    samples: BTreeMap<String, f64>,
}

pub(crate) async fn scrape(address: &str) -> Scrape {
    let answer = http::get(address, "/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let lines = answer.text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, number) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), number.parse().unwrap())
    };
    Scrape {
        samples: lines.map(sample).collect(),
        text: answer.text,
    }
}

impl Scrape {
    /// Labels are written as `a="b",c="d"`, in the family's order.
    pub(crate) fn get(&self, name: &str, labels: &str) -> Option<f64> {
        let series = match labels {
            "" => name.to_owned(),
            labels => format!("{name}{{{labels}}}"),
        };
        self.samples.get(&series).copied()
    }

    /// Of all series of a name that have these labels among theirs.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_wanted = |series: &&String| {
            let (other, rest) = series.split_once('{').unwrap_or((series, ""));
            other == name && labels.iter().all(|label| rest.contains(label))
        };
        let wanted = self.samples.iter().filter(|(series, _)| is_wanted(series));
        wanted.map(|(_, number)| number).sum()
    }

    /// All of them, by name and labels.
    pub(crate) fn samples(&self) -> &BTreeMap<String, f64> {
        &self.samples
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines();
        let types = lines.filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(|line| line.split(' ').next().unwrap())
    }
}

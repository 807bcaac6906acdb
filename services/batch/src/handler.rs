//! The batch category's handler.

use std::collections::HashMap;

use flotilla_common::broker::ObjectError;
use flotilla_common::model::{Category, Failure, FailureCode, Item, Manifest, Outcome, Source};
use flotilla_common::worker::{Attempt, Child, Children, Family, Handler};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Config;
use crate::report::Report;

#[derive(Debug)]
pub struct BatchHandler {
    config: Config,
}

/// The items, and those of them that are to run: the first of its kind each.
struct Work {
    items: Vec<Item>,
    runs: Vec<usize>,
    same_as: HashMap<usize, usize>,
    fingerprint: String,
}

impl BatchHandler {
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    async fn run(&self, manifest: Manifest, attempt: &Attempt) -> Result<Report, Outcome> {
        let in_flight = manifest.in_flight_max.unwrap_or(self.config.in_flight);
        if in_flight > self.config.in_flight_max {
            let max = self.config.in_flight_max;
            return Err(invalid(format!("in_flight_max: use 1 to {max}")));
        }
        let items = self.items(manifest, attempt).await?;
        if items.len() > self.config.items_max {
            let (found, max) = (items.len(), self.config.items_max);
            return Err(invalid(format!(
                "items: the manifest has {found}, and at most {max} are allowed: split it"
            )));
        }
        let work = Work::of(items);
        let total = work.runs.len();
        let family = Family::resume(attempt.checkpoint(), &work.fingerprint, total);
        let mut family = family.ok_or_else(|| {
            invalid("manifest_object: it is not what it was when the batch began: submit another batch for the new one")
        })?;
        let children = Children::new(attempt, in_flight);
        let child = |n: usize| {
            let item = &work.items[work.runs[n]];
            Child {
                id: children.id(item.category, n),
                category: item.category,
                priority: item.priority.unwrap_or(attempt.priority()),
                payload: Value::from(item.payload.clone()).to_string().into(),
            }
        };
        children.run(&mut family, child).await?;
        let category = |n: usize| work.items[work.runs[n]].category;
        let standings = children.standings(total, category).await?;
        let mut standings = standings.iter();
        let mut report = Report::default();
        for (index, item) in work.items.iter().enumerate() {
            match work.same_as.get(&index) {
                Some(&same) => report.add_repetition(index, item, same),
                None => {
                    if let Some(standing) = standings.next() {
                        report.add(index, item, standing);
                    }
                }
            }
        }
        Ok(report)
    }

    async fn items(&self, manifest: Manifest, attempt: &Attempt) -> Result<Vec<Item>, Outcome> {
        let name = match manifest.source {
            Source::Items(items) => return Ok(items),
            Source::Object(name) => name,
        };
        let max = self.config.manifest_bytes_max;
        let stored = attempt.broker().object(&name, max).await;
        let body = stored.map_err(|error| match error {
            ObjectError::Missing { .. } | ObjectError::TooLarge { .. } => {
                invalid(format!("manifest_object: {error}"))
            }
            ObjectError::Damaged { .. } | ObjectError::Broker(_) => {
                Outcome::retry(Failure::new("store_unavailable", error.to_string()))
            }
        })?;
        let mut fields: Value = serde_json::from_slice(&body)
            .map_err(|error| invalid(format!("manifest_object: it is not JSON: {error}")))?;
        // What the task says beside it goes for the items, unless the manifest says otherwise.
        if let (Value::Object(fields), Some(brand)) = (&mut fields, manifest.brand) {
            fields.entry("brand").or_insert_with(|| brand.into());
        }
        let manifest: Manifest = serde_json::from_value(fields)
            .map_err(|error| invalid(format!("manifest_object: {error}")))?;
        match manifest.source {
            Source::Items(items) => Ok(items),
            Source::Object(_) => Err(invalid(
                "manifest_object: the object names another one: list the items in it",
            )),
        }
    }
}

impl Work {
    fn of(items: Vec<Item>) -> Self {
        let mut digest = Sha256::new();
        let (mut first, mut runs, mut same_as) = (HashMap::new(), Vec::new(), HashMap::new());
        for (index, item) in items.iter().enumerate() {
            let work = item.work().to_string();
            digest.update(&work);
            match first.get(&work) {
                Some(&same) => {
                    same_as.insert(index, same);
                }
                None => {
                    first.insert(work, index);
                    runs.push(index);
                }
            }
        }
        Self {
            fingerprint: digest.finalize()[..8]
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
            items,
            runs,
            same_as,
        }
    }
}

fn invalid(why: impl Into<String>) -> Outcome {
    Outcome::Reject(Failure::new(FailureCode::INVALID_PAYLOAD, why))
}

impl Handler for BatchHandler {
    type Payload = Manifest;

    fn category(&self) -> Category {
        Category::Batch
    }

    async fn handle(&self, manifest: Manifest, attempt: &Attempt) -> Outcome {
        let report = self.run(manifest, attempt).await;
        report.map_or_else(|outcome| outcome, |report| Outcome::done(&report))
    }
}

//! `flotilla bench`: how fast this fleet is, as it stands, from here. Questions are the one kind
//! of work that changes nothing: they read the index, and leave a record each, as any task does.

use std::time::{Duration, Instant};

use flotilla_common::model::{Histogram, Priority};
use flotilla_common::service::stop_on_signals;
use futures::StreamExt;
use serde_json::{Value, json};

use super::follow::outcome;
use super::names;
use crate::client::Api;
use crate::exit::{Code, Done, Failed};
use crate::terminal::{Cell, Column, Progress, Screen, Table, Tone, count, seconds};

/// An answer that is not there by then counts as late.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(long_about = "\
Measures this fleet, as it stands, from here: questions are asked, so many at once, and each is waited for.

It is harmless: a question reads the index and changes nothing, is answered out of the documents \
(mode extractive: no language model is paid for; an embedding model by API, where one is configured, is), \
and runs at the lowest priority, so that everybody else's tasks go first. Each leaves a record, as any task \
does, and counts in the statistics. The figures are of the whole way: HTTP, the broker, a worker, and back.")]
pub(crate) struct Args {
    /// How many questions
    #[arg(long, short = 'n', default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    tasks: u64,
    /// How many at once
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=512))]
    concurrency: u16,
    /// The priority that they run at
    #[arg(long, short, value_parser = names::priority(), ignore_case = true, default_value = "bulk")]
    priority: Priority,
    /// What is asked
    #[arg(long, default_value = "What is this about?")]
    question: String,
}

#[derive(Debug, Default)]
struct Measured {
    asked: u64,
    completed: u64,
    failed: u64,
    late: u64,
    refused: u64,
    /// From the question to the answer, seen from here; and what of it the handler ran.
    answered: Histogram,
    ran: Histogram,
    /// Why the first one was not taken.
    first: Option<Failed>,
}

pub(crate) async fn run(args: Args, api: &Api, screen: Screen) -> Done {
    let body = json!({
        "query": args.question, "mode": "extractive", "max_retries": 0,
        "priority": args.priority.api_name(),
    });
    if !screen.is_json {
        screen.line(format!(
            "asking {} {} questions, {} at once, at priority {}",
            api.address(),
            count(args.tasks),
            args.concurrency,
            args.priority.api_name()
        ))?;
    }
    let stop = stop_on_signals().map_err(|error| Failed::output(&error))?;
    let mut progress = Progress::new("answered", Some(args.tasks));
    let mut measured = Measured::default();
    let began = Instant::now();
    let asking = futures::stream::iter(0..args.tasks).map(|_| async {
        let began = Instant::now();
        let answer = api
            .post(&["query"], body.clone())
            .wait(ANSWER_TIME_MAX)
            .send()
            .await;
        (began.elapsed(), answer.map(|answer| answer.body))
    });
    let mut asking = std::pin::pin!(asking.buffer_unordered(args.concurrency.into()));
    while let Some(Some((took, answer))) = stop.run_until_cancelled(asking.next()).await {
        measured.add(took, answer);
        progress.show(measured.asked, &measured.note());
        // Nobody is there: the rest would only say so again.
        if measured.completed == 0 && measured.refused >= u64::from(args.concurrency) {
            break;
        }
    }
    progress.clear();
    measured.tell(began.elapsed(), screen)?;
    match measured.first {
        Some(failed) => Err(failed),
        None if stop.is_cancelled() => Err(Failed::told(Code::Interrupted)),
        None if measured.completed < measured.asked => Err(Failed::told(Code::Bad)),
        None => Ok(()),
    }
}

impl Measured {
    fn add(&mut self, took: Duration, answer: Result<Value, Failed>) {
        self.asked += 1;
        match answer.map(|task| (outcome(&task), task)) {
            Ok((Some(true), task)) => {
                self.completed += 1;
                self.answered.record(took);
                let ran = task["duration_seconds"].as_f64().unwrap_or_default();
                self.ran
                    .record(Duration::try_from_secs_f64(ran).unwrap_or_default());
            }
            Ok((Some(false), _)) => self.failed += 1,
            Ok((None, _)) => self.late += 1,
            Err(failed) => {
                self.refused += 1;
                self.first.get_or_insert(failed);
            }
        }
    }

    fn note(&self) -> String {
        match self.asked - self.completed {
            0 => String::new(),
            bad => format!(", {} not completed", count(bad)),
        }
    }

    fn tell(&self, took: Duration, screen: Screen) -> Done {
        let rate = self.completed as f64 / took.as_secs_f64().max(1e-9);
        if screen.is_json {
            let report = json!({
                "asked": self.asked, "completed": self.completed, "failed": self.failed,
                "late": self.late, "refused": self.refused,
                "seconds": took.as_secs_f64(), "per_second": rate,
                "answered_seconds": spread(&self.answered), "ran_seconds": spread(&self.ran),
            });
            return screen.line(report.to_string());
        }
        let columns = ["", "MEAN", "p50", "p95", "p99"];
        let columns: Vec<Column> = columns.into_iter().map(Column::number).collect();
        let mut table = Table::new(columns);
        for (name, histogram) in [("answered in", &self.answered), ("ran for", &self.ran)] {
            let spread = spread(histogram);
            let time =
                |what: &str| Cell::from(spread[what].as_f64().map(seconds).unwrap_or_default());
            table.row([
                name.into(),
                time("mean"),
                time("p50"),
                time("p95"),
                time("p99"),
            ]);
        }
        let Self {
            completed,
            failed,
            late,
            refused,
            ..
        } = self;
        screen.line(screen.paint(
            Tone::Strong,
            &format!(
                "{rate:.0} a second: {} completed in {}",
                count(*completed),
                seconds(took.as_secs_f64())
            ),
        ))?;
        if completed < &self.asked {
            screen.line(screen.paint(
                Tone::Bad,
                &format!("{failed} failed, {late} late, {refused} not taken"),
            ))?;
        }
        screen.write(&table.show(screen))
    }
}

fn spread(histogram: &Histogram) -> Value {
    let quantile = |q| histogram.quantile(q).map(|time| time.as_secs_f64());
    json!({
        "mean": histogram.mean().map(|time| time.as_secs_f64()),
        "p50": quantile(0.5), "p95": quantile(0.95), "p99": quantile(0.99),
    })
}

//! Many tasks from lines: submitted side by side, each under an id of its own, so that one whose
//! answer is lost is sent again and stored once.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use flotilla_common::model::Category;
use flotilla_common::service::stop_on_signals;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::follow::{follow, outcome};
use super::names::CategoryName;
use super::submit::{Args, Wait};
use super::{fields, text};
use crate::client::{Answer, Api};
use crate::exit::{Code, Done, Failed, note};
use crate::terminal::{Progress, Screen, count};

/// A queue that stays full, or a gateway that stays away, for so long ends it.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);
/// Lines that are read ahead.
const AHEAD: usize = 1_024;

/// A line with its number.
type Line = (u64, Result<String, Failed>);

#[derive(Debug, Default)]
struct Tally {
    done: u64,
    /// Not accepted, or accepted and waited for, and not completed.
    bad: u64,
    worst: Option<Failed>,
}

pub(super) async fn run(file: &str, args: &Args, api: &Api, screen: Screen) -> Done {
    let (mut lines, total) = read(file)?;
    let stop = stop_on_signals().map_err(|error| Failed::output(&error))?;
    let mut progress = Progress::new("submitted", total);
    let mut running = FuturesUnordered::new();
    let (mut tally, mut is_more) = (Tally::default(), true);
    loop {
        let has_room = running.len() < usize::from(args.in_flight) && is_more;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some((number, done)) = running.next(), if !running.is_empty() => {
                tell(screen, &mut progress, number, &done)?;
                tally.add(done);
            }
            line = lines.recv(), if has_room => match line {
                Some((number, line)) => running.push(async move {
                    let done = match line {
                        Ok(line) => one(&line, args, api).await,
                        Err(failed) => Err(failed),
                    };
                    (number, done)
                }),
                None => is_more = false,
            },
        }
        progress.show(tally.done, &tally.note());
        if !is_more && running.is_empty() {
            break;
        }
    }
    progress.clear();
    tally.end(running.len(), stop.is_cancelled())
}

/// The lines, as they are read by a thread of their own; and how many, where that is known.
fn read(file: &str) -> Result<(mpsc::Receiver<Line>, Option<u64>), Failed> {
    let (sender, lines) = mpsc::channel(AHEAD);
    let (reader, total): (Box<dyn BufRead + Send>, _) = match file {
        "-" => (Box::new(BufReader::new(std::io::stdin())), None),
        path => {
            let failed = |error| Failed::usage(format!("cannot read {path}: {error}"));
            let open = || std::fs::File::open(path).map_err(failed);
            // A pipe can be read once only.
            let is_file = std::fs::metadata(path).is_ok_and(|data| data.is_file());
            let full = |line: &Result<String, _>| line.as_ref().is_ok_and(|l| !l.trim().is_empty());
            let total = match is_file {
                true => Some(BufReader::new(open()?).lines().filter(full).count() as u64),
                false => None,
            };
            (Box::new(BufReader::new(open()?)), total)
        }
    };
    std::thread::spawn(move || {
        for (number, line) in (1..).zip(reader.lines()) {
            let line = line.map_err(|error| Failed::usage(format!("cannot be read: {error}")));
            let has_failed = line.is_err();
            if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
                continue;
            }
            if sender.blocking_send((number, line)).is_err() || has_failed {
                break;
            }
        }
    });
    Ok((lines, total))
}

async fn one(line: &str, args: &Args, api: &Api) -> Result<Answer, Failed> {
    let mut body = payload(line, &args.category)?;
    args.dress(&mut body);
    let is_named = ["task_id", "idempotency_key"]
        .iter()
        .any(|name| body.contains_key(*name));
    if !is_named {
        body.insert("task_id".to_owned(), json!(args.category.new_id()?));
    }
    let accepted = submit(&body.into(), &args.category, api).await?;
    match args.wait {
        Some(Wait(within)) if outcome(&accepted.body).is_none() => {
            follow(api, accepted.text_of("task_id"), within).await
        }
        _ => Ok(accepted),
    }
}

fn payload(line: &str, category: &CategoryName) -> Result<Map<String, Value>, Failed> {
    let line = line.trim();
    let is_address = line.starts_with("http://") || line.starts_with("https://");
    match category.is(Category::Scraping) && is_address {
        true => Ok(Map::from_iter([("url".to_owned(), Value::from(line))])),
        false => fields::object(line, "the line"),
    }
}

/// Until it is taken or refused: what is full has room again, and who is away comes back.
async fn submit(body: &Value, category: &CategoryName, api: &Api) -> Result<Answer, Failed> {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        let call = api.post(&category.path(), body.clone()).query("wait", 0);
        let (failed, after) = match call.send_any().await {
            Ok(answer) if matches!(answer.status, 429 | 503) => {
                (answer.failed(), answer.retry_after)
            }
            Ok(answer) => return answer.good(),
            Err(failed) if failed.code == Code::Unreachable => (failed, None),
            Err(failed) => return Err(failed),
        };
        let after = after.unwrap_or(PAUSE);
        if Instant::now() + after > give_up_at {
            return Err(failed);
        }
        sleep(after).await;
    }
}

fn tell(
    screen: Screen,
    progress: &mut Progress,
    number: u64,
    done: &Result<Answer, Failed>,
) -> Done {
    match done {
        Ok(answer) if screen.is_json => {
            progress.clear();
            screen.line(answer.text.trim_end())
        }
        Ok(answer) => {
            progress.clear();
            let state = text(&answer.body["status"]);
            let id = text(&answer.body["task_id"]);
            match outcome(&answer.body) {
                None => screen.line(id),
                Some(_) => screen.line(format!("{id}  {state}")),
            }
        }
        Err(failed) => {
            progress.clear();
            note(format!("line {number}: {failed}"));
            Ok(())
        }
    }
}

impl Tally {
    fn add(&mut self, done: Result<Answer, Failed>) {
        self.done += 1;
        match done {
            Ok(answer) if outcome(&answer.body) == Some(false) => self.bad += 1,
            Ok(_) => {}
            Err(failed) => {
                self.bad += 1;
                self.worst.get_or_insert(failed);
            }
        }
    }

    fn note(&self) -> String {
        match self.bad {
            0 => String::new(),
            bad => format!(", {} bad", count(bad)),
        }
    }

    /// The code of the first line that was not taken; else 1 where a task came to no good end.
    fn end(self, unfinished: usize, is_interrupted: bool) -> Done {
        let Self { done, bad, worst } = self;
        if is_interrupted {
            let what = format!(
                "stopped after {} lines; of {unfinished} more it is not known whether they were taken",
                count(done)
            );
            return Err(Failed::new(Code::Interrupted, what));
        }
        if bad == 0 {
            return Ok(());
        }
        let what = format!(
            "{} of {} lines came to no good end",
            count(bad),
            count(done)
        );
        let code = worst.as_ref().map_or(Code::Bad, |failed| failed.code);
        let failed = Failed::new(code, what);
        Err(match worst.and_then(|failed| failed.remedy) {
            Some(remedy) => failed.remedy(remedy),
            None => failed,
        })
    }
}

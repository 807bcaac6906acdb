//! Many tasks from lines: submitted many in a request, and waited for where that is asked for.

mod together;

use std::io::{BufRead, BufReader};

use flotilla_common::service::stop_on_signals;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::follow::{follow, outcome};
use super::submit::{Args, Wait};
use super::text;
use crate::client::{Answer, Api};
use crate::exit::{Code, Done, Failed, note};
use crate::terminal::{Progress, Screen, count};

/// Of the lines in one request.
const PART_BYTES_MAX: usize = 1_024 * 1_024;
/// Lines that are read ahead.
const AHEAD: usize = 1_024;

/// A line with its number.
type Line = (u64, Result<String, Failed>);
/// What came of one.
type Ended = (u64, Result<Answer, Failed>);

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
    let (mut submitting, mut waiting) = (FuturesUnordered::new(), FuturesUnordered::new());
    let (mut tally, mut is_more) = (Tally::default(), true);
    let (mut under_way, mut next) = (0, Vec::new());
    loop {
        let room = usize::from(args.in_flight) - under_way;
        let mut done = Vec::new();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = waiting.next(), if !waiting.is_empty() => done.push(ended),
            Some(submitted) = submitting.next(), if !submitting.is_empty() => {
                let submitted: Vec<Ended> = submitted;
                for (number, answer) in submitted {
                    match (answer, args.wait) {
                        (Ok(task), Some(Wait(within))) if outcome(&task.body).is_none() => {
                            waiting.push(async move {
                                (number, follow(api, task.text_of("task_id"), within).await)
                            });
                        }
                        (answer, _) => done.push((number, answer)),
                    }
                }
            }
            count = lines.recv_many(&mut next, room), if is_more && room > 0 => {
                is_more = count > 0;
                under_way += count;
                while !next.is_empty() {
                    let part = next.drain(..part(&next)).collect();
                    submitting.push(together::submit(part, args, api));
                }
            }
        }
        for (number, done) in done {
            under_way -= 1;
            tell(screen, &mut progress, number, &done)?;
            tally.add(done);
        }
        progress.show(tally.done, &tally.note());
        if !is_more && under_way == 0 {
            break;
        }
    }
    progress.clear();
    tally.end(under_way, stop.is_cancelled())
}

/// How many of these lines go in one request.
fn part(lines: &[Line]) -> usize {
    let mut bytes = 0;
    let fits = |(_, line): &&Line| {
        bytes += line.as_ref().map_or(0, String::len);
        bytes <= PART_BYTES_MAX
    };
    lines.iter().take_while(fits).count().max(1)
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

//! `flotilla tasks watch`: what becomes of a task, a line for each change.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::follow::end;
use super::{state_tone, task_text, text};
use crate::client::{Api, Event, Events};
use crate::exit::{Code, Done, Failed};
use crate::terminal::{Progress, Screen, Tone, one_line};

/// A gateway that is away is back by then, or somebody should know.
const AWAY_MAX: Duration = Duration::from_secs(30);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

pub(super) async fn run(id: &str, within: Option<Duration>, api: &Api, screen: Screen) -> Done {
    let mut watching = Watching {
        screen,
        said: String::new(),
        progress: Progress::new("progress", Some(100)),
    };
    let watched = watching.until_outcome(id, api);
    let task = match within {
        None => watched.await?,
        Some(within) => timeout(within, watched).await.map_err(|_| {
            Failed::new(
                Code::Late,
                format!("task {id} has no outcome after {within:?}; it goes on"),
            )
        })??,
    };
    if !screen.is_json {
        screen.write(&task_text::show(&task, screen))?;
    }
    end(&task)
}

struct Watching {
    screen: Screen,
    /// The last line: the state is told anew after a connection was lost.
    said: String,
    progress: Progress,
}

impl Watching {
    async fn until_outcome(&mut self, id: &str, api: &Api) -> Result<Value, Failed> {
        let mut away_since: Option<Instant> = None;
        loop {
            let failed = match self.once(id, api, &mut away_since).await {
                Ok(task) => return Ok(task),
                Err(failed) if failed.code == Code::Unreachable => failed,
                Err(failed) => return Err(failed),
            };
            let since = *away_since.get_or_insert_with(Instant::now);
            if since.elapsed() > AWAY_MAX {
                return Err(failed);
            }
            sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn once(
        &mut self,
        id: &str,
        api: &Api,
        away_since: &mut Option<Instant>,
    ) -> Result<Value, Failed> {
        let mut events = api.get(&["tasks", id, "events"]).events().await?;
        while let Some(event) = events.next().await? {
            *away_since = None;
            if let Some(task) = self.tell(event)? {
                return Ok(task);
            }
        }
        Err(Failed::new(
            Code::Unreachable,
            "the events ended before the task did",
        ))
    }

    /// Answers the task, once it has its outcome.
    fn tell(&mut self, event: Event) -> Result<Option<Value>, Failed> {
        if event.name == "error" {
            return Err(Failed::new(Code::Unreachable, text(&event.data["detail"])));
        }
        let is_last = event.name == "result" || event.name == Events::WHOLE;
        if self.screen.is_json {
            if self.said != event.text {
                self.screen.line(&event.text)?;
                self.said.clone_from(&event.text);
            }
        } else if event.name == "progress" {
            let percent = event.data["percent"].as_f64().unwrap_or_default();
            let note = format!("  {}", one_line(&text(&event.data["message"])));
            self.progress.show(percent as u64, &note);
        } else if !is_last {
            self.progress.clear();
            let line = line(&event.data, self.screen);
            if self.said != line {
                self.screen.line(&line)?;
                self.said = line;
            }
        }
        self.progress.clear_if(is_last);
        Ok(is_last.then_some(event.data))
    }
}

fn line(task: &Value, screen: Screen) -> String {
    let now = crate::terminal::now();
    let state = text(&task["status"]);
    let attempt = task["attempt"].as_u64().filter(|attempt| *attempt > 1);
    let attempt = attempt
        .map(|n| format!("  attempt {n}"))
        .unwrap_or_default();
    let why = match task["waiting"]["message"].as_str() {
        Some(why) => format!("  {}", one_line(why)),
        None => String::new(),
    };
    let now = screen.paint(Tone::Faint, &now);
    format!(
        "{now}  {}{attempt}{why}",
        screen.paint(state_tone(&state), &state)
    )
}

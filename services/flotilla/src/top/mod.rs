//! `flotilla top`: the fleet at a glance, live. Plain ANSI on the alternate screen; where standard
//! output is no terminal it is one picture, for pipes and for logs.

mod frame;
mod keys;
mod raw;
mod sample;

use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Api, Events};
use crate::commands::names;
use crate::exit::{Code, Done, Failed};
use crate::terminal::{Screen, size};
use frame::View;
use keys::Key;
use raw::Raw;
use sample::History;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often it looks
    #[arg(long, short, value_name = "DURATION", default_value = "1s", value_parser = names::span)]
    interval: Duration,
    /// Prints one picture, after two looks, and ends
    #[arg(long)]
    once: bool,
}

const INTERVAL_MIN: Duration = Duration::from_millis(200);

pub(crate) async fn run(args: Args, api: &Api, screen: Screen) -> Done {
    if screen.is_json {
        return Err(Failed::usage("top is for people").remedy(
            "programs use 'flotilla stats --json', 'queues list --json', 'workers --json'",
        ));
    }
    let every = args.interval.max(INTERVAL_MIN);
    // The first look before anything is drawn: who is not there is told on the usual screen.
    let mut history = History::new(sample::take(api).await?);
    if args.once || screen.width.is_none() {
        tokio::time::sleep(every).await;
        history.add(sample::take(api).await?);
        let lines = frame::draw(&history, View::Overview, api.address(), None, screen);
        return lines.iter().try_for_each(|line| screen.line(line));
    }
    let raw = Raw::enter()?;
    let done = live(every, history, api, screen).await;
    drop(raw);
    done
}

async fn live(every: Duration, mut history: History, api: &Api, screen: Screen) -> Done {
    let mut keys = keys::read();
    let unheard = |error: std::io::Error| Failed::output(&error);
    let mut ends = [
        signal(SignalKind::terminate()).map_err(unheard)?,
        signal(SignalKind::hangup()).map_err(unheard)?,
        signal(SignalKind::interrupt()).map_err(unheard)?,
    ];
    let mut resized = signal(SignalKind::window_change()).map_err(unheard)?;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut view, mut is_held, mut trouble) = (View::Overview, false, None);
    let mut counted = None;
    loop {
        let [terminate, hangup, interrupt] = &mut ends;
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = interrupt.recv() => return Err(Failed::told(Code::Interrupted)),
            _ = resized.recv() => {}
            key = keys.recv() => match key {
                None | Some(Key::Quit) => return Ok(()),
                Some(Key::Next) => view = view.next(),
                Some(Key::Before) => view = view.before(),
                Some(Key::View(n)) => view = View::number(n).unwrap_or(view),
                Some(Key::Hold) => is_held = !is_held,
            },
            second = next(&mut counted) => {
                if let Some(second) = second {
                    history.hear(second);
                }
                continue;
            }
            _ = ticks.tick(), if !is_held => match sample::take(api).await {
                Ok(sample) => {
                    history.add(sample);
                    trouble = None;
                    if counted.is_none() {
                        // Without them the waits of now are left out.
                        counted = api.get(&["events"]).events().await.ok();
                    }
                }
                // It may be back: what was seen last stays, and is said to be old.
                Err(failed) => trouble = Some(failed.message),
            },
        }
        let note = match is_held {
            true => Some("held; space goes on"),
            false => trouble.as_deref(),
        };
        let (columns, rows) = size().unwrap_or((80, 24));
        let screen = Screen {
            width: Some(columns),
            ..screen
        };
        let lines = frame::draw(&history, view, api.address(), note, screen);
        raw::draw(&lines, rows)?;
    }
}

/// What the fleet has counted in its last second. Once the events end there are none.
async fn next(counted: &mut Option<Events>) -> Option<Value> {
    let Some(events) = counted else {
        return std::future::pending().await;
    };
    match events.next().await {
        Ok(Some(event)) => (event.name == "stats").then_some(event.data),
        Ok(None) | Err(_) => {
            *counted = None;
            None
        }
    }
}

//! The terminal as `top` needs it: the alternate screen, no echo, keys at once. It is given back
//! however this ends, a panic included; only a SIGKILL leaves it to `reset`.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcsetattr};

use crate::exit::Failed;

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// In tenths of a second: how long a look for keys lasts.
const LOOK_TENTHS: u8 = 1;

/// How the terminal was before.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

#[derive(Debug)]
pub(super) struct Raw;

impl Raw {
    pub(super) fn enter() -> Result<Self, Failed> {
        let refused = |error: rustix::io::Errno| {
            Failed::usage(format!("the terminal cannot be used: {error}"))
                .remedy("use --once for a single picture")
        };
        if !isatty(stdin()) || !isatty(stdout()) {
            return Err(
                Failed::usage("top needs a terminal, to read keys from and to draw on")
                    .remedy("use --once for a single picture"),
            );
        }
        let before = tcgetattr(stdin()).map_err(refused)?;
        let mut raw = before.clone();
        raw.make_raw();
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = LOOK_TENTHS;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // The message of a panic belongs on the usual screen.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            usual(panic);
        }));
        let entered = Self;
        tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(refused)?;
        put(ENTER)?;
        Ok(entered)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        leave();
    }
}

/// Once, whoever calls first.
fn leave() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that is gone needs nothing back.
        let _ = put(LEAVE);
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// A whole picture at once, over the one before.
pub(super) fn draw(lines: &[String], rows: usize) -> Result<(), Failed> {
    let mut picture = String::from("\x1b[H");
    let shown = &lines[..lines.len().min(rows)];
    for (n, line) in shown.iter().enumerate() {
        picture.push_str(line);
        picture.push_str("\x1b[K");
        if n + 1 < shown.len() {
            picture.push_str("\r\n");
        }
    }
    picture.push_str("\x1b[J");
    put(&picture)
}

fn put(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failed::output(&error))
}

//! In a pipe, and on a terminal.

use std::time::Duration;

use tokio::process::Command;

use super::At;
use crate::harness::command_line::{finish, run};
use crate::harness::fleet::Fleet;
use crate::harness::test;

/// Whoever reads our output may go before its end.
#[test]
fn in_a_pipe_that_closes_early() {
    test(async |_| {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg("{ \"$0\" completions zsh; echo \"code $?\" >&2; } | head -n 1");
        shell
            .arg(crate::harness::binary("flotilla"))
            .env("PATH", std::env::var("PATH").unwrap());
        let ran = finish(shell, "")
            .await
            .ends_with(0)
            .says("#compdef flotilla");
        assert_eq!(ran.err, "code 0\n");
        for shell in ["bash", "fish"] {
            run(&["completions", shell])
                .await
                .ends_with(0)
                .says("schedules");
        }
    });
}

/// Colours and the live view are for terminals, and a terminal is given back as it was.
#[test]
fn on_a_terminal() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let at = At::of(&fleet);
        let piped = at.run(&["queues", "list"]).await;
        assert!(!piped.out.contains('\x1b'), "{piped:?}");
        let list = Terminal::run(at.command(&["queues", "list"]));
        assert!(list.until_end("").await.0.contains("\x1b[2mQUEUE\x1b[0m"));
        let mut plain = at.command(&["queues", "list"]);
        plain.env("NO_COLOR", "1");
        assert!(!Terminal::run(plain).until_end("").await.0.contains('\x1b'));

        for keys in ["2\tq", "\x03"] {
            let top = Terminal::run(at.command(&["top"]));
            let before = top.settings();
            let seen = top.until("throughput").await;
            assert!(seen.starts_with("\x1b[?1049h"), "{seen:?}");
            assert_ne!(top.settings(), before, "keys are read at once");
            let (rest, after) = top.until_end(keys).await;
            assert!(rest.ends_with("\x1b[?25h\x1b[?1049l"), "{rest:?}");
            assert_eq!(after, before);
        }
        // Asked to stop, it gives the terminal back as well.
        let top = Terminal::run(at.command(&["top"]));
        top.until("throughput").await;
        let pid = top.child.id().unwrap().to_string();
        std::process::Command::new("kill")
            .arg(&pid)
            .status()
            .unwrap();
        assert!(top.until_end("").await.0.ends_with("\x1b[?25h\x1b[?1049l"));
        fleet.stop().await;
    });
}

/// A program on a terminal of its own.
struct Terminal {
    master: std::fs::File,
    slave: std::fs::File,
    child: tokio::process::Child,
}

fn settings(terminal: &std::fs::File) -> String {
    let settings = rustix::termios::tcgetattr(terminal).unwrap();
    format!("{:?} {:?}", settings.local_modes, settings.input_modes)
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = std::fs::File::options()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        let size = rustix::termios::Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&slave, size).unwrap();
        let child = command
            .env("TERM", "xterm")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self {
            master: master.into(),
            slave,
            child,
        }
    }

    fn settings(&self) -> String {
        settings(&self.slave)
    }

    /// What it writes, up to these words.
    async fn until(&self, words: &str) -> String {
        let mut master = self.master.try_clone().unwrap();
        let words = words.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut seen, mut bytes) = (String::new(), [0; 4096]);
            while !seen.contains(&words) {
                let count = std::io::Read::read(&mut master, &mut bytes).unwrap();
                seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            seen
        });
        tokio::time::timeout(Duration::from_secs(30), reading)
            .await
            .unwrap()
            .unwrap()
    }

    /// Presses keys, and answers what it writes until it ends, and how it leaves the terminal.
    async fn until_end(self, keys: &str) -> (String, String) {
        let Self {
            mut master,
            slave,
            mut child,
        } = self;
        std::io::Write::write_all(&mut master, keys.as_bytes()).unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut seen, mut bytes) = (String::new(), [0; 4096]);
            // An error: the last one that had the other end open has closed it.
            while let Ok(count @ 1..) = std::io::Read::read(&mut master, &mut bytes) {
                seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            seen
        });
        let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
        assert!(ended.unwrap().unwrap().success());
        let after = settings(&slave);
        drop(slave);
        (reading.await.unwrap(), after)
    }
}

//! The keys that are pressed, read by a thread of its own.

use std::io::Read;

use tokio::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Next,
    Before,
    View(usize),
    /// Holds the picture, or lets it go on.
    Hold,
}

/// Ends with whoever listens: a look lasts a tenth of a second.
pub(super) fn read() -> mpsc::Receiver<Key> {
    let (sender, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut pressed = [0; 16];
        while !sender.is_closed() {
            match std::io::stdin().lock().read(&mut pressed) {
                Ok(count) => {
                    for key in parse(&pressed[..count]) {
                        if sender.blocking_send(key).is_err() {
                            return;
                        }
                    }
                }
                // The terminal is gone.
                Err(_) => return,
            }
        }
    });
    keys
}

/// What one look has brought: an arrow comes as three bytes, a lone escape as one.
fn parse(bytes: &[u8]) -> Vec<Key> {
    match bytes {
        [0x1b] => return vec![Key::Quit],
        [0x1b, b'[', b'C' | b'B', ..] => return vec![Key::Next],
        [0x1b, b'[', b'D' | b'A' | b'Z', ..] => return vec![Key::Before],
        [0x1b, ..] => return Vec::new(),
        _ => {}
    }
    let key = |byte: &u8| match byte {
        // Ctrl-C and Ctrl-D come as bytes here.
        b'q' | b'Q' | 3 | 4 => Some(Key::Quit),
        b'\t' | b'l' => Some(Key::Next),
        b'h' => Some(Key::Before),
        b' ' | b'p' => Some(Key::Hold),
        digit @ b'1'..=b'9' => Some(Key::View(usize::from(digit - b'0'))),
        _ => None,
    };
    bytes.iter().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        assert_eq!(parse(b"q"), [Key::Quit]);
        assert_eq!(parse(&[3]), [Key::Quit]);
        assert_eq!(parse(b"\x1b"), [Key::Quit]);
        assert_eq!(parse(b"\x1b[C"), [Key::Next]);
        assert_eq!(parse(b"\x1b[Z"), [Key::Before]);
        assert_eq!(parse(b"\x1b[15~"), []);
        assert_eq!(parse(b"2\t "), [Key::View(2), Key::Next, Key::Hold]);
        assert_eq!(parse(b""), []);
    }
}

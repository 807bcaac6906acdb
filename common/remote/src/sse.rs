//! Server-sent events, as far as APIs like these use them: the name and the data of each event.
//! Lines may end in LF, CRLF or CR, and chunks anywhere, within a character too.

/// One line, and with it one event, has at most so many bytes, where nobody says otherwise.
const EVENT_BYTES_MAX: usize = 1_024 * 1_024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Empty where it has none.
    pub name: String,
    pub data: String,
}

#[derive(Debug)]
pub struct Events {
    bytes_max: usize,
    line: Vec<u8>,
    name: String,
    /// The lines of `data:` of the event under way.
    data: Option<String>,
    /// The chunk before ended in CR: an LF that follows belongs to it.
    after_cr: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {0} bytes")]
pub struct TooLong(usize);

impl Default for Events {
    fn default() -> Self {
        Self::up_to(EVENT_BYTES_MAX)
    }
}

impl Events {
    /// For events of at most so many bytes.
    pub fn up_to(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            line: Vec::new(),
            name: String::new(),
            data: None,
            after_cr: false,
        }
    }

    /// Takes a chunk; answers the events that end in it.
    pub fn take(&mut self, chunk: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut ended = Vec::new();
        for &byte in chunk {
            let is_second = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            match byte {
                b'\n' if is_second => {}
                b'\n' | b'\r' => ended.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            let length = self.line.len() + self.data.as_ref().map_or(0, String::len);
            if length > self.bytes_max {
                return Err(TooLong(self.bytes_max));
            }
        }
        Ok(ended)
    }

    /// What stands at the end of the stream without an empty line after it.
    pub fn finish(&mut self) -> Option<Event> {
        self.end_line().or_else(|| self.end_event())
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        Some(Event { name, data })
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_start_matches('\u{feff}');
        // Comments begin with a colon; other fields say nothing to us.
        let value = match line.split_once(':') {
            Some(("data", value)) => value.strip_prefix(' ').unwrap_or(value),
            Some(("event", value)) => {
                self.name = value.strip_prefix(' ').unwrap_or(value).to_owned();
                return None;
            }
            _ => return None,
        };
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut events = Events::default();
        let mut read = Vec::new();
        for chunk in chunks {
            read.extend(events.take(chunk).unwrap());
        }
        read.extend(events.finish());
        read.into_iter()
            .map(|event| (event.name, event.data))
            .collect()
    }

    const STREAM: &str = "\u{feff}: hello\r\ndata: {\"a\":\r\ndata: \"é😀\"}\r\n\r\nevent: x\nid: 3\ndata:two\n\n\r\n: ping\n\ndata: [DONE]\r\rdata:last";

    #[test]
    fn events_are_read_wherever_chunks_end() {
        let expected = [
            ("", "{\"a\":\n\"é😀\"}"),
            ("x", "two"),
            ("", "[DONE]"),
            ("", "last"),
        ];
        let expected = expected.map(|(name, data)| (name.to_owned(), data.to_owned()));
        let bytes = STREAM.as_bytes();
        assert_eq!(read(&[bytes]), expected);
        for cut in 0..bytes.len() {
            assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), expected, "{cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), expected);
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut events = Events::default();
        let chunk = vec![b'a'; EVENT_BYTES_MAX];
        assert!(events.take(b"data: ").is_ok());
        assert_eq!(events.take(&chunk), Err(TooLong(EVENT_BYTES_MAX)));
    }
}

//! Cutting text without cutting a character.

/// The longest start of `text` that has at most `bytes_max` bytes.
pub(crate) fn start(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::start;

    #[test]
    fn characters_stay_whole() {
        let starts: Vec<_> = (0..7).map(|bytes_max| start("aü日", bytes_max)).collect();
        assert_eq!(starts, ["", "a", "a", "aü", "aü", "aü", "aü日"]);
    }
}

//! The version of the wire contract: PROTOCOL.md says what it covers.

/// Raised only where a client that keeps to the contract would break.
pub const PROTOCOL: u32 = 1;

/// The version that a header asks for, where that is not the one spoken here.
pub fn other_protocol(wanted: &str) -> Option<&str> {
    let wanted = wanted.trim();
    (wanted.parse() != Ok(PROTOCOL)).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_version_is_spoken() {
        assert_eq!(other_protocol(" 1 "), None);
        for other in ["0", "2", "1.0", "one", ""] {
            assert_eq!(other_protocol(other), Some(other));
        }
    }
}

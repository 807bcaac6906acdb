//! What kind of answer a question wants, as far as its first words tell.

/// What an answer is expected to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// "How many", "how long": something with a number.
    Amount,
    /// "How do I": instructions.
    Manner,
    Other,
}

impl Asks {
    pub(crate) fn of(question: &str) -> Self {
        let question = question.to_lowercase();
        let mut words = question
            .split(|c: char| !c.is_alphabetic())
            .skip_while(|word| *word != "how");
        words.next();
        match words.next() {
            Some("do" | "does" | "to" | "can" | "could" | "should" | "must" | "would") => {
                Self::Manner
            }
            Some("is" | "are" | "was" | "come" | "about" | "") | None => Self::Other,
            Some(_) => Self::Amount,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_apart() {
        for (question, expected) in [
            ("How many watts has it?", Asks::Amount),
            ("And how long does it take?", Asks::Amount),
            ("How do I reset it?", Asks::Manner),
            ("how to clean the burrs", Asks::Manner),
            ("What is it?", Asks::Other),
            ("How is it remedied?", Asks::Other),
            ("How?", Asks::Other),
            ("Show me", Asks::Other),
        ] {
            assert_eq!(Asks::of(question), expected, "{question}");
        }
    }
}

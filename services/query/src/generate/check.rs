//! What of a model's answer stands. Its numbers must be those of passages, and each sentence must
//! be supported by one that it cites; the others are left out.

use flotilla_knowledge::{Citation, Hit, statements, support};

/// A sentence stands from this share of its terms in the passage on. The rest is what a model
/// needs to say the same in other words.
const SHARE_MIN: f32 = 0.6;

#[derive(Debug, PartialEq)]
pub(super) struct Checked {
    pub(super) text: String,
    pub(super) citations: Vec<Citation>,
    pub(super) kept: usize,
    pub(super) left_out: usize,
}

/// A sentence and the passages that it names, from 1.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sentence {
    text: String,
    numbers: Vec<usize>,
}

pub(super) fn check(answer: &str, hits: &[Hit]) -> Checked {
    let mut checked = Checked {
        text: String::new(),
        citations: Vec::new(),
        kept: 0,
        left_out: 0,
    };
    for sentence in cited_sentences(answer) {
        let supporting: Vec<(usize, Citation)> = sentence
            .numbers
            .iter()
            .filter_map(|number| Some((*number, cite(&sentence.text, hits, *number)?)))
            .collect();
        if supporting.is_empty() {
            checked.left_out += 1;
            continue;
        }
        checked.kept += 1;
        if !checked.text.is_empty() {
            checked.text.push(' ');
        }
        checked.text.push_str(&sentence.text);
        checked.text.push(' ');
        for (number, citation) in supporting {
            checked.text.push_str(&format!("[{number}]"));
            if !checked.citations.contains(&citation) {
                checked.citations.push(citation);
            }
        }
    }
    checked
}

fn cite(sentence: &str, hits: &[Hit], number: usize) -> Option<Citation> {
    let entry = &hits.get(number.checked_sub(1)?)?.entry;
    let headings = format!("{} {}", entry.document.title, entry.headings.join(" "));
    let support = support(sentence, &entry.text, &headings)?;
    (support.share >= SHARE_MIN).then(|| Citation::of(entry, support.quote))
}

/// The sentences without their marks. Marks that stand after a full stop belong to the sentence
/// before it.
fn cited_sentences(answer: &str) -> Vec<Sentence> {
    let mut sentences: Vec<Sentence> = Vec::new();
    for statement in statements(answer) {
        let (leading, rest) = leading_marks(statement);
        if let Some(before) = sentences.last_mut() {
            before.numbers.extend(leading);
        }
        let (text, numbers) = without_marks(rest);
        if text.chars().any(char::is_alphanumeric) {
            sentences.push(Sentence { text, numbers });
        } else if let Some(before) = sentences.last_mut() {
            before.numbers.extend(numbers);
        }
    }
    for sentence in &mut sentences {
        let mut seen = Vec::new();
        sentence.numbers.retain(|number| {
            let is_new = !seen.contains(number);
            seen.push(*number);
            is_new
        });
    }
    sentences
}

fn leading_marks(text: &str) -> (Vec<usize>, &str) {
    let (mut numbers, mut rest) = (Vec::new(), text.trim_start());
    while let Some((found, length)) = mark(rest) {
        numbers.extend(found);
        rest = rest[length..].trim_start();
    }
    (numbers, rest)
}

fn without_marks(text: &str) -> (String, Vec<usize>) {
    let (mut clean, mut numbers, mut rest) = (String::new(), Vec::new(), text);
    while let Some(at) = rest.find('[') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        match mark(rest) {
            Some((found, length)) => {
                numbers.extend(found);
                // The space before a mark goes with it.
                clean.truncate(clean.trim_end().len());
                rest = &rest[length..];
            }
            None => {
                clean.push('[');
                rest = &rest[1..];
            }
        }
    }
    clean.push_str(rest);
    (clean.trim().to_owned(), numbers)
}

/// `[1]` or `[1, 2]` at the start, and how long it is.
fn mark(text: &str) -> Option<(Vec<usize>, usize)> {
    let (inside, _) = text.strip_prefix('[')?.split_once(']')?;
    let numbers = inside.split([',', ';']).map(|number| number.trim().parse());
    let numbers: Vec<usize> = numbers.collect::<Result<_, _>>().ok()?;
    Some((numbers, inside.len() + 2))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use flotilla_knowledge::{Entry, Source};

    use super::*;

    pub(in crate::generate) fn hit(title: &str, text: &str) -> Hit {
        let document = Source {
            id: title.to_owned(),
            brand: None,
            title: title.to_owned(),
            url: None,
        };
        let entry = Entry {
            document: Arc::new(document),
            ordinal: 0,
            headings: Vec::new(),
            text: text.to_owned(),
        };
        Hit {
            entry: Arc::new(entry),
            score: 1.0,
            cosine: None,
        }
    }

    fn checked(answer: &str) -> Checked {
        let hits = [
            hit(
                "Pump",
                "Rinse the filter every week. The tank holds 5 litres.",
            ),
            hit("Warranty", "The warranty lasts 36 months."),
        ];
        check(answer, &hits)
    }

    #[test]
    fn supported_sentences_stand_with_their_quotes() {
        let answer = "The tank holds 5 litres [1]. Rinse the filter weekly. [1] The warranty lasts 36 months [1, 2].";
        let checked = checked(answer);
        assert_eq!(
            checked.text,
            "The tank holds 5 litres. [1] The warranty lasts 36 months. [2]"
                .replace("litres. [1]", "litres. [1] Rinse the filter weekly. [1]")
        );
        let quotes: Vec<_> = checked.citations.iter().map(|c| c.quote.as_str()).collect();
        assert_eq!(
            quotes,
            [
                "The tank holds 5 litres.",
                "Rinse the filter every week.",
                "The warranty lasts 36 months."
            ]
        );
        assert_eq!((checked.kept, checked.left_out), (3, 0));
    }

    #[test]
    fn the_others_are_left_out() {
        for answer in [
            "The tank holds 5 litres.",
            "The tank holds 5 litres [3].",
            "The tank holds 5 litres [0].",
            "The tank holds 7 litres [1].",
            "The tank holds 5 litres [2].",
            "Lisbon designed our cafeteria [1].",
            "[1]",
            "",
        ] {
            let checked = checked(answer);
            assert_eq!((checked.kept, checked.text.as_str()), (0, ""), "{answer}");
        }
        let both = checked("The tank holds 5 litres [1]. It is painted green [1].");
        assert_eq!((both.kept, both.left_out), (1, 1));
        assert_eq!(both.text, "The tank holds 5 litres. [1]");
    }
}

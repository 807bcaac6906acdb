//! A filter made ready to be held against a million rows.

use flotilla_common::model::{Category, Lane, Priority, TaskFilter, TaskState, short_brand};

use super::names::{Name, Names};
use super::row::{Row, Texts, bit_of};

pub(super) struct Matcher<'a> {
    lanes: Vec<u8>,
    states: u8,
    brand: Option<Name>,
    classes: Option<Vec<Name>>,
    text: Option<TextMatcher<'a>>,
    since_us: u64,
    until_us: u64,
}

impl<'a> Matcher<'a> {
    /// `None` where no row can match: it asks for a text that none has.
    pub(super) fn of(filter: &TaskFilter, texts: &'a Texts) -> Option<Self> {
        let brand = match &filter.brand {
            Some(brand) => Some(texts.labels.find(short_brand(brand))?),
            None => None,
        };
        let classes = filter.error_class.named().iter();
        let known: Vec<_> = classes
            .filter_map(|class| texts.labels.find(class.as_str()))
            .collect();
        if known.is_empty() && !filter.error_class.is_any() {
            return None;
        }
        let micros = |at: jiff::Timestamp| u64::try_from(at.as_microsecond()).unwrap_or(0);
        Some(Self {
            lanes: lanes(filter),
            states: states(filter),
            brand,
            classes: (!known.is_empty()).then_some(known),
            text: filter
                .text
                .as_deref()
                .map(|text| TextMatcher::new(text, &texts.errors)),
            since_us: filter.since.map_or(0, micros),
            until_us: filter.until.map_or(u64::MAX, micros),
        })
    }

    pub(super) fn takes(&mut self, row: &Row) -> bool {
        self.states & row.state_bit() != 0
            && row.is_in(&self.lanes)
            && self.brand.is_none_or(|brand| brand == row.brand)
            && self
                .classes
                .as_ref()
                .is_none_or(|classes| classes.contains(&row.error_class))
            && (self.since_us..self.until_us).contains(&row.changed_us())
            && self.text.as_mut().is_none_or(|text| text.takes(row.error))
    }
}

/// By the place of the category, a bit for each priority that is taken.
fn lanes(filter: &TaskFilter) -> Vec<u8> {
    let priorities = |category| {
        let taken = |priority: &Priority| {
            let priority = *priority;
            filter.takes_lane(Lane { category, priority })
        };
        let taken = Priority::ALL.into_iter().filter(taken);
        taken.fold(0, |bits, priority| bits | 1 << priority.index())
    };
    Category::all().map(priorities).collect()
}

fn states(filter: &TaskFilter) -> u8 {
    let taken = TaskState::ALL.into_iter();
    taken
        .filter(|state| filter.state.takes(state))
        .fold(0, |bits, state| bits | bit_of(&TaskState::ALL, state))
}

/// Looks into each different text once, however many rows have it.
struct TextMatcher<'a> {
    needle: Needle,
    texts: &'a Names,
    known: Vec<Option<bool>>,
}

impl<'a> TextMatcher<'a> {
    fn new(text: &str, texts: &'a Names) -> Self {
        Self {
            needle: Needle::new(text),
            texts,
            known: vec![None; texts.len()],
        }
    }

    fn takes(&mut self, name: Name) -> bool {
        let Some(text) = self.texts.text(name) else {
            return false;
        };
        let known = &mut self.known[name.index()];
        *known.get_or_insert_with(|| self.needle.is_in(text))
    }
}

/// What is looked for, in any case.
struct Needle {
    lower: String,
    /// Both cases of the first byte, where all is ASCII: found without changing the text.
    first: Option<(u8, u8)>,
}

impl Needle {
    fn new(text: &str) -> Self {
        let lower = text.to_lowercase();
        let first = lower.bytes().next().filter(|_| lower.is_ascii());
        Self {
            first: first.map(|byte| (byte, byte.to_ascii_uppercase())),
            lower,
        }
    }

    fn is_in(&self, text: &str) -> bool {
        let Some((lower, upper)) = self.first else {
            return text.to_lowercase().contains(&self.lower);
        };
        let (text, needle) = (text.as_bytes(), self.lower.as_bytes());
        memchr::memchr2_iter(lower, upper, text).any(|at| {
            let here = text.get(at..at + needle.len());
            here.is_some_and(|here| here.eq_ignore_ascii_case(needle))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_in_any_case() {
        for (needle, text, is_in) in [
            ("TimeOut", "connect: timeOUT after 5 s", true),
            ("straße", "no such STRASSE", false),
            ("größe", "falsche GRÖSSE, Größe", true),
            ("abc", "ab", false),
            ("bb", "abbb", true),
            ("", "x", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), is_in, "{needle} in {text}");
        }
    }
}

//! Texts that are distributed like those of the evaluation: its words as often as they occur
//! there, and a long tail of part numbers that occur once or twice.

use flotilla_eval::Dataset;
use flotilla_knowledge::{Chunk, Document, Vector};
use flotilla_minilm::{DIMENSIONS, Local};

const WORDS_PER_SENTENCE: usize = 12;
const SENTENCES_PER_CHUNK: usize = 10;

pub(super) struct Texts {
    /// Every word as often as it occurs.
    words: Vec<String>,
    random: fastrand::Rng,
}

impl Texts {
    pub(super) fn of(dataset: &Dataset) -> Self {
        let texts = dataset
            .documents
            .iter()
            .map(|document| document.text.as_str());
        let words = texts.flat_map(str::split_whitespace);
        Self {
            words: words
                .filter(|word| word.contains(char::is_alphanumeric) && !word.starts_with('#'))
                .map(str::to_owned)
                .collect(),
            // The same texts in every run.
            random: fastrand::Rng::with_seed(7),
        }
    }

    pub(super) fn document(&mut self, n: usize, chunks: usize) -> Document {
        let title = self.sentence(3);
        let chunks = (0..chunks).map(|_| self.chunk()).collect();
        Document {
            id: format!("document-{n}"),
            brand: Some(["norvik", "halden", "tessera"][n % 3].to_owned()),
            title,
            url: None,
            content_hash: String::new(),
            as_of: jiff::Timestamp::UNIX_EPOCH,
            embedder: Some(Local::ID.to_owned()),
            chunks,
        }
    }

    fn chunk(&mut self) -> Chunk {
        let mut text = String::new();
        for _ in 0..SENTENCES_PER_CHUNK {
            text.push_str(&self.sentence(WORDS_PER_SENTENCE));
            text.push_str(". ");
        }
        text.push_str(&format!("Part X-{}.", self.random.u32(0..100_000)));
        Chunk {
            headings: vec![self.sentence(2)],
            text,
            vector: Vector::of(&self.direction()),
        }
    }

    fn sentence(&mut self, words: usize) -> String {
        let words: Vec<&str> = (0..words)
            .map(|_| self.words[self.random.usize(..self.words.len())].as_str())
            .collect();
        words.join(" ")
    }

    pub(super) fn direction(&mut self) -> [f32; DIMENSIONS] {
        std::array::from_fn(|_| self.random.f32() - 0.5)
    }
}

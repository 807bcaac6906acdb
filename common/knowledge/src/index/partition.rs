//! The chunks of one brand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Entry;
use super::held::Terms;
use super::top::Top;
use crate::{ChunkId, Vector};

/// BM25 with the usual values (Robertson and Zaragoza 2009): how soon repetition stops to
/// count, and how much a long text is held against it.
const SATURATION: f32 = 1.2;
const LENGTH_NORM: f32 = 0.75;
/// Chunks in slots; a slot that was left stays empty until another chunk takes it.
#[derive(Debug, Default)]
pub(super) struct Partition {
    entries: Vec<Option<Arc<Entry>>>,
    lengths: Vec<u32>,
    total_length: u64,
    /// The slots that have a term, in order, with how often.
    postings: HashMap<Box<str>, Vec<(u32, u16)>>,
    /// Of all slots one after the other; zeros where there is no vector.
    vectors: Vec<i8>,
    scales: Vec<f32>,
    dimensions: usize,
    /// Where the chunks are whose vectors are in a store.
    places: HashMap<ChunkId, u32>,
    empty: Vec<u32>,
}

/// What a question's words are worth among the chunks of some partitions.
#[derive(Debug)]
pub(super) struct Corpus {
    /// In order: sums of floats depend on it.
    weights: BTreeMap<String, f32>,
    mean_length: f32,
}

impl Corpus {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^24 chunks")]
    pub(super) fn of(partitions: &[&Partition], words: BTreeSet<String>) -> Self {
        let chunks = partitions.iter().map(|p| p.len()).sum::<usize>() as f32;
        let length = partitions.iter().map(|p| p.total_length).sum::<u64>() as f32;
        let weigh = |word: String| {
            let having = partitions.iter().map(|p| p.having(&word)).sum::<usize>() as f32;
            let weight = (1.0 + (chunks - having + 0.5) / (having + 0.5)).ln();
            (word, weight)
        };
        Self {
            weights: words.into_iter().map(weigh).collect(),
            mean_length: (length / chunks.max(1.0)).max(1.0),
        }
    }

    pub(super) fn into_weights(self) -> BTreeMap<String, f32> {
        self.weights
    }
}

impl Partition {
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.empty.len()
    }

    pub(super) fn entry(&self, slot: u32) -> Option<Arc<Entry>> {
        self.entries.get(slot as usize)?.clone()
    }

    /// Answers the slots of the chunks, in order; they ascend, as the chunks of a posting do.
    pub(super) fn insert(
        &mut self,
        entries: Vec<Arc<Entry>>,
        vectors: Vec<Option<Vector>>,
        terms: Terms,
    ) -> Vec<u32> {
        let mut slots: Vec<u32> = entries
            .iter()
            .map(|_| self.empty.pop().unwrap_or_else(|| self.add_slot()))
            .collect();
        slots.sort_unstable();
        for (word, places) in terms.postings {
            let postings = self.postings.entry(word.into()).or_default();
            let last = postings.last().map(|(slot, _)| *slot);
            postings.extend(
                places
                    .iter()
                    .map(|(place, count)| (slots[*place as usize], *count)),
            );
            let first = places.first().map(|(place, _)| slots[*place as usize]);
            // Two ascending runs, which this sort joins in one pass.
            if first < last {
                postings.sort_by_key(|(slot, _)| *slot);
            }
        }
        let chunks = entries.into_iter().zip(vectors).zip(terms.lengths);
        for (slot, ((entry, vector), length)) in slots.iter().zip(chunks) {
            self.lengths[*slot as usize] = length;
            self.total_length += u64::from(length);
            self.entries[*slot as usize] = Some(entry);
            if let Some(vector) = vector {
                self.set_vector(*slot, &vector);
            }
        }
        slots
    }

    /// The chunk in this slot is known to a store by this id.
    pub(super) fn name(&mut self, id: ChunkId, slot: u32) {
        self.places.insert(id, slot);
    }

    pub(super) fn forget(&mut self, id: &ChunkId) {
        self.places.remove(id);
    }

    fn add_slot(&mut self) -> u32 {
        let slot = self.entries.len();
        self.entries.push(None);
        self.lengths.push(0);
        self.scales.push(0.0);
        self.vectors.resize(self.entries.len() * self.dimensions, 0);
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    /// All vectors of an embedder have the same number of dimensions; one that has not is left
    /// out, as it cannot be compared.
    fn set_vector(&mut self, slot: u32, vector: &Vector) {
        if self.dimensions == 0 {
            self.dimensions = vector.dimensions();
            self.vectors.resize(self.entries.len() * self.dimensions, 0);
        }
        if vector.dimensions() == self.dimensions {
            let from = slot as usize * self.dimensions;
            self.vectors[from..from + self.dimensions].copy_from_slice(&vector.values);
            self.scales[slot as usize] = vector.scale;
        }
    }

    /// Empties slots, which ascend, of chunks with these terms.
    pub(super) fn remove(&mut self, slots: &[u32], terms: Terms) {
        for (word, places) in terms.postings {
            let Some(postings) = self.postings.get_mut(word.as_str()) else {
                continue;
            };
            let mut leaving = places
                .iter()
                .filter_map(|(place, _)| slots.get(*place as usize))
                .peekable();
            // Both ascend, so that one look at each is enough.
            postings.retain(|(slot, _)| {
                while leaving.next_if(|next| **next < *slot).is_some() {}
                leaving.next_if_eq(&slot).is_none()
            });
            if postings.is_empty() {
                self.postings.remove(word.as_str());
            }
        }
        for slot in slots {
            let at = *slot as usize;
            self.entries[at] = None;
            self.total_length -= u64::from(std::mem::take(&mut self.lengths[at]));
            self.scales[at] = 0.0;
            let from = at * self.dimensions;
            self.vectors[from..from + self.dimensions].fill(0);
            self.empty.push(*slot);
        }
    }

    /// How many chunks have a term.
    pub(super) fn having(&self, word: &str) -> usize {
        self.postings.get(word).map_or(0, Vec::len)
    }

    pub(super) fn vocabulary(&self) -> impl Iterator<Item = &str> {
        self.postings.keys().map(AsRef::as_ref)
    }

    /// The chunks that have any of the words, with their BM25 scores.
    #[allow(clippy::cast_precision_loss, reason = "the terms of one chunk")]
    pub(super) fn rank_words(&self, corpus: &Corpus, top: &mut Top) {
        // A place for every chunk: cheaper than a map as soon as one word is common.
        let mut scores = vec![0.0_f32; self.entries.len()];
        for (word, weight) in &corpus.weights {
            for (slot, count) in self.postings.get(word.as_str()).into_iter().flatten() {
                let length = self.lengths[*slot as usize] as f32 / corpus.mean_length;
                let norm = SATURATION * (1.0 - LENGTH_NORM + LENGTH_NORM * length);
                let count = f32::from(*count);
                scores[*slot as usize] += weight * count * (SATURATION + 1.0) / (count + norm);
            }
        }
        for (slot, score) in (0..).zip(scores) {
            if score > 0.0 {
                top.offer(slot, score);
            }
        }
    }

    /// The chunks that have a vector, with their cosines.
    pub(super) fn rank_meaning(&self, vector: &Vector, top: &mut Top) {
        if self.dimensions != vector.dimensions() || self.dimensions == 0 {
            return;
        }
        let vectors = self.vectors.chunks_exact(self.dimensions).zip(&self.scales);
        for (slot, (values, scale)) in (0..).zip(vectors) {
            if *scale > 0.0 {
                top.offer(slot, vector.cosine(values, *scale));
            }
        }
    }

    /// Those of a store's findings that are here.
    pub(super) fn slots_of(&self, found: &[(ChunkId, f32)], top: &mut Top) {
        for (id, cosine) in found {
            if let Some(slot) = self.places.get(id) {
                top.offer(*slot, *cosine);
            }
        }
    }

    pub(super) fn vector(&self, slot: u32) -> Option<Vector> {
        let scale = *self.scales.get(slot as usize)?;
        let from = slot as usize * self.dimensions;
        let values = self.vectors.get(from..from + self.dimensions)?;
        (scale > 0.0).then(|| Vector {
            values: values.to_vec(),
            scale,
        })
    }

    pub(super) fn cosine(&self, slot: u32, vector: &Vector) -> Option<f32> {
        if self.dimensions != vector.dimensions() || self.dimensions == 0 {
            return None;
        }
        let from = slot as usize * self.dimensions;
        let values = self.vectors.get(from..from + self.dimensions)?;
        let scale = *self.scales.get(slot as usize)?;
        (scale > 0.0).then(|| vector.cosine(values, scale))
    }
}

//! Questions to collections of one to three documents: with one that answers, and without.

use std::collections::BTreeSet;

use flotilla_knowledge::Document;

use crate::dataset::{Dataset, Half, Question};
use crate::run::{Asked, Retrieval, ask, index_of};

/// Documents beside the one that answers.
const OTHERS_MAX: usize = 2;

/// A question, changed where the collection does not hold its answer, and which documents there
/// are.
#[derive(Debug)]
pub struct Small {
    pub question: Question,
    documents: Vec<usize>,
}

/// Each question of a half twice: to documents of which one answers, where any does, and to
/// others. These are of the question's own brand, so that it is near.
pub fn collections(dataset: &Dataset, half: Half) -> Vec<Small> {
    // The same collections in every run.
    let mut random = fastrand::Rng::with_seed(11);
    let mut collections = Vec::new();
    for question in dataset.half(half) {
        let of_brand = |n: &usize| {
            let brand = &dataset.documents[*n].metadata.brand;
            question.brand.is_none() || question.brand == *brand
        };
        let answers = |n: &usize| question.relevant.contains(&dataset.documents[*n].id);
        let mut others: Vec<usize> = (0..dataset.documents.len()).filter(of_brand).collect();
        let answering: Vec<usize> = others.iter().copied().filter(answers).collect();
        // What has the words of the answer may answer as well.
        others.retain(|n| {
            let text = &dataset.documents[*n].text;
            !answers(n) && !question.answers.iter().any(|answer| text.contains(answer))
        });
        random.shuffle(&mut others);
        let beside = random.usize(..=OTHERS_MAX);
        if let Some(answering) = answering.first() {
            let documents = std::iter::once(*answering);
            collections.push(Small {
                documents: documents
                    .chain(others.iter().copied().take(beside))
                    .collect(),
                question: question.clone(),
            });
        }
        let without: Vec<usize> = others.iter().rev().copied().take(beside + 1).collect();
        if !without.is_empty() {
            collections.push(Small {
                documents: without,
                question: Question {
                    relevant: BTreeSet::new(),
                    answers: Vec::new(),
                    ..question.clone()
                },
            });
        }
    }
    collections
}

/// Asks each question of its own collection; `documents` are all of the dataset's.
pub fn ask_small<'a>(
    documents: &[Document],
    retrieval: Retrieval<'_>,
    collections: &'a [Small],
) -> Vec<Asked<'a>> {
    let answered = collections.iter().map(|small| {
        let documents = small.documents.iter().map(|n| documents[*n].clone());
        ask(&index_of(documents), retrieval, &small.question)
    });
    answered.collect()
}

//! How good answers are: a corpus written for it, questions about it, and figures. In reading
//! order: `dataset` reads the files in `data/` (BEIR layout), `run` asks, `small` does so of small collections, `measure` judges,
//! `fit` makes the constants of the confidence, `report` shows.

mod dataset;
mod fit;
mod measure;
mod report;
mod run;
mod small;

pub use dataset::{Dataset, Half, Question};
pub use fit::Fitted;
pub use measure::Figures;
pub use report::Report;
pub use run::{Asked, Retrieval, ask_all, documents, index, index_of};
pub use small::{Small, ask_small, collections};

#[cfg(test)]
mod tests;

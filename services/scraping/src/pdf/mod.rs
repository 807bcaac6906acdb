//! PDF files, read in a process of their own. A parser of hostile files can run forever, take
//! all memory or crash: a process can be limited and killed where a thread cannot.
//!
//! `reader` is the service's side; `program` is the other one, which `flotilla-pdf` runs; they
//! speak `protocol`. Behind it `document` opens the file, `page` runs a page's drawing operators
//! with its `font`s into pieces of text, `lines` puts those into lines, and `markdown` the lines
//! into headings, paragraphs, lists, tables and code.

mod document;
mod font;
mod lines;
mod markdown;
mod matrix;
mod page;
mod program;
mod protocol;
mod reader;

pub use self::program::read_pdf_from_stdin;
pub(crate) use self::protocol::{Fault, Text};
pub(crate) use self::reader::{Error, Reader};

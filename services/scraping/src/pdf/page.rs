//! Runs the drawing operators of a page as far as they show text, and answers the pieces of
//! text with their places (ISO 32000, 9.4).

use std::collections::HashMap;
use std::rc::Rc;

use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, ObjectId};

use super::font::Font;
use super::matrix::{Matrix, number_of};

/// Forms are drawn within forms; more levels are a trap.
const FORMS_DEEP_MAX: usize = 8;
const STATES_MAX: usize = 256;

/// Text shown by one operator, where it stands on the page. Up is more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) x: f64,
    pub(super) y: f64,
    /// Where it ends.
    pub(super) end: f64,
    pub(super) size: f64,
    pub(super) is_bold: bool,
    pub(super) is_mono: bool,
}

/// What all pages share: fonts that have been read, and how much may still be inflated.
pub(super) struct Painter<'a> {
    document: &'a Document,
    fonts: HashMap<ObjectId, Option<Rc<Font<'a>>>>,
    pub(super) bytes_left: usize,
    /// Text was shown in a font that does not say what it means.
    pub(super) has_unreadable: bool,
}

#[derive(Clone)]
struct State<'a> {
    ctm: Matrix,
    font: Option<Rc<Font<'a>>>,
    size: f64,
    leading: f64,
    /// Added to each character, and to each space.
    spacing: (f64, f64),
    stretch: f64,
    rise: f64,
}

struct Canvas<'a> {
    state: State<'a>,
    saved: Vec<State<'a>>,
    text: Matrix,
    line: Matrix,
    pieces: Vec<Piece>,
}

impl<'a> Painter<'a> {
    pub(super) fn new(document: &'a Document, bytes_left: usize) -> Self {
        Self {
            document,
            fonts: HashMap::new(),
            bytes_left,
            has_unreadable: false,
        }
    }

    pub(super) fn page(&mut self, id: ObjectId, turned: i64) -> lopdf::Result<Vec<Piece>> {
        let (own, inherited) = self.document.get_page_resources(id)?;
        let inherited = inherited
            .into_iter()
            .filter_map(|id| self.document.get_dictionary(id).ok());
        let resources: Vec<_> = own.into_iter().chain(inherited).collect();
        let content = self
            .document
            .get_page_content_with_limit(id, self.bytes_left)?;
        self.bytes_left -= content.len().min(self.bytes_left);
        let mut canvas = Canvas::new(Matrix::turned(turned));
        self.draw(&content, &resources, &mut canvas, 0)?;
        Ok(canvas.pieces)
    }

    fn draw(
        &mut self,
        content: &[u8],
        resources: &[&'a Dictionary],
        canvas: &mut Canvas<'a>,
        depth: usize,
    ) -> lopdf::Result<()> {
        for operation in Content::decode_iter(content) {
            // A page that breaks off keeps what came before.
            let Ok(operation) = operation else { break };
            let operands = &operation.operands;
            match operation.operator.as_str() {
                "Tf" => {
                    if let [Object::Name(name), size, ..] = operands.as_slice() {
                        canvas.state.font = self.font(resources, name)?;
                        canvas.state.size = number_of(size).unwrap_or_default();
                    }
                }
                "Do" if depth < FORMS_DEEP_MAX => {
                    if let [Object::Name(name), ..] = operands.as_slice() {
                        self.form(name, resources, canvas, depth)?;
                    }
                }
                _ => {
                    self.has_unreadable |= canvas.shows_unreadable(&operation);
                    canvas.run(&operation);
                }
            }
        }
        Ok(())
    }

    fn form(
        &mut self,
        name: &[u8],
        resources: &[&'a Dictionary],
        canvas: &mut Canvas<'a>,
        depth: usize,
    ) -> lopdf::Result<()> {
        let Some((_, Object::Stream(form))) = self.resource(resources, b"XObject", name) else {
            return Ok(());
        };
        let kind = form.dict.get(b"Subtype").and_then(Object::as_name);
        if kind.is_ok_and(|kind| kind != b"Form") {
            return Ok(());
        }
        // What does not inflate is no text; what inflates too far ends it all.
        let content = match form.get_plain_content_with_limit(self.bytes_left) {
            Ok(content) => content,
            Err(
                error @ lopdf::Error::Decompress(lopdf::DecompressError::MemoryLimitExceeded {
                    ..
                }),
            ) => return Err(error),
            Err(_) => return Ok(()),
        };
        // Drawn a million times it costs as much as if it were there a million times.
        self.bytes_left = self.bytes_left.saturating_sub(content.len().max(64));
        let own = form.dict.get_deref(b"Resources", self.document);
        let own = own.and_then(Object::as_dict).ok();
        let resources: Vec<_> = own.into_iter().chain(resources.iter().copied()).collect();
        let outside = canvas.state.clone();
        if let Some(matrix) = form
            .dict
            .get_deref(b"Matrix", self.document)
            .and_then(Object::as_array)
            .ok()
            .and_then(|array| Matrix::of(array))
        {
            canvas.state.ctm = matrix.then(canvas.state.ctm);
        }
        let saved = std::mem::take(&mut canvas.saved);
        self.draw(&content, &resources, canvas, depth + 1)?;
        (canvas.state, canvas.saved) = (outside, saved);
        Ok(())
    }

    /// The nearest resource of this kind and name.
    fn resource(
        &self,
        resources: &[&'a Dictionary],
        kind: &[u8],
        name: &[u8],
    ) -> Option<(Option<ObjectId>, &'a Object)> {
        let document = self.document;
        resources.iter().find_map(|resources| {
            let kind = resources.get_deref(kind, document).ok()?;
            let object = kind.as_dict().ok()?.get(name).ok()?;
            document.dereference(object).ok()
        })
    }

    fn font(
        &mut self,
        resources: &[&'a Dictionary],
        name: &[u8],
    ) -> lopdf::Result<Option<Rc<Font<'a>>>> {
        let Some((id, Object::Dictionary(font))) = self.resource(resources, b"Font", name) else {
            return Ok(None);
        };
        if let Some(known) = id.and_then(|id| self.fonts.get(&id)) {
            return Ok(known.clone());
        }
        let font = match Font::of(font, self.document, self.bytes_left) {
            Ok(font) => Some(Rc::new(font)),
            Err(error @ lopdf::Error::Decompress(_)) => return Err(error),
            Err(_) => None,
        };
        if let Some(id) = id {
            self.fonts.insert(id, font.clone());
        }
        Ok(font)
    }
}

impl<'a> Canvas<'a> {
    fn new(ctm: Matrix) -> Self {
        Self {
            state: State {
                ctm,
                font: None,
                size: 0.0,
                leading: 0.0,
                spacing: (0.0, 0.0),
                stretch: 1.0,
                rise: 0.0,
            },
            saved: Vec::new(),
            text: Matrix::IDENTITY,
            line: Matrix::IDENTITY,
            pieces: Vec::new(),
        }
    }

    fn shows_unreadable(&self, operation: &Operation) -> bool {
        let shows = matches!(operation.operator.as_str(), "Tj" | "TJ" | "'" | "\"");
        let font = self.state.font.as_ref();
        shows && font.is_none_or(|font| !font.is_readable())
    }

    fn run(&mut self, operation: &Operation) {
        let operands = operation.operands.as_slice();
        let number = |at: usize| operands.get(at).and_then(number_of).unwrap_or_default();
        match operation.operator.as_str() {
            "q" if self.saved.len() < STATES_MAX => self.saved.push(self.state.clone()),
            "Q" => {
                if let Some(state) = self.saved.pop() {
                    self.state = state;
                }
            }
            "cm" => {
                if let Some(matrix) = Matrix::of(operands) {
                    self.state.ctm = matrix.then(self.state.ctm);
                }
            }
            "BT" => self.go_to(Matrix::IDENTITY),
            "Tm" => {
                if let Some(matrix) = Matrix::of(operands) {
                    self.go_to(matrix);
                }
            }
            "Td" => self.next_line(number(0), number(1)),
            "TD" => {
                self.state.leading = -number(1);
                self.next_line(number(0), number(1));
            }
            "T*" => self.next_line(0.0, -self.state.leading),
            "Tc" => self.state.spacing.0 = number(0),
            "Tw" => self.state.spacing.1 = number(0),
            "Tz" => self.state.stretch = number(0) / 100.0,
            "TL" => self.state.leading = number(0),
            "Ts" => self.state.rise = number(0),
            "Tj" => self.show(operands),
            "TJ" => {
                if let Some(Object::Array(parts)) = operands.first() {
                    self.show(parts);
                }
            }
            "'" => {
                self.next_line(0.0, -self.state.leading);
                self.show(operands);
            }
            "\"" => {
                self.state.spacing = (number(1), number(0));
                self.next_line(0.0, -self.state.leading);
                self.show(operands.get(2..).unwrap_or_default());
            }
            _ => {}
        }
    }

    fn go_to(&mut self, matrix: Matrix) {
        (self.text, self.line) = (matrix, matrix);
    }

    fn next_line(&mut self, x: f64, y: f64) {
        self.go_to(Matrix::translation(x, y).then(self.line));
    }

    /// Strings, and between them numbers that move the next one to the left.
    fn show(&mut self, parts: &[Object]) {
        for part in parts {
            if let Object::String(bytes, _) = part {
                self.show_string(bytes);
            } else if let Some(thousandths) = number_of(part) {
                let back = -thousandths / 1000.0 * self.state.size * self.state.stretch;
                self.text = Matrix::translation(back, 0.0).then(self.text);
            }
        }
    }

    fn show_string(&mut self, bytes: &[u8]) {
        let Some(font) = self.state.font.clone() else {
            return;
        };
        let State {
            size,
            spacing: (each, space),
            stretch,
            rise,
            ..
        } = self.state;
        let (mut text, mut width) = (String::new(), 0.0);
        for glyph in font.glyphs(bytes) {
            text.push_str(&glyph.text);
            let spacing = each + if glyph.is_space { space } else { 0.0 };
            width += (glyph.width / 1000.0 * size + spacing) * stretch;
        }
        let at = |matrix: Matrix| {
            Matrix::translation(0.0, rise)
                .then(matrix)
                .then(self.state.ctm)
        };
        let start = at(self.text);
        self.text = Matrix::translation(width, 0.0).then(self.text);
        let ((x, y), (end, _)) = (start.origin(), at(self.text).origin());
        let size = size.abs() * start.height();
        let is_placed = [x, y, end, size].iter().all(|number| number.is_finite());
        if is_placed && size > 0.0 && !text.is_empty() {
            self.pieces.push(Piece {
                text,
                x,
                y,
                end,
                size,
                is_bold: font.is_bold,
                is_mono: font.is_mono,
            });
        }
    }
}

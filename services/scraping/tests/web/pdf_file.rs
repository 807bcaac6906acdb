//! Writes small PDF files for the tests.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use lopdf::{
    Dictionary, Document, EncryptionState, EncryptionVersion, Object, ObjectId, Permissions,
    Stream, StringFormat, dictionary,
};

pub(crate) struct File {
    document: Document,
    tree: ObjectId,
    pages: Vec<Object>,
    is_packed: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Font {
    Helvetica,
    Courier,
    /// Codes of two bytes, and the text that each stands for.
    Composite(&'static [(u16, &'static str)]),
    /// Codes of two bytes that stand for nothing.
    Nameless,
}

pub(crate) fn flate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl File {
    pub(crate) fn new() -> Self {
        let mut document = Document::with_version("1.5");
        let tree = document.new_object_id();
        Self {
            document,
            tree,
            pages: Vec::new(),
            is_packed: false,
        }
    }

    pub(crate) fn title(mut self, title: &str) -> Self {
        let info = dictionary! { "Title" => Object::string_literal(title) };
        let info = self.document.add_object(info);
        self.document.trailer.set("Info", info);
        self
    }

    pub(crate) fn packed(self) -> Self {
        Self {
            is_packed: true,
            ..self
        }
    }

    pub(crate) fn page(mut self, content: &[u8], fonts: &[(&str, Font)]) -> Self {
        let mut named = Dictionary::new();
        for (name, font) in fonts {
            let font = self.font(*font);
            named.set(*name, font);
        }
        let stream = Stream::new(Dictionary::new(), content.to_vec());
        self.add_page(stream, dictionary! { "Font" => named });
        self
    }

    /// With content that has been packed already.
    pub(crate) fn raw_page(mut self, content: Vec<u8>, filter: &str) -> Self {
        let stream = Stream::new(dictionary! { "Filter" => filter }, content);
        self.add_page(stream.with_compression(false), Dictionary::new());
        self
    }

    /// A page that is one picture, as a scanner makes them.
    pub(crate) fn picture_page(mut self) -> Self {
        let picture = dictionary! {
            "Type" => "XObject", "Subtype" => "Image", "Width" => 2, "Height" => 2,
            "BitsPerComponent" => 8, "ColorSpace" => "DeviceGray",
        };
        let picture = self
            .document
            .add_object(Stream::new(picture, vec![0, 255, 255, 0]));
        let content = Stream::new(
            Dictionary::new(),
            b"q 500 0 0 700 50 50 cm /P Do Q".to_vec(),
        );
        self.add_page(
            content,
            dictionary! { "XObject" => dictionary! { "P" => picture } },
        );
        self
    }

    pub(crate) fn write(mut self) -> Vec<u8> {
        self.finish();
        let mut file = Vec::new();
        self.document.save_to(&mut file).unwrap();
        file
    }

    /// With object streams and a stream for the cross references.
    pub(crate) fn write_modern(mut self) -> Vec<u8> {
        self.finish();
        let mut file = Vec::new();
        self.document.save_modern(&mut file).unwrap();
        file
    }

    pub(crate) fn write_encrypted(mut self, owner: &str, user: &str) -> Vec<u8> {
        self.finish();
        let id = Object::String(b"0123456789abcdef".to_vec(), StringFormat::Literal);
        self.document.trailer.set("ID", vec![id.clone(), id]);
        let version = EncryptionVersion::V2 {
            document: &self.document,
            owner_password: owner,
            user_password: user,
            key_length: 128,
            permissions: Permissions::all(),
        };
        let state = EncryptionState::try_from(version).unwrap();
        self.document.encrypt(&state).unwrap();
        let mut file = Vec::new();
        self.document.save_to(&mut file).unwrap();
        file
    }

    fn add_page(&mut self, content: Stream, resources: Dictionary) {
        let content = self.document.add_object(content);
        let page = self.document.add_object(dictionary! {
            "Type" => "Page", "Parent" => self.tree, "Contents" => content,
            "Resources" => resources,
            "MediaBox" => vec![0.into(), 0.into(), 600.into(), 800.into()],
        });
        self.pages.push(page.into());
    }

    fn font(&mut self, font: Font) -> ObjectId {
        let simple = |name: &str| {
            dictionary! {
                "Type" => "Font", "Subtype" => "Type1", "BaseFont" => name,
                "Encoding" => "WinAnsiEncoding",
            }
        };
        let font = match font {
            Font::Helvetica => simple("Helvetica"),
            Font::Courier => simple("Courier"),
            Font::Composite(codes) => {
                let lines = codes.iter().map(|(code, text)| {
                    let units = text.encode_utf16().map(|unit| format!("{unit:04X}"));
                    format!("<{code:04X}> <{}>\n", units.collect::<String>())
                });
                let table = format!(
                    "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n\
                     /CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n\
                     1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n\
                     {} beginbfchar\n{}endbfchar\nendcmap\n\
                     CMapName currentdict /CMap defineresource pop\nend\nend\n",
                    codes.len(),
                    lines.collect::<String>()
                );
                let table = Stream::new(Dictionary::new(), table.into_bytes());
                let table = self.document.add_object(table);
                let mut font = self.composite();
                font.set("ToUnicode", table);
                font
            }
            Font::Nameless => self.composite(),
        };
        self.document.add_object(font)
    }

    fn composite(&mut self) -> Dictionary {
        let inner = self.document.add_object(dictionary! {
            "Type" => "Font", "Subtype" => "CIDFontType2", "BaseFont" => "ABCDEF+Some",
            "DW" => 600,
            "CIDSystemInfo" => dictionary! {
                "Registry" => Object::string_literal("Adobe"),
                "Ordering" => Object::string_literal("Identity"), "Supplement" => 0,
            },
        });
        dictionary! {
            "Type" => "Font", "Subtype" => "Type0", "BaseFont" => "ABCDEF+Some",
            "Encoding" => "Identity-H", "DescendantFonts" => vec![inner.into()],
        }
    }

    fn finish(&mut self) {
        let count = i64::try_from(self.pages.len()).unwrap();
        let tree = dictionary! {
            "Type" => "Pages", "Count" => count, "Kids" => std::mem::take(&mut self.pages),
        };
        self.document.objects.insert(self.tree, tree.into());
        let catalog = dictionary! { "Type" => "Catalog", "Pages" => self.tree };
        let catalog = self.document.add_object(catalog);
        self.document.trailer.set("Root", catalog);
        if self.is_packed {
            self.document.compress();
        }
    }
}

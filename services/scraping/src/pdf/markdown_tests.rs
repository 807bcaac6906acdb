use super::*;
use crate::pdf::lines;
use crate::pdf::page::Piece;

/// Lines of text: `(text, x, y, size)`; `*` in front makes it bold, `~` mono, tabs part cells.
fn page(texts: &[(&str, f64, f64, f64)]) -> Vec<Line> {
    let pieces = texts.iter().flat_map(|&(text, x, y, size)| {
        let cells = text.split('\t').enumerate();
        cells.map(move |(at, cell)| {
            let x = x + f64::from(u32::try_from(at).unwrap()) * 150.0;
            let text = cell.trim_start_matches(['*', '~']).to_owned();
            Piece {
                end: x + 5.0 * f64::from(u32::try_from(text.len()).unwrap()),
                is_bold: cell.starts_with('*'),
                is_mono: cell.starts_with('~'),
                text,
                x,
                y,
                size,
            }
        })
    });
    lines::of_page(pieces.collect())
}

#[test]
fn sizes_spaces_and_fonts_are_structure() {
    let found = write(vec![page(&[
        ("Pump manual", 50.0, 700.0, 20.0),
        (
            "The pump moves water from the tank to the ma-",
            50.0,
            670.0,
            10.0,
        ),
        ("chine without a sound, day and night.", 50.0, 658.0, 10.0),
        ("A second paragraph.", 50.0, 634.0, 10.0),
        ("Steps", 50.0, 600.0, 14.0),
        ("• Open the lid", 50.0, 580.0, 10.0),
        ("and wait.", 60.0, 568.0, 10.0),
        ("• Close it.", 50.0, 556.0, 10.0),
        ("*Error codes", 50.0, 520.0, 10.0),
        ("Code\tMeaning", 50.0, 508.0, 10.0),
        ("E1\tno | water", 50.0, 496.0, 10.0),
        ("Run this:", 50.0, 470.0, 10.0),
        ("~if ok:", 50.0, 458.0, 10.0),
        ("~reset()", 74.0, 446.0, 10.0),
    ])]);
    let expected = "# Pump manual\n\nThe pump moves water from the tank to the machine without a \
        sound, day and night.\n\nA second paragraph.\n\n## Steps\n\n- Open the lid and wait.\n\
        - Close it.\n\n### Error codes\n\n| Code | Meaning |\n| - | - |\n| E1 | no \\| water |\n\n\
        Run this:\n\n```\nif ok:\n    reset()\n```";
    assert_eq!(found, (expected.to_owned(), Some("Pump manual".to_owned())));
}

#[test]
fn running_heads_go_and_pages_without_headings_are_numbered() {
    let pages = (1..=4).map(|number| {
        page(&[
            ("ACME pumps", 50.0, 800.0, 10.0),
            (
                &format!(
                    "The text number {number} of this page is unlike all of the others{}",
                    "!".repeat(number)
                ),
                50.0,
                700.0,
                10.0,
            ),
            (&format!("{number} / 4"), 50.0, 20.0, 10.0),
        ])
    });
    let (text, title) = write(pages.collect());
    assert!(text.starts_with("## Page 1\n\nThe text number 1"), "{text}");
    assert!(text.contains("## Page 4"), "{text}");
    assert!(!text.contains("ACME") && !text.contains("/ 4"), "{text}");
    assert_eq!(title, None);
}

#[test]
fn columns_are_found_however_they_are_aligned() {
    let row = |cells: [(&str, f64); 3], y: f64| {
        cells.map(|(text, x)| Piece {
            text: text.to_owned(),
            x,
            end: x + 5.0 * f64::from(u32::try_from(text.len()).unwrap()),
            y,
            size: 10.0,
            is_bold: false,
            is_mono: false,
        })
    };
    // To the right, centred, to the left.
    let pieces = [
        row([("Cone", 80.0), ("Heat", 190.0), ("Ware", 300.0)], 700.0),
        row([("04", 90.0), ("1,060 C", 182.0), ("bisque", 300.0)], 688.0),
        row(
            [("10", 90.0), ("1,285 C", 182.0), ("porcelain", 300.0)],
            676.0,
        ),
    ];
    let (text, _) = write(vec![lines::of_page(pieces.concat())]);
    let expected = "| Cone | Heat | Ware |\n| - | - | - |\n| 04 | 1,060 C | bisque |\n\
        | 10 | 1,285 C | porcelain |";
    assert_eq!(text, expected);
}

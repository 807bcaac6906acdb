//! Prepares tables: the converter writes a GFM table where all rows have the same number of
//! cells, and runs the words together otherwise. So spans are written out, short rows are
//! filled, and tables that only arrange a page become ordinary blocks.

use dom_query::{Document, NodeRef, Selection};

use super::Error;
use super::deadline::Deadline;

/// What is wider or longer is left as it is: written-out spans must not blow up a page.
const COLUMNS_MAX: usize = 100;
const CELLS_MAX: usize = 20_000;
/// What all repetitions of a page's cells may have in them, as HTML. Those beyond it stay empty.
const REPEATED_BYTES_MAX: usize = 1024 * 1024;

const NOT_FOR_CELLS: &str = "pre, table, h1, h2, h3, h4, h5, h6";

pub(super) fn prepare(document: &Document, deadline: Deadline) -> Result<(), Error> {
    let mut room = Room {
        cells: CELLS_MAX,
        repeated_bytes: REPEATED_BYTES_MAX,
    };
    for table in document.select("table").nodes() {
        deadline.check()?;
        let selection = Selection::from(*table);
        let rows = rows(&selection);
        if is_layout(table, &selection, &rows) {
            flatten(&selection, deadline)?;
            continue;
        }
        caption_before(table, &selection);
        selection.select("thead td").rename("th");
        even_out(&rows, &mut room);
    }
    Ok(())
}

/// How far the tables of a page may still grow.
struct Room {
    cells: usize,
    repeated_bytes: usize,
}

type Row<'a> = (NodeRef<'a>, Vec<NodeRef<'a>>);

/// The rows that have cells; the others are removed.
fn rows<'a>(table: &Selection<'a>) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for row in table.select("tr").nodes() {
        let cells: Vec<_> = row.children_it(false).filter(is_cell).collect();
        if cells.is_empty() {
            row.remove_from_parent();
        } else {
            rows.push((*row, cells));
        }
    }
    rows
}

fn is_cell(node: &NodeRef) -> bool {
    node.has_name("td") || node.has_name("th")
}

fn is_layout(table: &NodeRef, selection: &Selection, rows: &[Row]) -> bool {
    let role = table.attr("role").unwrap_or_default();
    let declared = role.trim() == "presentation" || role.trim() == "none";
    let one_column =
        rows.iter().all(|(_, cells)| cells.len() == 1) && !selection.select_single("th").exists();
    declared || one_column || selection.select_single(NOT_FOR_CELLS).exists()
}

fn flatten(table: &Selection, deadline: Deadline) -> Result<(), Error> {
    let parts = table.select("thead, tbody, tfoot, tr, td, th, caption");
    for node in parts.nodes().iter().chain(table.nodes()) {
        deadline.check()?;
        // An inner table is judged by itself, with its own rows.
        let inner = node
            .ancestors_it(None)
            .take_while(|ancestor| table.nodes().iter().all(|table| table.id != ancestor.id))
            .any(|ancestor| ancestor.has_name("table"));
        if !inner {
            node.rename("div");
        }
    }
    Ok(())
}

fn caption_before(table: &NodeRef, selection: &Selection) {
    for caption in selection.select("caption").nodes() {
        caption.rename("p");
        table.insert_before(caption);
    }
}

/// Gives every row the same number of cells. A cell that spans rows is repeated in each,
/// because a row has to make sense alone; one that spans columns is followed by empty ones.
fn even_out(rows: &[Row], room: &mut Room) {
    let Some(grid) = grid(rows, room.cells) else {
        return;
    };
    let columns = grid.iter().map(Vec::len).max().unwrap_or_default();
    let total = columns * grid.len();
    if total > room.cells {
        return;
    }
    room.cells -= total;
    for ((row, cells), places) in rows.iter().zip(&grid) {
        let name = if cells.iter().all(|cell| cell.has_name("th")) {
            "th"
        } else {
            "td"
        };
        for cell in cells {
            cell.remove_from_parent();
        }
        for column in 0..columns {
            if let Some(Place::Cell(cell)) = places.get(column) {
                row.append_child(cell);
                continue;
            }
            let new = row.tree.new_element(name);
            if let Some(Place::Repeated { cell, bytes }) = places.get(column)
                && let Some(left) = room.repeated_bytes.checked_sub(*bytes)
            {
                room.repeated_bytes = left;
                copy_children(cell, &new);
            }
            row.append_child(&new);
        }
    }
}

/// Node by node: the same elements written down and parsed again may become many more.
fn copy_children(from: &NodeRef, to: &NodeRef) {
    for child in from.children() {
        if let Some(data) = child.query(|node| node.data.clone()) {
            let copy = to.tree.get_unchecked(&to.tree.create_node(data));
            to.append_child(&copy);
            copy_children(&child, &copy);
        }
    }
}

#[derive(Clone)]
enum Place<'a> {
    Cell(NodeRef<'a>),
    /// With how much it has in it.
    Repeated {
        cell: NodeRef<'a>,
        bytes: usize,
    },
    Empty,
}

/// What stands where; `None` when the table is too wide, or has too many places.
fn grid<'a>(rows: &[Row<'a>], places_max: usize) -> Option<Vec<Vec<Place<'a>>>> {
    let mut grid = Vec::with_capacity(rows.len());
    let mut places_left = places_max;
    // By column: the cell that reaches down from above, and for how many rows more.
    let mut above: Vec<Option<(Place<'a>, usize)>> = Vec::new();
    for (_, cells) in rows {
        let mut places = Vec::new();
        let mut cells = cells.iter();
        loop {
            let column = places.len();
            if column > COLUMNS_MAX {
                return None;
            }
            if let Some(place) = reach_down(&mut above, column) {
                places.push(place);
                continue;
            }
            let Some(cell) = cells.next() else {
                break;
            };
            let (down, right) = (span(cell, "rowspan"), span(cell, "colspan"));
            above.resize(above.len().max(column + right), None);
            for offset in 0..right {
                let first = offset == 0;
                let below = match first && down > 1 {
                    true => Place::Repeated {
                        cell: *cell,
                        bytes: cell.inner_html().len(),
                    },
                    false => Place::Empty,
                };
                places.push(if first {
                    Place::Cell(*cell)
                } else {
                    Place::Empty
                });
                above[column + offset] = Some((below, down - 1));
            }
        }
        places_left = places_left.checked_sub(places.len())?;
        grid.push(places);
    }
    Some(grid)
}

fn reach_down<'a>(above: &mut [Option<(Place<'a>, usize)>], column: usize) -> Option<Place<'a>> {
    let (place, rows_left) = above.get_mut(column)?.as_mut()?;
    *rows_left = rows_left.checked_sub(1)?;
    Some(place.clone())
}

fn span(cell: &NodeRef, name: &str) -> usize {
    let value = cell.attr(name).and_then(|value| value.trim().parse().ok());
    value.unwrap_or(1).clamp(1, COLUMNS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cell that spans many rows, and those rows.
    fn spanning(cell: &str) -> Document {
        let rows = "<tr><td>b</td></tr>".repeat(99);
        let page = format!("<table><tr><td rowspan=100>{cell}</td><td>a</td></tr>{rows}</table>");
        Document::from(page)
    }

    #[test]
    fn what_is_repeated_is_repeated_whole_or_not_at_all() {
        let small = spanning("<b>x</b> &amp; <a href='/y'>y</a>");
        prepare(&small, Deadline::start()).unwrap();
        let rows = small.select("tr");
        assert!(rows.iter().all(|row| row.text().starts_with("x & y")));
        assert_eq!(small.select("td b").length(), 100);
        let cell = "<i>x</i>".repeat(30_000);
        let large = spanning(&cell);
        prepare(&large, Deadline::start()).unwrap();
        let copies = large.select("td i").length() / 30_000;
        assert_eq!(copies, 1 + REPEATED_BYTES_MAX / cell.len());
    }

    #[test]
    fn what_is_repeated_is_not_parsed_anew() {
        let formats: String = (0..100).map(|n| format!("<b id=b{n}>")).collect();
        let blocks = "<div>x</div>".repeat(500);
        let document = spanning(&format!("<section>{formats}{blocks}</section>"));
        // A block in a paragraph: the parser would end it, and begin each format anew.
        document.select("section").rename("p");
        let before = document.tree.len();
        prepare(&document, Deadline::start()).unwrap();
        assert!(document.tree.len() < before * 100);
    }

    #[test]
    fn wide_cells_are_not_laid_out_beyond_what_a_table_may_have() {
        let rows = "<tr><td colspan=100>x</td><td>y</td></tr>".repeat(1_000);
        let document = Document::from(format!("<table>{rows}</table>"));
        let table = document.select("table");
        assert!(grid(&super::rows(&table), CELLS_MAX).is_none());
    }
}

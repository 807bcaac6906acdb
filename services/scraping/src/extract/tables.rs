//! Prepares tables: the converter writes a GFM table where all rows have the same number of
//! cells, and runs the words together otherwise. So spans are written out, short rows are
//! filled, and tables that only arrange a page become ordinary blocks.

use dom_query::{Document, NodeRef, Selection};

/// What is wider or longer is left as it is: written-out spans must not blow up a page.
const COLUMNS_MAX: usize = 100;
const CELLS_MAX: usize = 20_000;

const NOT_FOR_CELLS: &str = "pre, table, h1, h2, h3, h4, h5, h6";

pub(super) fn prepare(document: &Document) {
    let mut cells_left = CELLS_MAX;
    for table in document.select("table").nodes() {
        let selection = Selection::from(*table);
        let rows = rows(&selection);
        if is_layout(table, &selection, &rows) {
            flatten(&selection);
            continue;
        }
        caption_before(table, &selection);
        selection.select("thead td").rename("th");
        even_out(&rows, &mut cells_left);
    }
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

fn flatten(table: &Selection) {
    let parts = table.select("thead, tbody, tfoot, tr, td, th, caption");
    for node in parts.nodes().iter().chain(table.nodes()) {
        // An inner table is judged by itself, with its own rows.
        let inner = node
            .ancestors_it(None)
            .take_while(|ancestor| table.nodes().iter().all(|table| table.id != ancestor.id))
            .any(|ancestor| ancestor.has_name("table"));
        if !inner {
            node.rename("div");
        }
    }
}

fn caption_before(table: &NodeRef, selection: &Selection) {
    for caption in selection.select("caption").nodes() {
        caption.rename("p");
        table.insert_before(caption);
    }
}

/// Gives every row the same number of cells. A cell that spans rows is repeated in each,
/// because a row has to make sense alone; one that spans columns is followed by empty ones.
fn even_out(rows: &[Row], cells_left: &mut usize) {
    let Some(grid) = grid(rows) else {
        return;
    };
    let columns = grid.iter().map(Vec::len).max().unwrap_or_default();
    let total = columns * grid.len();
    if total > *cells_left {
        return;
    }
    *cells_left -= total;
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
            match places.get(column) {
                Some(Place::Cell(cell)) => row.append_child(cell),
                Some(Place::Repeated(cell)) => {
                    let copy = row.tree.new_element(name);
                    copy.set_html(cell.inner_html());
                    row.append_child(&copy);
                }
                Some(Place::Empty) | None => row.append_child(&row.tree.new_element(name)),
            }
        }
    }
}

#[derive(Clone)]
enum Place<'a> {
    Cell(NodeRef<'a>),
    Repeated(NodeRef<'a>),
    Empty,
}

/// What stands where; `None` when the table is too wide.
fn grid<'a>(rows: &[Row<'a>]) -> Option<Vec<Vec<Place<'a>>>> {
    let mut grid = Vec::with_capacity(rows.len());
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
                let below = if first {
                    Place::Repeated(*cell)
                } else {
                    Place::Empty
                };
                places.push(if first {
                    Place::Cell(*cell)
                } else {
                    Place::Empty
                });
                above[column + offset] = Some((below, down - 1));
            }
        }
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

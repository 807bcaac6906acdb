//! Running heads, running feet and page numbers: what stands at the top or the bottom of most
//! pages, whatever its digits are.

use std::collections::HashMap;

use super::Pages;
use crate::pdf::lines::Line;

/// On fewer pages a repetition means nothing.
const PAGES_MIN: usize = 3;
/// With a number in it, so many will do: a chapter's head runs over its own pages.
const NUMBERED_MIN: usize = 5;
/// So many lines from each edge are looked at.
const EDGE: usize = 2;

pub(super) fn remove(pages: &mut Pages) {
    if pages.len() < PAGES_MIN {
        return;
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for lines in pages.iter() {
        let mut edges: Vec<_> = edges(lines).map(|at| name(&lines[at])).collect();
        edges.sort_unstable();
        edges.dedup();
        for edge in edges {
            *seen.entry(edge).or_default() += 1;
        }
    }
    let pages_with_text = pages.iter().filter(|lines| !lines.is_empty()).count();
    let is_running = |line: &Line| {
        let times = seen.get(&name(line)).copied().unwrap_or_default();
        let is_numbered = name(line).contains('#');
        (times >= PAGES_MIN && times * 2 > pages_with_text)
            || (times >= NUMBERED_MIN && is_numbered)
    };
    for lines in pages {
        let running: Vec<_> = edges(lines).filter(|&at| is_running(&lines[at])).collect();
        let mut at = 0..;
        lines.retain(|_| at.next().is_none_or(|at| !running.contains(&at)));
    }
}

fn edges(lines: &[Line]) -> impl Iterator<Item = usize> {
    let count = lines.len();
    (0..count).filter(move |at| *at < EDGE || at + EDGE >= count)
}

fn name(line: &Line) -> String {
    let text = line.text();
    let digit = |letter: char| if letter.is_numeric() { '#' } else { letter };
    let mut name: String = text.chars().map(digit).collect();
    while name.contains("##") {
        name = name.replace("##", "#");
    }
    name
}

//! Tables for people.

use super::safe;
use super::sayln;

/// Rows of cells under a header; columns are as wide as what is in them.
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Cells come from outside: what could move a terminal's cursor is escaped,
    /// and a line break would break the table.
    pub fn row(&mut self, cells: &[&str]) {
        let one_line = |cell: &&str| safe(cell).replace(['\n', '\t'], " ");
        self.rows.push(cells.iter().map(one_line).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints the table, or `empty` where it has no rows.
    pub fn print(&self, empty: &str) {
        if self.rows.is_empty() {
            sayln!("{empty}");
            return;
        }
        for line in self.lines() {
            sayln!("{line}");
        }
    }

    fn lines(&self) -> Vec<String> {
        let header: Vec<String> = self.header.iter().map(ToString::to_string).collect();
        let width = |column: usize| {
            let cells = std::iter::once(&header).chain(&self.rows);
            cells
                .filter_map(|row| row.get(column))
                .map(|cell| console::measure_text_width(cell))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        std::iter::once(&header)
            .chain(&self.rows)
            .map(|row| {
                let cells: Vec<String> = row
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| {
                        let fill = width.saturating_sub(console::measure_text_width(cell));
                        format!("{cell}{}", " ".repeat(fill))
                    })
                    .collect();
                cells.join("  ").trim_end().to_owned()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_cells_stay_on_their_line() {
        let mut table = Table::new(&["name", "what"]);
        table.row(&["a", "one\ntwo"]);
        table.row(&["längster", "\u{1b}[2J"]);
        assert_eq!(
            table.lines(),
            [
                "name      what",
                "a         one two",
                "längster  \\u{1b}[2J"
            ]
        );
    }
}

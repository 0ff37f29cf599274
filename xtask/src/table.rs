//! Tables: as plain text, the first column to the left and all others to the right, or for
//! documentation.

/// The rows as lines, the first being the heading.
pub(crate) fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let line: Vec<String> = cells
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The rows as a table for documentation, the first being the heading.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if index == 0 {
            text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["case".into(), "ns".into()],
            vec!["a".into(), "1.25".into()],
        ];
        assert_eq!(render(&rows), "case    ns\na     1.25\n");
    }

    #[test]
    fn for_documentation_the_heading_is_underlined() {
        let rows = [
            vec!["case".into(), "ns".into()],
            vec!["a".into(), "1.25".into()],
        ];
        assert_eq!(markdown(&rows), "| case | ns |\n|---|---|\n| a | 1.25 |\n");
    }
}

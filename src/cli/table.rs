//! Rows of text under their heads.

/// Characters of a cell at most.
const WIDEST: usize = 60;

/// Text from elsewhere, without what would steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// The first line of a text, cut where it is too long for a cell.
pub(super) fn cell(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or("");
    let cut = line.len() < text.trim().len() || line.chars().count() > WIDEST;
    let shown: String = line.chars().take(if cut { WIDEST - 1 } else { WIDEST }).collect();
    printable(&shown) + if cut { "…" } else { "" }
}

/// Rows under their heads: columns as wide as they have to be, those of numbers to the right.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let number = |text: &str| text == "-" || text.trim_end_matches(" %").parse::<f64>().is_ok();
    let columns: [(usize, bool); N] = std::array::from_fn(|at| {
        let widths = rows.iter().map(|row| row[at].chars().count());
        let right = !rows.is_empty() && rows.iter().all(|row| number(&row[at]));
        (widths.chain([heads[at].len()]).max().unwrap_or(0), right)
    });
    let line = |cells: [&str; N]| {
        let laid: Vec<String> = std::iter::zip(cells, columns)
            .map(
                |(cell, (width, right))| {
                    if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            )
            .collect();
        laid.join("  ").trim_end().to_string() + "\n"
    };
    let body = rows.iter().map(|row| line(std::array::from_fn(|at| row[at].as_str())));
    std::iter::once(line(heads)).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let row = |cells: [&str; 3]| cells.map(String::from);
        let rows = [row(["1", "näme", "-"]), row(["10", "n", "99.5 %"])];
        assert_eq!(
            table(["id", "name", "right"], &rows),
            "id  name   right\n 1  näme       -\n10  n     99.5 %\n"
        );
        assert_eq!(table(["id", "name"], &[]), "id  name\n");
    }

    #[test]
    fn cells_are_a_line_that_steers_no_terminal() {
        assert_eq!(cell("one\ntwo"), "one…");
        assert_eq!(cell(" \u{1b}[31m "), "\u{FFFD}[31m");
        assert_eq!(cell(&"x".repeat(80)).chars().count(), WIDEST);
    }
}

//! What is wrong with a text, and where.

use std::fmt;

/// Columns of a line that [`Diagnostic::render`] shows at most.
const SHOWN: usize = 100;

/// One thing that is wrong with a text. Lines and columns count from 1, columns in characters.
///
/// ```
/// let text = "start:\n  ADDD r1 r2\n";
/// let fault = gvpie_core::pixel::assemble(text).unwrap_err().remove(0);
/// assert_eq!((fault.code, fault.line, fault.column, fault.end_column), ("unknown-mnemonic", 2, 3, 7));
/// assert!(fault.render(text, "a.pxl").contains("  ADDD r1 r2\n  |   ^^^^\n"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A short name that stays, such as `unknown-mnemonic`.
    pub code: &'static str,
    /// Its line.
    pub line: usize,
    /// The first column of what is wrong.
    pub column: usize,
    /// The column after the last.
    pub end_column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that can be said.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// All of it in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} [{}]", self.line, self.column, self.message, self.code)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

impl Diagnostic {
    /// It together with its line of `text`, which is called `name`, and a mark below the place.
    ///
    /// Of a long line only the columns about the place are shown.
    pub fn render(&self, text: &str, name: &str) -> String {
        let line = text.split('\n').nth(self.line.saturating_sub(1)).unwrap_or("");
        let first = self.column.saturating_sub(1);
        let skipped = if first < SHOWN / 2 { 0 } else { first - SHOWN / 4 };
        let shown: String = line.trim_end_matches('\r').chars().skip(skipped).take(SHOWN).collect();
        // A tab stays one below the other; nothing else of a text may steer a terminal.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let indent: String = shown.chars().take(first - skipped).map(blank).collect();
        let most = SHOWN.saturating_sub(first - skipped).max(1);
        let marks = "^".repeat(self.end_column.saturating_sub(self.column).clamp(1, most));
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let mut out = format!(
            "error[{}]: {}\n{margin}--> {name}:{}:{}\n{margin} |\n{number} | {}\n{margin} | {indent}{marks}\n",
            self.code,
            self.message,
            self.line,
            self.column,
            printable(&shown),
        );
        if let Some(help) = &self.help {
            out += &format!("{margin} = {help}\n");
        }
        out
    }
}

/// A piece of a text to be quoted in a message: its first characters, none of which steers a
/// terminal.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 32;
    let more = if text.chars().nth(MOST).is_some() { "…" } else { "" };
    let start: String = text.chars().take(MOST).collect();
    format!("'{}{more}'", printable(&start).replace('\t', " "))
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(column: usize, end_column: usize) -> Diagnostic {
        let message = "it is wrong".into();
        Diagnostic { code: "wrong", line: 2, column, end_column, message, help: Some("so".into()) }
    }

    #[test]
    fn the_mark_is_below_the_place() {
        let text = "NOP\n\tADD\tx\u{1b}[31m y\r\nNOP";
        let expected = "error[wrong]: it is wrong\n --> a:2:6\n  |\n2 | \tADD\tx\u{FFFD}[31m y\n  | \t   \t^\n  = so\n";
        assert_eq!(fault(6, 7).render(text, "a"), expected);
        assert_eq!(fault(6, 7).to_string(), "2:6: it is wrong [wrong]; so");
    }

    #[test]
    fn long_lines_and_places_outside_are_cut() {
        let text = format!("\n{}", "a".repeat(100_000));
        for (column, end) in [(50_000, 90_000), (1, 100_001), (100_001, 100_001), (1 << 40, 0)] {
            let shown = fault(column, end).render(&text, "a");
            assert!(shown.len() < 500 && shown.contains('^'), "{shown}");
        }
        assert!(fault(0, 0).render("", "a").contains('^'));
        assert!(quoted(&"\u{7}".repeat(99)).chars().count() < 40);
    }
}

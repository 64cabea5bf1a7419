//! Text to machine texels: lines wrapped into rows of cells, a row at a time.
//!
//! A row is as wide as [`Layout::columns`] says; longer lines wrap. A tab is blank up to the next
//! multiple of its width. Lines end at LF, CR LF or CR; a byte order mark at the very beginning is
//! left out. Every other character becomes its glyph or, where the ROM has none, the replacement
//! glyph, which is counted. Text is read once and forward, and no more of it is held than a row.
//!
//! ```
//! use gvpie_core::glyph::text::Layout;
//! let page = Layout::new().columns(4).page("wrapped\nno: 字")?;
//! assert_eq!((page.columns, page.rows, page.unknown), (4, 4, 1));
//! let glyphs: Vec<u8> = page.texels.iter().map(|texel| *texel as u8).collect();
//! assert_eq!(&glyphs, b"wrapped no: \x9F   ");
//! # Ok::<(), gvpie_core::glyph::text::TextError>(())
//! ```

use super::{Texel, rom};
use std::io::{BufRead, ErrorKind};

/// Columns a layout has at most unless it is told a number.
pub const DEFAULT_COLUMNS: usize = 128;

/// Columns a layout can be told: a row then is 256 KiB.
pub const MOST_COLUMNS: usize = 1 << 16;

/// Why text could not be laid out. Bytes are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The source stopped in the middle.
    #[error("reading stopped at byte {byte}: {source}")]
    Read {
        /// How far it was read.
        byte: u64,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are not UTF-8.
    #[error("invalid UTF-8 at byte {byte}")]
    NotUtf8 {
        /// Where the ill-formed sequence begins.
        byte: u64,
    },
    /// A zero byte: UTF-8 all the same, but no text.
    #[error("a zero byte at byte {byte}: this is a binary file, not text")]
    Binary {
        /// Where.
        byte: u64,
    },
    /// A number of columns, or a tab's width, that means nothing.
    #[error("{name}={value}: expected 1 to {MOST_COLUMNS}")]
    Width {
        /// `columns` or `tab`.
        name: &'static str,
        /// What was asked for.
        value: usize,
    },
}

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    columns: Option<usize>,
    tab: usize,
}

/// How large a text is once laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// As told, or else the longest line's length, at least 1 and at most [`DEFAULT_COLUMNS`].
    pub columns: usize,
    /// Rows, at least 1: a text of nothing is an empty row.
    pub rows: u64,
    /// Characters that the ROM has no glyph for.
    pub unknown: u64,
}

/// A whole text, laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Texels of a row.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
    /// Packed texels, row by row.
    pub texels: Vec<u32>,
    /// Characters that the ROM has no glyph for.
    pub unknown: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Layout { columns: None, tab: 4 }
    }
}

impl Layout {
    /// As many columns as the longest line, at most [`DEFAULT_COLUMNS`]; tabs of 4.
    pub fn new() -> Self {
        Layout::default()
    }

    /// Exactly this many columns, 1 to [`MOST_COLUMNS`].
    pub fn columns(self, columns: usize) -> Self {
        Layout { columns: Some(columns), ..self }
    }

    /// Tabs go to multiples of this many columns.
    pub fn tab(self, tab: usize) -> Self {
        Layout { tab, ..self }
    }

    /// Reads the text through, for its size.
    ///
    /// # Errors
    /// [`TextError`]
    pub fn measure(&self, text: impl BufRead) -> Result<Extent, TextError> {
        let mut rows = self.rows(text)?;
        let (mut row, mut longest, mut count) = (Vec::new(), 1, 0);
        while rows.fill(&mut row)? {
            longest = longest.max(row.len());
            count += 1;
        }
        let columns = self.columns.unwrap_or(longest);
        Ok(Extent { columns, rows: count, unknown: rows.unknown })
    }

    /// The text's rows, one after another. A layout that was not told its columns makes rows of
    /// [`DEFAULT_COLUMNS`]: [`measure`](Self::measure) first, then tell it.
    ///
    /// # Errors
    /// [`TextError::Width`]
    pub fn rows<R: BufRead>(&self, text: R) -> Result<Rows<R>, TextError> {
        let columns = self.columns.unwrap_or(DEFAULT_COLUMNS);
        for (name, value) in [("columns", columns), ("tab", self.tab)] {
            if !(1..=MOST_COLUMNS).contains(&value) {
                return Err(TextError::Width { name, value });
            }
        }
        Ok(Rows {
            text: Characters { source: text, byte: 0 },
            columns,
            tab: self.tab,
            waiting: None,
            after_return: false,
            begun: false,
            unknown: 0,
        })
    }

    /// The whole of a text in memory.
    ///
    /// # Errors
    /// [`TextError`]
    pub fn page(&self, text: &str) -> Result<Page, TextError> {
        let Extent { columns, rows, unknown } = self.measure(text.as_bytes())?;
        let mut lines = self.columns(columns).rows(text.as_bytes())?;
        let (mut texels, mut row) = (Vec::new(), Vec::new());
        while lines.read_row(&mut row)? {
            texels.extend_from_slice(&row);
        }
        Ok(Page { columns, rows: rows as usize, texels, unknown })
    }
}

/// The rows of a text, read as they are asked for; made by [`Layout::rows`].
///
/// As an iterator it yields every row as a vector; [`read_row`](Self::read_row) reuses one. After
/// an error the rest of the text is not read.
#[derive(Debug)]
pub struct Rows<R> {
    text: Characters<R>,
    columns: usize,
    tab: usize,
    /// A character that found its row full.
    waiting: Option<char>,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_return: bool,
    /// A row has been yielded.
    begun: bool,
    unknown: u64,
}

impl<R: BufRead> Rows<R> {
    /// Texels of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Characters so far that the ROM has no glyph for.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The next row's packed texels, filled up with blanks, in place of what `row` held; `false`
    /// at the end of the text.
    ///
    /// # Errors
    /// [`TextError`], except for widths.
    pub fn read_row(&mut self, row: &mut Vec<u32>) -> Result<bool, TextError> {
        let more = self.fill(row)?;
        row.resize(if more { self.columns } else { 0 }, Texel::from(' ').pack());
        Ok(more)
    }

    /// The same without the blanks at the end.
    fn fill(&mut self, row: &mut Vec<u32>) -> Result<bool, TextError> {
        row.clear();
        loop {
            let next = match self.waiting.take() {
                Some(character) => Some(character),
                None => self.text.next()?,
            };
            let Some(character) = next else {
                let last = !row.is_empty() || !self.begun;
                self.begun = true;
                return Ok(last);
            };
            let after_return = std::mem::replace(&mut self.after_return, character == '\r');
            match character {
                '\n' if after_return => continue,
                '\n' | '\r' => break,
                _ if row.len() == self.columns => {
                    self.waiting = Some(character);
                    break;
                }
                '\t' => {
                    let stop = (row.len() / self.tab + 1) * self.tab;
                    row.resize(stop.min(self.columns), Texel::from(' ').pack());
                }
                _ => {
                    self.unknown += u64::from(rom::code(character).is_none());
                    row.push(Texel::from(character).pack());
                }
            }
        }
        self.begun = true;
        Ok(true)
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Vec<u32>, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = Vec::new();
        match self.read_row(&mut row) {
            Ok(true) => Some(Ok(row)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// UTF-8, character by character, across the ends of the reader's buffers.
#[derive(Debug)]
struct Characters<R> {
    source: R,
    /// Bytes read so far.
    byte: u64,
}

impl<R: BufRead> Characters<R> {
    fn next(&mut self) -> Result<Option<char>, TextError> {
        loop {
            let start = self.byte;
            let Some(first) = self.next_byte()? else { return Ok(None) };
            if first == 0 {
                return Err(TextError::Binary { byte: start });
            }
            let character = self.finish(first, start)?;
            if start > 0 || character != '\u{FEFF}' {
                return Ok(Some(character));
            }
        }
    }

    /// The character that begins with `first`.
    fn finish(&mut self, first: u8, start: u64) -> Result<char, TextError> {
        let length = match first {
            0..=0x7F => return Ok(first.into()),
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return Err(TextError::NotUtf8 { byte: start }),
        };
        let mut bytes = [first, 0, 0, 0];
        for byte in &mut bytes[1..length] {
            *byte = self.next_byte()?.ok_or(TextError::NotUtf8 { byte: start })?;
        }
        let whole = std::str::from_utf8(&bytes[..length]).ok();
        whole.and_then(|text| text.chars().next()).ok_or(TextError::NotUtf8 { byte: start })
    }

    fn next_byte(&mut self) -> Result<Option<u8>, TextError> {
        loop {
            match self.source.fill_buf() {
                Ok(bytes) => {
                    let first = bytes.first().copied();
                    if first.is_some() {
                        self.source.consume(1);
                        self.byte += 1;
                    }
                    return Ok(first);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(TextError::Read { byte: self.byte, source }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Read};

    fn lines(layout: Layout, text: &str) -> Vec<String> {
        let rows = layout.rows(text.as_bytes()).unwrap();
        let glyphs = |row: Vec<u32>| row.iter().map(|&t| char::from(t as u8)).collect();
        rows.map(|row| glyphs(row.unwrap())).collect()
    }

    #[test]
    fn lines_end_wrap_and_are_filled_up() {
        let four = Layout::new().columns(4);
        assert_eq!(lines(four, "ab\ncd\r\nef\rg"), ["ab  ", "cd  ", "ef  ", "g   "]);
        assert_eq!(lines(four, "abcd\nabcde"), ["abcd", "abcd", "e   "]);
        assert_eq!(lines(four, "\n\r\n\r\r\n"), ["    "; 4]);
        assert_eq!(lines(four, ""), ["    "]);
        assert_eq!(lines(four, "\u{FEFF}a\n"), ["a   "]);
        assert_eq!(lines(Layout::new().columns(1), "abc"), ["a", "b", "c"]);
    }

    #[test]
    fn tabs_reach_their_stop_and_no_further_than_the_row() {
        let eight = Layout::new().columns(8);
        assert_eq!(lines(eight, "\ta\tb"), ["    a   ", "b       "]);
        assert_eq!(lines(eight.tab(3), "a\tb\tcc\td"), ["a  b  cc", "   d    "]);
        assert_eq!(lines(eight.tab(20), "a\tb"), ["a       ", "b       "]);
    }

    #[test]
    fn a_layout_without_columns_takes_the_longest_line() {
        let extent = |text: &str| Layout::new().measure(text.as_bytes()).unwrap();
        assert_eq!(extent(""), Extent { columns: 1, rows: 1, unknown: 0 });
        assert_eq!(extent("a\nlong\n字\u{7}"), Extent { columns: 4, rows: 3, unknown: 2 });
        let wide = extent(&"x".repeat(300));
        assert_eq!((wide.columns, wide.rows), (128, 3));
    }

    #[test]
    fn mistakes_are_named_by_their_byte() {
        let fault = |bytes: &[u8]| Layout::new().measure(bytes).unwrap_err().to_string();
        assert_eq!(fault(b"abc\xFFdef"), "invalid UTF-8 at byte 3");
        assert_eq!(fault("né".as_bytes().split_last().unwrap().1), "invalid UTF-8 at byte 1");
        assert_eq!(fault(b"\xED\xA0\x80"), "invalid UTF-8 at byte 0"); // half a surrogate pair
        assert!(fault(b"ELF\0").contains("byte 3"));
        for layout in [Layout::new().columns(0), Layout::new().tab(0)] {
            let error = layout.rows(&b""[..]).unwrap_err();
            assert!(matches!(error, TextError::Width { value: 0, .. }), "{error}");
        }
        let error = Layout::new().columns(MOST_COLUMNS + 1).page("x").unwrap_err();
        assert!(matches!(error, TextError::Width { name: "columns", .. }), "{error}");
    }

    #[test]
    fn a_source_that_vanishes_is_an_error() {
        struct Vanishing(u8);
        impl Read for Vanishing {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(ErrorKind::Interrupted.into()), // tried again
                    2 => {
                        buffer[..3].copy_from_slice(b"abc");
                        Ok(3)
                    }
                    _ => Err(ErrorKind::NotFound.into()),
                }
            }
        }
        let error = Layout::new().measure(BufReader::new(Vanishing(0))).unwrap_err();
        assert!(matches!(error, TextError::Read { byte: 3, .. }), "{error}");
    }

    #[test]
    fn characters_straddle_the_reader_s_buffers() {
        let text = "aé█字😀é";
        for capacity in 1..6 {
            let reader = BufReader::with_capacity(capacity, text.as_bytes());
            let row = Layout::new().columns(6).rows(reader).unwrap().next().unwrap().unwrap();
            let glyphs: Vec<u8> = row.iter().map(|&texel| texel as u8).collect();
            assert_eq!(glyphs, [b'a', 0xE9, 0x80, 0x9F, 0x9F, 0xE9]);
        }
    }
}

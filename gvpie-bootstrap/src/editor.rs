//! The text: lines, a cursor, and the rows of cells that show them. No device, no window.
//!
//! A line of n characters takes ⌈n / columns⌉ rows, at least one, and one more while the cursor
//! stands behind its last character and that filled its row.

use gvpie_core::glyph::Texel;

/// Columns from one tab stop to the next.
const TAB: usize = 4;

/// A key that edits or moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Writes a character.
    Char(char),
    /// Writes blanks up to the next tab stop.
    Tab,
    /// Divides the line.
    Enter,
    /// Removes the character before the cursor, or joins the line to the one before.
    Backspace,
    /// Removes the character under the cursor, or joins the next line to this one.
    Delete,
    /// One character back.
    Left,
    /// One character on.
    Right,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// To the beginning of the row.
    Home,
    /// To the end of the row.
    End,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
}

/// The text and what of it is to be seen.
#[derive(Debug)]
pub struct Editor {
    lines: Vec<Vec<char>>,
    /// The cursor: a line, and characters before it.
    line: usize,
    column: usize,
    /// Where in its row the cursor would like to be when it moves up or down.
    wish: usize,
    /// The grid.
    columns: usize,
    rows: usize,
    /// The first row to be seen.
    top: usize,
    /// The row each line begins at, and the number of rows; without the cursor's extra one.
    starts: Vec<usize>,
}

impl Editor {
    /// A text on a grid of at least one cell, with the cursor at its beginning.
    pub fn new(text: &str, columns: usize, rows: usize) -> Self {
        let mut lines: Vec<Vec<char>> = text.lines().map(expand_tabs).collect();
        if lines.is_empty() || text.ends_with('\n') {
            lines.push(Vec::new()); // where one goes on to write
        }
        let mut editor = Editor {
            lines,
            line: 0,
            column: 0,
            wish: 0,
            columns: 1,
            rows: 1,
            top: 0,
            starts: Vec::new(),
        };
        editor.resize(columns, rows);
        editor
    }

    /// Another grid for the same text; the cursor stays in sight.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        (self.columns, self.rows) = (columns.max(1), rows.max(1));
        self.number_rows();
        self.wish = self.cursor().0;
        self.follow();
    }

    /// Does what a key does.
    pub fn press(&mut self, key: Key) {
        let (x, row) = self.cursor();
        match key {
            Key::Char(character) if character.is_control() => return,
            Key::Char(character) => self.write(&[character]),
            Key::Tab => self.write(&[' '; TAB][..TAB - self.column % TAB]),
            Key::Enter => {
                let rest = self.lines[self.line].split_off(self.column);
                self.lines.insert(self.line + 1, rest);
                (self.line, self.column) = (self.line + 1, 0);
                self.number_rows();
            }
            Key::Backspace => {
                if self.step_back() {
                    self.remove();
                }
            }
            Key::Delete => self.remove(),
            Key::Left => {
                self.step_back();
            }
            Key::Right => {
                if self.column < self.lines[self.line].len() {
                    self.column += 1;
                } else if self.line + 1 < self.lines.len() {
                    (self.line, self.column) = (self.line + 1, 0);
                }
            }
            Key::Home => self.column -= x,
            Key::End => self.place(row, self.columns - 1),
            Key::Up => return self.climb(row.checked_sub(1)),
            Key::Down => return self.climb(row.checked_add(1)),
            Key::PageUp => return self.climb(Some(row.saturating_sub(self.page()))),
            Key::PageDown => {
                let last = self.row_of(self.lines.len()) - 1;
                return self.climb(Some((row + self.page()).min(last)));
            }
        }
        self.wish = self.cursor().0;
        self.follow();
    }

    /// Moves what is seen by rows, down if positive; the cursor stays where it is.
    pub fn scroll(&mut self, rows: isize) {
        let last = self.row_of(self.lines.len()).saturating_sub(self.rows);
        self.top = self.top.saturating_add_signed(rows).min(last);
    }

    /// The packed texels of the grid, row by row; the cursor's cell is inverse.
    pub fn screen(&self) -> Vec<u32> {
        let blank = Texel::from(' ').pack();
        let mut screen = vec![blank; self.columns * self.rows];
        let last = self.row_of(self.lines.len());
        for (row, cells) in (self.top..last).zip(screen.chunks_exact_mut(self.columns)) {
            let line = self.line_at(row);
            let first = (row - self.row_of(line)) * self.columns;
            for (cell, &character) in cells.iter_mut().zip(&self.lines[line][first..]) {
                *cell = Texel::from(character).pack();
            }
        }
        let (x, row) = self.cursor();
        if (self.top..self.top + self.rows).contains(&row) {
            let cell = &mut screen[(row - self.top) * self.columns + x];
            let mut texel = Texel::unpack(*cell);
            texel.style.inverse = true;
            *cell = texel.pack();
        }
        screen
    }

    /// The text as it stands.
    #[cfg(test)]
    pub fn text(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| line.iter().collect()).collect();
        lines.join("\n")
    }

    fn write(&mut self, characters: &[char]) {
        let at = self.column;
        self.lines[self.line].splice(at..at, characters.iter().copied());
        self.column += characters.len();
        self.number_rows();
    }

    /// Removes what is under the cursor.
    fn remove(&mut self) {
        if self.column < self.lines[self.line].len() {
            self.lines[self.line].remove(self.column);
        } else if self.line + 1 < self.lines.len() {
            let next = self.lines.remove(self.line + 1);
            self.lines[self.line].extend(next);
        }
        self.number_rows();
    }

    /// One character back; `false` at the beginning of the text.
    fn step_back(&mut self) -> bool {
        if self.column > 0 {
            self.column -= 1;
        } else if self.line > 0 {
            self.line -= 1;
            self.column = self.lines[self.line].len();
        } else {
            return false;
        }
        true
    }

    /// To a row, as near to the wished place in it as its text reaches. A row that is not there is
    /// the text's end.
    fn climb(&mut self, row: Option<usize>) {
        match row {
            None => (self.line, self.column) = (0, 0),
            Some(row) if row >= self.row_of(self.lines.len()) => {
                self.line = self.lines.len() - 1;
                self.column = self.lines[self.line].len();
            }
            Some(row) => self.place(row, self.wish),
        }
        self.follow();
    }

    fn place(&mut self, row: usize, x: usize) {
        let line = self.line_at(row);
        let first = (row - self.row_of(line)) * self.columns;
        (self.line, self.column) = (line, (first + x).min(self.lines[line].len()));
    }

    /// Rows that Page keys move by: one is seen before and after.
    fn page(&self) -> usize {
        (self.rows - 1).max(1)
    }

    /// Brings the cursor's row into sight.
    fn follow(&mut self) {
        let (_, row) = self.cursor();
        self.top = self.top.clamp((row + 1).saturating_sub(self.rows), row);
    }

    /// The cursor's place: column of the grid, row of the text.
    fn cursor(&self) -> (usize, usize) {
        (self.column % self.columns, self.row_of(self.line) + self.column / self.columns)
    }

    fn number_rows(&mut self) {
        self.starts.clear();
        let mut row = 0;
        for line in &self.lines {
            self.starts.push(row);
            row += line.len().div_ceil(self.columns).max(1);
        }
        self.starts.push(row);
    }

    /// The row a line begins at; for the number of lines, the number of rows.
    fn row_of(&self, line: usize) -> usize {
        let length = self.lines[self.line].len();
        let full = length > 0 && length.is_multiple_of(self.columns);
        let extra = full && self.column == length && line > self.line;
        self.starts[line] + usize::from(extra)
    }

    /// The line that a row shows, for rows there are.
    fn line_at(&self, row: usize) -> usize {
        let (mut low, mut high) = (0, self.lines.len());
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.row_of(middle) <= row { low = middle } else { high = middle }
        }
        low
    }
}

fn expand_tabs(line: &str) -> Vec<char> {
    let mut characters = Vec::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '\t' => characters.resize((characters.len() / TAB + 1) * TAB, ' '),
            _ => characters.push(character),
        }
    }
    characters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(editor: &mut Editor, keys: &[Key]) {
        keys.iter().for_each(|&key| editor.press(key));
    }

    fn write(editor: &mut Editor, text: &str) {
        text.chars().for_each(|c| editor.press(Key::Char(c)));
    }

    /// The screen's rows as text, the cursor's cell as '_' or in brackets.
    fn seen(editor: &Editor) -> Vec<String> {
        let show = |&texel: &u32| {
            let Texel { glyph, style, .. } = Texel::unpack(texel);
            match (style.inverse, glyph) {
                (true, b' ') => "_".to_string(),
                (true, glyph) => format!("[{}]", char::from(glyph)),
                (false, glyph) => char::from(glyph).to_string(),
            }
        };
        editor.screen().chunks(editor.columns).map(|row| row.iter().map(show).collect()).collect()
    }

    #[test]
    fn typing_writes_and_wraps() {
        let mut editor = Editor::new("", 4, 3);
        assert_eq!(seen(&editor), ["_   ", "    ", "    "]);
        write(&mut editor, "abcd");
        assert_eq!(seen(&editor), ["abcd", "_   ", "    "]);
        write(&mut editor, "ef");
        press(&mut editor, &[Key::Enter]);
        write(&mut editor, "g");
        assert_eq!(seen(&editor), ["abcd", "ef  ", "g_  "]);
        write(&mut editor, "hij");
        assert_eq!(seen(&editor), ["ef  ", "ghij", "_   "]); // scrolled
        assert_eq!(editor.text(), "abcdef\nghij");
        press(&mut editor, &[Key::Up, Key::Up, Key::Up]);
        assert_eq!(seen(&editor), ["[a]bcd", "ef  ", "ghij"]);
    }

    #[test]
    fn removing_joins_lines() {
        let mut editor = Editor::new("ab\ncd", 8, 4);
        press(&mut editor, &[Key::Backspace]); // nothing is before the beginning
        press(&mut editor, &[Key::Down, Key::Backspace]);
        assert_eq!(editor.text(), "abcd");
        press(&mut editor, &[Key::Delete, Key::Delete, Key::Delete]);
        assert_eq!(editor.text(), "ab");
        press(&mut editor, &[Key::Enter, Key::Left, Key::Delete, Key::Char('\u{7}')]);
        assert_eq!(editor.text(), "ab");
    }

    #[test]
    fn keys_move_by_rows_of_the_screen() {
        let mut editor = Editor::new("abcdefghij\nk\nlmnop", 4, 4);
        press(&mut editor, &[Key::End]);
        assert_eq!(seen(&editor)[0], "abc[d]");
        press(&mut editor, &[Key::Down]);
        assert_eq!(seen(&editor)[1], "efg[h]");
        press(&mut editor, &[Key::Down]);
        assert_eq!(seen(&editor)[2], "ij_ ");
        press(&mut editor, &[Key::Down, Key::Down]); // the wish is kept over short rows
        assert_eq!(seen(&editor), ["efgh", "ij  ", "k   ", "lmn[o]"]);
        press(&mut editor, &[Key::Home, Key::Left, Key::Left, Key::Right, Key::Right]);
        assert_eq!(seen(&editor)[3], "[l]mno");
        press(&mut editor, &[Key::PageUp]);
        assert_eq!(editor.cursor(), (0, 1));
        press(&mut editor, &[Key::PageDown, Key::PageDown, Key::Down]);
        assert_eq!((editor.line, editor.column), (2, 5));
        press(&mut editor, &[Key::PageUp, Key::PageUp, Key::Up]);
        assert_eq!((editor.line, editor.column, editor.top), (0, 0, 0));
    }

    #[test]
    fn the_wheel_moves_the_view_and_a_key_brings_the_cursor_back() {
        let mut editor = Editor::new("a\nb\nc\nd\ne", 2, 2);
        editor.scroll(3);
        assert_eq!(seen(&editor), ["d ", "e "]);
        editor.scroll(isize::MAX);
        assert_eq!(seen(&editor), ["d ", "e "]);
        press(&mut editor, &[Key::Right]);
        assert_eq!(seen(&editor), ["a_", "b "]);
        editor.scroll(isize::MIN);
        assert_eq!(editor.top, 0);
    }

    #[test]
    fn another_grid_keeps_the_text_and_the_cursor() {
        let mut editor = Editor::new("abcdefgh", 8, 2);
        press(&mut editor, &[Key::End, Key::Right]);
        editor.resize(3, 2);
        assert_eq!(seen(&editor), ["def", "gh_"]);
        editor.resize(0, 0); // a window can be made as small as that
        assert_eq!(seen(&editor), ["_"]);
        editor.resize(80, 25);
        assert_eq!(editor.text(), "abcdefgh");
    }

    #[test]
    fn tabs_become_blanks() {
        let mut editor = Editor::new("a\tb\r\n\tc", 20, 4);
        assert_eq!(editor.text(), "a   b\n    c");
        press(&mut editor, &[Key::Right, Key::Tab]);
        assert_eq!(editor.text(), "a      b\n    c");
    }

    #[test]
    fn random_keys_leave_the_cursor_in_the_text_and_in_sight() {
        let keys = [
            Key::Char('x'),
            Key::Char('字'),
            Key::Tab,
            Key::Enter,
            Key::Backspace,
            Key::Delete,
            Key::Left,
            Key::Right,
            Key::Up,
            Key::Down,
            Key::Home,
            Key::End,
            Key::PageUp,
            Key::PageDown,
        ];
        let mut state = 1_u32;
        for columns in 1..6 {
            let mut editor = Editor::new("some text\n\nto begin with", columns, 3);
            for _ in 0..3000 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                editor.press(keys[(state >> 16) as usize % keys.len()]);
                assert!(editor.column <= editor.lines[editor.line].len());
                let inverse = |&texel: &u32| Texel::unpack(texel).style.inverse;
                assert_eq!(editor.screen().iter().filter(|t| inverse(t)).count(), 1);
            }
        }
    }
}

//! The glyph ROM and the palette: `assets/glyphs.txt` and `assets/palette.txt`, parsed by the
//! compiler.
//!
//! Both parsers are `const`: a source that is not what its own header says does not build, so
//! there is nothing left to fail when a program runs.

use super::Cell;

/// Rows of a glyph as drawn.
pub const ROWS: usize = 7;
/// Columns of a glyph as drawn.
pub const COLUMNS: usize = 5;

/// The glyph shown for characters that have none.
pub const REPLACEMENT: u8 = 0x9F;
/// The cursor: all ink.
pub const CURSOR: u8 = 0x7F;

/// Background 0, and nothing else in the palette.
pub const BLACK: u32 = 0xFF00_0000;

/// Rows of each glyph from the top; bit 4 is the leftmost column.
pub const GLYPHS: [[u8; ROWS]; 256] = SOURCE.glyphs;

/// Colours as packed RGBA8, red in the low byte. Entry 0 is the default foreground, white.
pub const PALETTE: [u32; 256] = palette(include_bytes!("../../assets/palette.txt"));

/// (character, code), by character.
const CHARACTERS: [(u32, u8); SOURCE.named] = by_character();

const SOURCE: Source = glyphs(include_bytes!("../../assets/glyphs.txt"));

/// No character; past the last of Unicode.
const NONE: u32 = u32::MAX;

struct Source {
    glyphs: [[u8; ROWS]; 256],
    /// The character of each code, or [`NONE`].
    characters: [u32; 256],
    /// How many codes have one.
    named: usize,
}

/// The code of a character's glyph, if it has one.
///
/// ```
/// use gvpie_core::glyph::rom;
/// assert_eq!(rom::code('A'), Some(0x41));
/// assert_eq!(rom::code('║'), Some(0x0D));
/// assert_eq!(rom::code('字'), None);
/// ```
pub fn code(character: char) -> Option<u8> {
    let c = u32::from(character);
    if (0x20..0x7F).contains(&c) {
        return Some(c as u8); // as the ROM's tests hold
    }
    let at = CHARACTERS.binary_search_by_key(&c, |&(character, _)| character).ok()?;
    Some(CHARACTERS[at].1)
}

/// The character a glyph stands for; `None` for the blank of code 0 and the cursor.
pub fn character(code: u8) -> Option<char> {
    char::from_u32(SOURCE.characters[usize::from(code)])
}

/// Whether a glyph is drawn to its edges, to join with its neighbours: box drawing, blocks,
/// shades, and the cursor.
pub const fn joins(code: u8) -> bool {
    matches!(code, 0x01..=0x16 | 0x7F..=0x98)
}

/// Every glyph as it lies in a cell: row y is byte y of the two words, column x its bit x.
///
/// Glyphs keep to the top, one column from the left in cells of 8 columns, else at the left.
/// Those that [join](joins) repeat their outermost columns and last row into what is left.
pub fn cells(cell: Cell) -> Vec<[u32; 2]> {
    let (width, height) = (cell.width(), cell.height());
    let left = (width - COLUMNS) / 2;
    let ink = |code: usize, x: usize, y: usize| {
        let bit = |column, row: usize| GLYPHS[code][row] >> (COLUMNS - 1 - column) & 1 != 0;
        if joins(code as u8) {
            return bit(x.saturating_sub(left).min(COLUMNS - 1), y.min(ROWS - 1));
        }
        (left..left + COLUMNS).contains(&x) && y < ROWS && bit(x - left, y)
    };
    let bits = |code: usize| {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let set = pixels.filter(|&(x, y)| ink(code, x, y)).map(|(x, y)| 1_u64 << (8 * y + x));
        let all: u64 = set.sum();
        [all as u32, (all >> 32) as u32]
    };
    (0..256).map(bits).collect()
}

/// Parses `= XX U+HHHH NAME`, or `U+----` for no character, and seven rows of `#` and `.`.
const fn glyphs(text: &[u8]) -> Source {
    let mut glyphs = [[0; ROWS]; 256];
    let mut characters = [NONE; 256];
    let mut named = 0;
    let mut at = 0;
    let mut code = 0;
    while let Some(header) = content(text, at) {
        at = end(text, header);
        assert!(code < 256, "more than 256 glyphs");
        assert!(text[header] == b'=' && text[header + 1] == b' ', "expected a glyph's header");
        assert!(hex(text, header + 2, 2) == code as u32, "glyph codes count up from 00");
        assert!(text[header + 5] == b'U' && text[header + 6] == b'+', "expected U+");
        if text[header + 7] != b'-' {
            characters[code] = hex(text, header + 7, 4);
            named += 1;
        }
        let mut row = 0;
        while row < ROWS {
            let Some(line) = content(text, at) else { panic!("a glyph ends early") };
            at = end(text, line);
            assert!(at == line + COLUMNS, "a glyph's row is five cells");
            let mut column = 0;
            while column < COLUMNS {
                let ink = match text[line + column] {
                    b'#' => 1,
                    b'.' => 0,
                    _ => panic!("a cell is # or ."),
                };
                glyphs[code][row] = glyphs[code][row] << 1 | ink;
                column += 1;
            }
            row += 1;
        }
        code += 1;
    }
    assert!(code == 256, "fewer than 256 glyphs");
    Source { glyphs, characters, named }
}

/// Parses `XX #rrggbb`.
const fn palette(text: &[u8]) -> [u32; 256] {
    let mut colours = [0; 256];
    let mut at = 0;
    let mut index = 0;
    while let Some(line) = content(text, at) {
        at = end(text, line);
        assert!(index < 256, "more than 256 colours");
        assert!(hex(text, line, 2) == index as u32, "colours count up from 00");
        assert!(text[line + 3] == b'#' && at == line + 10, "a colour is #rrggbb");
        colours[index] = (hex(text, line + 4, 6).swap_bytes() >> 8) | BLACK;
        index += 1;
    }
    assert!(index == 256, "fewer than 256 colours");
    colours
}

const fn by_character() -> [(u32, u8); SOURCE.named] {
    let mut sorted = [(NONE, 0); SOURCE.named];
    let mut count = 0;
    let mut code = 0;
    while code < 256 {
        let character = SOURCE.characters[code];
        if character != NONE {
            // Insertion sort; codes are nearly in order of their characters.
            let mut place = count;
            while place > 0 && sorted[place - 1].0 >= character {
                assert!(sorted[place - 1].0 != character, "two glyphs for one character");
                sorted[place] = sorted[place - 1];
                place -= 1;
            }
            sorted[place] = (character, code as u8);
            count += 1;
        }
        code += 1;
    }
    sorted
}

/// Where the next line begins that is neither empty nor a comment.
const fn content(text: &[u8], mut at: usize) -> Option<usize> {
    while at < text.len() {
        if text[at] == b'\n' {
            at += 1;
        } else if text[at] == b'/' {
            at = end(text, at);
        } else {
            return Some(at);
        }
    }
    None
}

/// Where the line ends.
const fn end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at] != b'\n' {
        at += 1;
    }
    at
}

const fn hex(text: &[u8], at: usize, digits: usize) -> u32 {
    let mut value = 0;
    let mut i = at;
    while i < at + digits {
        let digit = match text[i] {
            c @ b'0'..=b'9' => c - b'0',
            c @ b'a'..=b'f' => c - b'a' + 10,
            c @ b'A'..=b'F' => c - b'A' + 10,
            _ => panic!("expected a hexadecimal digit"),
        };
        value = value << 4 | digit as u32;
        i += 1;
    }
    value
}

//! A line, cut into words; and what words say by themselves: numbers, characters, names.

use crate::glyph::rom;

/// The byte that begins a line in TXT, so that the glyph of its code cannot be drawn by it.
const NEW_LINE: u8 = 10;

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    pub text: &'a str,
    /// Where in the line it begins, in bytes.
    pub at: usize,
}

/// What is wrong with a word.
#[derive(Debug)]
pub struct Fault<'a> {
    pub code: &'static str,
    pub word: Word<'a>,
    pub message: String,
    pub help: Option<String>,
}

impl<'a> Fault<'a> {
    pub fn new(code: &'static str, word: Word<'a>, message: impl Into<String>) -> Self {
        Fault { code, word, message: message.into(), help: None }
    }

    pub fn help(self, help: impl Into<String>) -> Self {
        Fault { help: Some(help.into()), ..self }
    }
}

/// Reads a line from left to right.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the first thing of a line that is no comment.
    pub fn new(line: &'a str) -> Self {
        let mut cursor = Cursor { line, at: 0 };
        cursor.skip_blanks();
        if cursor.ahead().starts_with('#') {
            cursor.at = line.len();
        }
        cursor
    }

    fn ahead(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn skip_blanks(&mut self) {
        let ahead = self.ahead();
        self.at += ahead.len() - ahead.trim_start_matches(separates).len();
        if self.ahead().starts_with(';') {
            self.at = self.line.len();
        }
    }

    /// The first character of the next word.
    pub fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.ahead().chars().next()
    }

    /// A name with a colon after it, without the colon.
    pub fn label(&mut self) -> Option<Word<'a>> {
        self.skip_blanks();
        let ahead = self.ahead();
        let end = ahead.find(|c| separates(c) || matches!(c, ':' | ';' | '"' | '\''))?;
        if end == 0 || !ahead[end..].starts_with(':') {
            return None;
        }
        let word = Word { text: &ahead[..end], at: self.at };
        self.at += end + 1;
        self.skip_blanks();
        Some(word)
    }

    /// The next word. A string in quotes is one, with them.
    pub fn word(&mut self) -> Result<Option<Word<'a>>, Fault<'a>> {
        self.skip_blanks();
        let ahead = self.ahead();
        let Some(first) = ahead.chars().next() else { return Ok(None) };
        let length = if first == '"' {
            closing(ahead).ok_or_else(|| {
                let word = Word { text: ahead, at: self.at };
                Fault::new("open-string", word, "the string has no closing quote")
            })?
        } else {
            let mut length = 0;
            while let Some(c) = ahead[length..].chars().next() {
                length += match c {
                    '\'' => character(&ahead[length..]).map_or(1, |(_, length)| length),
                    c if separates(c) || c == ';' => break,
                    c => c.len_utf8(),
                };
            }
            length
        };
        let word = Word { text: &ahead[..length], at: self.at };
        self.at += length;
        Ok(Some(word))
    }

    /// All words that are left.
    pub fn words(&mut self) -> Result<Vec<Word<'a>>, Fault<'a>> {
        std::iter::from_fn(|| self.word().transpose()).collect()
    }

    /// What is left of the line up to a comment, without blanks around it.
    pub fn rest(&mut self) -> Word<'a> {
        self.skip_blanks();
        let text = self.ahead().split(';').next().unwrap_or("").trim_end();
        let word = Word { text, at: self.at };
        self.at = self.line.len();
        word
    }
}

fn separates(c: char) -> bool {
    c.is_whitespace() || c == ','
}

/// Bytes of the string in quotes that `text` begins with.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Some(at + 1),
            c => escaped = c == '\\' && !escaped,
        }
    }
    None
}

/// The character in single quotes that `text` begins with, and bytes of it all.
fn character(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix('\'')?;
    let skipped = match inner.strip_prefix('\\') {
        Some(escaped) => 1 + escaped.chars().next()?.len_utf8(),
        None => inner.chars().next()?.len_utf8(),
    };
    let length = skipped + inner.get(skipped..)?.find('\'')?;
    // Without an escape there is one character; with one, a few.
    let few = if inner.starts_with('\\') { length <= 12 } else { length == skipped };
    few.then(|| (&inner[..length], length + 2))
}

/// One element of a string: a character as it stands, or a byte that an escape names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Character(char),
    Byte(u8),
}

/// The elements of what stands between quotes.
pub fn elements(inner: &str) -> Result<Vec<Element>, String> {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(Element::Character(c));
            continue;
        }
        out.push(match rest.next() {
            Some('n') => Element::Byte(NEW_LINE),
            Some('r') => Element::Byte(b'\r'),
            Some('t') => Element::Byte(b'\t'),
            Some('0') => Element::Byte(0),
            Some(c @ ('\\' | '"' | '\'')) => Element::Character(c),
            Some('x') => {
                let digits = rest.as_str().get(..2).filter(|d| d.bytes().all(hexadecimal));
                let digits = digits.ok_or("\\x is followed by two hexadecimal digits")?;
                rest = rest.as_str()[2..].chars();
                Element::Byte(u8::from_str_radix(digits, 16).map_err(|e| e.to_string())?)
            }
            Some('u') => {
                let braces = rest.as_str().strip_prefix('{').and_then(|r| r.split_once('}'));
                let (digits, after) = braces.ok_or("\\u is followed by {hexadecimal digits}")?;
                let number = Some(digits).filter(|d| d.len() <= 6 && d.bytes().all(hexadecimal));
                let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                rest = after.chars();
                let c = number.and_then(char::from_u32).ok_or("\\u{…} names no character")?;
                Element::Character(c)
            }
            _ => return Err("escapes are \\n \\r \\t \\0 \\\\ \\\" \\' \\xHH \\u{H…}".into()),
        });
    }
    Ok(out)
}

fn hexadecimal(digit: u8) -> bool {
    digit.is_ascii_hexdigit()
}

/// The bytes that TXT draws a string by.
pub fn glyphs(elements: &[Element]) -> Result<Vec<u8>, String> {
    let byte = |element: &Element| match *element {
        Element::Byte(byte) => Ok(byte),
        Element::Character(c) => match rom::code(c) {
            Some(NEW_LINE) => {
                Err(format!("'{c}' cannot be in a text: its code, 10, begins a line there"))
            }
            Some(code) => Ok(code),
            None => Err(format!("there is no glyph for {}", c.escape_debug())),
        },
    };
    elements.iter().map(byte).collect()
}

/// The characters of a string that is about the program.
pub fn characters(elements: &[Element]) -> String {
    let one = |element: &Element| match *element {
        Element::Character(c) => c,
        Element::Byte(byte) => char::from(byte),
    };
    elements.iter().map(one).collect()
}

/// Whether a word may be a label's name, or that of a number or register.
pub fn is_name(word: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    word.starts_with(first)
        && word.chars().all(|c| first(c) || c.is_ascii_digit())
        && !looks_like_register(word)
}

/// Whether a word is r and a number.
pub fn looks_like_register(word: &str) -> bool {
    word.strip_prefix(['r', 'R'])
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|d| d.is_ascii_digit()))
}

/// A number without a sign: decimal, `0x…`, `0b…`, `'c'`, `#rrggbb`. `None` if the term is none of
/// these; `Some(Err)` says what is wrong with one that begins like one.
pub fn number(term: &str) -> Option<Result<i64, String>> {
    let parse = |digits: &str, radix| {
        let signed = digits.starts_with(['+', '-']); // which from_str_radix would take
        let number = if signed { None } else { i64::from_str_radix(digits, radix).ok() };
        number.filter(|&n| n < 1 << 40).ok_or_else(|| "this is no number".to_string())
    };
    if let Some(digits) = term.strip_prefix('#') {
        let colour = Some(digits).filter(|d| d.len() == 6 && d.bytes().all(hexadecimal));
        let colour = colour.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        return Some(match colour {
            Some(colour) => Ok(i64::from(colour.swap_bytes() >> 8)),
            None => Err("a colour is # and six hexadecimal digits".into()),
        });
    }
    if term.starts_with('\'') {
        let inner = character(term).filter(|&(_, length)| length == term.len());
        let Some((inner, _)) = inner else {
            return Some(Err("a character stands between single quotes, as 'A'".into()));
        };
        return Some(elements(inner).and_then(|elements| glyphs(&elements)).and_then(|bytes| {
            match bytes[..] {
                [byte] => Ok(i64::from(byte)),
                _ => Err("one character stands between single quotes".into()),
            }
        }));
    }
    if !term.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let lower = term.to_ascii_lowercase();
    Some(match (lower.strip_prefix("0x"), lower.strip_prefix("0b")) {
        (Some(digits), _) => parse(digits, 16),
        (_, Some(digits)) => parse(digits, 2),
        _ => parse(&lower, 10),
    })
}

/// The terms of a sum such as `place+8-1`: whether each is taken away, and where it stands.
pub fn terms(word: &str) -> Vec<(bool, &str)> {
    let mut out = Vec::new();
    let mut rest = word;
    loop {
        let negative = rest.starts_with('-');
        rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        let quoted = character(rest).map_or(0, |(_, length)| length);
        let end = rest[quoted..].find(['+', '-']).map_or(rest.len(), |end| quoted + end);
        out.push((negative, &rest[..end]));
        rest = &rest[end..];
        if rest.is_empty() {
            return out;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&str> {
        Cursor::new(line).words().unwrap().iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_parted_by_blanks_and_commas() {
        assert_eq!(words("  ADD r1, r2,5 ; sum"), ["ADD", "r1", "r2", "5"]);
        assert_eq!(words("  # all of it"), [""; 0]);
        assert_eq!(words(r##"A "b; c\" d" ';' ',' ' ' '\'' #ff0000 '"##).len(), 8);
        assert!(Cursor::new("A \"b\\\"").words().is_err());
        let mut cursor = Cursor::new("TXT 1 2  it's, so: ; no");
        assert_eq!(cursor.label(), None);
        (0..3).for_each(|_| drop(cursor.word()));
        assert_eq!(cursor.rest(), Word { text: "it's, so:", at: 9 });
        let mut cursor = Cursor::new(" a: b:NOP");
        let labels = [cursor.label(), cursor.label(), cursor.label()];
        assert_eq!(labels.map(|label| label.map(|word| word.text)), [Some("a"), Some("b"), None]);
    }

    #[test]
    fn numbers_are_read() {
        for (term, value) in [
            ("0", 0),
            ("007", 7),
            ("0xFf", 255),
            ("0b101", 5),
            ("'A'", 65),
            ("'é'", 0xE9),
            ("'\\n'", 10),
            ("'\\x0a'", 10),
            ("'''", 39),
            ("#ff8000", 0x80ff),
        ] {
            assert_eq!(number(term), Some(Ok(value)), "{term}");
        }
        for term in ["0x", "1a", "0b2", "'AB'", "'", "'字'", "#fff", "#", "99999999999999", "0x+1"]
        {
            assert!(number(term).unwrap().is_err(), "{term}");
        }
        assert_eq!(number("a"), None);
        assert_eq!(terms("-a+'-'-3"), [(true, "a"), (false, "'-'"), (true, "3")]);
        assert_eq!(terms("1+"), [(false, "1"), (false, "")]);
    }

    #[test]
    fn strings_become_glyphs() {
        let bytes = |inner| elements(inner).and_then(|elements| glyphs(&elements));
        assert_eq!(bytes(r#"A\n\x0a\"é─\u{e9}"#).unwrap(), [65, 10, 10, 34, 0xE9, 1, 0xE9]);
        for inner in ["\\q", "\\", "\\x1", "\\xé", "\\u{110000}", "\\u{", "字", "┴"] {
            assert!(bytes(inner).is_err(), "{inner}");
        }
        assert_eq!(characters(&elements("字\\xe9").unwrap()), "字é");
    }
}

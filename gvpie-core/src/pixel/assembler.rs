//! Programs from texts.
//!
//! A line is `[label:] MNEMONIC operands`, with blanks or commas between operands. A comment begins
//! with `;`, or with `#` if that is the first character of a line but blanks. Mnemonics are in any
//! case, names are told apart by it.
//!
//! | operand | is written as |
//! |---|---|
//! | register | `r0` to `r15`, or a name of `.reg` |
//! | number | `12`, `-3`, `0xff`, `0b101`, `'A'`, `#ff8000` (red lowest), a name of `.equ`, a label, and sums of them without blanks: `end-start+1` |
//! | place | a label, of an instruction for jumps and of data for LDB, TXT and SPR (where `@` may come before it) |
//!
//! | directive | what it does |
//! |---|---|
//! | `.canvas W H` | width and height of the canvas, 1 to 1024 pixels each |
//! | `.mode strict` or `total` | what happens where an operation makes no sense |
//! | `.seed N` | where random numbers begin |
//! | `.equ NAME value` | a name for a number, which is known from this line on in other `.equ`, and everywhere in instructions |
//! | `.reg NAME rN` | a name for a register |
//! | `[label:] .data …` | bytes; strings in quotes, each character the code of its glyph, with escapes `\n \r \t \0 \\ \" \' \xHH \u{H…}`; patterns of `.` and `#`, a byte for every eight |
//! | `.meta key value` | what the program says of itself; quotes where there are blanks or `;` in it |
//! | `.raw op a b c d e` | an instruction by its six bytes |
//! | `.end` | no HALT is added |
//!
//! One mnemonic stands for a register form and one with numbers; operands choose. `ADD r1 5` is `ADD
//! r1 r1 5`, and so for all of its kind. `SET r number` takes any number of 32 bits, in one
//! instruction or two (LDI, LDH); `IF r label` is JNZ. A colour `#rrggbb` after the operands of a
//! drawing operation puts PEN before it. `TXT x y` takes the rest of the line, or a string in quotes,
//! which goes behind the data, equal ones once; `TXT x y @place length` takes what is in the data. A
//! HALT is added to a program whose end could be reached: one that is empty, has a label at its end
//! or does not end in HALT, JMP, JR or RET.

mod instruction;
mod line;
#[cfg(test)]
mod tests;

use super::diagnostic::{Diagnostic, quoted};
use super::isa::{Instruction, OPERATIONS, code};
use super::program::{MAX_CANVAS, MAX_CODE, MAX_DATA, Mode, Program};
use line::{Cursor, Fault, Word};
use std::collections::HashMap;

/// Names that are looked through for the nearest one at most.
const MOST_NAMES: usize = 4096;

/// So many messages look for the nearest name.
const MOST_GUESSES: usize = 20;

/// The program of a text; see the [module](self) for the language.
///
/// ```
/// use gvpie_core::pixel::assemble;
/// let program = assemble("TXT 10 10 Hello World\nHALT")?;
/// assert_eq!(program.code, [[0x76, 10, 10, 0, 0, 11], [0xff, 0, 0, 0, 0, 0]]);
/// assert_eq!(program.data, b"Hello World");
/// # Ok::<(), Vec<gvpie_core::pixel::Diagnostic>>(())
/// ```
///
/// # Errors
/// All that is wrong with it, in the order of its lines; never a part of a program.
pub fn assemble(text: &str) -> Result<Program, Vec<Diagnostic>> {
    let mut assembler = Assembler::default();
    assembler.names(text);
    let names = std::mem::take(&mut assembler.diagnostics);
    assembler.pass(text, Pass::Layout);
    // What instructions have to say, they say again when all places are known.
    assembler.diagnostics.clear();
    assembler.restart();
    assembler.pass(text, Pass::Emission);
    assembler.diagnostics.extend(names);
    assembler.limits();
    if !assembler.diagnostics.is_empty() {
        assembler.diagnostics.sort_by_key(|fault| (fault.line, fault.column));
        return Err(assembler.diagnostics);
    }
    let mut program = assembler.program;
    program.data.extend(assembler.texts);
    Ok(program)
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
enum Name {
    Number(i64),
    Register(u8),
    /// A label whose place is not known yet.
    Label,
    Code(usize),
    Data(usize),
}

/// Every line is read twice: the sizes of instructions do not depend on the places of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pass {
    #[default]
    Layout,
    Emission,
}

#[derive(Debug, Default)]
struct Assembler<'a> {
    pass: Pass,
    names: HashMap<&'a str, Name>,
    /// Labels that the next instruction or data will give a place.
    pending: Vec<&'a str>,
    program: Program,
    /// What TXT draws, to come behind the data.
    texts: Vec<u8>,
    /// Where in `texts` each begins.
    shared: HashMap<Vec<u8>, usize>,
    /// Instructions and bytes of data before texts, as the first pass has counted them.
    counted: (usize, usize),
    /// Instructions and bytes beyond the limits are counted, not kept: at which line it began.
    too_long: [Option<usize>; 2],
    beyond: [usize; 2],
    directives: Vec<&'static str>,
    open_end: bool,
    label_at_end: bool,
    guesses: usize,
    diagnostics: Vec<Diagnostic>,
    line: &'a str,
    number: usize,
}

impl<'a> Assembler<'a> {
    /// Forgets what the first pass has made, but for names and counts.
    fn restart(&mut self) {
        let (code, data) = (self.program.code.len(), self.program.data.len());
        self.counted = (code + self.beyond[0], data + self.beyond[1]);
        self.guesses = 0;
        self.program = Program::default();
        self.texts.clear();
        self.shared.clear();
        self.too_long = [None; 2];
        self.beyond = [0; 2];
        self.directives.clear();
    }

    fn report(&mut self, fault: Fault<'a>) {
        let column = |at: usize| 1 + self.line[..at].chars().count();
        let end = fault.word.at + fault.word.text.len();
        self.diagnostics.push(Diagnostic {
            code: fault.code,
            line: self.number,
            column: column(fault.word.at),
            end_column: column(end),
            message: fault.message,
            help: fault.help,
        });
    }

    fn lines(&mut self, text: &'a str, mut read: impl FnMut(&mut Self, Cursor<'a>)) {
        for (at, line) in text.split('\n').enumerate() {
            (self.line, self.number) = (line, at + 1);
            read(self, Cursor::new(line));
        }
    }

    /// Reads the names that lines give to numbers, registers and places.
    fn names(&mut self, text: &'a str) {
        self.lines(text, |this, mut cursor| {
            while let Some(label) = cursor.label() {
                this.name(label, Name::Label);
            }
            // What is wrong with other lines, the last pass says.
            let Ok(words) = cursor.words() else { return };
            let Some((directive, words)) = words.split_first() else { return };
            let is = |name| directive.text.eq_ignore_ascii_case(name);
            if !is(".equ") && !is(".reg") {
                return;
            }
            let &[name, value] = words else {
                let usage = if is(".equ") { ".equ NAME value" } else { ".reg NAME rN" };
                this.report(Fault::new("wrong-operands", *directive, usage_message(usage)));
                return;
            };
            if is(".reg") {
                match this.register(value) {
                    Some(register) => this.name(name, Name::Register(register)),
                    None => this.report(Fault::new(
                        "expected-register",
                        value,
                        format!("{} is no register, r0 to r15", quoted(value.text)),
                    )),
                }
            } else {
                match this.value(value) {
                    Ok(found) if found.named => this.report(
                        Fault::new("wrong-kind", value, "labels have no places yet in .equ")
                            .help("use the label itself in instructions"),
                    ),
                    Ok(found) => this.name(name, Name::Number(found.number)),
                    Err(fault) => this.report(fault),
                }
            }
        });
    }

    fn name(&mut self, word: Word<'a>, what: Name) {
        if !line::is_name(word.text) {
            let message = format!("{} cannot be a name", quoted(word.text));
            let help = "names are letters, digits and _, and r with a number is a register";
            self.report(Fault::new("bad-name", word, message).help(help));
        } else if self.names.insert(word.text, what).is_some() {
            let message = format!("{} has a meaning already", quoted(word.text));
            self.report(Fault::new("doubled-name", word, message));
        }
    }

    fn pass(&mut self, text: &'a str, pass: Pass) {
        self.pass = pass;
        self.lines(text, |this, mut cursor| {
            while let Some(label) = cursor.label() {
                this.pending.push(label.text);
            }
            if let Err(fault) = this.statement(&mut cursor) {
                this.report(fault);
            }
        });
        let last = self.program.code.last().map(|instruction| instruction[0]);
        let closed = matches!(last, Some(code::HALT | code::JMP | code::JR | code::RET));
        self.label_at_end |= !self.pending.is_empty();
        let end = self.program.code.len();
        self.place_labels(Name::Code(end));
        if !self.open_end && (!closed || self.label_at_end) {
            self.push([code::HALT, 0, 0, 0, 0, 0]);
        }
    }

    fn place_labels(&mut self, place: Name) {
        for label in self.pending.drain(..) {
            // A name that was given twice is an error already.
            self.names.insert(label, place);
        }
    }

    fn push(&mut self, instruction: Instruction) {
        if self.program.code.len() < MAX_CODE {
            self.program.code.push(instruction);
        } else {
            self.beyond[0] += 1;
            self.too_long[0].get_or_insert(self.number);
        }
    }

    fn push_data(&mut self, bytes: &[u8]) {
        if self.program.data.len() + self.texts.len() + bytes.len() <= MAX_DATA {
            self.program.data.extend(bytes);
        } else {
            self.beyond[1] += bytes.len();
            self.too_long[1].get_or_insert(self.number);
        }
    }

    /// Where the bytes of a text are.
    fn share(&mut self, bytes: Vec<u8>) -> usize {
        let length = bytes.len();
        if let Some(&at) = self.shared.get(&bytes) {
            return self.counted.1 + at;
        }
        let at = self.texts.len();
        if self.counted.1.max(self.program.data.len()) + at + length > MAX_DATA {
            self.beyond[1] += length;
            self.too_long[1].get_or_insert(self.number);
            return 0;
        }
        self.texts.extend_from_slice(&bytes);
        self.shared.insert(bytes, at);
        self.counted.1 + at
    }

    /// Says which limits the whole is beyond.
    fn limits(&mut self) {
        let held = [self.program.code.len(), self.program.data.len() + self.texts.len()];
        let what = [
            ("too-many-instructions", "instructions", MAX_CODE),
            ("too-much-data", "bytes of data, texts included", MAX_DATA),
        ];
        for (at, (code, things, most)) in what.into_iter().enumerate() {
            if let Some(line) = self.too_long[at] {
                self.diagnostics.push(Diagnostic {
                    code,
                    line,
                    column: 1,
                    end_column: 1,
                    message: format!(
                        "{} {things}, {most} at most; here they become too many",
                        held[at] + self.beyond[at]
                    ),
                    help: None,
                });
            }
        }
    }

    fn statement(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        let Some(word) = cursor.word()? else { return Ok(()) };
        if !word.text.starts_with('.') {
            return self.instruction(word, cursor);
        }
        let directive = word.text.to_ascii_lowercase();
        match directive.as_str() {
            ".equ" | ".reg" => Ok(()), // read before
            ".data" => self.data(cursor),
            ".raw" => self.raw(word, cursor),
            ".meta" => self.meta(word, cursor),
            ".canvas" => self.canvas(word, cursor),
            ".mode" => self.mode(word, cursor),
            ".seed" => {
                self.once(".seed", word);
                let [seed] = self.operands(word, cursor, ".seed N")?;
                let number = self.ranged(seed, -(1 << 31), (1 << 32) - 1)?;
                self.program.seed = number as u32; // −1 is all ones
                Ok(())
            }
            ".end" => {
                self.open_end = true;
                self.operands(word, cursor, ".end").map(|[]| ())
            }
            _ => {
                let known =
                    [".canvas", ".mode", ".seed", ".equ", ".reg", ".data", ".meta", ".raw", ".end"];
                let message = format!("there is no directive {}", quoted(word.text));
                let help = self.nearest(&directive, known.into_iter());
                Err(Fault { help, ..Fault::new("unknown-directive", word, message) })
            }
        }
    }

    /// Says so if a directive that stands once stands again.
    fn once(&mut self, directive: &'static str, word: Word<'a>) {
        if self.directives.contains(&directive) {
            let message = format!("there is a {directive} already");
            self.report(Fault::new("doubled-directive", word, message));
        }
        self.directives.push(directive);
    }

    /// The operands of a directive, which has so many.
    fn operands<const N: usize>(
        &self,
        directive: Word<'a>,
        cursor: &mut Cursor<'a>,
        usage: &str,
    ) -> Result<[Word<'a>; N], Fault<'a>> {
        let words = cursor.words()?;
        let wrong = |_| Fault::new("wrong-operands", directive, usage_message(usage));
        words.try_into().map_err(wrong)
    }

    fn canvas(&mut self, word: Word<'a>, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        self.once(".canvas", word);
        let sides: [Word; 2] = self.operands(word, cursor, ".canvas WIDTH HEIGHT")?;
        for (at, side) in sides.into_iter().enumerate() {
            match self.ranged(side, 1, MAX_CANVAS.into()) {
                Ok(pixels) => self.program.canvas[at] = pixels as u32,
                Err(fault) => self.report(fault),
            }
        }
        Ok(())
    }

    fn mode(&mut self, word: Word<'a>, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        self.once(".mode", word);
        let [mode] = self.operands(word, cursor, ".mode strict|total")?;
        let modes = [Mode::Strict, Mode::Total];
        let named = modes.into_iter().find(|m| mode.text.eq_ignore_ascii_case(&m.to_string()));
        let message = || format!("{} is no mode; strict and total are", quoted(mode.text));
        self.program.mode = named.ok_or_else(|| Fault::new("unknown-mode", mode, message()))?;
        Ok(())
    }

    fn meta(&mut self, word: Word<'a>, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        let missing = || Fault::new("wrong-operands", word, usage_message(".meta key value"));
        let key = cursor.word()?.ok_or_else(missing)?;
        let value = match cursor.peek() {
            Some('"') => {
                let value = cursor.word()?.unwrap_or(key);
                if let Some(more) = cursor.word()? {
                    return Err(Fault::new(
                        "too-many-operands",
                        more,
                        "the value ends before this",
                    ));
                }
                value
            }
            _ => cursor.rest(),
        };
        let said = |word: Word<'a>| match unquoted(word) {
            None => Ok(word.text.to_string()),
            Some(inner) => line::elements(inner)
                .map(|elements| line::characters(&elements))
                .map_err(|message| Fault::new("bad-string", word, message)),
        };
        let pair = (said(key)?, said(value)?);
        self.program.meta.push(pair);
        Ok(())
    }

    fn raw(&mut self, word: Word<'a>, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        let end = self.program.code.len();
        self.place_labels(Name::Code(end));
        let mut instruction = [0; 6];
        let words = self.operands(word, cursor, ".raw op a b c d e");
        for (byte, word) in instruction.iter_mut().zip(words.as_ref().into_iter().flatten()) {
            match self.ranged(*word, 0, 255) {
                Ok(number) => *byte = number as u8,
                Err(fault) => self.report(fault),
            }
        }
        self.push(instruction);
        words.map(|_: [Word; 6]| ())
    }

    fn data(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        let at = self.program.data.len();
        self.place_labels(Name::Data(at));
        for word in cursor.words()? {
            match self.item(word) {
                Ok(bytes) => self.push_data(&bytes),
                Err(fault) => self.report(fault),
            }
        }
        Ok(())
    }

    /// The bytes of a string, a pattern or a number.
    fn item(&mut self, word: Word<'a>) -> Result<Vec<u8>, Fault<'a>> {
        if let Some(inner) = unquoted(word) {
            return string(word, inner);
        }
        let pattern = word.text.bytes().all(|c| matches!(c, b'.' | b'#'));
        if !pattern {
            return self.ranged(word, -128, 255).map(|number| vec![number as u8]);
        }
        if !word.text.len().is_multiple_of(8) {
            let message =
                format!("a pattern has 8 characters for every byte, this one {}", word.text.len());
            return Err(Fault::new("bad-pattern", word, message));
        }
        let bit = |byte: u8, &c: &u8| byte << 1 | u8::from(c == b'#');
        Ok(word.text.as_bytes().chunks(8).map(|row| row.iter().fold(0, bit)).collect())
    }

    /// The nearest of some names to one that is not among them, as a help.
    fn nearest<'n>(&mut self, name: &str, among: impl Iterator<Item = &'n str>) -> Option<String> {
        if self.guesses >= MOST_GUESSES || name.len() > 24 {
            return None;
        }
        self.guesses += 1;
        let distance = |other: &'n str| (strsim::damerau_levenshtein(name, other), other);
        let (steps, nearest) = among.take(MOST_NAMES).map(distance).min()?;
        (steps <= 2 && steps < name.len()).then(|| format!("did you mean {nearest}?"))
    }

    /// The nearest mnemonic.
    fn nearest_operation(&mut self, name: &str) -> Option<String> {
        let names = OPERATIONS.iter().map(|operation| operation.name);
        self.nearest(name, names.chain(["SET", "IF"]))
    }
}

fn usage_message(usage: &str) -> String {
    format!("it is written as {usage}")
}

/// What stands between the quotes of a word that is a string.
fn unquoted(word: Word<'_>) -> Option<&str> {
    word.text.strip_prefix('"')?.strip_suffix('"')
}

/// The bytes of a string as TXT draws them.
fn string<'a>(word: Word<'a>, inner: &str) -> Result<Vec<u8>, Fault<'a>> {
    let elements =
        line::elements(inner).map_err(|message| Fault::new("bad-string", word, message))?;
    line::glyphs(&elements).map_err(|message| {
        Fault::new("no-glyph", word, message).help(
            "characters are ASCII, Latin-1, box drawing, blocks and arrows; \\xHH is any byte",
        )
    })
}

//! Instructions: which form operands ask for, and their bytes.

use super::line::{self, Cursor, Fault, Word};
use super::{Assembler, Name, Pass, quoted, string, unquoted};
use crate::pixel::isa::{Instruction, OPERATIONS, Operand, Operation, code, operation};

/// Characters of a text at most: their number is one byte of the instruction.
const MAX_TEXT: usize = 255;

/// The least and the largest number of 24 bits with a sign.
const WIDE: (i64, i64) = (-(1 << 23), (1 << 23) - 1);

/// A number, and what it is the place of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    pub number: i64,
    /// Labels had a part in it, so that it is not known while places are counted.
    pub named: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Code,
    Data,
    /// Of a label without a place yet.
    Unknown,
}

impl<'a> Assembler<'a> {
    /// The register that a word names.
    pub(super) fn register(&self, word: Word<'a>) -> Option<u8> {
        if line::looks_like_register(word.text) {
            return word.text[1..].parse().ok().filter(|&register| register < 16);
        }
        match self.names.get(word.text) {
            Some(&Name::Register(register)) => Some(register),
            _ => None,
        }
    }

    /// Whether a word is meant as a register, there or not.
    fn is_register(&self, word: Word<'a>) -> bool {
        line::looks_like_register(word.text) || self.register(word).is_some()
    }

    /// The value of a sum.
    pub(super) fn value(&mut self, word: Word<'a>) -> Result<Value, Fault<'a>> {
        let mut value = Value { number: 0, named: false, kind: Kind::Number };
        let (mut code, mut data, mut unknown) = (0, 0, false);
        for (negative, term) in line::terms(word.text.strip_prefix('@').unwrap_or(word.text)) {
            let sign = if negative { -1 } else { 1 };
            let number = match line::number(term) {
                Some(number) => {
                    number.map_err(|message| Fault::new("bad-number", word, message))?
                }
                None => match self.names.get(term).copied() {
                    Some(Name::Number(number)) => number,
                    Some(Name::Code(place)) => {
                        (code, value.named) = (code + sign, true);
                        place as i64
                    }
                    Some(Name::Data(place)) => {
                        (data, value.named) = (data + sign, true);
                        place as i64
                    }
                    Some(Name::Label) => {
                        (unknown, value.named) = (true, true);
                        0
                    }
                    Some(Name::Register(_)) => {
                        let message = format!("{} is a register, not a number", quoted(term));
                        return Err(Fault::new("expected-number", word, message));
                    }
                    None => return Err(self.unnamed(word, term)),
                },
            };
            value.number = value.number.saturating_add(sign * number);
        }
        value.kind = match (code, data) {
            _ if unknown => Kind::Unknown,
            (0, 0) => Kind::Number,
            (1, 0) => Kind::Code,
            (0, 1) => Kind::Data,
            _ => {
                return Err(Fault::new("wrong-kind", word, "this sum of places is no place")
                    .help("one place and numbers are a place; two of a kind have a distance"));
            }
        };
        Ok(value)
    }

    fn unnamed(&mut self, word: Word<'a>, term: &str) -> Fault<'a> {
        if line::looks_like_register(term) {
            let message = format!("{} is no number", quoted(term));
            return Fault::new("expected-number", word, message);
        }
        if !line::is_name(term) {
            return Fault::new("bad-number", word, "this is no number")
                .help("numbers are 12, -3, 0xff, 0b101, 'A', #ff8000, names, and sums of them");
        }
        let names: Vec<&str> = self.names.keys().copied().collect();
        let help = self.nearest(term, names.into_iter());
        let message = format!("nothing is called {}", quoted(term));
        Fault { help, ..Fault::new("undefined-name", word, message) }
    }

    /// A number within a range.
    pub(super) fn ranged(
        &mut self,
        word: Word<'a>,
        least: i64,
        most: i64,
    ) -> Result<i64, Fault<'a>> {
        if self.is_register(word) {
            let message = format!("{} is a register, not a number", quoted(word.text));
            return Err(Fault::new("expected-number", word, message));
        }
        let number = self.value(word)?.number;
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        let message = format!("{number} is outside of {least} to {most}");
        Err(Fault::new("out-of-range", word, message))
    }

    /// Adds the instruction of a mnemonic, or a NOP in its place where something is wrong.
    pub(super) fn instruction(
        &mut self,
        mnemonic: Word<'a>,
        cursor: &mut Cursor<'a>,
    ) -> Result<(), Fault<'a>> {
        let end = self.program.code.len() + self.beyond[0];
        self.place_labels(Name::Code(end));
        let before = self.diagnostics.len();
        let outcome = self.meant(mnemonic, cursor);
        if (outcome.is_err() || self.diagnostics.len() > before)
            && self.program.code.len() + self.beyond[0] == end
        {
            self.push([code::NOP, 0, 0, 0, 0, 0]);
        }
        outcome
    }

    fn meant(&mut self, mnemonic: Word<'a>, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        let upper = mnemonic.text.to_ascii_uppercase();
        match upper.as_str() {
            "SET" => return self.set(mnemonic, cursor),
            "TXT" => return self.text(mnemonic, cursor),
            _ => {}
        }
        let name = if upper == "IF" { "JNZ" } else { &upper };
        let words = cursor.words()?;
        self.operation(name, mnemonic, words)
    }

    /// LDI, or LDI and LDH.
    fn set(&mut self, mnemonic: Word<'a>, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        let words = cursor.words()?;
        let &[register, value] = &words[..] else {
            let usage = "SET register number";
            return Err(count_fault(mnemonic, &words, 2, usage.into()));
        };
        let mut low = [code::LDI, 0, 0, 0, 0, 0];
        self.operand(&mut low, Operand::Register(1), register, code::LDI);
        if self.is_register(value) {
            let message = format!("{} is a register, not a number", quoted(value.text));
            return Err(Fault::new("expected-number", value, message).help("MOV copies registers"));
        }
        let found = self.value(value)?;
        if found.named || (WIDE.0..=WIDE.1).contains(&found.number) {
            self.operand(&mut low, Operand::Wide, value, code::LDI);
            self.push(low);
            return Ok(());
        }
        let number = self.ranged(value, -(1 << 31), (1 << 32) - 1)? as u32;
        let [c, d, e, f] = number.to_le_bytes();
        self.push([code::LDI, low[1], 0, c, d, 0]);
        self.push([code::LDH, low[1], 0, e, f, 0]);
        Ok(())
    }

    /// TXT: its text is the rest of the line, a string, or a place and a length.
    fn text(&mut self, mnemonic: Word<'a>, cursor: &mut Cursor<'a>) -> Result<(), Fault<'a>> {
        let usage = "TXT x y text, TXT x y \"text\", TXT x y @place length or TXT ra rb rc rd";
        let mut words = Vec::new();
        for _ in 0..2 {
            match cursor.word()? {
                Some(word) => words.push(word),
                None => return Err(count_fault(mnemonic, &words, 3, usage.into())),
            }
        }
        let registers = words.iter().any(|&word| self.is_register(word));
        let first = cursor.peek();
        if registers || first == Some('@') {
            words.extend(cursor.words()?);
            return self.operation("TXT", mnemonic, words);
        }
        let (word, bytes) = match first {
            None => return Err(count_fault(mnemonic, &words, 3, usage.into())),
            Some('"') => {
                let word = cursor.word()?.unwrap_or(mnemonic);
                (word, string(word, unquoted(word).unwrap_or(""))?)
            }
            Some(_) => {
                let word = cursor.rest();
                let characters: Vec<line::Element> =
                    word.text.chars().map(line::Element::Character).collect();
                let bytes = line::glyphs(&characters)
                    .map_err(|message| Fault::new("no-glyph", word, message))?;
                (word, bytes)
            }
        };
        let after = cursor.words()?;
        match after[..] {
            [] => {}
            [colour] if colour.text.starts_with('#') => self.pen(colour)?,
            [more, ..] => {
                let message = "after a string there may be a colour, #rrggbb";
                return Err(Fault::new("too-many-operands", more, message));
            }
        }
        let length = bytes.len();
        if length > MAX_TEXT {
            let message = format!("a text of {length} characters; {MAX_TEXT} at most");
            return Err(Fault::new("long-text", word, message).help("part it over several TXT"));
        }
        let place = if length == 0 { 0 } else { self.share(bytes) };
        let mut instruction = [code::TXT, 0, 0, 0, 0, length as u8];
        self.operand(&mut instruction, Operand::Byte(1), words[0], code::TXT);
        self.operand(&mut instruction, Operand::Byte(2), words[1], code::TXT);
        instruction[3..5].copy_from_slice(&(place as u16).to_le_bytes());
        self.push(instruction);
        Ok(())
    }

    fn pen(&mut self, colour: Word<'a>) -> Result<(), Fault<'a>> {
        let mut pen = [code::PEN, 0, 0, 0, 0, 0];
        self.operand(&mut pen, Operand::Colour, colour, code::PEN);
        self.push(pen);
        Ok(())
    }

    /// An operation by name and words.
    fn operation(
        &mut self,
        name: &str,
        mnemonic: Word<'a>,
        mut words: Vec<Word<'a>>,
    ) -> Result<(), Fault<'a>> {
        let forms: Vec<&Operation> = OPERATIONS.iter().filter(|form| form.name == name).collect();
        let Some(&first) = forms.first() else {
            let message = format!("there is no operation {}", quoted(mnemonic.text));
            let help = self.nearest_operation(&mnemonic.text.to_ascii_uppercase());
            return Err(Fault { help, ..Fault::new("unknown-mnemonic", mnemonic, message) });
        };
        let needed = first.operands.len();
        let alias = (code::ADD..=code::SEQI).contains(&first.code) && words.len() == 2;
        if alias {
            words.insert(0, words[0]);
        }
        let draws = (code::PLOT..=code::SPR).contains(&first.code);
        let coloured = words.get(needed).filter(|word| word.text.starts_with('#')).copied();
        let colour = coloured.filter(|_| draws && words.len() == needed + 1);
        if colour.is_some() {
            words.pop();
        }
        if words.len() != needed {
            let usage: Vec<String> = forms.iter().map(|form| form.usage()).collect();
            return Err(count_fault(mnemonic, &words, needed, usage.join(" or ")));
        }
        // The form whose kinds of operands are nearest to what stands there; the earlier, of equals.
        let fits = |form: &&Operation| {
            let pairs = form.operands.iter().zip(&words);
            pairs.filter(|&(&operand, &word)| self.fits(operand, word)).count()
        };
        let most = forms.iter().map(fits).max();
        let form = *forms.iter().find(|form| Some(fits(form)) == most).unwrap_or(&first);
        if let Some(colour) = colour {
            self.pen(colour)?;
        }
        let mut instruction = [form.code, 0, 0, 0, 0, 0];
        let before = self.diagnostics.len();
        for (at, (&operand, &word)) in form.operands.iter().zip(&words).enumerate() {
            // The word that stands for two operands has been told of.
            if alias && at == 1 && self.diagnostics.len() > before {
                continue;
            }
            self.operand(&mut instruction, operand, word, form.code);
        }
        self.push(instruction);
        Ok(())
    }

    fn fits(&self, operand: Operand, word: Word<'a>) -> bool {
        matches!(operand, Operand::Register(_)) == self.is_register(word)
    }

    /// Writes an operand's bytes, or says what is wrong with it.
    fn operand(
        &mut self,
        instruction: &mut Instruction,
        operand: Operand,
        word: Word<'a>,
        code: u8,
    ) {
        if let Err(fault) = self.encoded(instruction, operand, word, code) {
            self.report(fault);
        }
    }

    fn encoded(
        &mut self,
        instruction: &mut Instruction,
        operand: Operand,
        word: Word<'a>,
        code: u8,
    ) -> Result<(), Fault<'a>> {
        if let Operand::Register(at) = operand {
            instruction[at] = self.register(word).ok_or_else(|| {
                let message = format!("{} is no register, r0 to r15", quoted(word.text));
                let fault = Fault::new("expected-register", word, message);
                let numeric = !line::looks_like_register(word.text);
                if numeric {
                    fault.help(format!("SET rN {} puts it in one", shown(word)))
                } else {
                    fault
                }
            })?;
            return Ok(());
        }
        let (least, most) = match operand {
            Operand::Wide => WIDE,
            Operand::Half | Operand::Data => (0, 0xffff),
            Operand::Colour => (0, 0xff_ffff),
            Operand::To => (0, self.counted.0.saturating_sub(1) as i64),
            Operand::Byte(_) | Operand::Register(_) => (0, 255),
        };
        if self.is_register(word) {
            let message = format!("{} is a register; here stands a number", quoted(word.text));
            let fault = Fault::new("expected-number", word, message);
            return Err(match register_form(code) {
                Some(form) => fault.help(format!("in {} all are registers", form.usage())),
                None => fault,
            });
        }
        let value = self.value(word)?;
        let wrong = match operand {
            Operand::To if value.kind == Kind::Data => Some("a place in the data, not in the code"),
            Operand::Data if value.kind == Kind::Code => {
                Some("a place in the code, not in the data")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(Fault::new("wrong-kind", word, format!("{} is {wrong}", shown(word))));
        }
        // While places are counted, it is not known how many instructions there are.
        let counting = self.pass == Pass::Layout && operand == Operand::To;
        let number = value.number;
        if !counting && !(least..=most).contains(&number) {
            let fault = match operand {
                Operand::To => {
                    let message = format!("{number} is no instruction, 0 to {most}");
                    Fault::new("jump-outside", word, message)
                }
                Operand::Colour => {
                    let message = format!("{number} is no colour, #000000 to #ffffff");
                    Fault::new("out-of-range", word, message)
                }
                _ => {
                    let message = format!("{number} is outside of {least} to {most}");
                    Fault::new("out-of-range", word, message)
                }
            };
            return Err(match register_form(code) {
                _ if matches!(operand, Operand::To | Operand::Colour) => fault,
                Some(form) => fault.help(format!(
                    "the register form takes any number: SET rN {number}, then {}",
                    form.usage()
                )),
                None if code == code::LDI => fault.help("SET takes any number of 32 bits"),
                None => fault,
            });
        }
        let [c, d, e, _] = (number as i32).to_le_bytes();
        match operand {
            Operand::Byte(at) | Operand::Register(at) => instruction[at] = c,
            Operand::Half | Operand::To | Operand::Data => {
                instruction[3..5].copy_from_slice(&[c, d]);
            }
            Operand::Wide | Operand::Colour => instruction[3..6].copy_from_slice(&[c, d, e]),
        }
        Ok(())
    }
}

/// The form of an operation that takes all of its operands from registers, if it is another.
fn register_form(code: u8) -> Option<&'static Operation> {
    let this = operation(code)?;
    OPERATIONS.iter().find(|form| {
        let all = form.operands.iter().all(|operand| matches!(operand, Operand::Register(_)));
        form.name == this.name && form.code != code && all
    })
}

fn shown(word: Word<'_>) -> String {
    quoted(word.text).trim_matches('\'').to_string()
}

/// Too few operands, said of the mnemonic; too many, of the first that is one too many.
fn count_fault<'a>(
    mnemonic: Word<'a>,
    words: &[Word<'a>],
    needed: usize,
    usage: String,
) -> Fault<'a> {
    let count = words.len();
    let (code, word) = match words.get(needed) {
        Some(&word) => ("too-many-operands", word),
        None => ("too-few-operands", mnemonic),
    };
    let message = format!("{} needs {needed} operands, here are {count}", quoted(mnemonic.text));
    Fault::new(code, word, message).help(format!("it is written as {usage}"))
}

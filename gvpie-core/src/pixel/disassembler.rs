//! Texts from programs.

use super::isa::{self, Instruction, Operand, Operation, code, operation};
use super::program::{Mode, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;

/// Bytes of data in a line.
const BYTES_A_LINE: usize = 16;

/// Characters of data in a line.
const CHARACTERS_A_LINE: usize = 64;

/// Printable characters in a row that are written as a string.
const LEAST_STRING: usize = 4;

/// The text of a program: [`assemble`](super::assemble) makes the same program of it, whatever its
/// bytes are, so long as it keeps its limits ([`Program::check`]).
///
/// Where jumps lead are labels `at_N`, data that instructions name are labels `data_N`; texts stand
/// in their TXT where the assembler would put them where they are. An instruction that the assembler
/// would write otherwise (a code of no operation, a register above 15, a jump to outside of the code,
/// bytes where no operand is) is a `.raw`.
///
/// ```
/// use gvpie_core::pixel::{assemble, disassemble};
/// let text = "top: TXT 10 10 Hi\nJMP top\n";
/// let program = assemble(text)?;
/// assert!(disassemble(&program).contains("at_0:\n    TXT 10 10 \"Hi\"\n    JMP at_0\n"));
/// assert_eq!(assemble(&disassemble(&program))?, program);
/// # Ok::<(), Vec<gvpie_core::pixel::Diagnostic>>(())
/// ```
pub fn disassemble(program: &Program) -> String {
    let texts = texts_from(program);
    let listing = Listing::new(program, texts);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = listing.write(&mut out);
    out
}

/// Where the texts begin that stand in their TXT: the first place from which on the data are what the
/// assembler would put behind them.
fn texts_from(program: &Program) -> usize {
    let drawn = |instruction: &Instruction| {
        let place = isa::half(*instruction) as usize;
        let length = usize::from(instruction[5]);
        (instruction[0] == code::TXT && length > 0).then_some(place..place + length)
    };
    let texts: Vec<Range<usize>> = program.code.iter().filter_map(drawn).collect();
    let data = &program.data;
    let holds = |&from: &usize| {
        let mut places: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut end = from;
        for text in texts.iter().filter(|text| text.start >= from) {
            let Some(bytes) = data.get(text.clone()) else { return false };
            let place = *places.entry(bytes).or_insert(end);
            if place == end {
                end += bytes.len();
            }
            if place != text.start {
                return false;
            }
        }
        end == data.len()
    };
    let starts: BTreeSet<usize> = texts.iter().map(|text| text.start).collect();
    starts.into_iter().find(holds).unwrap_or(data.len())
}

struct Listing<'a> {
    program: &'a Program,
    /// TXT from here on are written with their texts.
    texts: usize,
    /// Instructions that jumps lead to.
    targets: BTreeSet<usize>,
    /// Places in the data that instructions name, and whether as a sprite.
    places: BTreeMap<usize, bool>,
}

impl<'a> Listing<'a> {
    fn new(program: &'a Program, texts: usize) -> Self {
        let mut listing =
            Listing { program, texts, targets: BTreeSet::new(), places: BTreeMap::new() };
        for &instruction in &program.code {
            let Some(operation) = listing.written(instruction) else { continue };
            let half = isa::half(instruction) as usize;
            for operand in operation.operands {
                match operand {
                    Operand::To => {
                        listing.targets.insert(half);
                    }
                    Operand::Data if half < texts => {
                        let sprite = instruction[0] == code::SPR;
                        *listing.places.entry(half).or_insert(false) |= sprite;
                    }
                    _ => {}
                }
            }
        }
        listing
    }

    /// The operation of an instruction that can be written as one.
    fn written(&self, instruction: Instruction) -> Option<&'static Operation> {
        let operation = operation(instruction[0])?;
        let mut used = [true, false, false, false, false, false];
        for operand in operation.operands {
            match *operand {
                Operand::Register(at) if instruction[at] > 15 => return None,
                Operand::To if isa::half(instruction) as usize >= self.program.code.len() => {
                    return None;
                }
                Operand::Register(at) | Operand::Byte(at) => used[at] = true,
                Operand::Half | Operand::To | Operand::Data => used[3..5].fill(true),
                Operand::Wide | Operand::Colour => used[3..6].fill(true),
            }
        }
        let junk = instruction.iter().zip(used).any(|(&byte, used)| byte != 0 && !used);
        (!junk).then_some(operation)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let program = self.program;
        let [width, height] = program.canvas;
        for (key, value) in &program.meta {
            writeln!(out, ".meta {} {}", string(key), string(value))?;
        }
        writeln!(out, ".canvas {width} {height}")?;
        if program.mode != Mode::default() {
            writeln!(out, ".mode {}", program.mode)?;
        }
        if program.seed != 0 {
            writeln!(out, ".seed {}", program.seed)?;
        }
        for (at, &instruction) in program.code.iter().enumerate() {
            if self.targets.contains(&at) {
                writeln!(out, "at_{at}:")?;
            }
            match self.written(instruction) {
                Some(operation) => {
                    writeln!(out, "    {}", self.instruction(operation, instruction))?
                }
                None => {
                    let [op, rest @ ..] = instruction;
                    write!(out, "    .raw 0x{op:02x}")?;
                    rest.iter().try_for_each(|byte| write!(out, " {byte}"))?;
                    writeln!(out)?;
                }
            }
        }
        let last = program.code.last().map(|instruction| instruction[0]);
        if !matches!(last, Some(code::HALT | code::JMP | code::JR | code::RET)) {
            writeln!(out, "    .end")?;
        }
        self.data(out)
    }

    fn instruction(&self, operation: &Operation, instruction: Instruction) -> String {
        let half = isa::half(instruction) as usize;
        if operation.code == code::TXT && half >= self.texts {
            let text = self.program.data.get(half..half + usize::from(instruction[5]));
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                let [_, x, y, ..] = instruction;
                return format!("TXT {x} {y} {}", glyphs(text));
            }
        }
        let operand = |operand: &Operand| match *operand {
            Operand::Register(at) => format!(" r{}", instruction[at]),
            Operand::Byte(3)
                if operation.code == code::CHR && (32..127).contains(&instruction[3]) =>
            {
                match instruction[3] {
                    c @ (b'\'' | b'\\') => format!(" '\\{}'", char::from(c)),
                    c => format!(" '{}'", char::from(c)),
                }
            }
            Operand::Byte(at) => format!(" {}", instruction[at]),
            Operand::Half => format!(" {half}"),
            Operand::Wide => format!(" {}", isa::wide(instruction)),
            Operand::To => format!(" at_{half}"),
            Operand::Data if half < self.texts => format!(" @data_{half}"),
            Operand::Data => format!(" @{half}"),
            Operand::Colour => {
                let [_, _, _, r, g, b] = instruction;
                format!(" #{r:02x}{g:02x}{b:02x}")
            }
        };
        operation.name.to_string() + &operation.operands.iter().map(operand).collect::<String>()
    }

    /// The data before the texts, parted where instructions name a place.
    fn data(&self, out: &mut String) -> std::fmt::Result {
        let data = &self.program.data[..self.texts];
        let mut starts: Vec<usize> = self.places.keys().copied().collect();
        if starts.first() != Some(&0) {
            starts.insert(0, 0);
        }
        let ends = starts.iter().skip(1).copied().chain([data.len()]);
        for (&start, end) in starts.iter().zip(ends) {
            let mut piece = &data[start..end];
            if let Some(&sprite) = self.places.get(&start) {
                writeln!(out, "data_{start}:")?;
                if sprite && piece.len() >= 8 {
                    for row in &piece[..8] {
                        let dot = |bit: u8| if row >> (7 - bit) & 1 == 1 { '#' } else { '.' };
                        writeln!(out, "    .data {}", (0..8).map(dot).collect::<String>())?;
                    }
                    piece = &piece[8..];
                }
            }
            while !piece.is_empty() {
                let printable = |from: usize| {
                    piece[from..].iter().take_while(|c| (32..127).contains(*c)).count()
                };
                let length = match printable(0) {
                    run if run >= LEAST_STRING => {
                        let length = run.min(CHARACTERS_A_LINE);
                        writeln!(out, "    .data {}", glyphs(&piece[..length]))?;
                        length
                    }
                    _ => {
                        let string = |&from: &usize| printable(from) >= LEAST_STRING;
                        let most = piece.len().min(BYTES_A_LINE);
                        let length = (1..most).find(string).unwrap_or(most);
                        let bytes = piece[..length].iter().map(|byte| format!(" {byte}"));
                        writeln!(out, "    .data{}", bytes.collect::<String>())?;
                        length
                    }
                };
                piece = &piece[length..];
            }
        }
        Ok(())
    }
}

/// Bytes in quotes, as TXT draws them.
fn glyphs(bytes: &[u8]) -> String {
    let one = |&byte: &u8| match byte {
        b'\n' => "\\n".into(),
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        32..127 => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("\"{}\"", bytes.iter().map(one).collect::<String>())
}

/// Characters in quotes.
fn string(text: &str) -> String {
    let one = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(one).collect::<String>())
}

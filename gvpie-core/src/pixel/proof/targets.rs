//! What must hold of any bytes.

use crate::pixel::program::{Mode, Program};
use crate::pixel::state::{Slice, at};
use crate::pixel::{Cartridge, Fault, State, Status, assemble, cpu, disassemble};

/// Cycles of a machine's life in a case.
const LIFE: u32 = 300;

/// What bytes are taken for, each with what must hold of all of them.
///
/// ```
/// use gvpie_core::pixel::proof::Target;
/// assert_eq!(Target::Assembler.check(b"ADDD r1\n\xff: JMP .data"), Ok(()));
/// assert_eq!(Target::Loader.check(b"no PNG"), Ok(()));
/// assert_eq!(Target::Machine.check(&[7; 90]), Ok(()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A text: a wrong one is told what is wrong, each place once and within its lines; a right one
    /// is a program within its limits that comes back from its disassembly.
    Assembler,
    /// A file: what is read comes back when it is written.
    Loader,
    /// A program, its data and canvas: it comes back from its disassembly, its life is the same
    /// however it is cut into slices, each slice keeps its fuel, and its snapshots come back.
    Machine,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 3] = [Target::Assembler, Target::Loader, Target::Machine];

    /// Tries these bytes.
    ///
    /// # Errors
    /// What does not hold. A panic is a finding, too.
    pub fn check(self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Target::Assembler => text(&String::from_utf8_lossy(bytes)),
            Target::Loader => file(bytes),
            Target::Machine => machine(&taken_for_a_program(bytes)),
        }
    }
}

impl std::fmt::Display for Target {
    /// Its name, that of its folder in `fuzz/corpus`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Target::Assembler => "assembler",
            Target::Loader => "loader",
            Target::Machine => "machine",
        })
    }
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn text(text: &str) -> Result<(), String> {
    let faults = match assemble(text) {
        Ok(program) => {
            program.check().map_err(|error| error.to_string())?;
            return comes_back(&program);
        }
        Err(faults) => faults,
    };
    require(!faults.is_empty(), || "refused without a reason".into())?;
    let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    for (i, fault) in faults.iter().enumerate() {
        let length = fault.line.checked_sub(1).and_then(|line| lines.get(line));
        let inside = length.is_some_and(|length| fault.end_column <= length + 1);
        let ordered = 1 <= fault.column && fault.column <= fault.end_column;
        require(inside && ordered, || format!("a place outside of the text: {fault:?}"))?;
        let plain = !fault.message.is_empty() && !fault.message.contains(char::is_control);
        require(plain, || format!("a message that is no line: {fault:?}"))?;
        require(!faults[..i].contains(fault), || format!("told twice: {fault:?}"))?;
        require(!fault.render(text, "text").is_empty(), || format!("not shown: {fault:?}"))?;
    }
    let places = || faults.iter().map(|fault| (fault.line, fault.column));
    require(places().is_sorted(), || format!("out of order: {faults:?}"))
}

fn comes_back(program: &Program) -> Result<(), String> {
    let text = disassemble(program);
    match assemble(&text) {
        Ok(again) if again == *program => Ok(()),
        Ok(_) => Err(format!("another program comes back from\n{text}")),
        Err(faults) => Err(faults[0].render(&text, "disassembly")),
    }
}

fn file(bytes: &[u8]) -> Result<(), String> {
    let Ok(cartridge) = Cartridge::decode(bytes) else { return Ok(()) };
    cartridge.program.check().map_err(|error| error.to_string())?;
    let again = cartridge.encode().map_err(|error| format!("read, not written: {error}"))?;
    match Cartridge::decode(&again) {
        Ok(again) if again == cartridge => Ok(()),
        Ok(_) => Err("another cartridge comes back".into()),
        Err(error) => Err(format!("written, not read: {error}")),
    }
}

/// The first four bytes say mode, canvas and how many bytes are data; those are the last ones.
fn taken_for_a_program(bytes: &[u8]) -> Program {
    let (head, rest) = bytes.split_at(bytes.len().min(4));
    let head: [u8; 4] = std::array::from_fn(|i| head.get(i).copied().unwrap_or(0));
    let [mode, width, height, data] = head;
    let data = usize::from(data).min(rest.len());
    let (code, data) = rest.split_at(rest.len() - data);
    let code = code.as_chunks().0;
    Program {
        code: code[..code.len().min(crate::pixel::MAX_CODE)].to_vec(),
        data: data.to_vec(),
        mode: if mode & 1 == 0 { Mode::Total } else { Mode::Strict },
        seed: u32::from_le_bytes(head),
        canvas: [1 + u32::from(width % 40), 1 + u32::from(height % 40)],
        meta: Vec::new(),
    }
}

fn machine(program: &Program) -> Result<(), String> {
    program.check().map_err(|error| error.to_string())?;
    comes_back(program)?;
    // What an instruction costs at most: itself, and the whole canvas or 255 glyphs.
    let pixels = program.canvas[0] * program.canvas[1];
    let dearest = 1 + pixels.max(255 * 35).div_ceil(64);
    let life = |slice: Slice| {
        let mut state = State::new(program, 0, 1);
        state.limit(LIFE);
        while state.status() == Status::Running {
            let before = (state.fuel(), state.cycles());
            cpu::run(program, &mut state, slice);
            let (fuel, cycles) = (state.fuel() - before.0, state.cycles() - before.1);
            require(fuel < slice.fuel + dearest && cycles <= slice.steps, || {
                format!("a slice of {slice:?} took {fuel} fuel and {cycles} cycles")
            })?;
            require(state.status() != Status::Running || cycles > 0, || "it stands still".into())?;
        }
        Ok::<State, String>(state)
    };
    let whole = life(Slice { steps: u32::MAX, fuel: 1 << 30 })?;
    for slice in [Slice { steps: 7, fuel: 1 << 30 }, Slice { steps: 64, fuel: 20 }] {
        require(life(slice)? == whole, || format!("slices of {slice:?} end otherwise"))?;
    }
    let by_itself = [None, Some(Fault::Timeout), Some(Fault::Trap), Some(Fault::Assertion)];
    require(program.mode == Mode::Strict || by_itself.contains(&whole.fault()), || {
        format!("a total program stopped for {:?}", whole.fault())
    })?;
    require(whole.words().len() == at::WORDS, || "words were lost".into())?;
    let again = State::from_bytes(&whole.to_bytes()).map_err(|error| error.to_string())?;
    require(again == whole, || "another state comes back from its bytes".into())
}

//! What a machine is at a moment: its words and its canvas, the same on every back end.

use super::program::{Mode, Program};
use crate::error::{Error, Result};

/// The input or output that a machine holds at once, in bytes.
pub const PORT_BYTES: usize = 256;

macro_rules! layout {
    ($($(#[$doc:meta])* $name:ident $at:expr;)*) => {
        /// Where the words of a machine stand. Numbers with a sign are in two's complement.
        pub mod at {
            $($(#[$doc])* pub const $name: usize = $at;)*
        }

        /// The same by name, for shaders.
        pub(super) const PLACES: &[(&str, usize)] = &[$((stringify!($name), at::$name)),*];
    };
}

layout! {
    /// r0 to r15.
    REGISTERS 0;
    /// 32 words.
    STACK 16;
    /// 256 words.
    MEMORY 48;
    /// The next instruction.
    IP 304;
    /// Words on the stack.
    DEPTH 305;
    /// The state of the random numbers.
    RANDOM 306;
    /// Colours of 24 bits, red lowest.
    PEN 307;
    /// The colour of CLS and SCROLL.
    PAPER 308;
    /// Left, top, right, bottom; the last two are the first pixels outside.
    CLIP 309;
    /// Left, top.
    ORIGIN 313;
    /// A [`Status`](super::Status).
    STATUS 315;
    /// Of a [`Fault`](super::Fault), or 0.
    FAULT 316;
    /// Instructions that were run.
    CYCLES 317;
    /// Instructions and drawing that were paid for.
    FUEL 318;
    /// Instructions after which the machine stops with fault 6.
    LIMIT 319;
    /// Frames that were shown.
    FRAME 320;
    /// Milliseconds since the beginning.
    TIME 321;
    /// Left, top, buttons.
    MOUSE 322;
    /// Keys that are down.
    KEYS 325;
    /// The machine's number.
    LANE 326;
    /// How many there are.
    LANES 327;
    /// Bytes of the input that were read, and that are there.
    INPUT_READ 328;
    /// Bytes of the input that are there.
    INPUT_HELD 329;
    /// Whether more input follows.
    INPUT_MORE 330;
    /// Bytes of output that wait.
    OUTPUT_HELD 331;
    /// 256 bytes.
    INPUT 332;
    /// 256 bytes.
    OUTPUT 396;
    /// How many words there are.
    WORDS 460;
}

/// Why a machine does not go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// It does.
    Running = 0,
    /// HALT, or the end of its program.
    Halted = 1,
    /// YIELD: its picture is done.
    Yielded = 2,
    /// BRK.
    Paused = 3,
    /// Stopped by a [`Fault`].
    Faulted = 4,
    /// Its output is full; nothing is lost.
    Full = 5,
    /// It has read all of its input that is there, and more follows.
    Starved = 6,
}

impl Status {
    const ALL: [Status; 7] = [
        Status::Running,
        Status::Halted,
        Status::Yielded,
        Status::Paused,
        Status::Faulted,
        Status::Full,
        Status::Starved,
    ];

    /// The status of this number.
    pub fn of(word: u32) -> Option<Self> {
        Self::ALL.get(word as usize).copied()
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Running => "running",
            Status::Halted => "halted",
            Status::Yielded => "yielded",
            Status::Paused => "paused",
            Status::Faulted => "faulted",
            Status::Full => "output full",
            Status::Starved => "input awaited",
        })
    }
}

/// What stopped a machine for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Fault {
    /// A code of no operation.
    Operation = 1,
    /// A place outside of memory, data, program or ports.
    Bounds = 2,
    /// More than 32 words on the stack.
    Overflow = 3,
    /// None on it.
    Underflow = 4,
    /// A division by zero.
    Division = 5,
    /// All cycles were run.
    Timeout = 6,
    /// TRAP.
    Trap = 7,
    /// ASSERT of zero.
    Assertion = 8,
}

impl Fault {
    const ALL: [Fault; 8] = [
        Fault::Operation,
        Fault::Bounds,
        Fault::Overflow,
        Fault::Underflow,
        Fault::Division,
        Fault::Timeout,
        Fault::Trap,
        Fault::Assertion,
    ];

    /// The fault of this number.
    pub fn of(word: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&fault| fault as u32 == word)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::Operation => "unknown operation",
            Fault::Bounds => "place out of bounds",
            Fault::Overflow => "stack overflow",
            Fault::Underflow => "stack underflow",
            Fault::Division => "division by zero",
            Fault::Timeout => "out of cycles",
            Fault::Trap => "trap",
            Fault::Assertion => "assertion failed",
        })
    }
}

/// What a machine is told at the beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Milliseconds since the beginning.
    pub time: u32,
    /// The mouse, in pixels from the left and from the top.
    pub mouse: [i32; 2],
    /// 1 left, 2 right, 4 middle.
    pub buttons: u32,
    /// 1 left, 2 right, 4 up, 8 down, 16 space, 32 enter.
    pub keys: u32,
}

/// A machine at a moment.
///
/// ```
/// use gvpie_core::pixel::{Program, State, Status};
/// let state = State::new(&Program::default(), 0, 1);
/// assert_eq!(state.status(), Status::Running);
/// assert_eq!(state.canvas().len(), 128 * 64);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub(super) words: Vec<u32>,
    pub(super) canvas: Vec<u32>,
    pub(super) size: [u32; 2],
}

/// b mixed: one step of PCG RXS-M-XS 32 (O'Neill 2014) from it on.
pub(super) fn hash(b: u32) -> u32 {
    mixed(step(b))
}

/// The next state of the random numbers.
pub(super) fn step(state: u32) -> u32 {
    state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453)
}

/// The number of a state.
pub(super) fn mixed(state: u32) -> u32 {
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// Opaque black.
pub(super) const BLANK: u32 = 0xff00_0000;

impl State {
    /// The machine of number `lane` of so many, before its first instruction.
    pub fn new(program: &Program, lane: u32, lanes: u32) -> Self {
        let [width, height] = program.canvas;
        let mut words = vec![0; at::WORDS];
        let start = program.seed.wrapping_add(lane.wrapping_mul(0x9e37_79b9));
        words[at::RANDOM] = hash(start);
        words[at::PEN] = 0xff_ffff;
        words[at::CLIP + 2] = width;
        words[at::CLIP + 3] = height;
        words[at::LIMIT] = u32::MAX;
        words[at::LANE] = lane;
        words[at::LANES] = lanes;
        let canvas = vec![BLANK; width as usize * height as usize];
        State { words, canvas, size: program.canvas }
    }

    /// Its words, as [`at`] says.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Its pixels row by row, red lowest.
    pub fn canvas(&self) -> &[u32] {
        &self.canvas
    }

    /// Width and height of its canvas.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// r0 to r15.
    pub fn registers(&self) -> [i32; 16] {
        std::array::from_fn(|register| self.words[at::REGISTERS + register] as i32)
    }

    /// The next instruction.
    pub fn ip(&self) -> u32 {
        self.words[at::IP]
    }

    /// Instructions that were run.
    pub fn cycles(&self) -> u32 {
        self.words[at::CYCLES]
    }

    /// Instructions and drawing that were paid for.
    pub fn fuel(&self) -> u32 {
        self.words[at::FUEL]
    }

    /// Why it does not go on by itself.
    pub fn status(&self) -> Status {
        Status::of(self.words[at::STATUS]).unwrap_or(Status::Halted)
    }

    /// What stopped it for good.
    pub fn fault(&self) -> Option<Fault> {
        Fault::of(self.words[at::FAULT])
    }

    /// Stops it with [`Fault::Timeout`] after so many cycles of its life.
    pub fn limit(&mut self, cycles: u32) {
        self.words[at::LIMIT] = cycles;
    }

    /// Counts cycles and fuel from 0 again. They are words of 32 bits, and a life may be longer: who lets
    /// machines run without an end adds them up elsewhere, and sets a [`limit`](Self::limit) for each part.
    pub fn recount(&mut self) {
        self.words[at::CYCLES] = 0;
        self.words[at::FUEL] = 0;
    }

    /// Gives it bytes to read, as many as it has room for, and says how many these were; `more` if
    /// others will follow.
    pub fn feed(&mut self, bytes: &[u8], more: bool) -> usize {
        let (read, held) = (self.words[at::INPUT_READ], self.words[at::INPUT_HELD]);
        let waiting: Vec<u8> = (read..held).map(|i| self.byte(at::INPUT, i as usize)).collect();
        let taken = bytes.len().min(PORT_BYTES - waiting.len());
        let all = waiting.iter().chain(&bytes[..taken]);
        self.words[at::INPUT..at::INPUT + PORT_BYTES / 4].fill(0);
        for (i, &byte) in all.enumerate() {
            self.words[at::INPUT + i / 4] |= u32::from(byte) << (8 * (i % 4));
        }
        self.words[at::INPUT_READ] = 0;
        self.words[at::INPUT_HELD] = (waiting.len() + taken) as u32;
        self.words[at::INPUT_MORE] = u32::from(more || taken < bytes.len());
        if self.status() == Status::Starved {
            self.words[at::STATUS] = Status::Running as u32;
        }
        taken
    }

    /// Takes what it has written.
    pub fn drain(&mut self) -> Vec<u8> {
        let held = self.words[at::OUTPUT_HELD] as usize;
        let bytes = (0..held).map(|i| self.byte(at::OUTPUT, i)).collect();
        self.words[at::OUTPUT..at::OUTPUT + PORT_BYTES / 4].fill(0);
        self.words[at::OUTPUT_HELD] = 0;
        if self.status() == Status::Full {
            self.words[at::STATUS] = Status::Running as u32;
        }
        bytes
    }

    /// Begins the next frame, where it waits for one.
    pub fn frame(&mut self, inputs: Inputs) {
        self.words[at::TIME] = inputs.time;
        self.words[at::MOUSE] = inputs.mouse[0] as u32;
        self.words[at::MOUSE + 1] = inputs.mouse[1] as u32;
        self.words[at::MOUSE + 2] = inputs.buttons;
        self.words[at::KEYS] = inputs.keys;
        if self.status() == Status::Yielded {
            self.words[at::FRAME] = self.words[at::FRAME].wrapping_add(1);
            self.words[at::STATUS] = Status::Running as u32;
        }
    }

    /// Goes on after BRK.
    pub fn resume(&mut self) {
        if self.status() == Status::Paused {
            self.words[at::STATUS] = Status::Running as u32;
        }
    }

    /// Its words and pixels as bytes, little-endian, to keep or to hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = self.size.iter();
        header.chain(&self.words).chain(&self.canvas).flat_map(|w| w.to_le_bytes()).collect()
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`Error::Value`] for bytes that it cannot have given.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let refuse = |found: String| Error::Value {
            operand: "the snapshot".into(),
            expected: "the bytes of a machine".into(),
            found,
        };
        let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let words: Vec<u32> = bytes.chunks_exact(4).map(word).collect();
        let &[width, height, ref rest @ ..] = &words[..] else {
            return Err(refuse(format!("{} bytes", bytes.len())));
        };
        let program = Program { canvas: [width, height], ..Program::default() };
        program.check()?;
        let pixels = width as usize * height as usize;
        if !bytes.len().is_multiple_of(4) || rest.len() != at::WORDS + pixels {
            return Err(refuse(format!("{} bytes for {width} x {height} pixels", bytes.len())));
        }
        let (words, canvas) = rest.split_at(at::WORDS);
        let state = State { words: words.into(), canvas: canvas.into(), size: [width, height] };
        state.sound().map_err(refuse)?;
        Ok(state)
    }

    /// Whether its words are such as a machine can have; else says which are not.
    fn sound(&self) -> std::result::Result<(), String> {
        let word = |place| self.words[place];
        let [width, height] = self.size;
        let most = [
            (at::DEPTH, "words on the stack", 32),
            (at::CLIP, "left of the clip", width),
            (at::CLIP + 1, "top of the clip", height),
            (at::CLIP + 2, "right of the clip", width),
            (at::CLIP + 3, "bottom of the clip", height),
            (at::STATUS, "status", Status::Starved as u32),
            (at::INPUT_HELD, "bytes of input", PORT_BYTES as u32),
            (at::INPUT_READ, "bytes of input read", word(at::INPUT_HELD)),
            (at::OUTPUT_HELD, "bytes of output", PORT_BYTES as u32),
        ];
        match most.into_iter().find(|&(place, _, most)| word(place) > most) {
            Some((place, what, most)) => Err(format!("{what}: {}, more than {most}", word(place))),
            None => Ok(()),
        }
    }

    fn byte(&self, from: usize, i: usize) -> u8 {
        (self.words[from + i / 4] >> (8 * (i % 4))) as u8
    }
}

/// What an instruction of a slice may cost at most, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub steps: u32,
    pub fuel: u32,
}

/// Whether faults stop a program.
pub(super) fn is_strict(mode: Mode) -> bool {
    mode == Mode::Strict
}

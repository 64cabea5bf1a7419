//! What the sanitizer tells.

use crate::ir::{Memory, Span};
use std::fmt;

/// What was found in a dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Faults, in the order they were met; each pair of places once, a thousand at most.
    pub findings: Vec<Finding>,
    /// What each access to buffers and workgroup memory takes, in the order of the source.
    pub traffic: Vec<Traffic>,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Where in the source.
    pub span: Span,
    /// The workgroup that it was met in first.
    pub workgroup: [u32; 3],
    /// The lane; of a barrier, the first that is missing.
    pub lane: u32,
    /// How often it was met.
    pub count: u64,
}

/// What a fault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Two lanes reach the same word, one of them to write, and nothing orders them.
    Race {
        /// The variable, as the source calls it.
        memory: String,
        /// The byte, from the beginning of the buffer, of the texture or of workgroup memory.
        address: u32,
        /// Whether the later one writes.
        writes: bool,
        /// Who was there before.
        other: Party,
    },
    /// An index is not below the length of its array.
    OutOfBounds {
        /// The index.
        index: u32,
        /// Elements of the array.
        length: u32,
    },
    /// A texel is reached that its texture has not.
    OutsideTexture {
        /// The texture, as the source calls it.
        texture: String,
        /// The coordinates, and the layer where it has layers; 0 for those that it has not.
        at: [i64; 3],
        /// The level.
        level: u32,
        /// Texels of that level along each axis, or layers; zeros if there is no such level.
        size: [u32; 3],
    },
    /// Workgroup memory is read that the workgroup has not written to: it is zero.
    Uninitialised {
        /// The variable, as the source calls it.
        memory: String,
        /// The byte, from the beginning of workgroup memory.
        address: u32,
    },
    /// Not all lanes come to a barrier.
    Divergent,
    /// An integer is divided by zero, or its remainder taken.
    DividedByZero,
    /// A NaN comes of operands that are none. Only the first of a dispatch is told.
    NotANumber,
}

/// Which kind a finding is of, to tell it from others before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    Race,
    Uninitialised,
    OutOfBounds,
    OutsideTexture,
    Divergent,
    DividedByZero,
    NotANumber,
}

/// Who was at a word before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// Where in the source.
    pub span: Span,
    /// Its workgroup.
    pub workgroup: [u32; 3],
    /// Its lane.
    pub lane: u32,
    /// Whether it wrote.
    pub writes: bool,
}

/// What the accesses at one place in the source take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Where in the source.
    pub span: Span,
    /// Which memory.
    pub memory: Memory,
    /// How often a subgroup was there.
    pub accesses: u64,
    /// Sectors of 32 bytes of a buffer that were moved, or turns that the 32 banks of workgroup memory took.
    pub taken: u64,
    /// As few would do for the same words, were they side by side.
    pub least: u64,
}

impl Traffic {
    pub(super) fn new(span: Span, memory: Memory) -> Traffic {
        Traffic { span, memory, accesses: 0, taken: 0, least: 0 }
    }
}

impl Span {
    /// Its line in the source, from 1 on.
    pub fn line(self, source: &str) -> usize {
        let end = source.len().min(self.start as usize);
        source.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

impl Finding {
    /// The finding as a sentence, with lines of this source.
    pub fn text(&self, source: &str) -> String {
        let mut text = format!("line {}: {}", self.span.line(source), self);
        if let Kind::Race { other, .. } = &self.kind {
            text += &format!(", at line {}", other.span.line(source));
        }
        if self.count > 1 {
            text += &format!(" ({} times)", self.count);
        }
        text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = |writes| if writes { "writes" } else { "reads" };
        let (lane, workgroup) = (self.lane, self.workgroup);
        let who = format!("lane {lane} of workgroup {workgroup:?}");
        match &self.kind {
            Kind::Race { memory, address, writes, other } => write!(
                f,
                "race: {who} {} byte {address} of {memory}, which lane {} of workgroup {:?} {} with no \
                 barrier between",
                verb(*writes),
                other.lane,
                other.workgroup,
                verb(other.writes),
            ),
            Kind::OutOfBounds { index, length } => {
                write!(f, "out of bounds: {who} has index {index} of {length} elements")
            }
            Kind::OutsideTexture { texture, at, level, size } => write!(
                f,
                "out of bounds: {who} is at texel {at:?} of {texture}, whose level {level} has {size:?}",
            ),
            Kind::Uninitialised { memory, address } => {
                write!(f, "not written yet: {who} reads byte {address} of {memory}")
            }
            Kind::Divergent => write!(f, "barrier in divergent flow: {who} is not there"),
            Kind::DividedByZero => write!(f, "integer divided by zero by {who}"),
            Kind::NotANumber => write!(f, "the first NaN comes of numbers, in {who}"),
        }
    }
}

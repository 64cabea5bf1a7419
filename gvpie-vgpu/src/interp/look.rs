//! What a workgroup holds, for who looks on from step to step.

use super::lanes::{Mask, Registers};
use super::plan::Program;
use super::step::Step;
use crate::ir::{Scope, Span, Type, Where};
use half::f16;
use std::fmt;

/// A number that a variable holds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Datum {
    Bool(bool),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F16(f16),
    F32(f32),
    F64(f64),
}

impl Datum {
    /// What these bits, the lowest ones, mean in a type.
    pub fn of(ty: Type, bits: u64) -> Datum {
        let word = bits as u32;
        match ty {
            Type::Bool => Datum::Bool(word != 0),
            Type::I32 => Datum::I32(word as i32),
            Type::U32 => Datum::U32(word),
            Type::I64 => Datum::I64(bits as i64),
            Type::U64 => Datum::U64(bits),
            Type::F16 => Datum::F16(f16::from_bits(word as u16)),
            Type::F32 => Datum::F32(f32::from_bits(word)),
            Type::F64 => Datum::F64(f64::from_bits(bits)),
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Bool(a) => a.fmt(f),
            Datum::I32(a) => a.fmt(f),
            Datum::U32(a) => a.fmt(f),
            Datum::I64(a) => a.fmt(f),
            Datum::U64(a) => a.fmt(f),
            Datum::F16(a) => a.fmt(f),
            Datum::F32(a) => a.fmt(f),
            Datum::F64(a) => a.fmt(f),
        }
    }
}

/// A workgroup that is about to take a step.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(super) program: &'a Program,
    pub(super) registers: &'a Registers,
    pub(super) memory: &'a [u32],
    pub(super) private: &'a [u32],
    /// The lanes that take part.
    pub(crate) mask: &'a Mask,
    /// Where in the source.
    pub(crate) span: Span,
    /// The barrier, if it is one.
    pub(crate) barrier: Option<Scope>,
}

impl Look<'_> {
    /// What a variable of a lane holds, element by element; nothing if there is no such lane or variable.
    pub(crate) fn read(&self, lane: usize, at: Where) -> Option<Vec<Datum>> {
        let lanes = self.program.lanes;
        if lane >= lanes {
            return None;
        }
        let elements = |words: &[u32], dealt: usize, from: u32, count: u32, ty: Type| {
            // Word w of the lane's own memory is at w × lanes + lane.
            let word =
                |at: u32| words.get((at / 4) as usize * dealt + if dealt > 1 { lane } else { 0 });
            let one = |number: u32| {
                let at = from.checked_add(number.checked_mul(ty.bytes())?)?;
                let low = u64::from(*word(at)?);
                let bits = match ty.bytes() {
                    8 => low | u64::from(*word(at.checked_add(4)?)?) << 32,
                    2 => low >> ((at & 2) * 8),
                    _ => low,
                };
                Some(Datum::of(ty, bits))
            };
            (0..count).map(one).collect()
        };
        match at {
            Where::Slot(slot) => {
                let (wide, register) = *self.program.slots.get(slot.0 as usize)?;
                let ty = self.program.kernel.slots[slot.0 as usize];
                Some(vec![Datum::of(ty, self.registers.lane(wide, register, lane))])
            }
            Where::Private(from, count, ty) => elements(self.private, lanes, from, count, ty),
            Where::Workgroup(from, count, ty) => elements(self.memory, 1, from, count, ty),
        }
    }

    /// The workgroup's memory.
    pub(crate) fn memory(&self) -> Vec<u8> {
        let bytes = self.memory.iter().flat_map(|word| word.to_le_bytes());
        bytes.take(self.program.kernel.workgroup_bytes as usize).collect()
    }
}

impl Step {
    /// Where it comes from, and the barrier if it is one.
    pub(super) fn place(&self) -> (Span, Option<Scope>) {
        match self {
            Step::Do(_, span)
            | Step::If { span, .. }
            | Step::Loop { span, .. }
            | Step::Switch { span, .. }
            | Step::Leave { span, .. } => (*span, None),
            Step::Scope { .. } => (Span::default(), None),
            Step::Barrier { scope, span } => (*span, Some(*scope)),
        }
    }
}

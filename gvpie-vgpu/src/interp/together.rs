//! What the lanes of a subgroup do together: those that take part, in their order.

use super::lanes::Register;
use super::{Group, Watch};
use crate::ir::{Binary, Together, Type};
use crate::numerics::{binary, convert};

impl<W: Watch> Group<'_, W> {
    pub(super) fn together(
        &mut self,
        op: Together,
        ty: Type,
        out: Register,
        a: Register,
        b: Option<Register>,
    ) {
        let wide = ty.bytes() == 8;
        let size = self.dispatch.subgroup;
        let (mask, range) = (self.mask, self.range.clone());
        let mut results = Vec::with_capacity(size);
        let mut first = range.start / size * size;
        while first < range.end {
            let lanes = first..(first + size).min(self.program.lanes);
            let value = |lane: usize| self.registers.lane(wide, a, lane);
            let there = || lanes.clone().filter(|lane| mask.has(*lane));
            let fold = |op, identity| {
                there().fold(identity, |sum, lane| binary(op, ty, sum, value(lane)).unwrap_or(sum))
            };
            // Of what lane holds, 0 where it is not there.
            let of = |lane: Option<usize>| {
                lane.filter(|lane| lanes.contains(lane) && mask.has(*lane)).map_or(0, value)
            };
            results.clear();
            match fold_of(op) {
                Some((op, Some(scan))) => {
                    let mut sum = identity(op, ty);
                    for lane in there() {
                        let next = binary(op, ty, sum, value(lane)).unwrap_or(sum);
                        results.push((lane, if scan == Scan::Inclusive { next } else { sum }));
                        sum = next;
                    }
                }
                Some((op, None)) => {
                    // Minimum and maximum have no identity: each is of the first with all.
                    let start = match op {
                        Binary::Min | Binary::Max => of(there().next()),
                        _ => identity(op, ty),
                    };
                    let all = fold(op, start);
                    results.extend(there().map(|lane| (lane, all)));
                }
                None => {
                    for lane in there() {
                        let b = b.map_or(0, |b| self.registers.lane(false, b, lane) as usize);
                        let (here, quad) = (lane - first, first + ((lane - first) & !3));
                        let from = match op {
                            Together::First => there().next(),
                            Together::Broadcast | Together::Shuffle => first.checked_add(b),
                            Together::ShuffleUp => here.checked_sub(b).map(|here| first + here),
                            Together::ShuffleDown => lane.checked_add(b),
                            Together::ShuffleXor => first.checked_add(here ^ b),
                            Together::QuadBroadcast => quad.checked_add(b & 3),
                            Together::QuadSwapX => Some(first + (here ^ 1)),
                            Together::QuadSwapY => Some(first + (here ^ 2)),
                            _ => Some(first + (here ^ 3)),
                        };
                        results.push((lane, of(from)));
                    }
                }
            }
            for (lane, bits) in &results {
                match wide {
                    true => self.registers.of_mut::<u64>(out)[*lane] = *bits,
                    false => self.registers.of_mut::<u32>(out)[*lane] = *bits as u32,
                }
            }
            first += size;
        }
    }

    /// The lanes of each subgroup for which a bool holds, 32 to a word.
    pub(super) fn ballot(&mut self, out: [Register; 4], a: Register) {
        let size = self.dispatch.subgroup;
        let holds = self.registers.nonzero(a, self.range.clone(), &self.mask);
        for lane in self.mask.lanes() {
            let first = lane / size * size;
            for (word, out) in out.iter().enumerate() {
                let start = first + word * 32;
                let end = (start + 32).min(first + size).min(self.program.lanes);
                let bits = (start..end)
                    .filter(|lane| holds.has(*lane))
                    .fold(0, |bits, lane| bits | 1 << (lane - start));
                self.registers.of_mut::<u32>(*out)[lane] = bits;
            }
        }
    }
}

/// Which sums of the lanes before are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Inclusive,
    Exclusive,
}

/// With what the values of all lanes become one, and whether each lane has the sum of those before it.
fn fold_of(op: Together) -> Option<(Binary, Option<Scan>)> {
    Some(match op {
        Together::All | Together::And => (Binary::And, None),
        Together::Any | Together::Or => (Binary::Or, None),
        Together::Xor => (Binary::Xor, None),
        Together::Add => (Binary::Add, None),
        Together::Mul => (Binary::Mul, None),
        Together::Min => (Binary::Min, None),
        Together::Max => (Binary::Max, None),
        Together::InclusiveAdd => (Binary::Add, Some(Scan::Inclusive)),
        Together::ExclusiveAdd => (Binary::Add, Some(Scan::Exclusive)),
        Together::InclusiveMul => (Binary::Mul, Some(Scan::Inclusive)),
        Together::ExclusiveMul => (Binary::Mul, Some(Scan::Exclusive)),
        _ => return None,
    })
}

/// What changes nothing.
fn identity(op: Binary, ty: Type) -> u64 {
    match op {
        Binary::Mul => convert(Type::U32, ty, 1),
        Binary::And if ty == Type::Bool => 1,
        Binary::And => u64::MAX,
        _ => 0,
    }
}

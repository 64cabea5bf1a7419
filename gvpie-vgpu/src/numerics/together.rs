//! What the lanes of a subgroup do together: those that are there, in their order.

use super::{binary, convert};
use crate::ir::{Binary, Together, Type};
use std::ops::Range;

/// Lanes of a subgroup, and what they hold.
pub(crate) struct Subgroup<T, A, B> {
    /// Its lanes.
    pub(crate) lanes: Range<usize>,
    /// Whether a lane takes part.
    pub(crate) there: T,
    /// The bits of what a lane brings.
    pub(crate) value: A,
    /// The lane, or distance, that it asks for.
    pub(crate) index: B,
}

impl<T: Fn(usize) -> bool, A: Fn(usize) -> u64, B: Fn(usize) -> usize> Subgroup<T, A, B> {
    /// Adds what each lane that takes part has then.
    pub(crate) fn run(&self, op: Together, ty: Type, results: &mut Vec<(usize, u64)>) {
        let there = || self.lanes.clone().filter(|lane| (self.there)(*lane));
        let value = |lane: usize| (self.value)(lane);
        // Of what a lane holds, 0 where it is not there.
        let of = |lane: Option<usize>| {
            lane.filter(|lane| self.lanes.contains(lane) && (self.there)(*lane)).map_or(0, value)
        };
        let first = self.lanes.start;
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
                let add = |sum, lane| binary(op, ty, sum, value(lane)).unwrap_or(sum);
                let all = there().fold(start, add);
                results.extend(there().map(|lane| (lane, all)));
            }
            None => {
                for lane in there() {
                    let b = (self.index)(lane);
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

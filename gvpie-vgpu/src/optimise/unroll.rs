//! Short loops whose rounds are counted by constants, one round written after another.
//!
//! Nothing depends on how many rounds are foreseen: the walk finds each round's condition as it finds any
//! other, and what is left after the last one foreseen is a loop again.

use super::flow::Written;
use super::walk::{Target, Walker};
use crate::ir::*;
use crate::numerics;
use std::collections::HashMap;

/// Rounds at most.
const ROUNDS: u32 = 64;

/// What unrolling may still make of a kernel.
pub(super) struct Room {
    /// Instructions that are added, of all loops.
    pub added: usize,
    /// Instructions that one loop becomes at most. They are counted before they are simplified, to a
    /// half of that or less.
    pub each: usize,
}

/// Operations within one another that are looked into for what counts rounds.
const DEPTH: u32 = 8;

/// A loop of the old kernel.
#[derive(Clone, Copy)]
pub(super) struct Repeated<'a> {
    pub label: Label,
    pub body: &'a Block,
    pub continuing: &'a Block,
    pub break_if: Option<Value>,
    pub span: Span,
}

/// A slot that counts rounds, for those who look into what is computed from it.
struct Counter<'a> {
    slot: Slot,
    bits: u64,
    written: &'a Written,
    /// What other slots hold at first.
    held: &'a dyn Fn(Slot) -> Option<u64>,
}

/// Whether a block does nothing but to leave this.
fn leaves(block: &Block, left: Label) -> bool {
    matches!(block[..], [Node::Leave { label, again: false, .. }] if label == left)
}

impl Walker<'_> {
    /// Writes out a loop's rounds, if they are few and short; whether lanes go on after it.
    pub(super) fn unroll(&mut self, looped: Repeated<'_>) -> Option<bool> {
        let held = |slot| self.held(slot).and_then(|value| self.known(value));
        let (rounds, size) = self.rounds(looped, self.size_of(looped), &held)?;
        self.room.added = self.room.added.checked_sub(size)?;
        let exit = self.label();
        Some(self.labelled(exit, |walker, exit| {
            // The last one finds that there is none.
            for _ in 0..=rounds {
                let again = walker.label();
                let target = Target { leave: exit, again, looped: false };
                walker.targets.insert(looped.label, target);
                let falls = walker.labelled(again, |walker, _| walker.walk(looped.body));
                if !falls || !walker.walk(looped.continuing) {
                    return false;
                }
                let Some(done) = looped.break_if.map(|value| walker.name(value)) else { continue };
                match walker.known(done) {
                    Some(0) => {}
                    Some(_) => return true,
                    None => {
                        let (then, ()) =
                            walker.nested(|walker| walker.leave(exit, false, looped.span));
                        walker.block.push(Node::If {
                            condition: done,
                            then,
                            otherwise: Vec::new(),
                            span: looped.span,
                        });
                    }
                }
            }
            walker.repeat(looped)
        }))
    }

    /// Instructions of a loop's round, one at least.
    fn size_of(&self, looped: Repeated<'_>) -> usize {
        (self.size(looped.body) + self.size(looped.continuing)).max(1)
    }

    /// How many rounds a loop has, and how many instructions they are together, if neither is too much.
    fn rounds(
        &self,
        looped: Repeated<'_>,
        size: usize,
        held: &dyn Fn(Slot) -> Option<u64>,
    ) -> Option<(u32, usize)> {
        let mut written = Written::default();
        written.block(looped.body);
        written.block(looped.continuing);
        if written.barrier {
            return None;
        }
        let (condition, ends, last) = self.exit(looped)?;
        let slot = self.counter(condition, &written, DEPTH)?;
        let mut sets = looped.body.iter().chain(looped.continuing).filter_map(|node| match node {
            Node::Inst { op: Op::Set(other, value), .. } if *other == slot => Some(*value),
            _ => None,
        });
        let next = sets.next()?;
        if written.slots.iter().filter(|other| **other == slot).count() != 1 {
            return None;
        }
        let mut counter = Counter { slot, bits: held(slot)?, written: &written, held };
        let most = u32::try_from(self.room.each / size).unwrap_or(ROUNDS).min(ROUNDS);
        for round in 0..=most {
            if !last && self.counted(condition, &counter, DEPTH)? == ends.into() {
                return Some((round, size * round as usize));
            }
            counter.bits = self.counted(next, &counter, DEPTH)?;
            if last && self.counted(condition, &counter, DEPTH)? == ends.into() {
                return (round < most).then_some((round + 1, size * (round as usize + 1)));
            }
        }
        None
    }

    /// The condition on which a loop ends, what it is then, and whether it is looked at after the round.
    fn exit(&self, looped: Repeated<'_>) -> Option<(Value, bool, bool)> {
        let check = looped.body.iter().find(|node| !matches!(node, Node::Inst { .. }));
        if let Some(Node::If { condition, then, otherwise, .. }) = check {
            if leaves(then, looped.label) {
                return Some((*condition, true, false));
            }
            if leaves(otherwise, looped.label) {
                return Some((*condition, false, false));
            }
        }
        Some((looped.break_if?, true, true))
    }

    /// The one slot, of those that a loop writes to, that a value is computed from.
    fn counter(&self, value: Value, written: &Written, depth: u32) -> Option<Slot> {
        let op = self.given[value.0 as usize]?;
        if let Op::Get(slot) = op {
            return written.slots.contains(slot).then_some(*slot);
        }
        let depth = depth.checked_sub(1)?;
        let mut found = None;
        op.operands(|value| found = found.or_else(|| self.counter(value, written, depth)));
        found
    }

    /// The bits of a value, if nothing but a counter and constants are in it.
    fn counted(&self, value: Value, counter: &Counter<'_>, depth: u32) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        let ty = |value: &Value| self.old.values[value.0 as usize];
        let of = |value: &Value| self.counted(*value, counter, depth);
        match self.given[value.0 as usize]? {
            Op::Const(bits) => Some(*bits),
            Op::Get(slot) if *slot == counter.slot => Some(counter.bits),
            Op::Get(slot) if !counter.written.slots.contains(slot) => (counter.held)(*slot),
            Op::Unary(unary, a) => numerics::unary(*unary, ty(a), of(a)?),
            Op::Binary(binary, a, b) => numerics::binary(*binary, ty(a), of(a)?, of(b)?),
            Op::Compare(compare, a, b) => Some(numerics::compare(*compare, ty(a), of(a)?, of(b)?)),
            Op::Convert(a) => Some(numerics::convert(ty(a), ty(&value), of(a)?)),
            Op::Bitcast(a) => of(a),
            _ => None,
        }
    }

    /// Instructions of a block, those of loops within as they will be written out.
    fn size(&self, block: &Block) -> usize {
        let mut held = HashMap::new();
        let mut sum = 0;
        for node in block {
            sum += match node {
                Node::Inst { op: Op::Set(slot, value), .. } => {
                    match self.given[value.0 as usize] {
                        Some(Op::Const(bits)) => held.insert(*slot, *bits),
                        _ => held.remove(slot),
                    };
                    0
                }
                // What is mostly gone afterwards.
                Node::Inst { op, .. } => usize::from(!matches!(
                    op,
                    Op::Get(_) | Op::Const(_) | Op::Bound(..) | Op::Convert(_) | Op::Bitcast(_)
                )),
                Node::Loop { label, body, continuing, break_if, span } => {
                    let (label, break_if, span) = (*label, *break_if, *span);
                    let looped = Repeated { label, body, continuing, break_if, span };
                    // Once: loops within loops would double it each.
                    let size = self.size_of(looped);
                    match self.rounds(looped, size, &|slot| held.get(&slot).copied()) {
                        Some((_, size)) => size,
                        None => 1 + size,
                    }
                }
                node => 1 + node.blocks().map(|block| self.size(block)).sum::<usize>(),
            };
        }
        sum
    }
}

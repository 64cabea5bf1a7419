//! Constructs: conditions that are known choose, constructs that nobody leaves early go up into the block
//! around them, and short branches without effect become selections.

use super::unroll::Repeated;
use super::walk::{Target, Walker};
use crate::ir::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What may be run for nothing instead of a branch, in units of a plain operation.
const SELECTED: u32 = 8;

/// Slots and memories that a construct writes to.
#[derive(Default)]
pub(super) struct Written {
    /// Once for each time that it is set in the text.
    pub slots: Vec<Slot>,
    memories: Vec<Memory>,
    pub barrier: bool,
}

impl Written {
    pub(super) fn block(&mut self, block: &Block) {
        for node in block {
            match node {
                Node::Inst { op: Op::Set(slot, _), .. } => self.slots.push(*slot),
                Node::Inst { op: Op::Store(place, _) | Op::Atomic { place, .. }, .. } => {
                    self.memories.push(place.memory);
                }
                Node::Inst { op: Op::TextureStore { texture, .. }, .. } => {
                    self.memories.push(Memory::Binding(*texture));
                }
                Node::Barrier { .. } => self.barrier = true,
                _ => node.blocks().for_each(|block| self.block(block)),
            }
        }
    }
}

/// What an operation costs where nobody may look at its result; `None` if it must not be run then.
fn cost(op: &Op, ty: Type) -> Option<u32> {
    use Unary::*;
    Some(match op {
        Op::Get(_) | Op::Const(_) | Op::Builtin(_) | Op::Length(_) => 0,
        Op::Unary(Neg | Not | Abs, _) => 1,
        Op::Unary(Floor | Ceil | Trunc | Round | Fract | Sign, _) if ty != Type::F16 => 2,
        Op::Binary(Binary::Mul, ..) if ty.bytes() == 8 && ty.is_integer() => 4,
        Op::Binary(Binary::Div | Binary::Rem | Binary::Pow | Binary::Atan2, ..) => return None,
        Op::Binary(..) | Op::Fma(..) if ty == Type::F16 => 4,
        Op::Fma(..) => 4,
        Op::Binary(..) | Op::Compare(..) | Op::Select(..) | Op::Bitcast(_) | Op::Bound(..) => 1,
        Op::Convert(_) => 2,
        _ => return None,
    })
}

impl Walker<'_> {
    /// Walks over a node; whether lanes go on after it.
    pub(super) fn node(&mut self, node: &Node) -> bool {
        match node {
            Node::Inst { first, op, span } => {
                self.instruction(*first, op, *span);
                true
            }
            Node::If { condition, then, otherwise, span } => {
                let condition = self.name(*condition);
                match self.known(condition) {
                    Some(0) => self.walk(otherwise),
                    Some(_) => self.walk(then),
                    None => self.branch(condition, then, otherwise, *span),
                }
            }
            Node::Loop { label, body, continuing, break_if, span } => {
                let (label, break_if, span) = (*label, *break_if, *span);
                let looped = Repeated { label, body, continuing, break_if, span };
                self.unroll(looped).unwrap_or_else(|| self.repeat(looped))
            }
            Node::Switch { label, selector, cases, default, span } => {
                let selector = self.name(*selector);
                match self.known(selector) {
                    Some(bits) => {
                        let chosen = cases.iter().find(|(list, _)| list.contains(&(bits as u32)));
                        let block = chosen.map_or(default, |(_, block)| block);
                        self.scope(*label, |walker, _| walker.walk(block))
                    }
                    None => self.switch(*label, selector, cases, default, *span),
                }
            }
            Node::Scope { label, body } => self.scope(*label, |walker, _| walker.walk(body)),
            Node::Leave { label, again, span } => {
                let Some(target) = self.targets.get(label).copied() else { return false };
                let (label, again) =
                    if *again { (target.again, target.looped) } else { (target.leave, false) };
                self.leave(label, again, *span);
                false
            }
            Node::Barrier { scope, span } => {
                self.block.push(Node::Barrier { scope: *scope, span: *span });
                self.write_shared();
                true
            }
        }
    }

    pub(super) fn leave(&mut self, label: Label, again: bool, span: Span) {
        self.block.push(Node::Leave { label, again, span });
        self.left[label.0 as usize][usize::from(again)] += 1;
    }

    pub(super) fn label(&mut self) -> Label {
        self.left.push([0; 2]);
        Label(self.left.len() as u32 - 1)
    }

    /// Takes leaves from the end of a block that lanes come to the end of anyway; whether they then do.
    fn end(&mut self, block: &mut Block, label: Label, again: bool) -> bool {
        let there = matches!(block.last(), Some(Node::Leave { label: l, again: a, .. })
            if *l == label && *a == again);
        if there {
            block.pop();
            self.left[label.0 as usize][usize::from(again)] -= 1;
        }
        there
    }

    fn branch(&mut self, condition: Value, then: &Block, otherwise: &Block, span: Span) -> bool {
        let (mark, horizon) = (self.mark(), self.horizon());
        let way = |walker: &mut Self, block: &Block, holds: bool| {
            let (block, falls) = walker.nested(|walker| {
                walker.assume(condition, holds);
                walker.walk(block)
            });
            (block, falls, walker.since(mark))
        };
        let (yes, yes_falls, yes_held) = way(self, then, true);
        let (no, no_falls, no_held) = way(self, otherwise, false);
        if yes.is_empty() && no.is_empty() {
            return true;
        }
        if yes_falls && no_falls && self.is_cheap(&yes, &no) {
            self.select(condition, [yes, no], span);
            return true;
        }
        let yes_held: HashMap<Slot, Option<Value>> = yes_held.into_iter().collect();
        let no_held: HashMap<Slot, Option<Value>> = no_held.into_iter().collect();
        for slot in yes_held.keys().chain(no_held.keys()) {
            let of = |held: &HashMap<Slot, Option<Value>>| match held.get(slot) {
                Some(value) => *value,
                None => self.held(*slot),
            };
            let both = match (yes_falls, no_falls) {
                (true, true) => of(&yes_held).filter(|value| of(&no_held) == Some(*value)),
                (true, false) => of(&yes_held),
                (false, true) => of(&no_held),
                (false, false) => None,
            };
            let both = both.filter(|value| self.outlives(*value, horizon));
            self.hold(*slot, both);
        }
        self.block.push(Node::If { condition, then: yes, otherwise: no, span });
        if yes_falls != no_falls {
            self.assume(condition, yes_falls);
        }
        yes_falls || no_falls
    }

    /// Whether both ways of a branch are short and without effect but on slots.
    fn is_cheap(&self, yes: &Block, no: &Block) -> bool {
        let mut sum = 0;
        [yes, no].into_iter().all(|way| {
            let mut set = HashSet::new();
            way.iter().all(|node| {
                let cost = match node {
                    Node::Inst { op: Op::Set(slot, _), .. } => {
                        set.insert(*slot);
                        Some(1)
                    }
                    // What slots hold is chosen after both ways.
                    Node::Inst { op: Op::Get(slot), .. } if set.contains(slot) => None,
                    Node::Inst { first, op, .. } if op.results() > 0 => cost(op, self.ty(*first)),
                    _ => None,
                };
                sum += cost.unwrap_or(SELECTED);
                cost.is_some() && sum <= SELECTED
            })
        })
    }

    /// Runs both ways of a branch, and has slots hold what the condition chooses.
    fn select(&mut self, condition: Value, ways: [Block; 2], span: Span) {
        let sets = ways.map(|way| {
            let mut sets = BTreeMap::new();
            for node in way {
                match node {
                    Node::Inst { op: Op::Set(slot, value), .. } => {
                        sets.insert(slot, value);
                    }
                    node => self.block.push(node),
                }
            }
            sets
        });
        let [yes, no] = &sets;
        for slot in yes.keys().chain(no.keys().filter(|slot| !yes.contains_key(slot))) {
            let ty = self.old.slots[slot.0 as usize];
            let [yes, no] = [yes, no].map(|sets| {
                let value = sets.get(slot).copied().or_else(|| self.held(*slot));
                value.unwrap_or_else(|| {
                    let value = self.emit(&[ty], Op::Get(*slot), span);
                    self.hold(*slot, Some(value));
                    value
                })
            });
            let value = self.pure(ty, Op::Select(condition, yes, no), span);
            if self.held(*slot) != Some(value) {
                self.emit(&[], Op::Set(*slot, value), span);
                self.hold(*slot, Some(value));
            }
        }
    }

    /// A block that can be left, by its old label; `work` walks over what is in it.
    pub(super) fn scope(
        &mut self,
        old: Label,
        work: impl FnOnce(&mut Self, Label) -> bool,
    ) -> bool {
        let label = self.label();
        let target = Target { leave: label, again: label, looped: false };
        self.targets.insert(old, target);
        self.labelled(label, work)
    }

    /// The same, by its new label alone.
    pub(super) fn labelled(
        &mut self,
        label: Label,
        work: impl FnOnce(&mut Self, Label) -> bool,
    ) -> bool {
        let mark = self.mark();
        let (mut body, mut falls) = self.nested(|walker| work(walker, label));
        falls |= self.end(&mut body, label, false);
        if self.left[label.0 as usize][0] == 0 {
            // What slots hold now can be seen: the block is none of its own.
            self.block.append(&mut body);
            return falls;
        }
        self.since(mark);
        self.forget(&body);
        self.block.push(Node::Scope { label, body });
        true
    }

    /// What slots hold after a block that has been left somewhere is not known.
    fn forget(&mut self, block: &Block) {
        let mut written = Written::default();
        written.block(block);
        written.slots.into_iter().for_each(|slot| self.hold(slot, None));
    }

    fn switch(
        &mut self,
        old: Label,
        selector: Value,
        cases: &[(Vec<u32>, Block)],
        default: &Block,
        span: Span,
    ) -> bool {
        let (label, mark) = (self.label(), self.mark());
        self.targets.insert(old, Target { leave: label, again: label, looped: false });
        let mut falls = false;
        let mut way = |walker: &mut Self, block: &Block| {
            let (mut block, fell) = walker.nested(|walker| walker.walk(block));
            falls |= fell | walker.end(&mut block, label, false);
            walker.since(mark);
            block
        };
        let cases: Vec<_> =
            cases.iter().map(|(list, block)| (list.clone(), way(self, block))).collect();
        let default = way(self, default);
        cases.iter().map(|(_, block)| block).chain([&default]).for_each(|block| self.forget(block));
        self.block.push(Node::Switch { label, selector, cases, default, span });
        falls || self.left[label.0 as usize][0] > 0
    }

    /// A loop that stays one.
    pub(super) fn repeat(&mut self, looped: Repeated<'_>) -> bool {
        let Repeated { label: old, body, continuing, break_if, span } = looped;
        let mut written = Written::default();
        written.block(body);
        written.block(continuing);
        // The next round finds what this one has left.
        for slot in written.slots {
            self.hold(slot, None);
        }
        written.memories.into_iter().for_each(|memory| self.write(memory));
        if written.barrier {
            self.write_shared();
        }
        let label = self.label();
        self.targets.insert(old, Target { leave: label, again: label, looped: true });
        let (mark, horizon) = (self.mark(), self.horizon());
        let (mut body, mut falls) = self.nested(|walker| walker.walk(body));
        falls |= self.end(&mut body, label, true);
        let held = self.since(mark);
        let [_, again] = self.left[label.0 as usize];
        if !falls && again == 0 {
            // It never comes round: it is a block that can be left.
            let falls = self.end(&mut body, label, false);
            if self.left[label.0 as usize][0] == 0 {
                self.block.append(&mut body);
                return falls;
            }
            self.block.push(Node::Scope { label, body });
            return true;
        }
        if again == 0 {
            for (slot, value) in held {
                let value = value.filter(|value| self.outlives(*value, horizon));
                self.hold(slot, value);
            }
        }
        let (continuing, break_if) = self.nested(|walker| {
            let falls = walker.walk(continuing);
            break_if.filter(|_| falls).map(|value| walker.name(value))
        });
        self.since(mark);
        let break_if = break_if.filter(|value| self.known(*value) != Some(0));
        let falls = break_if.is_some() || self.left[label.0 as usize][0] > 0;
        self.block.push(Node::Loop { label, body, continuing, break_if, span });
        falls
    }
}

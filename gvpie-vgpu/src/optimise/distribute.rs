//! Loops with more running sums than there are registers become several loops, each with some of them.
//!
//! A product of tiles keeps sixteen sums over its inner loop, and the vectors that it multiplies. More than the
//! registers hold go through memory in every round; less work is to read the operands twice. A loop is taken
//! apart where its rounds do nothing but to read and to compute, so that nobody sees in which order they
//! are done, and its sums do not depend on one another. What decides when it ends is done in each part.
//!
//! Loop distribution, after Kennedy and McKinley, "Loop distribution with arbitrary control flow" (1990).

use crate::ir::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Sums of one loop, which at four lanes are a register each, of sixteen.
const SUMS: usize = 8;

/// Sums from which on a loop is taken apart: a few too many are cheaper in memory.
const MANY: usize = 12;

/// A kernel whose loops have few sums; nothing if all have.
pub(crate) fn distribute(kernel: &Kernel) -> Option<Kernel> {
    let mut kernel = kernel.clone();
    let mut labels = 0;
    last_label(&kernel.body, &mut labels);
    let (values, slots) = (&mut kernel.values, &kernel.slots[..]);
    let mut distributor = Distributor { values, slots, labels, changed: false };
    distributor.block(&mut kernel.body);
    distributor.changed.then(|| super::dead::sweep(kernel))
}

fn last_label(block: &Block, labels: &mut u32) {
    for node in block {
        if let Node::Loop { label, .. } | Node::Switch { label, .. } | Node::Scope { label, .. } =
            node
        {
            *labels = (*labels).max(label.0 + 1);
        }
        node.blocks().for_each(|block| last_label(block, labels));
    }
}

struct Distributor<'a> {
    values: &'a mut Vec<Type>,
    slots: &'a [Type],
    /// The next label that nothing has.
    labels: u32,
    changed: bool,
}

/// What a loop's slots depend on.
struct Rounds {
    /// What each slot is set to, and each value computed from: slots, those of operands included.
    sets: BTreeMap<Slot, BTreeSet<Slot>>,
    /// The slots that decide when the loop ends, and those that they are computed from.
    control: BTreeSet<Slot>,
}

impl Distributor<'_> {
    fn block(&mut self, block: &mut Block) {
        for mut node in std::mem::take(block) {
            node.blocks_mut(|inner| self.block(inner));
            match self.parts(&node) {
                Some(parts) => block.extend(parts),
                None => block.push(node),
            }
        }
    }

    /// A loop as several, if it can be.
    fn parts(&mut self, node: &Node) -> Option<Block> {
        let Node::Loop { span, .. } = node else { return None };
        let span = *span;
        let rounds = Rounds::new(node)?;
        let groups = rounds.groups()?;
        self.changed = true;
        let mut out = Vec::new();
        // What decides begins each part as it began the first.
        let control = rounds.control.iter().filter(|slot| rounds.sets.contains_key(slot));
        let control: Vec<(Slot, Value)> = control
            .map(|slot| {
                let first = Value(self.values.len() as u32);
                self.values.push(self.slots[slot.0 as usize]);
                out.push(Node::Inst { first, op: Op::Get(*slot), span });
                (*slot, first)
            })
            .collect();
        for (number, group) in groups.iter().enumerate() {
            if number > 0 {
                let again = |(slot, value): &(Slot, Value)| Node::Inst {
                    first: Value(0),
                    op: Op::Set(*slot, *value),
                    span,
                };
                out.extend(control.iter().map(again));
            }
            out.push(self.part(node, group, &rounds.control));
        }
        Some(out)
    }

    /// The loop with none but these sums.
    fn part(&mut self, node: &Node, sums: &[Slot], control: &BTreeSet<Slot>) -> Node {
        let mut node = node.clone();
        let mut names = HashMap::new();
        if let Node::Loop { label, body, continuing, break_if, .. } = &mut node {
            let (old, new) = (*label, Label(self.labels));
            self.labels += 1;
            *label = new;
            let keep = |slot: &Slot| sums.contains(slot) || control.contains(slot);
            for block in [body, continuing] {
                block.retain(
                    |node| !matches!(node, Node::Inst { op: Op::Set(slot, _), .. } if !keep(slot)),
                );
                self.anew(block, &mut names, (old, new));
            }
            if let Some(name) = break_if.and_then(|value| names.get(&value).copied()) {
                *break_if = Some(name);
            }
        }
        node
    }

    /// Gives what a block assigns names of its own, and what it leaves the new label.
    fn anew(
        &mut self,
        block: &mut Block,
        names: &mut HashMap<Value, Value>,
        labels: (Label, Label),
    ) {
        let name = |names: &HashMap<Value, Value>, value: &mut Value| {
            if let Some(new) = names.get(value) {
                *value = *new;
            }
        };
        for node in block {
            match node {
                Node::Inst { first, op, .. } => {
                    op.operands_mut(|value| name(names, value));
                    let new = self.values.len() as u32;
                    for k in 0..op.results() {
                        self.values.push(self.values[(first.0 + k) as usize]);
                        names.insert(Value(first.0 + k), Value(new + k));
                    }
                    if op.results() > 0 {
                        *first = Value(new);
                    }
                }
                Node::If { condition, then, otherwise, .. } => {
                    name(names, condition);
                    self.anew(then, names, labels);
                    self.anew(otherwise, names, labels);
                }
                Node::Leave { label, .. } if *label == labels.0 => *label = labels.1,
                _ => {}
            }
        }
    }
}

/// Whether an instruction reads and computes only, so that nobody sees when it is done.
fn is_quiet(op: &Op) -> bool {
    !matches!(
        op,
        Op::Store(..)
            | Op::Atomic { .. }
            | Op::Together(..)
            | Op::Ballot(_)
            | Op::TextureLoad { .. }
            | Op::TextureStore { .. }
    )
}

impl Rounds {
    /// What the rounds of a loop do; nothing where they do more than to compute and, if so, to leave.
    fn new(node: &Node) -> Option<Rounds> {
        let Node::Loop { label, body, continuing, break_if, .. } = node else { return None };
        let mut from: HashMap<Value, BTreeSet<Slot>> = HashMap::new();
        let mut rounds = Rounds { sets: BTreeMap::new(), control: BTreeSet::new() };
        let of = |from: &HashMap<Value, BTreeSet<Slot>>, value: Value| {
            from.get(&value).cloned().unwrap_or_default()
        };
        for node in body.iter().chain(continuing) {
            match node {
                Node::Inst { first, op, .. } if is_quiet(op) => {
                    let mut slots = BTreeSet::new();
                    op.operands(|value| slots.extend(of(&from, value)));
                    match op {
                        Op::Get(slot) => {
                            slots.insert(*slot);
                        }
                        Op::Set(slot, _) => {
                            rounds.sets.entry(*slot).or_default().append(&mut slots);
                            continue;
                        }
                        _ => {}
                    }
                    for k in 0..op.results() {
                        from.insert(Value(first.0 + k), slots.clone());
                    }
                }
                Node::If { condition, then, otherwise, .. } => {
                    let ends = |block: &Block| matches!(block[..], [Node::Leave { label: l, again: false, .. }] if l == *label);
                    match (&then[..], &otherwise[..]) {
                        ([], [_]) if ends(otherwise) => {}
                        ([_], []) if ends(then) => {}
                        _ => return None,
                    }
                    rounds.control.extend(of(&from, *condition));
                }
                _ => return None,
            }
        }
        if let Some(value) = break_if {
            rounds.control.extend(of(&from, *value));
        }
        // What decides is computed from more, maybe.
        loop {
            let more = rounds.control.iter().filter_map(|slot| rounds.sets.get(slot)).flatten();
            let more: BTreeSet<Slot> = more.copied().collect();
            let before = rounds.control.len();
            rounds.control.extend(more);
            if rounds.control.len() == before {
                return Some(rounds);
            }
        }
    }

    /// Which sums go together: those that depend on nothing but themselves and what decides, in the
    /// order of their numbers. Nothing if they are few, or one depends on another.
    fn groups(&self) -> Option<Vec<Vec<Slot>>> {
        let sums: Vec<Slot> =
            self.sets.keys().copied().filter(|slot| !self.control.contains(slot)).collect();
        let alone = |sum: &Slot| {
            let others = |slot: &&Slot| *slot != sum && self.sets.contains_key(slot);
            self.sets[sum].iter().filter(others).all(|slot| self.control.contains(slot))
        };
        if sums.len() < MANY || !sums.iter().all(alone) {
            return None;
        }
        let count = sums.len().div_ceil(SUMS);
        Some(sums.chunks(sums.len().div_ceil(count)).map(<[Slot]>::to_vec).collect())
    }
}

//! Changing kernels: which values an instruction takes, and what follows one.

use super::*;
use std::collections::{HashMap, HashSet};

impl Op {
    /// Where it reaches memory.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Op::Load(place) | Op::Store(place, _) | Op::Atomic { place, .. } => Some(place),
            _ => None,
        }
    }

    /// Calls `change` with each value that it takes, to have it take another.
    pub fn operands_mut(&mut self, mut change: impl FnMut(&mut Value)) {
        let place = |place: &mut Place, change: &mut dyn FnMut(&mut Value)| {
            place.terms.iter_mut().for_each(|(value, _)| change(value));
        };
        match self {
            Op::Const(_) | Op::Builtin(_) | Op::Get(_) | Op::Length(_) => {}
            Op::Unary(_, a)
            | Op::Convert(a)
            | Op::Bitcast(a)
            | Op::UnpackHalf(a)
            | Op::Frexp(a)
            | Op::Set(_, a)
            | Op::Bound(a, _)
            | Op::Ballot(a) => change(a),
            Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::PackHalf(a, b) | Op::Ldexp(a, b) => {
                change(a);
                change(b);
            }
            Op::Fma(a, b, c) | Op::Select(a, b, c) => [a, b, c].into_iter().for_each(change),
            Op::Load(at) => place(at, &mut change),
            Op::Store(at, a) => {
                place(at, &mut change);
                change(a);
            }
            Op::Atomic { place: at, value, compare, .. } => {
                place(at, &mut change);
                change(value);
                compare.iter_mut().for_each(change);
            }
            Op::Together(_, a, b) => {
                change(a);
                b.iter_mut().for_each(change);
            }
            Op::TextureLoad { at, level, .. } => at.iter_mut().chain(level).for_each(change),
            Op::TextureStore { at, value, .. } => at.iter_mut().chain(value).for_each(change),
            Op::TextureSize { level, .. } => level.iter_mut().for_each(change),
        }
    }
}

impl Node {
    /// The blocks within a construct, in the order of the text.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        let (first, cases, last) = match self {
            Node::If { then, otherwise, .. } => (Some(then), &[][..], Some(otherwise)),
            Node::Loop { body, continuing, .. } => (Some(body), &[][..], Some(continuing)),
            Node::Switch { cases, default, .. } => (None, &cases[..], Some(default)),
            Node::Scope { body, .. } => (Some(body), &[][..], None),
            Node::Inst { .. } | Node::Leave { .. } | Node::Barrier { .. } => (None, &[][..], None),
        };
        first.into_iter().chain(cases.iter().map(|(_, block)| block)).chain(last)
    }

    /// Calls `change` with the blocks within a construct, in the order of the text.
    pub(crate) fn blocks_mut(&mut self, mut change: impl FnMut(&mut Block)) {
        match self {
            Node::If { then: a, otherwise: b, .. } | Node::Loop { body: a, continuing: b, .. } => {
                change(a);
                change(b);
            }
            Node::Switch { cases, default, .. } => {
                cases.iter_mut().for_each(|(_, block)| change(block));
                change(default);
            }
            Node::Scope { body, .. } => change(body),
            Node::Inst { .. } | Node::Leave { .. } | Node::Barrier { .. } => {}
        }
    }
}

/// Calls `see` with each value that a block takes, those of blocks within included.
pub(crate) fn uses(block: &Block, see: &mut dyn FnMut(Value)) {
    for node in block {
        match node {
            Node::Inst { op, .. } => op.operands(&mut *see),
            Node::If { condition, then, otherwise, .. } => {
                see(*condition);
                uses(then, see);
                uses(otherwise, see);
            }
            Node::Loop { body, continuing, break_if, .. } => {
                uses(body, see);
                uses(continuing, see);
                break_if.iter().for_each(|value| see(*value));
            }
            Node::Switch { selector, cases, default, .. } => {
                see(*selector);
                cases.iter().for_each(|(_, block)| uses(block, see));
                uses(default, see);
            }
            Node::Scope { body, .. } => uses(body, see),
            Node::Leave { .. } | Node::Barrier { .. } => {}
        }
    }
}

/// Has a block, and those within, take other values in place of those named.
pub(crate) fn rename(block: &mut Block, names: &HashMap<Value, Value>) {
    let change = |value: &mut Value| {
        if let Some(name) = names.get(value) {
            *value = *name;
        }
    };
    for node in block {
        match node {
            Node::Inst { op, .. } => op.operands_mut(change),
            Node::If { condition, then, otherwise, .. } => {
                change(condition);
                rename(then, names);
                rename(otherwise, names);
            }
            Node::Loop { body, continuing, break_if, .. } => {
                rename(body, names);
                rename(continuing, names);
                break_if.iter_mut().for_each(change);
            }
            Node::Switch { selector, cases, default, .. } => {
                change(selector);
                cases.iter_mut().for_each(|(_, block)| rename(block, names));
                rename(default, names);
            }
            Node::Scope { body, .. } => rename(body, names),
            Node::Leave { .. } | Node::Barrier { .. } => {}
        }
    }
}

/// The values that are assigned in a block itself.
pub(crate) fn assigned(block: &Block) -> HashSet<Value> {
    let results = |node: &Node| match node {
        Node::Inst { first, op, .. } => first.0..first.0 + op.results(),
        _ => 0..0,
    };
    block.iter().flat_map(results).map(Value).collect()
}

/// Keeps values of a block in slots as well, from where they are assigned on.
pub(crate) fn keep(block: &mut Block, slots: &HashMap<Value, Slot>) {
    for node in std::mem::take(block) {
        let kept = match &node {
            Node::Inst { first, op, span } => (first.0..first.0 + op.results())
                .filter_map(|value| Some((Value(value), *slots.get(&Value(value))?, *span)))
                .collect(),
            _ => Vec::new(),
        };
        block.push(node);
        block.extend(kept.into_iter().map(|(value, slot, span)| Node::Inst {
            first: Value(0),
            op: Op::Set(slot, value),
            span,
        }));
    }
}

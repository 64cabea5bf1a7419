//! One walk over a kernel in the order of its text, which writes it anew.
//!
//! What a slot holds is followed as far as it is known, so that to get it is to name a value; an instruction
//! without effect that has been run before, in the block or one around it, is not run again; loads are the
//! same as long as nothing is written to their memory; and what conditions tell of values holds within what
//! they guard. All this is per lane: the lanes that come to an instruction have all come through what is
//! above it in its block and in those around it.

use super::range::{self, Range};
use super::unroll::Room;
use crate::ir::*;
use std::collections::{HashMap, HashSet};

/// An instruction without effect, and how many times its memory had been written to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    op: Op,
    ty: Type,
    writes: u32,
}

/// What the end of a block takes back.
enum Undo {
    Done(Key, Option<Value>),
    Range(Value, Range),
    Below(Value, Length),
}

/// Where leaving a construct of the old kernel goes in the new one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// What a `break` leaves.
    pub leave: Label,
    /// What a `continue` leaves, and whether that is a loop.
    pub again: Label,
    pub looped: bool,
}

pub(super) struct Walker<'a> {
    pub old: &'a Kernel,
    /// The types of the new values, the instructions that give them, and what is known of them.
    pub values: Vec<Type>,
    defs: Vec<Op>,
    ranges: Vec<Range>,
    /// What the old values are now.
    names: Vec<Value>,
    /// The instructions of the old values.
    pub given: Vec<Option<&'a Op>>,
    /// Constants and what lanes are given, before all else.
    first: Block,
    constants: HashMap<(Type, u64), Value>,
    done: HashMap<Key, Value>,
    /// Indices that are below a length here.
    below: HashSet<(Value, Length)>,
    undo: Vec<Undo>,
    /// What the slots hold, where it is known, and what they held before.
    slots: Vec<Option<Value>>,
    log: Vec<(Slot, Option<Value>)>,
    /// How many times each memory has been written to.
    writes: Vec<u32>,
    written: u32,
    /// Where instructions are appended.
    pub block: Block,
    pub targets: HashMap<Label, Target>,
    /// How many times each new label is left, to its end and to its next round.
    pub left: Vec<[u32; 2]>,
    pub room: &'a mut Room,
}

/// A kernel written anew, simpler. `room` is what unrolling may still add.
pub(super) fn walk(old: &Kernel, room: &mut Room) -> Kernel {
    let count = old.values.len();
    let mut given = vec![None; count];
    index(&old.body, &mut given);
    let mut walker = Walker {
        old,
        values: Vec::with_capacity(count),
        defs: Vec::with_capacity(count),
        ranges: Vec::with_capacity(count),
        names: vec![Value(0); count],
        given,
        first: Vec::new(),
        constants: HashMap::new(),
        done: HashMap::new(),
        below: HashSet::new(),
        undo: Vec::new(),
        slots: Vec::new(),
        log: Vec::new(),
        writes: vec![0; old.bindings.len() + 3],
        written: 0,
        block: Vec::with_capacity(old.body.len()),
        targets: HashMap::new(),
        left: Vec::new(),
        room,
    };
    // Slots are zero at first.
    walker.slots = old.slots.iter().map(|ty| Some(walker.constant(*ty, 0))).collect();
    walker.walk(&old.body);
    let mut body = walker.first;
    body.append(&mut walker.block);
    Kernel { values: walker.values, body, ..head(old) }
}

/// All of a kernel but its values and body.
pub(super) fn head(kernel: &Kernel) -> Kernel {
    Kernel {
        name: kernel.name.clone(),
        workgroup: kernel.workgroup,
        values: Vec::new(),
        slots: kernel.slots.clone(),
        bindings: kernel.bindings.clone(),
        workgroup_bytes: kernel.workgroup_bytes,
        private_bytes: kernel.private_bytes,
        immediate_bytes: kernel.immediate_bytes,
        variables: kernel.variables.clone(),
        body: Vec::new(),
    }
}

/// Notes the instruction of each value.
fn index<'a>(block: &'a Block, given: &mut Vec<Option<&'a Op>>) {
    for node in block {
        if let Node::Inst { first, op, .. } = node
            && op.results() == 1
        {
            given[first.0 as usize] = Some(op);
        }
        node.blocks().for_each(|block| index(block, given));
    }
}

impl Walker<'_> {
    pub(super) fn ty(&self, value: Value) -> Type {
        self.values[value.0 as usize]
    }

    pub(super) fn def(&self, value: Value) -> &Op {
        &self.defs[value.0 as usize]
    }

    pub(super) fn range(&self, value: Value) -> Range {
        self.ranges[value.0 as usize]
    }

    /// The bits of a constant.
    pub(super) fn known(&self, value: Value) -> Option<u64> {
        match self.def(value) {
            Op::Const(bits) => Some(*bits),
            _ => None,
        }
    }

    /// What a slot holds, if it is known.
    pub(super) fn held(&self, slot: Slot) -> Option<Value> {
        self.slots[slot.0 as usize]
    }

    pub(super) fn is_below(&self, value: Value, length: Length) -> bool {
        self.below.contains(&(value, length))
    }

    /// How many values there are so far: those of blocks within will come after.
    pub(super) fn horizon(&self) -> u32 {
        self.values.len() as u32
    }

    /// Whether what could be seen within a block can be seen after it too.
    pub(super) fn outlives(&self, value: Value, horizon: u32) -> bool {
        value.0 < horizon || is_given(self.def(value))
    }

    /// The number of a memory among those that are counted.
    fn memory(&self, memory: Memory) -> usize {
        let bindings = self.old.bindings.len();
        match memory {
            Memory::Binding(number) => number as usize,
            Memory::Workgroup => bindings,
            Memory::Private => bindings + 1,
            Memory::Immediate => bindings + 2,
        }
    }

    /// A memory is written to.
    pub(super) fn write(&mut self, memory: Memory) {
        self.written += 1;
        let number = self.memory(memory);
        self.writes[number] = self.written;
    }

    /// Others may write to all that is shared.
    pub(super) fn write_shared(&mut self) {
        self.written += 1;
        for (number, binding) in self.old.bindings.iter().enumerate() {
            let (BindingKind::Buffer { writes, .. } | BindingKind::Texture { writes, .. }) =
                binding.kind;
            if writes {
                self.writes[number] = self.written;
            }
        }
        self.writes[self.old.bindings.len()] = self.written;
    }

    pub(super) fn constant(&mut self, ty: Type, bits: u64) -> Value {
        if let Some(value) = self.constants.get(&(ty, bits)) {
            return *value;
        }
        let op = Op::Const(bits);
        let value = self.new_value(ty, &op);
        self.first.push(Node::Inst { first: value, op, span: Span::default() });
        self.constants.insert((ty, bits), value);
        value
    }

    fn new_value(&mut self, ty: Type, op: &Op) -> Value {
        let value = Value(self.values.len() as u32);
        let look = |value: Value| (self.ty(value), self.range(value));
        let range = range::of(self.old, ty, op, look);
        self.values.push(ty);
        // Of what has a place, nothing but that it is no constant is asked.
        self.defs.push(if op.place().is_some() { Op::Get(Slot(0)) } else { op.clone() });
        self.ranges.push(range);
        value
    }

    /// Appends an instruction whatever is known; gives its first result.
    pub(super) fn emit(&mut self, types: &[Type], op: Op, span: Span) -> Value {
        let first = Value(self.horizon());
        for ty in types {
            self.new_value(*ty, &op);
        }
        self.block.push(Node::Inst { first, op, span });
        first
    }

    /// The value that an instruction without effect gives.
    pub(super) fn pure(&mut self, ty: Type, op: Op, span: Span) -> Value {
        let op = match self.fold(ty, op, span) {
            Ok(value) => return value,
            Err(op) => op,
        };
        let look = |value: Value| (self.ty(value), self.range(value));
        if range::has(ty)
            && let Some(bits) = range::of(self.old, ty, &op, look).one()
        {
            return self.constant(ty, bits.into());
        }
        self.once(&[ty], op, 0, span)
    }

    /// The first result of an instruction that gives the same as long as `writes` is the same.
    fn once(&mut self, types: &[Type], op: Op, writes: u32, span: Span) -> Value {
        let ty = types.first().copied().unwrap_or(Type::Bool);
        let key = Key { op, ty, writes };
        if let Some(value) = self.done.get(&key) {
            return *value;
        }
        if is_given(&key.op) {
            let first = self.new_value(ty, &key.op);
            self.first.push(Node::Inst { first, op: key.op.clone(), span });
            self.done.insert(key, first);
            return first;
        }
        let first = self.emit(types, key.op.clone(), span);
        self.remember(key, first);
        first
    }

    fn remember(&mut self, key: Key, value: Value) {
        let before = self.done.insert(key.clone(), value);
        self.undo.push(Undo::Done(key, before));
    }

    /// Has a slot hold a value, or one that is not known.
    pub(super) fn hold(&mut self, slot: Slot, value: Option<Value>) {
        let held = &mut self.slots[slot.0 as usize];
        if *held != value {
            self.log.push((slot, *held));
            *held = value;
        }
    }

    /// A place in the slots' history.
    pub(super) fn mark(&self) -> usize {
        self.log.len()
    }

    /// What slots hold that held something else at `mark`; they hold that again.
    pub(super) fn since(&mut self, mark: usize) -> Vec<(Slot, Option<Value>)> {
        let mut changed = Vec::new();
        let mut seen = HashSet::new();
        for (slot, before) in self.log.drain(mark..).rev() {
            let held = &mut self.slots[slot.0 as usize];
            if seen.insert(slot) {
                changed.push((slot, *held));
            }
            *held = before;
        }
        changed
    }

    /// What `work` appends, as a block of its own.
    pub(super) fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (Block, T) {
        let outer = std::mem::take(&mut self.block);
        let mark = self.undo.len();
        let result = work(self);
        for undo in self.undo.drain(mark..).rev() {
            match undo {
                Undo::Done(key, Some(before)) => {
                    self.done.insert(key, before);
                }
                Undo::Done(key, None) => {
                    self.done.remove(&key);
                }
                Undo::Range(value, range) => self.ranges[value.0 as usize] = range,
                Undo::Below(value, length) => {
                    self.below.remove(&(value, length));
                }
            }
        }
        (std::mem::replace(&mut self.block, outer), result)
    }

    /// From here to the end of the block, a bool holds or not.
    pub(super) fn assume(&mut self, condition: Value, holds: bool) {
        if self.known(condition).is_some() {
            return;
        }
        self.narrow(condition, Range::only(holds.into()));
        match *self.def(condition) {
            Op::Unary(Unary::Not, a) => self.assume(a, !holds),
            Op::Binary(Binary::And, a, b) if holds => {
                self.assume(a, true);
                self.assume(b, true);
            }
            Op::Binary(Binary::Or, a, b) if !holds => {
                self.assume(a, false);
                self.assume(b, false);
            }
            Op::Compare(Compare::Equal, a, b) if holds => self.assume_equal(a, b),
            Op::Compare(Compare::NotEqual, a, b) if !holds => self.assume_equal(a, b),
            Op::Compare(compare, a, b) if self.ty(a) == Type::U32 => {
                self.assume_order(compare, a, b, holds);
            }
            _ => {}
        }
    }

    fn assume_equal(&mut self, a: Value, b: Value) {
        if let (true, Some(number)) = (range::has(self.ty(a)), self.range(b).one()) {
            self.narrow(a, Range::only(number));
        }
    }

    /// Of u32.
    fn assume_order(&mut self, compare: Compare, a: Value, b: Value, holds: bool) {
        use Compare::*;
        // As a < b or a ≤ b.
        let (a, b, strict) = match (compare, holds) {
            (Less, true) | (GreaterEqual, false) => (a, b, true),
            (LessEqual, true) | (Greater, false) => (a, b, false),
            (Greater, true) | (LessEqual, false) => (b, a, true),
            (GreaterEqual, true) | (Less, false) => (b, a, false),
            _ => return,
        };
        let (low, high) = (self.range(a), self.range(b));
        let step = u32::from(strict);
        let (most, least) = (high.high.saturating_sub(step), low.low.saturating_add(step));
        self.narrow(a, Range { low: low.low, high: low.high.min(most) });
        self.narrow(b, Range { low: high.low.max(least), high: high.high });
        if let Op::Length(length) = *self.def(b)
            && strict
            && self.below.insert((a, length))
        {
            self.undo.push(Undo::Below(a, length));
        }
    }

    fn narrow(&mut self, value: Value, range: Range) {
        let before = self.range(value);
        // An empty range is that of a block no lane comes to.
        if self.known(value).is_none() && before != range && range.low <= range.high {
            self.undo.push(Undo::Range(value, before));
            self.ranges[value.0 as usize] = range;
        }
    }

    /// What an old value is here: a constant where conditions leave nothing else.
    pub(super) fn name(&mut self, value: Value) -> Value {
        let name = self.names[value.0 as usize];
        match self.range(name).one() {
            Some(bits) if range::has(self.ty(name)) => self.constant(self.ty(name), bits.into()),
            _ => name,
        }
    }

    /// Walks over a block; whether lanes come to its end.
    pub(super) fn walk(&mut self, block: &Block) -> bool {
        block.iter().all(|node| self.node(node))
    }

    /// An instruction of the old kernel.
    pub(super) fn instruction(&mut self, first: Value, op: &Op, span: Span) {
        let mut op = op.clone();
        op.operands_mut(|value| *value = self.name(*value));
        let (old, results) = (self.old, op.results());
        let types = match results {
            0 => &[],
            _ => &old.values[first.0 as usize..(first.0 + results) as usize],
        };
        match &mut op {
            Op::Load(place) | Op::Atomic { place, .. } => self.simplify(place, types[0].bytes()),
            Op::Store(place, value) => self.simplify(place, self.ty(*value).bytes()),
            _ => {}
        }
        let name = match op {
            Op::Get(slot) => match self.held(slot) {
                Some(value) => value,
                None => {
                    let value = self.emit(types, op, span);
                    self.hold(slot, Some(value));
                    value
                }
            },
            Op::Set(slot, value) => {
                if self.held(slot) != Some(value) {
                    self.emit(types, op, span);
                    self.hold(slot, Some(value));
                }
                return;
            }
            Op::Const(bits) => self.constant(types[0], bits),
            Op::Load(Place { memory, .. }) => {
                let writes = self.writes[self.memory(memory)];
                self.once(types, op, writes, span)
            }
            Op::Store(ref place, value) => {
                let (place, ty) = (place.clone(), self.ty(value));
                self.emit(types, op, span);
                self.write(place.memory);
                // What a lane writes to memory of its own it finds there.
                if place.memory == Memory::Private {
                    let writes = self.writes[self.memory(place.memory)];
                    self.remember(Key { op: Op::Load(place), ty, writes }, value);
                }
                return;
            }
            Op::Atomic { ref place, .. } => {
                let memory = place.memory;
                let value = self.emit(types, op, span);
                self.write(memory);
                value
            }
            Op::TextureLoad { texture, .. } => {
                let writes = self.writes[texture as usize];
                self.once(types, op, writes, span)
            }
            Op::TextureStore { texture, .. } => {
                self.emit(types, op, span);
                self.write(Memory::Binding(texture));
                return;
            }
            // Lanes that are there make a difference.
            Op::Together(..) | Op::Ballot(_) => self.emit(types, op, span),
            _ if results > 1 => self.once(types, op, 0, span),
            _ => self.pure(types[0], op, span),
        };
        for k in 0..results {
            self.names[(first.0 + k) as usize] = Value(name.0 + k);
        }
    }
}

/// Whether it is the same from the beginning to the end.
fn is_given(op: &Op) -> bool {
    matches!(op, Op::Const(_) | Op::Builtin(_) | Op::Length(_))
}

//! From a kernel to what the interpreter runs: types looked up, labels numbered, and values in as few
//! registers as their lives allow, so that they stay in the cache.

use super::error::RunError;
use super::lanes::{MAX_LANES, Register};
use super::step::{At, Do, Step, Texel};
use crate::device::Format;
use crate::ir::{
    self, Binding, BindingKind, Block, Builtin, Kernel, Label, Length, Node, Op, Place, Slot, Type,
    Value,
};
use std::cell::Cell;
use std::collections::HashMap;

/// Constructs within one another, at most: the interpreter follows them on its own stack.
const MAX_NESTING: usize = 256;

/// What a register holds from the beginning to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fixed {
    /// The same bits in all lanes.
    Const(u64),
    /// What a lane is given.
    Builtin(Builtin),
    /// The length of an array.
    Length(Length),
}

/// A kernel, ready to be interpreted.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) kernel: Kernel,
    /// Lanes of a workgroup.
    pub(crate) lanes: usize,
    /// Registers of 32 bits.
    pub(crate) words: usize,
    /// Registers of 64 bits.
    pub(crate) longs: usize,
    /// Registers that are filled before anything runs, and whether they are of 64 bits.
    pub(crate) fixed: Vec<(Fixed, bool, Register)>,
    /// The registers of the slots, and whether they are of 64 bits.
    pub(crate) slots: Vec<(bool, Register)>,
    /// How many constructs have labels.
    pub(crate) labels: usize,
    pub(crate) body: Vec<Step>,
}

impl Program {
    /// Whether executors can take a kernel, and how many lanes its workgroups have.
    pub(crate) fn check(kernel: &Kernel) -> Result<usize, RunError> {
        if !nests_within(&kernel.body, MAX_NESTING) {
            return Err(RunError::Nesting { limit: MAX_NESTING });
        }
        ir::verify(kernel).map_err(|fault| RunError::Kernel(Box::new(fault)))?;
        let axes = kernel.workgroup.iter().map(|n| u64::from(*n));
        let lanes = axes.fold(1, u64::saturating_mul);
        if lanes > MAX_LANES as u64 {
            return Err(RunError::Workgroup { expected: MAX_LANES as u64, found: lanes });
        }
        for binding in &kernel.bindings {
            texels(binding)?;
        }
        Ok(lanes as usize)
    }

    /// Of a kernel that executors can take.
    pub(crate) fn new(kernel: &Kernel) -> Result<Program, RunError> {
        let lanes = Program::check(kernel)?;
        let mut lives = Lives::new(kernel.values.len());
        lives.block(&kernel.body);
        lives.hold();
        let mut planner = Planner {
            kernel,
            ends: lives.ends(),
            lives,
            at: 0,
            registers: vec![Register(0); kernel.values.len()],
            kept: vec![false; kernel.values.len()],
            files: [File::default(), File::default()],
            fixed: HashMap::new(),
            slots: Vec::new(),
            labels: HashMap::new(),
            accesses: Cell::new(0),
            below: HashMap::new(),
        };
        for ty in &kernel.slots {
            let register = planner.file(*ty).take();
            planner.slots.push((is_wide(*ty), register));
        }
        let body = planner.block(&kernel.body)?;
        let [words, longs] = planner.files.each_ref().map(|file| file.count as usize);
        Ok(Program {
            kernel: kernel.clone(),
            lanes,
            words,
            longs,
            fixed: planner.fixed.into_iter().map(|((fixed, wide), at)| (fixed, wide, at)).collect(),
            slots: planner.slots,
            labels: planner.labels.len(),
            body,
        })
    }

    /// Bytes that one thread needs to run it.
    pub(crate) fn bytes(&self) -> u64 {
        let lane = 4 * self.words as u64 + 8 * self.longs as u64 + 4;
        let private = u64::from(self.kernel.private_bytes).next_multiple_of(4);
        (lane + private) * self.lanes as u64 + u64::from(self.kernel.workgroup_bytes)
    }
}

/// Whether a register of 64 bits holds it.
pub(crate) fn is_wide(ty: Type) -> bool {
    ty.bytes() == 8
}

/// Refuses textures whose texels this device does not know.
fn texels(binding: &Binding) -> Result<(), RunError> {
    let BindingKind::Texture { format, channel, .. } = &binding.kind else { return Ok(()) };
    let known = match format {
        Some(format) => Format::named(format).is_some_and(|format| format.channel() == *channel),
        None => matches!(channel, Type::F32 | Type::I32 | Type::U32),
    };
    let texels = format.clone().unwrap_or_else(|| channel.to_string());
    let what = || format!("the texture {} of {texels}", binding.name);
    if known { Ok(()) } else { Err(RunError::Unsupported { what: what() }) }
}

fn nests_within(block: &Block, limit: usize) -> bool {
    let Some(limit) = limit.checked_sub(1) else { return false };
    block.iter().all(|node| match node {
        Node::If { then, otherwise, .. } => {
            nests_within(then, limit) && nests_within(otherwise, limit)
        }
        Node::Loop { body, continuing, .. } => {
            nests_within(body, limit) && nests_within(continuing, limit)
        }
        Node::Switch { cases, default, .. } => {
            nests_within(default, limit) && cases.iter().all(|(_, b)| nests_within(b, limit))
        }
        Node::Scope { body, .. } => nests_within(body, limit),
        Node::Inst { .. } | Node::Leave { .. } | Node::Barrier { .. } => true,
    })
}

/// Where values are looked at last. Places are counted as [`Planner`] counts them: one for each node and one
/// for the end of each loop.
struct Lives {
    at: u32,
    /// Where each value is assigned.
    begins: Vec<u32>,
    /// Where each value is looked at last.
    last: Vec<u32>,
    /// Loops that are open: their number, and where they begin.
    open: Vec<(usize, u32)>,
    /// Where loops end.
    loops: Vec<u32>,
    /// Where slots are set, in order.
    sets: HashMap<Slot, Vec<u32>>,
    /// Values that live to the end of a loop, as its next round looks at them again.
    held: Vec<(Value, usize)>,
}

impl Lives {
    fn new(values: usize) -> Lives {
        Lives {
            at: 0,
            begins: vec![0; values],
            last: vec![0; values],
            open: Vec::new(),
            loops: Vec::new(),
            sets: HashMap::new(),
            held: Vec::new(),
        }
    }

    fn seen(&mut self, value: Value) {
        let begins = self.begins[value.0 as usize];
        let last = &mut self.last[value.0 as usize];
        *last = (*last).max(self.at);
        if let Some((number, _)) = self.open.iter().find(|(_, start)| *start > begins) {
            self.held.push((value, *number));
        }
    }

    fn block(&mut self, block: &Block) {
        for node in block {
            self.at += 1;
            match node {
                Node::Inst { first, op, .. } => {
                    op.operands(|value| self.seen(value));
                    if let Op::Set(slot, _) = op {
                        self.sets.entry(*slot).or_default().push(self.at);
                    }
                    for value in first.0..first.0 + op.results() {
                        self.begins[value as usize] = self.at;
                        self.last[value as usize] = self.at;
                    }
                }
                Node::If { condition, then, otherwise, .. } => {
                    self.seen(*condition);
                    self.block(then);
                    self.block(otherwise);
                }
                Node::Loop { body, continuing, break_if, .. } => {
                    let number = self.loops.len();
                    self.loops.push(0);
                    self.open.push((number, self.at));
                    self.block(body);
                    self.block(continuing);
                    self.at += 1;
                    break_if.iter().for_each(|value| self.seen(*value));
                    self.loops[number] = self.at;
                    self.open.pop();
                }
                Node::Switch { selector, cases, default, .. } => {
                    self.seen(*selector);
                    cases.iter().for_each(|(_, block)| self.block(block));
                    // Each case is chosen after those before it have run.
                    self.seen(*selector);
                    self.block(default);
                }
                Node::Scope { body, .. } => self.block(body),
                Node::Leave { .. } | Node::Barrier { .. } => {}
            }
        }
    }

    /// Has values live on that the next round of a loop looks at again.
    fn hold(&mut self) {
        for (value, number) in self.held.drain(..) {
            let last = &mut self.last[value.0 as usize];
            *last = (*last).max(self.loops[number]);
        }
    }

    /// Whether a slot is set while a value lives, which is got from it: else both can be one register.
    fn is_set(&self, slot: Slot, value: Value) -> bool {
        let (begin, last) = (self.begins[value.0 as usize], self.last[value.0 as usize]);
        let Some(sets) = self.sets.get(&slot) else { return false };
        let next = sets.partition_point(|at| *at <= begin);
        sets.get(next).is_some_and(|at| *at <= last)
    }

    /// The values that nobody looks at any more after each place.
    fn ends(&self) -> Vec<Vec<Value>> {
        let mut ends = vec![Vec::new(); self.at as usize + 1];
        for (value, last) in self.last.iter().enumerate() {
            ends[*last as usize].push(Value(value as u32));
        }
        ends
    }
}

/// Registers of one width.
#[derive(Debug, Default)]
struct File {
    count: u32,
    free: Vec<Register>,
}

impl File {
    fn take(&mut self) -> Register {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            Register(self.count - 1)
        })
    }
}

struct Planner<'a> {
    kernel: &'a Kernel,
    ends: Vec<Vec<Value>>,
    lives: Lives,
    at: usize,
    registers: Vec<Register>,
    /// Values whose registers are fixed.
    kept: Vec<bool>,
    /// Of 32 bits, and of 64.
    files: [File; 2],
    fixed: HashMap<(Fixed, bool), Register>,
    slots: Vec<(bool, Register)>,
    labels: HashMap<Label, usize>,
    /// How many instructions so far reach memory or texels.
    accesses: Cell<u32>,
    /// Below what values are that need no bound for it.
    below: HashMap<Value, u32>,
}

impl Planner<'_> {
    fn ty(&self, value: Value) -> Type {
        self.kernel.values[value.0 as usize]
    }

    fn register(&self, value: Value) -> Register {
        self.registers[value.0 as usize]
    }

    fn file(&mut self, ty: Type) -> &mut File {
        &mut self.files[usize::from(is_wide(ty))]
    }

    fn label(&mut self, label: Label) -> usize {
        let next = self.labels.len();
        *self.labels.entry(label).or_insert(next)
    }

    fn number(&self) -> u32 {
        self.accesses.replace(self.accesses.get() + 1)
    }

    fn at(&self, place: &Place) -> At {
        let number = self.number();
        let terms = place.terms.iter().map(|(value, stride)| (self.register(*value), *stride));
        At { number, memory: place.memory, base: place.base, terms: terms.collect() }
    }

    fn texel(&self, texture: u32, at: &[Value], level: Option<Value>) -> Texel {
        let number = self.number();
        let signed = |value: &Value| (self.register(*value), self.ty(*value).is_signed());
        let level = level.map(|value| self.register(value));
        Texel { number, texture, at: at.iter().map(signed).collect(), level }
    }

    fn fix(&mut self, fixed: Fixed, ty: Type) -> Register {
        let key = (fixed, is_wide(ty));
        match self.fixed.get(&key) {
            Some(register) => *register,
            None => {
                // Never given back: it holds the same to the end.
                let file = self.file(ty);
                file.count += 1;
                let register = Register(file.count - 1);
                self.fixed.insert(key, register);
                register
            }
        }
    }

    /// Gives back the registers of what is looked at no more after a place.
    fn pass(&mut self, at: usize) {
        for value in std::mem::take(&mut self.ends[at]) {
            if !self.kept[value.0 as usize] {
                let register = self.register(value);
                self.file(self.ty(value)).free.push(register);
            }
        }
    }

    fn block(&mut self, block: &Block) -> Result<Vec<Step>, RunError> {
        let mut steps = Vec::with_capacity(block.len());
        for node in block {
            self.at += 1;
            let here = self.at;
            match node {
                Node::Inst { first, op, span } => {
                    if let Some(what) = self.instruction(*first, op)? {
                        steps.push(Step::Do(what, *span));
                    }
                }
                Node::If { condition, then, otherwise, span } => {
                    let condition = self.register(*condition);
                    let then = self.block(then)?;
                    let otherwise = self.block(otherwise)?;
                    steps.push(Step::If { condition, then, otherwise, span: *span });
                }
                Node::Loop { label, body, continuing, break_if, span } => {
                    let label = self.label(*label);
                    let body = self.block(body)?;
                    let continuing = self.block(continuing)?;
                    let break_if = break_if.map(|value| self.register(value));
                    self.at += 1;
                    self.pass(self.at);
                    let span = *span;
                    steps.push(Step::Loop { label, body, continuing, break_if, span });
                }
                Node::Switch { label, selector, cases, default, span } => {
                    let label = self.label(*label);
                    let selector = self.register(*selector);
                    let cases = cases
                        .iter()
                        .map(|(selectors, block)| Ok((selectors.clone(), self.block(block)?)))
                        .collect::<Result<_, RunError>>()?;
                    let default = self.block(default)?;
                    let span = *span;
                    steps.push(Step::Switch { label, selector, cases, default, span });
                }
                Node::Scope { label, body } => {
                    let label = self.label(*label);
                    let body = self.block(body)?;
                    steps.push(Step::Scope { label, body });
                }
                Node::Leave { label, again, span } => {
                    let label = self.label(*label);
                    steps.push(Step::Leave { label, again: *again, span: *span });
                }
                Node::Barrier { scope, span } => {
                    steps.push(Step::Barrier { scope: *scope, span: *span });
                }
            }
            // What a construct looks at is free after it, not within.
            self.pass(here);
        }
        Ok(steps)
    }

    /// What an instruction does; nothing where its result is fixed.
    fn instruction(&mut self, first: Value, op: &Op) -> Result<Option<Do>, RunError> {
        let fixed = match op {
            Op::Const(bits) => Some(Fixed::Const(*bits)),
            Op::Builtin(builtin) => Some(Fixed::Builtin(*builtin)),
            Op::Length(length) => Some(Fixed::Length(*length)),
            _ => None,
        };
        if let Some(fixed) = fixed {
            let register = self.fix(fixed, self.ty(first));
            if let Some(lanes) = self.lanes(fixed) {
                self.below.insert(first, lanes);
            }
            return Ok(self.keep(first, register));
        }
        if let Op::Bound(a, Length::Fixed(length)) = op
            && self.below.get(a).is_some_and(|lanes| lanes <= length)
        {
            return Ok(self.keep(first, self.register(*a)));
        }
        if let Op::Get(slot) = op
            && !self.lives.is_set(*slot, first)
        {
            return Ok(self.keep(first, self.slot(*slot).1));
        }
        for value in first.0..first.0 + op.results() {
            let register = self.file(self.ty(Value(value))).take();
            self.registers[value as usize] = register;
        }
        let out = if op.results() > 0 { self.register(first) } else { Register(0) };
        let ty = if op.results() > 0 { self.ty(first) } else { Type::U32 };
        let next = |k: u32| self.registers[(first.0 + k) as usize];
        let at = |value: &Value| self.register(*value);
        Ok(Some(match op {
            Op::Const(_) | Op::Builtin(_) | Op::Length(_) => return Ok(None),
            Op::Unary(op, a) => Do::Unary(*op, ty, out, at(a)),
            Op::Binary(op, a, b) => Do::Binary(*op, ty, out, at(a), at(b)),
            Op::Compare(op, a, b) => Do::Compare(*op, self.ty(*a), out, at(a), at(b)),
            Op::Fma(a, b, c) => Do::Fma(ty, out, [at(a), at(b), at(c)]),
            Op::Select(condition, a, b) => {
                Do::Select { wide: is_wide(ty), out, condition: at(condition), a: at(a), b: at(b) }
            }
            Op::Convert(a) => Do::Convert(self.ty(*a), ty, out, at(a)),
            Op::Bitcast(a) => Do::Copy { wide: is_wide(ty), out, a: at(a) },
            Op::UnpackHalf(a) => Do::UnpackHalf([out, next(1)], at(a)),
            Op::PackHalf(a, b) => Do::PackHalf(out, at(a), at(b)),
            Op::Ldexp(a, b) => Do::Ldexp(ty, out, at(a), at(b)),
            Op::Frexp(a) => Do::Frexp(ty, [out, next(1)], at(a)),
            Op::Get(slot) => {
                let (wide, slot) = self.slot(*slot);
                Do::Copy { wide, out, a: slot }
            }
            Op::Set(slot, a) => {
                let (wide, slot) = self.slot(*slot);
                Do::Set { wide, slot, a: at(a) }
            }
            Op::Bound(a, length) => {
                let a = at(a);
                let length = self.fix(Fixed::Length(*length), Type::U32);
                Do::Bound { out, a, length }
            }
            Op::Load(place) => Do::Load { ty, out, at: self.at(place) },
            Op::Store(place, a) => Do::Store { ty: self.ty(*a), at: self.at(place), a: at(a) },
            Op::Atomic { op, place, value, compare } => Do::Atomic {
                op: *op,
                ty,
                out,
                at: self.at(place),
                value: at(value),
                compare: compare.as_ref().map(at),
            },
            Op::Together(op, a, b) => {
                Do::Together { op: *op, ty, out, a: at(a), b: b.as_ref().map(at) }
            }
            Op::Ballot(a) => Do::Ballot([out, next(1), next(2), next(3)], at(a)),
            Op::TextureLoad { texture, at, level } => {
                let out = [out, next(1), next(2), next(3)];
                Do::TextureLoad(out, self.texel(*texture, at, *level))
            }
            Op::TextureStore { texture, at, value } => {
                Do::TextureStore(self.texel(*texture, at, None), value.map(|v| self.register(v)))
            }
            Op::TextureSize { texture, level } => Do::TextureSize {
                texture: *texture,
                out: [out, next(1), next(2)],
                level: level.as_ref().map(at),
            },
        }))
    }

    /// Below what it is, of numbers of lanes.
    fn lanes(&self, fixed: Fixed) -> Option<u32> {
        match fixed {
            Fixed::Builtin(Builtin::LocalId(axis)) => {
                self.kernel.workgroup.get(usize::from(axis)).copied()
            }
            Fixed::Builtin(Builtin::LocalIndex) => Some(self.kernel.workgroup.iter().product()),
            _ => None,
        }
    }

    /// Has a value be what a register holds anyway.
    fn keep(&mut self, value: Value, register: Register) -> Option<Do> {
        self.registers[value.0 as usize] = register;
        self.kept[value.0 as usize] = true;
        None
    }

    fn slot(&self, slot: Slot) -> (bool, Register) {
        self.slots[slot.0 as usize]
    }
}

//! Instructions over the lanes of a warp.

use super::emit::{Emitter, Held, field, fixed, own, scalar};
use super::shapes::{Along, along};
use super::shims;
use super::tree::BodyId;
use crate::ir::{self, Builtin, Compare, Length, Op, Span, Type};
use crate::numerics;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Emitter<'_, '_> {
    /// An instruction of the block `at`.
    pub(super) fn instruction(&mut self, first: ir::Value, op: &Op, span: Span, at: BodyId) {
        let proved = self.proofs.holds(op);
        match op {
            Op::Set(slot, value) => self.set(*slot, *value, at),
            Op::Store(place, value) => self.write(place, *value, proved, span),
            Op::Atomic { op, place, value, compare } => {
                self.atomic(first, *op, place, *value, *compare, proved, span);
                self.publish(first);
            }
            Op::Load(place) => {
                let held = self.read(self.ty(first), place, proved, span);
                self.hold(first, held);
                self.publish(first);
            }
            Op::UnpackHalf(a) => {
                for upper in [false, true] {
                    let held = self.call1(shims::unpack(upper) as usize, *a, Type::F32);
                    self.give_out(first, upper.into(), held);
                }
            }
            Op::Frexp(a) => {
                let ty = self.ty(*a);
                for (exponent, gives) in [(false, ty), (true, Type::I32)] {
                    let held = self.call1(shims::frexp(ty, exponent) as usize, *a, gives);
                    self.give_out(first, exponent.into(), held);
                }
            }
            Op::Ballot(_)
            | Op::TextureLoad { .. }
            | Op::TextureSize { .. }
            | Op::TextureStore { .. } => {
                self.ask(first, op);
            }
            Op::Together(..) => self.ask(first, op),
            _ => {
                if let Op::Compare(Compare::Less, a, b) = op
                    && self.ty(*a) == Type::U32
                    && let (Held::Linear(from, 1), Held::Uniform(end)) =
                        (self.held(*a), self.held(*b))
                {
                    self.below.insert(first, (from, end));
                }
                let held = self.compute(first, op);
                self.hold_word(first, op, held);
                self.publish(first);
            }
        }
    }

    /// Has a result of several be what lanes hold.
    pub(super) fn give_out(&mut self, first: ir::Value, number: u32, held: Held) {
        let value = ir::Value(first.0 + number);
        self.hold(value, held);
        self.publish(value);
    }

    /// What an instruction without effect gives.
    pub(super) fn compute(&mut self, first: ir::Value, op: &Op) -> Held {
        let ty = self.ty(first);
        match op {
            Op::Const(bits) => Held::Uniform(self.constant(ty, *bits)),
            Op::Builtin(builtin) => self.builtin(*builtin),
            Op::Unary(op, a) => self.unary(*op, *a),
            Op::Binary(op, a, b) => self.binary(*op, *a, *b),
            Op::Compare(op, a, b) => self.compare(*op, *a, *b),
            Op::Fma(a, b, c) => self.fma(*a, *b, *c),
            Op::Select(condition, a, b) => self.select(*condition, *a, *b),
            Op::Convert(a) => self.convert(*a, ty),
            Op::Bitcast(a) => self.bitcast(*a, ty),
            Op::PackHalf(a, b) => self.call2(shims::pack() as usize, *a, *b, Type::U32),
            Op::Ldexp(a, b) => self.call2(shims::ldexp(ty) as usize, *a, *b, ty),
            Op::Get(slot) => {
                let Some(home) = self.slots.get(slot).cloned() else {
                    return Held::Uniform(self.constant(ty, 0));
                };
                let now: Vec<Value> =
                    home.variables.iter().map(|variable| self.b.use_var(*variable)).collect();
                if home.uniform { Held::Uniform(now[0]) } else { Held::Varying(now) }
            }
            Op::Bound(a, _) if self.proofs.holds(op) => self.held(*a),
            Op::Bound(a, length) => self.bound(*a, *length),
            Op::Length(length) => Held::Uniform(self.length(*length)),
            // Those with effects, or several results, are not computed here.
            _ => Held::Uniform(self.constant(ty, 0)),
        }
    }

    pub(super) fn constant(&mut self, ty: Type, bits: u64) -> Value {
        match ty {
            Type::Bool => self.b.ins().iconst(types::I8, i64::from(bits != 0)),
            Type::I32 | Type::U32 | Type::F16 => self.word(bits as u32),
            Type::I64 | Type::U64 => self.long(bits as i64),
            Type::F32 => self.b.ins().f32const(f32::from_bits(bits as u32)),
            Type::F64 => self.b.ins().f64const(f64::from_bits(bits)),
        }
    }

    fn builtin(&mut self, builtin: Builtin) -> Held {
        let warp = |e: &mut Self| {
            let warp = e.b.use_var(e.warp);
            e.b.ins().ireduce(types::I32, warp)
        };
        let given = |e: &mut Self, start: i32, axis: u8| {
            let offset = start + 4 * i32::from(axis.min(2));
            let flags = if start == field!(id) { own() } else { fixed() };
            Held::Uniform(e.load(types::I32, flags, e.given, offset))
        };
        let lanes = self.lanes();
        match builtin {
            Builtin::LocalId(axis) => {
                // x of all lanes, then y, then z: their warps', each as long as all lanes are.
                let skip = (u32::from(axis.min(2)) * 4 * lanes * self.layout.warps) as i32;
                match along(self.kernel.workgroup, axis, lanes) {
                    Along::Uniform => {
                        Held::Uniform(self.load(types::I32, fixed(), self.places, skip))
                    }
                    Along::Linear => {
                        Held::Linear(self.load(types::I32, fixed(), self.places, skip), 1)
                    }
                    Along::Any => self.places_of(axis.min(2)),
                }
            }
            Builtin::LocalIndex => {
                let [x, y, z] = self.kernel.workgroup;
                if (x * y * z).is_multiple_of(lanes) {
                    let warp = warp(self);
                    return Held::Linear(self.b.ins().imul_imm_u(warp, i64::from(lanes)), 1);
                }
                self.places_of(3)
            }
            Builtin::WorkgroupId(axis) => given(self, field!(id), axis),
            Builtin::Workgroups(axis) => given(self, field!(workgroups), axis),
            Builtin::SubgroupSize => Held::Uniform(self.word(lanes)),
            Builtin::SubgroupLane => {
                let zero = self.word(0);
                Held::Linear(zero, 1)
            }
            Builtin::SubgroupId => Held::Uniform(warp(self)),
            Builtin::Subgroups => Held::Uniform(self.word(self.layout.warps)),
        }
    }

    /// Where each lane is along an axis; the third is its number. Those that are none are at 0.
    fn places_of(&mut self, axis: u8) -> Held {
        let skip = (u32::from(axis) * 4 * self.lanes() * self.layout.warps) as i32;
        let chunks = 0..(self.lanes() / 4) as i32;
        let at = self.places;
        let chunk = |chunk| self.load(types::I32X4, fixed(), at, skip + 16 * chunk);
        Held::Varying(chunks.map(chunk).collect())
    }

    fn length(&mut self, length: Length) -> Value {
        match length {
            Length::Fixed(count) => self.word(count),
            Length::Runtime { .. } => {
                let number = self.layout.lengths.iter().position(|l| *l == length).unwrap_or(0);
                let lengths = self.load(types::I64, fixed(), self.given, field!(lengths));
                self.load(types::I32, fixed(), lengths, 4 * number as i32)
            }
        }
    }

    fn bound(&mut self, a: ir::Value, length: Length) -> Held {
        let length = self.length(length);
        // An array has one element at least, but for one of no elements, of which nothing is read.
        let one = self.word(1);
        let length = self.b.ins().umax(length, one);
        let last = self.b.ins().iadd_imm_s(length, -1);
        match self.held(a) {
            Held::Uniform(index) => Held::Uniform(self.b.ins().umin(index, last)),
            Held::Linear(first, 1) => Held::Capped { first, last },
            _ => {
                let last = self.b.ins().splat(types::I32X4, last);
                let indices = self.vectors(a);
                let held = indices.into_iter().map(|index| self.b.ins().umin(index, last));
                Held::Varying(held.collect())
            }
        }
    }

    /// Runs one function over numbers, or over vectors.
    pub(super) fn map1(&mut self, a: ir::Value, f: impl Fn(&mut Self, Value) -> Value) -> Held {
        match self.number(a) {
            Some(a) => Held::Uniform(f(self, a)),
            None => {
                let a = self.vectors(a);
                Held::Varying(a.into_iter().map(|a| f(self, a)).collect())
            }
        }
    }

    pub(super) fn map2(
        &mut self,
        a: ir::Value,
        b: ir::Value,
        f: impl Fn(&mut Self, Value, Value) -> Value,
    ) -> Held {
        match (self.number(a), self.number(b)) {
            (Some(a), Some(b)) => Held::Uniform(f(self, a, b)),
            _ => {
                let (a, b) = (self.vectors(a), self.vectors(b));
                Held::Varying(a.into_iter().zip(b).map(|(a, b)| f(self, a, b)).collect())
            }
        }
    }

    /// Whether a value is one number.
    pub(super) fn is_number(&mut self, value: ir::Value) -> bool {
        self.number(value).is_some()
    }

    fn compare(&mut self, op: Compare, a: ir::Value, b: ir::Value) -> Held {
        let ty = self.ty(a);
        if ty == Type::F16 {
            return self.call2(shims::compare(op, ty) as usize, a, b, Type::Bool);
        }
        let signed = ty.is_signed();
        let integers = match (op, signed) {
            (Compare::Equal, _) => IntCC::Equal,
            (Compare::NotEqual, _) => IntCC::NotEqual,
            (Compare::Less, true) => IntCC::SignedLessThan,
            (Compare::LessEqual, true) => IntCC::SignedLessThanOrEqual,
            (Compare::Greater, true) => IntCC::SignedGreaterThan,
            (Compare::GreaterEqual, true) => IntCC::SignedGreaterThanOrEqual,
            (Compare::Less, false) => IntCC::UnsignedLessThan,
            (Compare::LessEqual, false) => IntCC::UnsignedLessThanOrEqual,
            (Compare::Greater, false) => IntCC::UnsignedGreaterThan,
            (Compare::GreaterEqual, false) => IntCC::UnsignedGreaterThanOrEqual,
        };
        let floats = match op {
            Compare::Equal => FloatCC::Equal,
            Compare::NotEqual => FloatCC::NotEqual,
            Compare::Less => FloatCC::LessThan,
            Compare::LessEqual => FloatCC::LessThanOrEqual,
            Compare::Greater => FloatCC::GreaterThan,
            Compare::GreaterEqual => FloatCC::GreaterThanOrEqual,
        };
        // A bool of lanes is all ones: as a number without a sign the larger.
        let held = self.map2(a, b, |e, a, b| match ty.is_float() {
            true => {
                let holds = e.b.ins().fcmp(floats, a, b);
                let machine = e.b.func.dfg.value_type(holds);
                if machine.is_vector() { e.cast(machine.as_int(), holds) } else { holds }
            }
            false => e.b.ins().icmp(integers, a, b),
        });
        match held {
            Held::Varying(wide) if ty.bytes() == 8 => Held::Varying(self.narrow(&wide)),
            held => held,
        }
    }

    fn fma(&mut self, a: ir::Value, b: ir::Value, c: ir::Value) -> Held {
        let ty = self.ty(a);
        // The machine overwrites the first factor: better one of the lanes' own than what others take too.
        let (a, b) = if self.is_number(a) { (b, a) } else { (a, b) };
        if ty != Type::F16 && numerics::fuses() {
            return match (self.number(a), self.number(b), self.number(c)) {
                (Some(a), Some(b), Some(c)) => Held::Uniform(self.b.ins().fma(a, b, c)),
                _ => {
                    let [a, b, c] = [a, b, c].map(|value| self.vectors(value));
                    let sums = a.into_iter().zip(b).zip(c);
                    Held::Varying(sums.map(|((a, b), c)| self.b.ins().fma(a, b, c)).collect())
                }
            };
        }
        let numbers = [a, b, c].iter().all(|value| self.is_number(*value));
        let count = if numbers { 1 } else { self.lanes() };
        let bytes = if ty.bytes() == 8 { 8 } else { 4 };
        let at = self.area(0);
        for (number, operand) in [a, b, c].into_iter().enumerate() {
            let skip = (number as u32 * bytes * count) as i32;
            match self.number(operand).filter(|_| numbers) {
                Some(value) => self.store(own(), value, at, skip),
                None => {
                    for (chunk, vector) in self.vectors(operand).into_iter().enumerate() {
                        self.store(own(), vector, at, skip + 16 * chunk as i32);
                    }
                }
            }
        }
        let (out, count) = (self.area(3), self.long(count.into()));
        self.call(shims::fma(ty) as usize, &[out, at, count], false);
        self.collect(ty, out, numbers)
    }

    fn select(&mut self, condition: ir::Value, a: ir::Value, b: ir::Value) -> Held {
        let ty = self.ty(a);
        if let Some(condition) = self.number(condition) {
            return match (self.number(a), self.number(b)) {
                (Some(a), Some(b)) => Held::Uniform(self.b.ins().select(condition, a, b)),
                _ => {
                    let (a, b) = (self.vectors(a), self.vectors(b));
                    let choose = |(a, b)| self.b.ins().select(condition, a, b);
                    Held::Varying(a.into_iter().zip(b).map(choose).collect())
                }
            };
        }
        let mask = self.vectors(condition);
        let mask = self.widen(ty, &mask);
        let (a, b) = (self.vectors(a), self.vectors(b));
        Held::Varying(self.choose(ty, &mask, &a, &b))
    }

    /// Puts an operand where a function finds it: one number, or vectors.
    pub(super) fn put(&mut self, area: u32, value: ir::Value, number: bool) -> Value {
        let ty = self.ty(value);
        match self.number(value).filter(|_| number) {
            Some(value) => {
                let at = self.area(area);
                let value =
                    if ty == Type::Bool { self.b.ins().uextend(types::I32, value) } else { value };
                self.store(own(), value, at, 0);
                at
            }
            None => {
                let vectors = self.vectors(value);
                let vectors = self.plain(ty, vectors);
                self.spill(area, &vectors)
            }
        }
    }

    /// What a function has written.
    pub(super) fn collect(&mut self, ty: Type, at: Value, number: bool) -> Held {
        match (number, ty) {
            (true, Type::Bool) => {
                let word = self.load(types::I32, own(), at, 0);
                Held::Uniform(self.b.ins().icmp_imm_u(IntCC::NotEqual, word, 0))
            }
            (true, _) => Held::Uniform(self.load(scalar(ty), own(), at, 0)),
            (false, _) => Held::Varying(self.fill(ty, at)),
        }
    }

    /// Has a function of one operand run over the lanes.
    pub(super) fn call1(&mut self, shim: usize, a: ir::Value, gives: Type) -> Held {
        let number = self.is_number(a);
        let at = self.put(0, a, number);
        let out = self.area(3);
        let count = self.long(if number { 1 } else { self.lanes().into() });
        self.call(shim, &[out, at, count], false);
        self.collect(gives, out, number)
    }

    /// Has a function of two operands run over the lanes.
    pub(super) fn call2(&mut self, shim: usize, a: ir::Value, b: ir::Value, gives: Type) -> Held {
        let number = self.is_number(a) && self.is_number(b);
        let (a, b) = (self.put(0, a, number), self.put(1, b, number));
        let out = self.area(3);
        let count = self.long(if number { 1 } else { self.lanes().into() });
        self.call(shim, &[out, a, b, count], false);
        self.collect(gives, out, number)
    }
}

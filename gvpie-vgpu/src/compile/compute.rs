//! Instructions over the lanes of a warp.

use super::emit::{Emitter, Held, field, fixed, own, scalar, vector};
use super::shapes::{Along, along};
use super::shims;
use super::tree::BodyId;
use crate::ir::{self, Binary, Builtin, Compare, Length, Op, Span, Type, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type as Machine, Value, types};

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
                let held = self.compute(first, op);
                self.hold(first, held);
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
    fn map1(&mut self, a: ir::Value, f: impl Fn(&mut Self, Value) -> Value) -> Held {
        match self.number(a) {
            Some(a) => Held::Uniform(f(self, a)),
            None => {
                let a = self.vectors(a);
                Held::Varying(a.into_iter().map(|a| f(self, a)).collect())
            }
        }
    }

    fn map2(
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
    fn is_number(&mut self, value: ir::Value) -> bool {
        self.number(value).is_some()
    }

    fn unary(&mut self, op: Unary, a: ir::Value) -> Held {
        let ty = self.ty(a);
        let float = matches!(ty, Type::F32 | Type::F64);
        match (op, ty) {
            (Unary::Not, Type::Bool) => match self.number(a) {
                Some(a) => Held::Uniform(self.b.ins().bxor_imm_u(a, 1)),
                None => self.map1(a, |e, a| e.b.ins().bnot(a)),
            },
            (Unary::Not, _) => self.map1(a, |e, a| e.b.ins().bnot(a)),
            (Unary::Neg, _) if ty.is_integer() => self.map1(a, |e, a| e.b.ins().ineg(a)),
            (Unary::Abs, Type::I32 | Type::I64) => self.map1(a, |e, a| e.b.ins().iabs(a)),
            (Unary::Abs, Type::U32 | Type::U64) => self.held(a),
            (Unary::Neg, _) if float => self.map1(a, |e, a| e.b.ins().fneg(a)),
            (Unary::Abs, _) if float => self.map1(a, |e, a| e.b.ins().fabs(a)),
            (Unary::Floor, _) if float => self.map1(a, |e, a| e.b.ins().floor(a)),
            (Unary::Ceil, _) if float => self.map1(a, |e, a| e.b.ins().ceil(a)),
            (Unary::Trunc, _) if float => self.map1(a, |e, a| e.b.ins().trunc(a)),
            (Unary::Round, _) if float => self.map1(a, |e, a| e.b.ins().nearest(a)),
            (Unary::Sqrt, _) if float => self.map1(a, |e, a| e.b.ins().sqrt(a)),
            (Unary::InverseSqrt, _) if float => {
                let number = self.is_number(a);
                let one = self.one(ty, number);
                self.map1(a, |e, a| {
                    let root = e.b.ins().sqrt(a);
                    e.b.ins().fdiv(one, root)
                })
            }
            _ => match shims::unary(op, ty) {
                Some(shim) => self.call1(shim as usize, a, ty),
                None => self.held(a),
            },
        }
    }

    /// 1.0, as a number or as a vector.
    fn one(&mut self, ty: Type, number: bool) -> Value {
        let bits = if ty == Type::F64 { 1_f64.to_bits() } else { 1_f32.to_bits().into() };
        let one = self.constant(ty, bits);
        if number { one } else { self.splat(ty, one) }
    }

    fn binary(&mut self, op: Binary, a: ir::Value, b: ir::Value) -> Held {
        let ty = self.ty(a);
        if let Some(held) = self.linear(op, a, b) {
            return held;
        }
        let float = matches!(ty, Type::F32 | Type::F64);
        let integer = ty.is_integer();
        match op {
            Binary::And if !ty.is_float() => self.map2(a, b, |e, a, b| e.b.ins().band(a, b)),
            Binary::Or if !ty.is_float() => self.map2(a, b, |e, a, b| e.b.ins().bor(a, b)),
            Binary::Xor if !ty.is_float() => self.map2(a, b, |e, a, b| e.b.ins().bxor(a, b)),
            Binary::Add if integer => self.map2(a, b, |e, a, b| e.b.ins().iadd(a, b)),
            Binary::Sub if integer => self.map2(a, b, |e, a, b| e.b.ins().isub(a, b)),
            Binary::Mul if integer => self.map2(a, b, |e, a, b| e.b.ins().imul(a, b)),
            Binary::Add if float => self.map2(a, b, |e, a, b| e.b.ins().fadd(a, b)),
            Binary::Sub if float => self.map2(a, b, |e, a, b| e.b.ins().fsub(a, b)),
            Binary::Mul if float => self.map2(a, b, |e, a, b| e.b.ins().fmul(a, b)),
            Binary::Div if float => self.map2(a, b, |e, a, b| e.b.ins().fdiv(a, b)),
            Binary::Rem if float => self.map2(a, b, |e, a, b| {
                let quotient = e.b.ins().fdiv(a, b);
                let whole = e.b.ins().trunc(quotient);
                let part = e.b.ins().fmul(b, whole);
                e.b.ins().fsub(a, part)
            }),
            // b if b < a, else a; and b if a < b, else a.
            Binary::Min if float => {
                self.map2(a, b, |e, a, b| e.pick(FloatCC::LessThan, b, a, b, a))
            }
            Binary::Max if float => {
                self.map2(a, b, |e, a, b| e.pick(FloatCC::LessThan, a, b, b, a))
            }
            Binary::Step if float => {
                let number = self.is_number(a) && self.is_number(b);
                let one = self.one(ty, number);
                let zero = self.constant(ty, 0);
                let zero = if number { zero } else { self.splat(ty, zero) };
                self.map2(a, b, |e, a, b| e.pick(FloatCC::LessThanOrEqual, a, b, one, zero))
            }
            Binary::Min | Binary::Max
                if ty.bytes() == 4 || self.is_number(a) && self.is_number(b) =>
            {
                self.map2(a, b, |e, a, b| match (op, ty.is_signed()) {
                    (Binary::Min, true) => e.b.ins().smin(a, b),
                    (Binary::Min, false) => e.b.ins().umin(a, b),
                    (_, true) => e.b.ins().smax(a, b),
                    (_, false) => e.b.ins().umax(a, b),
                })
            }
            Binary::Shl | Binary::Shr => self.shift(op, a, b),
            Binary::Div | Binary::Rem if ty.bytes() == 4 && integer => self.divide(op, a, b),
            _ => match shims::binary(op, ty) {
                Some(shim) => self.call2(shim as usize, a, b, ty),
                None => self.held(a),
            },
        }
    }

    /// Words that count up stay so when one number is added, or when a constant multiplies them.
    fn linear(&mut self, op: Binary, a: ir::Value, b: ir::Value) -> Option<Held> {
        if !matches!(self.ty(a), Type::U32 | Type::I32) {
            return None;
        }
        let constant = |e: &Self, value: ir::Value| match e.tree.constant(value) {
            Some(Op::Const(bits)) => Some(*bits as u32),
            _ => None,
        };
        match (op, self.held(a), self.held(b)) {
            (Binary::Add, Held::Linear(a, s), Held::Uniform(b)) => {
                Some(Held::Linear(self.b.ins().iadd(a, b), s))
            }
            (Binary::Add, Held::Uniform(a), Held::Linear(b, s)) => {
                Some(Held::Linear(self.b.ins().iadd(a, b), s))
            }
            (Binary::Add, Held::Linear(a, s), Held::Linear(b, t)) => {
                Some(Held::Linear(self.b.ins().iadd(a, b), s.wrapping_add(t)))
            }
            (Binary::Sub, Held::Linear(a, s), Held::Uniform(b)) => {
                Some(Held::Linear(self.b.ins().isub(a, b), s))
            }
            (Binary::Mul, Held::Linear(a, s), Held::Uniform(m)) => {
                let by = constant(self, b)?;
                Some(Held::Linear(self.b.ins().imul(a, m), s.wrapping_mul(by)))
            }
            (Binary::Mul, Held::Uniform(m), Held::Linear(b, s)) => {
                let by = constant(self, a)?;
                Some(Held::Linear(self.b.ins().imul(m, b), s.wrapping_mul(by)))
            }
            (Binary::Shl, Held::Linear(a, s), Held::Uniform(_)) => {
                let by = constant(self, b)? & 31;
                Some(Held::Linear(self.b.ins().ishl_imm_u(a, i64::from(by)), s << by))
            }
            _ => None,
        }
    }

    /// x where a float comparison holds, else y: as numbers or as vectors.
    fn pick(&mut self, cc: FloatCC, a: Value, b: Value, x: Value, y: Value) -> Value {
        let holds = self.b.ins().fcmp(cc, a, b);
        let machine = self.b.func.dfg.value_type(x);
        if !machine.is_vector() {
            return self.b.ins().select(holds, x, y);
        }
        let holds = self.cast(machine, holds);
        self.b.ins().bitselect(holds, x, y)
    }

    fn shift(&mut self, op: Binary, a: ir::Value, count: ir::Value) -> Held {
        let ty = self.ty(a);
        let signed = ty.is_signed();
        let one = move |e: &mut Self, a: Value, count: Value| match (op, signed) {
            (Binary::Shl, _) => e.b.ins().ishl(a, count),
            (_, true) => e.b.ins().sshr(a, count),
            (_, false) => e.b.ins().ushr(a, count),
        };
        // One count for all lanes; the machine takes it modulo the bits of a lane.
        if let Some(count) = self.number(count) {
            return self.map1(a, |e, a| one(e, a, count));
        }
        let (values, counts) = (self.vectors(a), self.vectors(count));
        if ty.bytes() == 8 {
            let shim = shims::binary(op, ty).map_or(0, |shim| shim as usize);
            return self.call2(shim, a, count, ty);
        }
        let lanes = |e: &mut Self, value: Value, counts: Value| {
            let mut out = value;
            for lane in 0..4_u8 {
                let a = e.b.ins().extractlane(value, lane);
                let count = e.b.ins().extractlane(counts, lane);
                let shifted = one(e, a, count);
                out = e.b.ins().insertlane(out, shifted, lane);
            }
            out
        };
        Held::Varying(values.into_iter().zip(counts).map(|(a, b)| lanes(self, a, b)).collect())
    }

    /// Of words: x / 0 is x, x % 0 is 0, and the smallest by −1 is itself.
    fn divide(&mut self, op: Binary, a: ir::Value, b: ir::Value) -> Held {
        let signed = self.ty(a).is_signed();
        if let (Some(a), Some(b)) = (self.number(a), self.number(b)) {
            let one = self.word(1);
            let by = self.b.ins().select(b, b, one);
            let [a, by] = [a, by].map(|word| match signed {
                true => self.b.ins().sextend(types::I64, word),
                false => self.b.ins().uextend(types::I64, word),
            });
            let out = match (op, signed) {
                (Binary::Div, true) => self.b.ins().sdiv(a, by),
                (Binary::Div, false) => self.b.ins().udiv(a, by),
                (_, true) => self.b.ins().srem(a, by),
                (_, false) => self.b.ins().urem(a, by),
            };
            return Held::Uniform(self.b.ins().ireduce(types::I32, out));
        }
        self.map2_vectors(a, b, |e, a, b| {
            let zero = e.words([0; 4]);
            let none = e.b.ins().icmp(IntCC::Equal, b, zero);
            // All ones are −1: 0 becomes 1, and other divisors stay.
            let by = e.b.ins().isub(b, none);
            let (x, y) = match signed {
                true => (e.b.ins().iabs(a), e.b.ins().iabs(by)),
                false => (a, by),
            };
            let mut quotient = e.quotient(x, y);
            if signed {
                let signs = e.b.ins().bxor(a, by);
                let signs = e.b.ins().sshr_imm_u(signs, 31);
                let flipped = e.b.ins().bxor(quotient, signs);
                quotient = e.b.ins().isub(flipped, signs);
            }
            if op == Binary::Div {
                return quotient;
            }
            let part = e.b.ins().imul(quotient, by);
            e.b.ins().isub(a, part)
        })
    }

    fn map2_vectors(
        &mut self,
        a: ir::Value,
        b: ir::Value,
        f: impl Fn(&mut Self, Value, Value) -> Value,
    ) -> Held {
        let (a, b) = (self.vectors(a), self.vectors(b));
        Held::Varying(a.into_iter().zip(b).map(|(a, b)| f(self, a, b)).collect())
    }

    /// Words of four lanes divided, none by 0, through f64: a quotient that is not whole is 1 / b from the
    /// next whole number at least, and a / b · 2⁻⁵³, which is less, is the most that rounding moves it.
    fn quotient(&mut self, a: Value, b: Value) -> Value {
        // A word below 2⁵² in the lowest bits of a significand: 2⁵² more than itself.
        let magic = self.b.ins().f64const(f64::from_bits(0x4330_0000_0000_0000));
        let magic = self.b.ins().splat(types::F64X2, magic);
        let bits = self.cast(types::I64X2, magic);
        let mut halves = Vec::with_capacity(2);
        for high in [false, true] {
            let of = |e: &mut Self, word: Value| {
                let wide = match high {
                    false => e.b.ins().uwiden_low(word),
                    true => e.b.ins().uwiden_high(word),
                };
                let sum = e.b.ins().bor(wide, bits);
                let sum = e.cast(types::F64X2, sum);
                e.b.ins().fsub(sum, magic)
            };
            let (a, b) = (of(self, a), of(self, b));
            let quotient = self.b.ins().fdiv(a, b);
            let whole = self.b.ins().trunc(quotient);
            let sum = self.b.ins().fadd(whole, magic);
            halves.push(self.cast(types::I64X2, sum));
        }
        self.narrow(&halves)[0]
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
        if ty != Type::F16 && has_fma() {
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

    fn convert(&mut self, a: ir::Value, to: Type) -> Held {
        let from = self.ty(a);
        match (from, to) {
            _ if from == to => self.held(a),
            (Type::I32, Type::U32) | (Type::U32, Type::I32) => self.held(a),
            (Type::I64, Type::U64) | (Type::U64, Type::I64) => self.held(a),
            (Type::I32, Type::F32) => self.map1(a, |e, a| {
                let ty = e.float_like(a);
                e.b.ins().fcvt_from_sint(ty, a)
            }),
            (Type::U32, Type::F32) => self.map1(a, |e, a| {
                let ty = e.float_like(a);
                e.b.ins().fcvt_from_uint(ty, a)
            }),
            (Type::F32, Type::I32) => self.map1(a, |e, a| {
                let ty = e.word_like(a);
                e.b.ins().fcvt_to_sint_sat(ty, a)
            }),
            (Type::F32, Type::U32) => self.map1(a, |e, a| {
                let ty = e.word_like(a);
                e.b.ins().fcvt_to_uint_sat(ty, a)
            }),
            (Type::Bool, Type::I32 | Type::U32) => self.map1(a, |e, a| match e.is_vector(a) {
                true => e.b.ins().ineg(a),
                false => e.b.ins().uextend(types::I32, a),
            }),
            (Type::Bool, Type::F32) => match self.number(a) {
                Some(a) => {
                    let word = self.b.ins().uextend(types::I32, a);
                    Held::Uniform(self.b.ins().fcvt_from_sint(types::F32, word))
                }
                None => {
                    let one = self.words([1_f32.to_bits(); 4]);
                    self.map1(a, |e, a| {
                        let bits = e.b.ins().band(a, one);
                        e.cast(types::F32X4, bits)
                    })
                }
            },
            (Type::I32 | Type::U32, Type::Bool) => self.map1(a, |e, a| match e.is_vector(a) {
                true => {
                    let zero = e.words([0; 4]);
                    e.b.ins().icmp(IntCC::NotEqual, a, zero)
                }
                false => e.b.ins().icmp_imm_u(IntCC::NotEqual, a, 0),
            }),
            (Type::F32, Type::F64) if self.is_number(a) => {
                self.map1(a, |e, a| e.b.ins().fpromote(types::F64, a))
            }
            (Type::F64, Type::F32) if self.is_number(a) => {
                self.map1(a, |e, a| e.b.ins().fdemote(types::F32, a))
            }
            _ => self.call1(shims::convert(from, to) as usize, a, to),
        }
    }

    fn is_vector(&self, value: Value) -> bool {
        self.b.func.dfg.value_type(value).is_vector()
    }

    fn float_like(&self, value: Value) -> Machine {
        if self.is_vector(value) { types::F32X4 } else { types::F32 }
    }

    fn word_like(&self, value: Value) -> Machine {
        if self.is_vector(value) { types::I32X4 } else { types::I32 }
    }

    fn bitcast(&mut self, a: ir::Value, to: Type) -> Held {
        match self.held(a) {
            Held::Uniform(a) => Held::Uniform(self.cast(scalar(to), a)),
            Held::Varying(chunks) => {
                Held::Varying(chunks.into_iter().map(|c| self.cast(vector(to), c)).collect())
            }
            held if matches!(to, Type::I32 | Type::U32) => held,
            _ => {
                let chunks = self.vectors(a);
                Held::Varying(chunks.into_iter().map(|c| self.cast(vector(to), c)).collect())
            }
        }
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
    fn call1(&mut self, shim: usize, a: ir::Value, gives: Type) -> Held {
        let number = self.is_number(a);
        let at = self.put(0, a, number);
        let out = self.area(3);
        let count = self.long(if number { 1 } else { self.lanes().into() });
        self.call(shim, &[out, at, count], false);
        self.collect(gives, out, number)
    }

    /// Has a function of two operands run over the lanes.
    fn call2(&mut self, shim: usize, a: ir::Value, b: ir::Value, gives: Type) -> Held {
        let number = self.is_number(a) && self.is_number(b);
        let (a, b) = (self.put(0, a, number), self.put(1, b, number));
        let out = self.area(3);
        let count = self.long(if number { 1 } else { self.lanes().into() });
        self.call(shim, &[out, a, b, count], false);
        self.collect(gives, out, number)
    }
}

/// Whether the processor rounds a·b + c once.
fn has_fma() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

//! Arithmetic: of one operand, and of two.

use super::emit::{Emitter, Held};
use super::shims;
use crate::ir::{self, Binary, Type, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Emitter<'_, '_> {
    pub(super) fn unary(&mut self, op: Unary, a: ir::Value) -> Held {
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

    pub(super) fn binary(&mut self, op: Binary, a: ir::Value, b: ir::Value) -> Held {
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
                if integer && (ty.bytes() == 4 || self.is_number(a) && self.is_number(b)) =>
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
}

//! WGSL's numeric functions, scalar by scalar.

use super::Lowerer;
use super::layout::Ty;
use crate::error::Result;
use crate::ir::*;
use naga::MathFunction;
use std::rc::Rc;

/// The function of one operand that a numeric function is, if it is one.
fn one(fun: MathFunction) -> Option<Unary> {
    use MathFunction as F;
    Some(match fun {
        F::Abs => Unary::Abs,
        F::Sign => Unary::Sign,
        F::Cos => Unary::Cos,
        F::Cosh => Unary::Cosh,
        F::Sin => Unary::Sin,
        F::Sinh => Unary::Sinh,
        F::Tan => Unary::Tan,
        F::Tanh => Unary::Tanh,
        F::Acos => Unary::Acos,
        F::Asin => Unary::Asin,
        F::Atan => Unary::Atan,
        F::Asinh => Unary::Asinh,
        F::Acosh => Unary::Acosh,
        F::Atanh => Unary::Atanh,
        F::Ceil => Unary::Ceil,
        F::Floor => Unary::Floor,
        F::Round => Unary::Round,
        F::Fract => Unary::Fract,
        F::Trunc => Unary::Trunc,
        F::Exp => Unary::Exp,
        F::Exp2 => Unary::Exp2,
        F::Log => Unary::Log,
        F::Log2 => Unary::Log2,
        F::Sqrt => Unary::Sqrt,
        F::InverseSqrt => Unary::InverseSqrt,
        F::QuantizeToF16 => Unary::QuantizeF16,
        F::CountTrailingZeros => Unary::TrailingZeros,
        F::CountLeadingZeros => Unary::LeadingZeros,
        F::CountOneBits => Unary::CountOnes,
        F::ReverseBits => Unary::ReverseBits,
        F::FirstTrailingBit => Unary::FirstTrailing,
        F::FirstLeadingBit => Unary::FirstLeading,
        _ => return None,
    })
}

impl Lowerer<'_> {
    /// A numeric function; `ty` is the type of its first argument.
    pub fn math(&mut self, fun: MathFunction, ty: Ty, args: &[Rc<[Value]>]) -> Result<Rc<[Value]>> {
        use MathFunction as F;
        if let Some(op) = one(fun) {
            return Ok(args[0].iter().map(|&a| self.number_of_one(op, a)).collect());
        }
        match fun {
            F::Modf => Ok(self.modf(&args[0])),
            F::Frexp => Ok(self.frexp(&args[0])),
            F::Min
            | F::Max
            | F::Clamp
            | F::Saturate
            | F::Atan2
            | F::Radians
            | F::Degrees
            | F::Ldexp
            | F::Pow
            | F::Fma
            | F::Mix
            | F::Step
            | F::SmoothStep
            | F::ExtractBits
            | F::InsertBits => {
                let at = |args: &[Rc<[Value]>], k: usize| -> Vec<Value> {
                    args.iter().map(|a| a[k.min(a.len() - 1)]).collect()
                };
                let count = args.iter().map(|a| a.len()).max().unwrap_or(0);
                (0..count).map(|k| self.each(fun, &at(args, k))).collect()
            }
            F::Dot
            | F::Outer
            | F::Cross
            | F::Distance
            | F::Length
            | F::Normalize
            | F::FaceForward
            | F::Reflect
            | F::Refract
            | F::Inverse
            | F::Transpose
            | F::Determinant => self.geometry(fun, ty, args),
            _ => self.packing(fun, args),
        }
    }

    /// A function of one operand, but that a number without a sign is its own size.
    fn number_of_one(&mut self, op: Unary, a: Value) -> Value {
        let ty = self.ty(a);
        match op {
            Unary::Abs if matches!(ty, Type::U32 | Type::U64) => a,
            Unary::Sign if matches!(ty, Type::U32 | Type::U64) => {
                let one = self.number(ty, 1.0);
                self.binary(Binary::Min, a, one)
            }
            op => self.unary(op, a),
        }
    }

    /// A function of each component.
    fn each(&mut self, fun: MathFunction, args: &[Value]) -> Result<Value> {
        use MathFunction as F;
        let ty = self.ty(args[0]);
        Ok(match (fun, args) {
            (F::Min, &[a, b]) => self.binary(Binary::Min, a, b),
            (F::Max, &[a, b]) => self.binary(Binary::Max, a, b),
            (F::Atan2, &[a, b]) => self.binary(Binary::Atan2, a, b),
            (F::Pow, &[a, b]) => self.binary(Binary::Pow, a, b),
            (F::Step, &[edge, x]) => self.binary(Binary::Step, edge, x),
            (F::Ldexp, &[a, b]) => {
                let exponent = self.convert(Type::I32, b);
                self.inst(ty, Op::Ldexp(a, exponent))
            }
            (F::Clamp, &[a, low, high]) => self.clamp(a, low, high),
            (F::Saturate, &[a]) => {
                let (zero, one) = (self.number(ty, 0.0), self.number(ty, 1.0));
                self.clamp(a, zero, one)
            }
            (F::Radians, &[a]) => {
                let factor = self.number(ty, std::f64::consts::PI / 180.0);
                self.mul(a, factor)
            }
            (F::Degrees, &[a]) => {
                let factor = self.number(ty, 180.0 / std::f64::consts::PI);
                self.mul(a, factor)
            }
            (F::Fma, &[a, b, c]) => self.inst(ty, Op::Fma(a, b, c)),
            // a·(1 − t) + b·t
            (F::Mix, &[a, b, t]) => {
                let one = self.number(ty, 1.0);
                let rest = self.sub(one, t);
                let (a, b) = (self.mul(a, rest), self.mul(b, t));
                self.add(a, b)
            }
            // t²·(3 − 2t), with t = (x − low) / (high − low) between 0 and 1
            (F::SmoothStep, &[low, high, x]) => {
                let (zero, one) = (self.number(ty, 0.0), self.number(ty, 1.0));
                let (two, three) = (self.number(ty, 2.0), self.number(ty, 3.0));
                let (above, width) = (self.sub(x, low), self.sub(high, low));
                let t = self.div(above, width);
                let t = self.clamp(t, zero, one);
                let square = self.mul(t, t);
                let double = self.mul(two, t);
                let rest = self.sub(three, double);
                self.mul(square, rest)
            }
            (F::ExtractBits, &[a, offset, count]) => self.extract(a, offset, count),
            (F::InsertBits, &[a, bits, offset, count]) => self.insert(a, bits, offset, count),
            _ => return Err(self.unsupported("this numeric function")),
        })
    }

    /// Fractions, then whole parts, both of the sign of the number.
    fn modf(&mut self, a: &[Value]) -> Rc<[Value]> {
        let whole: Vec<_> = a.iter().map(|&a| self.unary(Unary::Trunc, a)).collect();
        let parts = a.iter().zip(&whole).map(|(&a, &whole)| self.sub(a, whole));
        let parts: Vec<_> = parts.collect();
        parts.into_iter().chain(whole).collect()
    }

    /// Significands, then exponents.
    fn frexp(&mut self, a: &[Value]) -> Rc<[Value]> {
        let split = |&a: &Value| {
            let ty = self.ty(a);
            self.insts(&[ty, Type::I32], Op::Frexp(a))
        };
        let first: Vec<Value> = a.iter().map(split).collect();
        first.iter().copied().chain(first.iter().map(|v| Value(v.0 + 1))).collect()
    }

    /// Bits `offset` to `offset + count`, moved lowest; the sign is that of the highest of them.
    fn extract(&mut self, a: Value, offset: Value, count: Value) -> Value {
        let ty = self.ty(a);
        let (offset, count) = self.field(offset, count);
        let (all, none) = (self.count(32), self.count(0));
        // Up until the field's last bit is the highest, then down until its first is the lowest.
        let down = self.sub(all, count);
        let up = self.sub(down, offset);
        let high = self.binary(Binary::Shl, a, up);
        let field = self.binary(Binary::Shr, high, down);
        let (zero, empty) = (self.constant(ty, 0), self.compare(Compare::Equal, count, none));
        self.select(empty, zero, field)
    }

    /// `a`, but bits `offset` to `offset + count` are the lowest of `bits`.
    fn insert(&mut self, a: Value, bits: Value, offset: Value, count: Value) -> Value {
        let ty = self.ty(a);
        let (offset, count) = self.field(offset, count);
        let (all, none, ones) = (self.count(32), self.count(0), self.count(u32::MAX));
        let down = self.sub(all, count);
        let mask = self.binary(Binary::Shr, ones, down);
        let mask = self.binary(Binary::Shl, mask, offset);
        // A shift by 32 is one by 0: an empty field would be all bits.
        let empty = self.compare(Compare::Equal, count, none);
        let mask = self.select(empty, none, mask);
        let mask = self.bitcast(ty, mask);
        let bits = self.binary(Binary::Shl, bits, offset);
        let bits = self.binary(Binary::And, bits, mask);
        let rest = self.unary(Unary::Not, mask);
        let rest = self.binary(Binary::And, a, rest);
        self.binary(Binary::Or, rest, bits)
    }

    /// Offset and count of a field, held within 32 bits.
    fn field(&mut self, offset: Value, count: Value) -> (Value, Value) {
        let all = self.count(32);
        let offset = self.binary(Binary::Min, offset, all);
        let rest = self.sub(all, offset);
        (offset, self.binary(Binary::Min, count, rest))
    }
}

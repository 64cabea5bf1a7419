//! Constants and identities: what an instruction gives without being run.
//!
//! Integers wrap, so that identities hold for them in every bit. Of floats only what is exact for every
//! number, infinity and NaN is used.

use super::range::Range;
use super::walk::Walker;
use crate::ir::{Binary, Compare, Length, Op, Span, Type, Unary, Value};
use crate::numerics;
use half::f16;

fn is_nan(ty: Type, bits: u64) -> bool {
    match ty {
        Type::F16 => f16::from_bits(bits as u16).is_nan(),
        Type::F32 => f32::from_bits(bits as u32).is_nan(),
        Type::F64 => f64::from_bits(bits).is_nan(),
        _ => false,
    }
}

/// −1 in an integer type.
fn ones(ty: Type) -> u64 {
    if ty.bytes() == 8 { u64::MAX } else { u32::MAX.into() }
}

/// The comparison that holds where this one does not, of numbers that are never NaN.
fn inverse(compare: Compare) -> Compare {
    match compare {
        Compare::Equal => Compare::NotEqual,
        Compare::NotEqual => Compare::Equal,
        Compare::Less => Compare::GreaterEqual,
        Compare::LessEqual => Compare::Greater,
        Compare::Greater => Compare::LessEqual,
        Compare::GreaterEqual => Compare::Less,
    }
}

/// The comparison with its operands the other way round.
fn mirror(compare: Compare) -> Compare {
    match compare {
        Compare::Less => Compare::Greater,
        Compare::LessEqual => Compare::GreaterEqual,
        Compare::Greater => Compare::Less,
        Compare::GreaterEqual => Compare::LessEqual,
        same => same,
    }
}

/// Whether two ranges of numbers without sign say how a comparison ends.
fn decided(compare: Compare, a: Range, b: Range) -> Option<bool> {
    let (below, above) = (a.high < b.low, b.high < a.low);
    match compare {
        Compare::Less if below => Some(true),
        Compare::Less if a.low >= b.high => Some(false),
        Compare::GreaterEqual if a.low >= b.high => Some(true),
        Compare::GreaterEqual if below => Some(false),
        Compare::Greater if above => Some(true),
        Compare::Greater if a.high <= b.low => Some(false),
        Compare::LessEqual if a.high <= b.low => Some(true),
        Compare::LessEqual if above => Some(false),
        Compare::Equal if below || above => Some(false),
        Compare::NotEqual if below || above => Some(true),
        _ => None,
    }
}

impl Walker<'_> {
    /// A value that an instruction without effect gives, if it need not be run; else a plainer one.
    pub(super) fn fold(&mut self, ty: Type, op: Op, span: Span) -> Result<Value, Op> {
        if let Some(bits) = self.evaluated(ty, &op) {
            return Ok(self.constant(ty, bits));
        }
        match op {
            Op::Unary(unary, a) => self.fold_unary(ty, unary, a, span),
            Op::Binary(binary, a, b) if !ty.is_float() => self.fold_binary(ty, binary, a, b, span),
            Op::Binary(Binary::Div, a, b) => match self.reciprocal(ty, b) {
                Some(b) => Err(Op::Binary(Binary::Mul, a, b)),
                None => Err(op),
            },
            Op::Compare(compare, a, b) => self.fold_compare(compare, a, b),
            Op::Select(condition, a, b) => self.fold_select(ty, condition, a, b, span),
            Op::Convert(a) | Op::Bitcast(a) if self.ty(a) == ty => Ok(a),
            Op::Convert(a) => match (self.ty(a), ty) {
                (Type::I32, Type::U32)
                | (Type::U32, Type::I32)
                | (Type::I64, Type::U64)
                | (Type::U64, Type::I64) => Ok(self.pure(ty, Op::Bitcast(a), span)),
                (_, Type::Bool) => match self.def(a) {
                    Op::Convert(b) if self.ty(*b) == Type::Bool => Ok(*b),
                    _ => Err(op),
                },
                _ => Err(op),
            },
            Op::Bitcast(a) => match *self.def(a) {
                Op::Bitcast(b) => Ok(self.pure(ty, Op::Bitcast(b), span)),
                _ => Err(op),
            },
            Op::Bound(a, length) => self.fold_bound(a, length),
            _ => Err(op),
        }
    }

    /// The bits that an instruction of constants gives; not those of a NaN, whose sign and payload are the
    /// executor's.
    fn evaluated(&self, ty: Type, op: &Op) -> Option<u64> {
        let known = |a: &Value| self.known(*a);
        let bits = match op {
            Op::Unary(unary, a) => numerics::unary(*unary, self.ty(*a), known(a)?),
            Op::Binary(binary, a, b) => {
                numerics::binary(*binary, self.ty(*a), known(a)?, known(b)?)
            }
            Op::Compare(compare, a, b) => {
                Some(numerics::compare(*compare, self.ty(*a), known(a)?, known(b)?))
            }
            Op::Fma(a, b, c) => numerics::fma(ty, known(a)?, known(b)?, known(c)?),
            Op::Ldexp(a, b) => numerics::ldexp(ty, known(a)?, known(b)? as i32),
            Op::Convert(a) => Some(numerics::convert(self.ty(*a), ty, known(a)?)),
            Op::Bitcast(a) => return known(a),
            Op::PackHalf(a, b) => {
                let of = |a| Some(f32::from_bits(known(a)? as u32)).filter(|a| !a.is_nan());
                Some(numerics::pack_half(of(a)?, of(b)?).into())
            }
            Op::Length(Length::Fixed(count)) => Some(u64::from(*count)),
            _ => None,
        };
        bits.filter(|bits| !is_nan(ty, *bits))
    }

    fn fold_unary(&mut self, ty: Type, unary: Unary, a: Value, span: Span) -> Result<Value, Op> {
        match (unary, self.def(a).clone()) {
            (Unary::Not | Unary::Neg, Op::Unary(inner, b)) if inner == unary => Ok(b),
            (Unary::Not, Op::Compare(compare, b, c))
                if !self.ty(b).is_float()
                    || matches!(compare, Compare::Equal | Compare::NotEqual) =>
            {
                Ok(self.pure(ty, Op::Compare(inverse(compare), b, c), span))
            }
            (Unary::Abs, _) if ty == Type::U32 || ty == Type::U64 => Ok(a),
            _ => Err(Op::Unary(unary, a)),
        }
    }

    /// The product that a division by a power of two is: both are rounded from the same number.
    fn reciprocal(&mut self, ty: Type, b: Value) -> Option<Value> {
        let bits = self.known(b)?;
        let inverse = match ty {
            Type::F32 => {
                let b = f32::from_bits(bits as u32);
                (b.to_bits() & 0x7f_ffff == 0 && b.is_normal() && b.recip().is_normal())
                    .then(|| b.recip().to_bits().into())
            }
            Type::F64 => {
                let b = f64::from_bits(bits);
                (b.to_bits() & ((1 << 52) - 1) == 0 && b.is_normal() && b.recip().is_normal())
                    .then(|| b.recip().to_bits())
            }
            _ => None,
        }?;
        Some(self.constant(ty, inverse))
    }

    /// Of integers and bools.
    fn fold_binary(
        &mut self,
        ty: Type,
        binary: Binary,
        a: Value,
        b: Value,
        span: Span,
    ) -> Result<Value, Op> {
        use Binary::*;
        let commutes = matches!(binary, Add | Mul | And | Or | Xor | Min | Max);
        // A constant stands right, else what came first left.
        let swap = match (self.known(a), self.known(b)) {
            (Some(_), None) => true,
            (None, Some(_)) => false,
            _ => b < a,
        };
        let (a, b) = if commutes && swap { (b, a) } else { (a, b) };
        if a == b {
            match binary {
                And | Or | Min | Max => return Ok(a),
                Sub | Xor => return Ok(self.constant(ty, 0)),
                _ => {}
            }
        }
        let (low, high) = (self.range(a), self.range(b));
        let plain = ty == Type::U32 || (ty == Type::I32 && low.is_positive() && high.is_positive());
        match binary {
            Rem if plain && low.high < high.low => return Ok(a),
            Min if plain && low.high <= high.low => return Ok(a),
            Min if plain && high.high <= low.low => return Ok(b),
            Max if plain && low.high <= high.low => return Ok(b),
            Max if plain && high.high <= low.low => return Ok(a),
            _ => {}
        }
        let op = Op::Binary(binary, a, b);
        if let (Shr, Some(0)) = (binary, self.known(a)) {
            return Ok(a);
        }
        let Some(n) = self.known(b) else { return self.fold_sum(ty, op, span) };
        let all = if ty == Type::Bool { 1 } else { ones(ty) };
        let bits = u64::from(8 * ty.bytes());
        let same = match binary {
            Add | Sub | Or | Xor => n == 0,
            Mul | Div => n == 1 && ty != Type::Bool,
            And => n == all,
            Shl | Shr => n.is_multiple_of(bits),
            _ => false,
        };
        if same {
            return Ok(a);
        }
        match binary {
            Mul | And if n == 0 => return Ok(b),
            Or if n == all => return Ok(b),
            Rem if n == 1 => return Ok(self.constant(ty, 0)),
            Xor if ty == Type::Bool => return Ok(self.pure(ty, Op::Unary(Unary::Not, a), span)),
            _ => {}
        }
        // Two constants are one.
        if let Op::Binary(inner, c, d) = *self.def(a)
            && inner == binary
            && matches!(binary, Add | Mul | And | Or | Xor | Min | Max)
            && let Some(m) = self.known(d)
            && let Some(both) = numerics::binary(binary, ty, m, n)
        {
            let both = self.constant(ty, both);
            return Ok(self.pure(ty, Op::Binary(binary, c, both), span));
        }
        // A factor goes to both parts of a sum, so that constants come out of what is computed.
        if let (Mul | Shl, Op::Binary(Add, c, d)) = (binary, self.def(a).clone())
            && let Some(m) = self.known(d)
            && let Some(product) = numerics::binary(binary, ty, m, n)
        {
            let product = self.constant(ty, product);
            let rest = self.pure(ty, Op::Binary(binary, c, b), span);
            return Ok(self.pure(ty, Op::Binary(Add, rest, product), span));
        }
        if let (Shl, Op::Binary(Shl, c, d)) = (binary, self.def(a).clone())
            && let Some(m) = self.known(d)
            && m % bits + n % bits < bits
        {
            let both = self.constant(Type::U32, m % bits + n % bits);
            return Ok(self.pure(ty, Op::Binary(Shl, c, both), span));
        }
        if n.is_power_of_two() && ty != Type::Bool {
            let count = self.constant(Type::U32, n.trailing_zeros().into());
            let unsigned = matches!(ty, Type::U32 | Type::U64) || (plain && n <= i32::MAX as u64);
            match binary {
                Mul => return Ok(self.pure(ty, Op::Binary(Shl, a, count), span)),
                Div if unsigned => return Err(Op::Binary(Shr, a, count)),
                Rem if unsigned => {
                    let mask = self.constant(ty, n - 1);
                    return Err(Op::Binary(And, a, mask));
                }
                _ => {}
            }
        }
        // A mask of all the bits that there are.
        if binary == And && matches!(ty, Type::I32 | Type::U32) {
            let whole = u32::MAX.checked_shr(self.range(a).high.leading_zeros()).unwrap_or(0);
            if whole & !(n as u32) == 0 {
                return Ok(a);
            }
        }
        Err(op)
    }

    /// A constant in a sum is added last.
    fn fold_sum(&mut self, ty: Type, op: Op, span: Span) -> Result<Value, Op> {
        let Op::Binary(Binary::Add, a, b) = op else { return Err(op) };
        for (sum, other) in [(a, b), (b, a)] {
            if let Op::Binary(Binary::Add, c, d) = *self.def(sum)
                && self.known(d).is_some()
            {
                let rest = self.pure(ty, Op::Binary(Binary::Add, c, other), span);
                return Ok(self.pure(ty, Op::Binary(Binary::Add, rest, d), span));
            }
        }
        Err(op)
    }

    fn fold_compare(&mut self, compare: Compare, a: Value, b: Value) -> Result<Value, Op> {
        let ty = self.ty(a);
        // A constant stands right.
        let (compare, a, b) = match (self.known(a), self.known(b)) {
            (Some(_), None) => (mirror(compare), b, a),
            _ => (compare, a, b),
        };
        let op = Op::Compare(compare, a, b);
        if ty.is_float() {
            return Err(op);
        }
        if a == b {
            let holds =
                matches!(compare, Compare::Equal | Compare::LessEqual | Compare::GreaterEqual);
            return Ok(self.constant(Type::Bool, holds.into()));
        }
        let (low, high) = (self.range(a), self.range(b));
        let ordered = !matches!(compare, Compare::Equal | Compare::NotEqual);
        let plain = ty != Type::I32 || !ordered || (low.is_positive() && high.is_positive());
        if super::range::has(ty)
            && plain
            && let Some(holds) = decided(compare, low, high)
        {
            return Ok(self.constant(Type::Bool, holds.into()));
        }
        if let (Type::Bool, Some(n)) = (ty, self.known(b)) {
            let same = (compare == Compare::Equal) == (n == 1);
            return if same { Ok(a) } else { Err(Op::Unary(Unary::Not, a)) };
        }
        Err(op)
    }

    fn fold_select(
        &mut self,
        ty: Type,
        condition: Value,
        a: Value,
        b: Value,
        span: Span,
    ) -> Result<Value, Op> {
        match self.range(condition).one() {
            Some(0) => return Ok(b),
            Some(_) => return Ok(a),
            None if a == b => return Ok(a),
            None => {}
        }
        if let Op::Unary(Unary::Not, inner) = *self.def(condition) {
            return Ok(self.pure(ty, Op::Select(inner, b, a), span));
        }
        match (ty, self.known(a), self.known(b)) {
            (Type::Bool, Some(1), Some(0)) => Ok(condition),
            (Type::Bool, Some(0), Some(1)) => {
                Ok(self.pure(ty, Op::Unary(Unary::Not, condition), span))
            }
            _ => Err(Op::Select(condition, a, b)),
        }
    }

    /// An index that is below the length anyway need not be held there.
    fn fold_bound(&mut self, a: Value, length: Length) -> Result<Value, Op> {
        let op = Op::Bound(a, length);
        let last = super::range::least(self.old, length) - 1;
        if self.range(a).high <= last || self.is_below(a, length) {
            return Ok(a);
        }
        match (self.def(a), length) {
            (Op::Bound(_, other), _) if *other == length => Ok(a),
            (_, Length::Fixed(_)) if self.range(a).low >= last => {
                Ok(self.constant(Type::U32, last.into()))
            }
            _ => Err(op),
        }
    }
}

//! Which function an operation is, for each type. A visitor gets it as a closure of its own, so that loops
//! over lanes are compiled one by one.

use super::float::{Real, nearest_half};
use super::integer::Integer;
use super::scalar::{Number, Scalar};
use crate::ir::{Binary, Compare, Type, Unary};
use half::f16;

/// Who runs a function of one operand.
pub trait Visit1 {
    /// What comes of it.
    type Out;
    /// Runs it.
    fn visit<A: Scalar, B: Scalar>(self, f: impl Fn(A) -> B + Copy) -> Self::Out;
}

/// Who runs a function of two operands.
pub trait Visit2 {
    /// What comes of it.
    type Out;
    /// Runs it.
    fn visit<A: Scalar, B: Scalar, C: Scalar>(self, f: impl Fn(A, B) -> C + Copy) -> Self::Out;
}

/// Shows the visitor what an operation of one operand does; `None` if the type has no such operation.
pub fn unary<V: Visit1>(op: Unary, of: Type, v: V) -> Option<V::Out> {
    match of {
        Type::Bool => (op == Unary::Not).then(|| v.visit(|a: bool| !a)),
        Type::I32 => integer_unary::<i32, V>(op, v),
        Type::U32 => integer_unary::<u32, V>(op, v),
        Type::I64 => integer_unary::<i64, V>(op, v),
        Type::U64 => integer_unary::<u64, V>(op, v),
        Type::F16 => real_unary::<f16, V>(op, v),
        Type::F32 => real_unary::<f32, V>(op, v),
        Type::F64 => real_unary::<f64, V>(op, v),
    }
}

fn integer_unary<T: Integer, V: Visit1>(op: Unary, v: V) -> Option<V::Out> {
    Some(match op {
        Unary::Neg => v.visit(T::neg),
        Unary::Not => v.visit(T::not),
        Unary::Abs => v.visit(T::abs),
        Unary::Sign => v.visit(T::sign),
        Unary::CountOnes => v.visit(T::count_ones),
        Unary::LeadingZeros => v.visit(T::leading_zeros),
        Unary::TrailingZeros => v.visit(T::trailing_zeros),
        Unary::ReverseBits => v.visit(T::reverse_bits),
        Unary::FirstLeading => v.visit(T::first_leading),
        Unary::FirstTrailing => v.visit(T::first_trailing),
        _ => return None,
    })
}

fn real_unary<T: Real, V: Visit1>(op: Unary, v: V) -> Option<V::Out> {
    Some(match op {
        Unary::Neg => v.visit(T::neg),
        Unary::Abs => v.visit(T::abs),
        Unary::Sign => v.visit(T::sign),
        Unary::Floor => v.visit(|a: T| a.through(f64::floor)),
        Unary::Ceil => v.visit(|a: T| a.through(f64::ceil)),
        Unary::Trunc => v.visit(|a: T| a.through(f64::trunc)),
        Unary::Round => v.visit(|a: T| a.through(f64::round_ties_even)),
        Unary::Fract => v.visit(|a: T| a.through(|a| a - a.floor())),
        Unary::Sqrt => v.visit(T::sqrt),
        Unary::InverseSqrt => v.visit(|a: T| T::ONE.div(a.sqrt())),
        Unary::Sin => v.visit(|a: T| a.through(f64::sin)),
        Unary::Cos => v.visit(|a: T| a.through(f64::cos)),
        Unary::Tan => v.visit(|a: T| a.through(f64::tan)),
        Unary::Asin => v.visit(|a: T| a.through(f64::asin)),
        Unary::Acos => v.visit(|a: T| a.through(f64::acos)),
        Unary::Atan => v.visit(|a: T| a.through(f64::atan)),
        Unary::Sinh => v.visit(|a: T| a.through(f64::sinh)),
        Unary::Cosh => v.visit(|a: T| a.through(f64::cosh)),
        Unary::Tanh => v.visit(|a: T| a.through(f64::tanh)),
        Unary::Asinh => v.visit(|a: T| a.through(f64::asinh)),
        Unary::Acosh => v.visit(|a: T| a.through(f64::acosh)),
        Unary::Atanh => v.visit(|a: T| a.through(f64::atanh)),
        Unary::Exp => v.visit(|a: T| a.through(f64::exp)),
        Unary::Exp2 => v.visit(|a: T| a.through(f64::exp2)),
        Unary::Log => v.visit(|a: T| a.through(f64::ln)),
        Unary::Log2 => v.visit(|a: T| a.through(f64::log2)),
        Unary::QuantizeF16 => v.visit(T::quantize_half),
        _ => return None,
    })
}

/// Shows the visitor what an operation of two operands does; `None` if the type has no such operation.
pub fn binary<V: Visit2>(op: Binary, of: Type, v: V) -> Option<V::Out> {
    match of {
        Type::Bool => Some(match op {
            Binary::And => v.visit(|a: bool, b: bool| a & b),
            Binary::Or => v.visit(|a: bool, b: bool| a | b),
            Binary::Xor => v.visit(|a: bool, b: bool| a ^ b),
            _ => return None,
        }),
        Type::I32 => integer_binary::<i32, V>(op, v),
        Type::U32 => integer_binary::<u32, V>(op, v),
        Type::I64 => integer_binary::<i64, V>(op, v),
        Type::U64 => integer_binary::<u64, V>(op, v),
        Type::F16 => real_binary::<f16, V>(op, v),
        Type::F32 => real_binary::<f32, V>(op, v),
        Type::F64 => real_binary::<f64, V>(op, v),
    }
}

fn integer_binary<T: Integer, V: Visit2>(op: Binary, v: V) -> Option<V::Out> {
    Some(match op {
        Binary::Add => v.visit(T::add),
        Binary::Sub => v.visit(T::sub),
        Binary::Mul => v.visit(T::mul),
        Binary::Div => v.visit(T::div),
        Binary::Rem => v.visit(T::rem),
        Binary::And => v.visit(T::and),
        Binary::Or => v.visit(T::or),
        Binary::Xor => v.visit(T::xor),
        Binary::Shl => v.visit(|a: T, count: u32| a.shl(count)),
        Binary::Shr => v.visit(|a: T, count: u32| a.shr(count)),
        Binary::Min => v.visit(<T as Number>::min),
        Binary::Max => v.visit(<T as Number>::max),
        _ => return None,
    })
}

fn real_binary<T: Real, V: Visit2>(op: Binary, v: V) -> Option<V::Out> {
    Some(match op {
        Binary::Add => v.visit(T::add),
        Binary::Sub => v.visit(T::sub),
        Binary::Mul => v.visit(T::mul),
        Binary::Div => v.visit(T::div),
        Binary::Rem => v.visit(T::rem),
        Binary::Min => v.visit(<T as Number>::min),
        Binary::Max => v.visit(<T as Number>::max),
        Binary::Pow => v.visit(|a: T, b: T| a.through2(b, f64::powf)),
        Binary::Atan2 => v.visit(|a: T, b: T| a.through2(b, f64::atan2)),
        Binary::Step => v.visit(|edge: T, a: T| if edge <= a { T::ONE } else { T::ZERO }),
        _ => return None,
    })
}

/// Shows the visitor what a comparison does.
pub fn compare<V: Visit2>(op: Compare, of: Type, v: V) -> V::Out {
    match of {
        Type::Bool => ordered::<bool, V>(op, v),
        Type::I32 => ordered::<i32, V>(op, v),
        Type::U32 => ordered::<u32, V>(op, v),
        Type::I64 => ordered::<i64, V>(op, v),
        Type::U64 => ordered::<u64, V>(op, v),
        Type::F16 => ordered::<f16, V>(op, v),
        Type::F32 => ordered::<f32, V>(op, v),
        Type::F64 => ordered::<f64, V>(op, v),
    }
}

fn ordered<T: Scalar, V: Visit2>(op: Compare, v: V) -> V::Out {
    match op {
        Compare::Equal => v.visit(|a: T, b: T| a == b),
        Compare::NotEqual => v.visit(|a: T, b: T| a != b),
        Compare::Less => v.visit(|a: T, b: T| a < b),
        Compare::LessEqual => v.visit(|a: T, b: T| a <= b),
        Compare::Greater => v.visit(|a: T, b: T| a > b),
        Compare::GreaterEqual => v.visit(|a: T, b: T| a >= b),
    }
}

/// Arms of a match on the type that `$a` becomes; `as` cuts off, saturates, and has NaN give 0.
macro_rules! becomes {
    ($to:expr, $v:expr, |$a:ident: $from:ty| $plain:expr, $nonzero:expr, $half:expr) => {
        match $to {
            Type::Bool => $v.visit(|$a: $from| $nonzero),
            Type::I32 => $v.visit(|$a: $from| $plain as i32),
            Type::U32 => $v.visit(|$a: $from| $plain as u32),
            Type::I64 => $v.visit(|$a: $from| $plain as i64),
            Type::U64 => $v.visit(|$a: $from| $plain as u64),
            Type::F16 => $v.visit(|$a: $from| $half),
            Type::F32 => $v.visit(|$a: $from| $plain as f32),
            Type::F64 => $v.visit(|$a: $from| $plain as f64),
        }
    };
}

/// Shows the visitor how a number of one type becomes one of another.
pub fn convert<V: Visit1>(from: Type, to: Type, v: V) -> V::Out {
    // An integer that f64 rounds is an infinity of f16.
    match from {
        Type::Bool => {
            becomes!(to, v, |a: bool| u8::from(a), a, f16::from_f32(f32::from(u8::from(a))))
        }
        Type::I32 => becomes!(to, v, |a: i32| a, a != 0, nearest_half(a as f64)),
        Type::U32 => becomes!(to, v, |a: u32| a, a != 0, nearest_half(a as f64)),
        Type::I64 => becomes!(to, v, |a: i64| a, a != 0, nearest_half(a as f64)),
        Type::U64 => becomes!(to, v, |a: u64| a, a != 0, nearest_half(a as f64)),
        Type::F16 => becomes!(to, v, |a: f16| a.to_f32(), a.to_f32() != 0.0, a),
        Type::F32 => becomes!(to, v, |a: f32| a, a != 0.0, f16::from_f32(a)),
        Type::F64 => becomes!(to, v, |a: f64| a, a != 0.0, nearest_half(a)),
    }
}

//! WGSL's scalars: what every operation gives, so that all executors agree.
//!
//! [`table`] names the one function of each operation and type, and an executor brings a visitor that runs
//! it over whatever it holds: the functions here over a single number, the interpreter over the lanes of a
//! workgroup.
//!
//! * **Integers** wrap. x / 0 is x and x % 0 is 0; the smallest by −1 is itself, with remainder 0; shifts
//!   count modulo the bits of the type.
//! * **f16** is computed in more digits and rounded once, to the nearest, halves to even; so are the
//!   transcendental functions of f32, by those of f64. They give the same bits on one platform.
//! * **NaN**: comparisons with it are false, but for ≠. `min(a, b)` is b if b < a, else a; `max(a, b)` is b
//!   if a < b, else a.
//! * **Conversions** to integers cut off and are held within the type's range; NaN gives 0.

mod float;
mod integer;
mod scalar;
pub mod table;
#[cfg(test)]
mod tests;
mod together;

pub use float::{Real, nearest_half};
pub use integer::Integer;
pub use scalar::{Lane, Number, Scalar};
pub use table::{Visit1, Visit2};
pub(crate) use together::Subgroup;

use crate::ir::{Atomic, Binary, Compare, Type, Unary};
use half::f16;

/// One number, in the lowest bits.
struct One(u64);

impl Visit1 for One {
    type Out = u64;
    fn visit<A: Scalar, B: Scalar>(self, f: impl Fn(A) -> B + Copy) -> u64 {
        f(A::of(A::Bits::cut(self.0))).bits().wide()
    }
}

/// Two numbers.
struct Two(u64, u64);

impl Visit2 for Two {
    type Out = u64;
    fn visit<A: Scalar, B: Scalar, C: Scalar>(self, f: impl Fn(A, B) -> C + Copy) -> u64 {
        f(A::of(A::Bits::cut(self.0)), B::of(B::Bits::cut(self.1))).bits().wide()
    }
}

/// The bits of `op a`; `None` if numbers of this type have no such operation.
///
/// ```
/// use gvpie_vgpu::ir::{Type, Unary};
/// use gvpie_vgpu::numerics::unary;
/// assert_eq!(unary(Unary::FirstLeading, Type::U32, 40), Some(5));
/// assert_eq!(unary(Unary::Sin, Type::U32, 40), None);
/// ```
pub fn unary(op: Unary, of: Type, a: u64) -> Option<u64> {
    table::unary(op, of, One(a))
}

/// The bits of `a op b`; of a shift, b is a u32.
pub fn binary(op: Binary, of: Type, a: u64, b: u64) -> Option<u64> {
    table::binary(op, of, Two(a, b))
}

/// What an atomic leaves where `old` was; `compare` is what must be there for an exchange that asks.
pub(crate) fn changed(op: Atomic, of: Type, old: u64, value: u64, compare: Option<u64>) -> u64 {
    let with = |op| binary(op, of, old, value).unwrap_or(old);
    match op {
        Atomic::Load => old,
        Atomic::Store | Atomic::Exchange => value,
        Atomic::Add => with(Binary::Add),
        Atomic::Sub => with(Binary::Sub),
        Atomic::And => with(Binary::And),
        Atomic::Or => with(Binary::Or),
        Atomic::Xor => with(Binary::Xor),
        Atomic::Min => with(Binary::Min),
        Atomic::Max => with(Binary::Max),
        Atomic::CompareExchange if compare == Some(old) => value,
        Atomic::CompareExchange => old,
    }
}

/// Whether `a op b`, as 0 or 1.
pub fn compare(op: Compare, of: Type, a: u64, b: u64) -> u64 {
    table::compare(op, of, Two(a, b))
}

/// The bits of the same number in another type.
pub fn convert(from: Type, to: Type, a: u64) -> u64 {
    table::convert(from, to, One(a))
}

/// The bits of a·b + c, rounded once; `None` unless it is a float.
pub fn fma(of: Type, a: u64, b: u64, c: u64) -> Option<u64> {
    fn of_bits<T: Real>(a: u64, b: u64, c: u64) -> u64 {
        let of = |bits| T::of(T::Bits::cut(bits));
        of(a).fma(of(b), of(c)).bits().wide()
    }
    Some(match of {
        Type::F16 => of_bits::<f16>(a, b, c),
        Type::F32 => of_bits::<f32>(a, b, c),
        Type::F64 => of_bits::<f64>(a, b, c),
        _ => return None,
    })
}

/// The bits of a·2^b, rounded once; `None` unless a is a float.
pub fn ldexp(of: Type, a: u64, b: i32) -> Option<u64> {
    Some(match of {
        Type::F16 => f16::of(a as u32).ldexp(b).bits().into(),
        Type::F32 => f32::of(a as u32).ldexp(b).bits().into(),
        Type::F64 => f64::of(a).ldexp(b).bits(),
        _ => return None,
    })
}

/// The bits of the significand, 0 or within ½ and 1, and the exponent; `None` unless it is a float.
pub fn frexp(of: Type, a: u64) -> Option<(u64, i32)> {
    fn of_bits<T: Real>(a: u64) -> (u64, i32) {
        let (significand, exponent) = T::of(T::Bits::cut(a)).frexp();
        (significand.bits().wide(), exponent)
    }
    Some(match of {
        Type::F16 => of_bits::<f16>(a),
        Type::F32 => of_bits::<f32>(a),
        Type::F64 => of_bits::<f64>(a),
        _ => return None,
    })
}

/// Two numbers as f16, the first in the lowest 16 bits: `pack2x16float`.
pub fn pack_half(a: f32, b: f32) -> u32 {
    u32::from(f16::from_f32(a).to_bits()) | u32::from(f16::from_f32(b).to_bits()) << 16
}

/// The two halves of a word: `unpack2x16float`.
pub fn unpack_half(word: u32) -> [f32; 2] {
    [f16::from_bits(word as u16).to_f32(), f16::from_bits((word >> 16) as u16).to_f32()]
}

/// Whether the processor multiplies and adds in one instruction, which rounds once.
pub(crate) fn fuses() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

//! Rust's types as registers hold them.

use crate::ir::Type;
use half::f16;

/// What one lane of a register holds: 32 bits, or 64 for types of 8 bytes.
pub trait Lane: Copy + Default + Send + Sync + PartialEq + 'static {
    /// The lowest bits.
    fn cut(bits: u64) -> Self;
    /// The same bits, zeros above.
    fn wide(self) -> u64;
    /// Of two kinds of registers, this one's.
    fn of_two<'a>(words: &'a [Vec<u32>], longs: &'a [Vec<u64>]) -> &'a [Vec<Self>];
    /// The same, to be changed.
    fn of_two_mut<'a>(words: &'a mut [Vec<u32>], longs: &'a mut [Vec<u64>]) -> &'a mut [Vec<Self>];
}

impl Lane for u32 {
    #[inline(always)]
    fn cut(bits: u64) -> u32 {
        bits as u32
    }
    #[inline(always)]
    fn wide(self) -> u64 {
        self.into()
    }
    #[inline(always)]
    fn of_two<'a>(words: &'a [Vec<u32>], _: &'a [Vec<u64>]) -> &'a [Vec<u32>] {
        words
    }
    #[inline(always)]
    fn of_two_mut<'a>(words: &'a mut [Vec<u32>], _: &'a mut [Vec<u64>]) -> &'a mut [Vec<u32>] {
        words
    }
}

impl Lane for u64 {
    #[inline(always)]
    fn cut(bits: u64) -> u64 {
        bits
    }
    #[inline(always)]
    fn wide(self) -> u64 {
        self
    }
    #[inline(always)]
    fn of_two<'a>(_: &'a [Vec<u32>], longs: &'a [Vec<u64>]) -> &'a [Vec<u64>] {
        longs
    }
    #[inline(always)]
    fn of_two_mut<'a>(_: &'a mut [Vec<u32>], longs: &'a mut [Vec<u64>]) -> &'a mut [Vec<u64>] {
        longs
    }
}

/// A type of the IR.
pub trait Scalar: Copy + PartialEq + PartialOrd + 'static {
    /// What a lane of a register holds of it.
    type Bits: Lane;
    /// Its name in the IR.
    const TYPE: Type;
    /// What these bits mean.
    fn of(bits: Self::Bits) -> Self;
    /// Its bits.
    fn bits(self) -> Self::Bits;
    /// Whether it is not a number.
    fn is_nan(self) -> bool;
}

macro_rules! scalar {
    ($rust:ty, $bits:ty, $name:ident, |$from:ident| $of:expr, |$to:ident| $into:expr, $nan:expr) => {
        impl Scalar for $rust {
            type Bits = $bits;
            const TYPE: Type = Type::$name;
            #[inline(always)]
            fn of($from: $bits) -> $rust {
                $of
            }
            #[inline(always)]
            fn bits(self) -> $bits {
                let $to = self;
                $into
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $nan(self)
            }
        }
    };
}

scalar!(bool, u32, Bool, |bits| bits != 0, |a| a.into(), |_| false);
scalar!(i32, u32, I32, |bits| bits as i32, |a| a as u32, |_| false);
scalar!(u32, u32, U32, |bits| bits, |a| a, |_| false);
scalar!(i64, u64, I64, |bits| bits as i64, |a| a as u64, |_| false);
scalar!(u64, u64, U64, |bits| bits, |a| a, |_| false);
scalar!(f16, u32, F16, |bits| f16::from_bits(bits as u16), |a| a.to_bits().into(), f16::is_nan);
scalar!(f32, u32, F32, |bits| f32::from_bits(bits), |a| a.to_bits(), f32::is_nan);
scalar!(f64, u64, F64, |bits| f64::from_bits(bits), |a| a.to_bits(), f64::is_nan);

/// What integers and floats both do, each in its own way.
#[allow(missing_docs)]
pub trait Number: Scalar {
    const ZERO: Self;
    fn add(self, b: Self) -> Self;
    fn sub(self, b: Self) -> Self;
    fn mul(self, b: Self) -> Self;
    fn div(self, b: Self) -> Self;
    fn rem(self, b: Self) -> Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    /// −1, 0 or 1 of its type.
    fn sign(self) -> Self;

    /// b if it is less, else itself.
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        if b < self { b } else { self }
    }

    /// b if it is greater, else itself.
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        if self < b { b } else { self }
    }
}

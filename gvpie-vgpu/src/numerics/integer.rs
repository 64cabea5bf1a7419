//! Integers, which wrap.

use super::scalar::Number;

/// What integers alone do.
#[allow(missing_docs)]
pub trait Integer: Number {
    fn and(self, b: Self) -> Self;
    fn or(self, b: Self) -> Self;
    fn xor(self, b: Self) -> Self;
    fn not(self) -> Self;
    /// Its bits moved up, by the count modulo their number.
    fn shl(self, count: u32) -> Self;
    /// Its bits moved down, the sign with them, by the count modulo their number.
    fn shr(self, count: u32) -> Self;
    fn count_ones(self) -> Self;
    fn leading_zeros(self) -> Self;
    fn trailing_zeros(self) -> Self;
    fn reverse_bits(self) -> Self;
    /// The highest bit that differs from the sign, or −1.
    fn first_leading(self) -> Self;
    /// The lowest bit that is set, or −1.
    fn first_trailing(self) -> Self;
}

macro_rules! integer {
    ($rust:ty, $abs:expr, $sign:expr, $differs:expr) => {
        impl Number for $rust {
            const ZERO: $rust = 0;
            #[inline(always)]
            fn add(self, b: $rust) -> $rust {
                self.wrapping_add(b)
            }
            #[inline(always)]
            fn sub(self, b: $rust) -> $rust {
                self.wrapping_sub(b)
            }
            #[inline(always)]
            fn mul(self, b: $rust) -> $rust {
                self.wrapping_mul(b)
            }
            #[inline(always)]
            fn div(self, b: $rust) -> $rust {
                self.wrapping_div(if b == 0 { 1 } else { b })
            }
            #[inline(always)]
            fn rem(self, b: $rust) -> $rust {
                self.wrapping_rem(if b == 0 { 1 } else { b })
            }
            #[inline(always)]
            fn neg(self) -> $rust {
                self.wrapping_neg()
            }
            #[inline(always)]
            fn abs(self) -> $rust {
                $abs(self)
            }
            #[inline(always)]
            fn sign(self) -> $rust {
                $sign(self)
            }
        }

        impl Integer for $rust {
            #[inline(always)]
            fn and(self, b: $rust) -> $rust {
                self & b
            }
            #[inline(always)]
            fn or(self, b: $rust) -> $rust {
                self | b
            }
            #[inline(always)]
            fn xor(self, b: $rust) -> $rust {
                self ^ b
            }
            #[inline(always)]
            fn not(self) -> $rust {
                !self
            }
            #[inline(always)]
            fn shl(self, count: u32) -> $rust {
                self.wrapping_shl(count)
            }
            #[inline(always)]
            fn shr(self, count: u32) -> $rust {
                self.wrapping_shr(count)
            }
            #[inline(always)]
            fn count_ones(self) -> $rust {
                self.count_ones() as $rust
            }
            #[inline(always)]
            fn leading_zeros(self) -> $rust {
                self.leading_zeros() as $rust
            }
            #[inline(always)]
            fn trailing_zeros(self) -> $rust {
                self.trailing_zeros() as $rust
            }
            #[inline(always)]
            fn reverse_bits(self) -> $rust {
                self.reverse_bits()
            }
            #[inline(always)]
            fn first_leading(self) -> $rust {
                let bits = $differs(self);
                ((<$rust>::BITS - 1) as $rust).wrapping_sub(bits.leading_zeros() as $rust)
            }
            #[inline(always)]
            fn first_trailing(self) -> $rust {
                if self == 0 {
                    (0 as $rust).wrapping_sub(1)
                } else {
                    self.trailing_zeros() as $rust
                }
            }
        }
    };
}

integer!(i32, i32::wrapping_abs, i32::signum, |a: i32| if a < 0 { !a } else { a });
integer!(i64, i64::wrapping_abs, i64::signum, |a: i64| if a < 0 { !a } else { a });
integer!(u32, |a| a, |a: u32| u32::from(a != 0), |a: u32| a);
integer!(u64, |a| a, |a: u64| u64::from(a != 0), |a: u64| a);

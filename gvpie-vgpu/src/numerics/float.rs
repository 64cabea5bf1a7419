//! Floats: f32 and f64 as the machine has them, f16 rounded from f32.

use super::scalar::Number;
use half::f16;
use std::convert::identity;

/// What floats alone do.
#[allow(missing_docs)]
pub trait Real: Number {
    const ONE: Self;
    /// A function of f64, its argument exact and its value rounded to the nearest.
    fn through(self, f: impl Fn(f64) -> f64) -> Self;
    /// The same of two arguments.
    fn through2(self, b: Self, f: impl Fn(f64, f64) -> f64) -> Self;
    /// a·b + c, rounded once.
    fn fma(self, b: Self, c: Self) -> Self;
    fn sqrt(self) -> Self;
    /// a·2^b, rounded once.
    fn ldexp(self, b: i32) -> Self;
    /// Significand, within ½ and 1 but for 0, infinities and NaN, and exponent.
    fn frexp(self) -> (Self, i32);
    /// Rounded to f16 and back.
    fn quantize_half(self) -> Self;
}

/// Arithmetic of a type that is widened, exactly, to another, whose results are rounded. f32 has more than
/// twice the digits of f16 and two, so that rounding twice is rounding once.
macro_rules! arithmetic {
    ($rust:ty, $zero:expr, $one:expr, $wide:expr, $round:expr) => {
        impl Number for $rust {
            const ZERO: $rust = $zero;
            #[inline(always)]
            fn add(self, b: $rust) -> $rust {
                $round($wide(self) + $wide(b))
            }
            #[inline(always)]
            fn sub(self, b: $rust) -> $rust {
                $round($wide(self) - $wide(b))
            }
            #[inline(always)]
            fn mul(self, b: $rust) -> $rust {
                $round($wide(self) * $wide(b))
            }
            #[inline(always)]
            fn div(self, b: $rust) -> $rust {
                $round($wide(self) / $wide(b))
            }
            #[inline(always)]
            fn rem(self, b: $rust) -> $rust {
                let (a, b) = ($wide(self), $wide(b));
                $round(a - b * (a / b).trunc())
            }
            #[inline(always)]
            fn neg(self) -> $rust {
                -self
            }
            #[inline(always)]
            fn abs(self) -> $rust {
                // Shifts the sign out, of a NaN too.
                <$rust>::from_bits(self.to_bits() << 1 >> 1)
            }
            #[inline(always)]
            fn sign(self) -> $rust {
                if self > $zero {
                    $one
                } else if self < $zero {
                    -$one
                } else {
                    self
                }
            }
        }
    };
}

arithmetic!(f16, f16::ZERO, f16::ONE, f16::to_f32, f16::from_f32);
arithmetic!(f32, 0.0, 1.0, identity, identity);
arithmetic!(f64, 0.0, 1.0, identity, identity);

impl Real for f16 {
    const ONE: f16 = f16::ONE;
    #[inline(always)]
    fn through(self, f: impl Fn(f64) -> f64) -> f16 {
        nearest_half(f(self.to_f64()))
    }
    #[inline(always)]
    fn through2(self, b: f16, f: impl Fn(f64, f64) -> f64) -> f16 {
        nearest_half(f(self.to_f64(), b.to_f64()))
    }
    #[inline(always)]
    fn fma(self, b: f16, c: f16) -> f16 {
        nearest_half(sum_to_odd(self.to_f64() * b.to_f64(), c.to_f64()))
    }
    #[inline(always)]
    fn sqrt(self) -> f16 {
        f16::from_f32(self.to_f32().sqrt())
    }
    fn ldexp(self, b: i32) -> f16 {
        nearest_half(self.to_f64() * power_of_two(b.clamp(-100, 100)))
    }
    fn frexp(self) -> (f16, i32) {
        let (significand, exponent) = self.to_f64().frexp();
        (nearest_half(significand), exponent)
    }
    #[inline(always)]
    fn quantize_half(self) -> f16 {
        self
    }
}

impl Real for f32 {
    const ONE: f32 = 1.0;
    #[inline(always)]
    fn through(self, f: impl Fn(f64) -> f64) -> f32 {
        f(self.into()) as f32
    }
    #[inline(always)]
    fn through2(self, b: f32, f: impl Fn(f64, f64) -> f64) -> f32 {
        f(self.into(), b.into()) as f32
    }
    #[inline(always)]
    fn fma(self, b: f32, c: f32) -> f32 {
        sum_to_odd(f64::from(self) * f64::from(b), c.into()) as f32
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }
    fn ldexp(self, b: i32) -> f32 {
        (f64::from(self) * power_of_two(b.clamp(-400, 400))) as f32
    }
    fn frexp(self) -> (f32, i32) {
        let (significand, exponent) = f64::from(self).frexp();
        (significand as f32, exponent)
    }
    #[inline(always)]
    fn quantize_half(self) -> f32 {
        f16::from_f32(self).to_f32()
    }
}

impl Real for f64 {
    const ONE: f64 = 1.0;
    #[inline(always)]
    fn through(self, f: impl Fn(f64) -> f64) -> f64 {
        f(self)
    }
    #[inline(always)]
    fn through2(self, b: f64, f: impl Fn(f64, f64) -> f64) -> f64 {
        f(self, b)
    }
    #[inline(always)]
    fn fma(self, b: f64, c: f64) -> f64 {
        self.mul_add(b, c)
    }
    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }
    fn ldexp(self, b: i32) -> f64 {
        // Steps of a size that only the last one rounds: a step down leaves 53 bits above the subnormals.
        let (mut a, mut b) = (self, b);
        for _ in 0..2 {
            if b > 1023 {
                (a, b) = (a * power_of_two(1023), b - 1023);
            } else if b < -1022 {
                (a, b) = (a * power_of_two(-1022 + 53), b + 1022 - 53);
            }
        }
        a * power_of_two(b.clamp(-1022, 1023))
    }
    fn frexp(self) -> (f64, i32) {
        let bits = self.to_bits();
        match (bits >> 52) as i32 & 0x7ff {
            _ if self == 0.0 => (self, 0),
            0x7ff => (self, 0),
            0 => {
                let (significand, exponent) = (self * power_of_two(64)).frexp();
                (significand, exponent - 64)
            }
            exponent => (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent - 1022),
        }
    }
    #[inline(always)]
    fn quantize_half(self) -> f64 {
        nearest_half(self).to_f64()
    }
}

/// 2^b for b of −1022 to 1023.
fn power_of_two(b: i32) -> f64 {
    f64::from_bits(((1023 + b) as u64) << 52)
}

/// a + b; where that is not exact, the one of its two neighbours whose last bit is 1, so that rounding it
/// again, to fewer digits by two at least, is rounding once.
#[inline(always)]
fn sum_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let rest = sum - a;
    // Knuth's two-sum: sum + error is a + b. An infinity or NaN has a NaN here.
    let error = (a - (sum - rest)) + (b - rest);
    let bits = sum.to_bits();
    let inexact = error.abs() > 0.0;
    let step = if (error > 0.0) == (sum > 0.0) { 1 } else { u64::MAX };
    f64::from_bits(if inexact && bits & 1 == 0 { bits.wrapping_add(step) } else { bits })
}

/// The f16 nearest to a number, halves to even. The crate `half` drops digits of an f64 before it rounds.
#[inline(always)]
pub fn nearest_half(a: f64) -> f16 {
    let near = a as f32;
    let back = f64::from(near);
    let bits = near.to_bits();
    let odd = if back == a || bits & 1 == 1 || !near.is_finite() {
        bits
    } else if back.abs() < a.abs() {
        bits + 1
    } else {
        bits - 1
    };
    f16::from_f32(f32::from_bits(odd))
}

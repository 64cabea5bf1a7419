use super::*;
use crate::ir::Binary::*;
use crate::ir::Compare::*;
use crate::ir::Type::*;
use crate::ir::Unary::*;

fn f(a: f32) -> u64 {
    a.to_bits().into()
}

fn i(a: i32) -> u64 {
    u64::from(a as u32)
}

#[test]
fn integers_wrap_and_divide_by_anything() {
    for (op, of, a, b, c) in [
        (Add, U32, i(-1), 2, 1),
        (Sub, I32, i(i32::MIN), 1, i(i32::MAX)),
        (Mul, U64, u64::MAX, 2, u64::MAX - 1),
        (Div, I32, 7, 0, 7),
        (Div, I32, i(i32::MIN), i(-1), i(i32::MIN)),
        (Div, I32, i(-7), 2, i(-3)),
        (Div, U64, 9, 0, 9),
        (Rem, I32, i(-7), 2, i(-1)),
        (Rem, I32, 7, 0, 0),
        (Rem, I32, i(i32::MIN), i(-1), 0),
        (Rem, I64, i64::MIN as u64, u64::MAX, 0),
        (Shl, U32, 1, 33, 2),
        (Shr, I32, i(-8), 1, i(-4)),
        (Shr, U32, i(-8), 1, 0x7fff_fffc),
        (Shl, U64, 1, 65, 2),
        (Shr, I64, (-8_i64) as u64, 64 + 2, (-2_i64) as u64),
        (Min, I32, i(-1), 1, i(-1)),
        (Min, U32, i(-1), 1, 1),
        (And, Bool, 1, 0, 0),
        (Xor, Bool, 1, 0, 1),
    ] {
        assert_eq!(binary(op, of, a, b), Some(c), "{op:?} {of}");
    }
    assert_eq!(binary(Pow, I32, 1, 1), None);
    assert_eq!(binary(Add, Bool, 1, 1), None);
    assert_eq!(binary(Shl, F32, 1, 1), None);
}

#[test]
fn bits_of_integers() {
    for (op, of, a, b) in [
        (FirstLeading, U32, 0, i(-1)),
        (FirstLeading, U32, 0x8000_0000, 31),
        (FirstLeading, I32, i(-1), i(-1)),
        (FirstLeading, I32, i(-2), 0),
        (FirstLeading, I32, 0x4000_0000, 30),
        (FirstLeading, I64, 1 << 40, 40),
        (FirstTrailing, U32, 0, i(-1)),
        (FirstTrailing, I32, i(-8), 3),
        (FirstTrailing, U64, 0, u64::MAX),
        (LeadingZeros, U32, 0, 32),
        (TrailingZeros, I64, 0, 64),
        (CountOnes, I32, i(-1), 32),
        (ReverseBits, U32, 1, 0x8000_0000),
        (Abs, I32, i(i32::MIN), i(i32::MIN)),
        (Neg, I32, i(i32::MIN), i(i32::MIN)),
        (Sign, I32, i(-9), i(-1)),
        (Sign, U32, 9, 1),
        (Not, U32, 0, i(-1)),
        (Not, Bool, 1, 0),
    ] {
        assert_eq!(unary(op, of, a), Some(b), "{op:?} {of} {a}");
    }
    assert_eq!(unary(Sin, U32, 1), None);
    assert_eq!(unary(CountOnes, F32, 1), None);
}

#[test]
fn floats_round_and_compare_as_wgsl_says() {
    for (op, a, b) in [
        (Round, 2.5, 2.0),
        (Round, 3.5, 4.0),
        (Round, -0.5, -0.0),
        (Floor, -1.5, -2.0),
        (Ceil, -1.5, -1.0),
        (Trunc, -1.5, -1.0),
        (Fract, -1.25, 0.75),
        (Sign, -3.0, -1.0),
        (Sign, 0.0, 0.0),
        (Sqrt, 2.0, 2.0_f32.sqrt()),
        (InverseSqrt, 16.0, 0.25),
        (Abs, -0.0, 0.0),
        (Exp2, 10.0, 1024.0),
        (Log2, 0.125, -3.0),
        (QuantizeF16, 1.0 + 2.0_f32.powi(-12), 1.0),
    ] {
        assert_eq!(unary(op, F32, f(a)), Some(f(b)), "{op:?} {a}");
    }
    for (op, a, b, c) in [
        (Rem, -7.5, 2.0, -1.5),
        (Step, 1.0, 1.0, 1.0),
        (Step, 1.0, 0.5, 0.0),
        (Step, f32::NAN, 0.5, 0.0),
        (Min, 1.0, f32::NAN, 1.0),
        (Max, 1.0, 2.0, 2.0),
        (Pow, 3.0, 4.0, 81.0),
        (Atan2, 1.0, -1.0, (0.75 * std::f64::consts::PI) as f32),
    ] {
        assert_eq!(binary(op, F32, f(a), f(b)), Some(f(c)), "{op:?} {a} {b}");
    }
    let nan = f(f32::NAN);
    for op in [Equal, Less, LessEqual, Greater, GreaterEqual] {
        assert_eq!(compare(op, F32, nan, nan), 0);
    }
    assert_eq!(compare(NotEqual, F32, nan, nan), 1);
    assert_eq!(compare(Equal, F32, f(0.0), f(-0.0)), 1);
    assert_eq!((compare(Less, I32, i(-1), 1), compare(Less, U32, i(-1), 1)), (1, 0));
}

#[test]
fn numbers_become_others_within_their_range() {
    for (from, to, a, b) in [
        (F32, I32, f(-1.9), i(-1)),
        (F32, I32, f(3e9), i(i32::MAX)),
        (F32, U32, f(-1.0), 0),
        (F32, U32, f(f32::NAN), 0),
        (F32, I64, f(f32::NEG_INFINITY), i64::MIN as u64),
        (F64, F32, 1e300_f64.to_bits(), f(f32::INFINITY)),
        (U32, F32, u32::MAX.into(), f(4294967296.0)),
        (I32, F16, 65519, 0x7bff),
        (I32, F16, 65520, 0x7c00),
        (U64, F16, u64::MAX, 0x7c00),
        (F16, I32, 0xc200, i(-3)),
        (F32, Bool, f(f32::NAN), 1),
        (F32, Bool, f(-0.0), 0),
        (Bool, F16, 1, 0x3c00),
        (Bool, I64, 1, 1),
        (I32, I64, i(-1), u64::MAX),
        (U32, I64, i(-1), 0xffff_ffff),
        (I64, I32, 0x1_2345_6789, 0x2345_6789),
    ] {
        assert_eq!(convert(from, to, a), b, "{from} to {to} of {a}");
    }
}

#[test]
fn halves_are_rounded_once() {
    // Halfway between two f16, and a little more than an f32 can tell.
    let halfway = 1.0 + 2.0_f64.powi(-11);
    assert_eq!(nearest_half(halfway).to_bits(), 0x3c00);
    assert_eq!(nearest_half(halfway + 2.0_f64.powi(-40)).to_bits(), 0x3c01);
    assert_eq!(nearest_half(halfway - 2.0_f64.powi(-40)).to_bits(), 0x3c00);
    assert_eq!(nearest_half(-2.0_f64.powi(-25) - 2.0_f64.powi(-60)).to_bits(), 0x8001);
    assert_eq!(nearest_half(2.0_f64.powi(-200)).to_bits(), 0);
    for bits in 0..=u16::MAX {
        let a = f16::from_bits(bits);
        if !a.is_nan() {
            assert_eq!(nearest_half(a.to_f64()).to_bits(), bits);
            assert_eq!(unpack_half(pack_half(a.to_f32(), 1.0)), [a.to_f32(), 1.0]);
        }
    }
}

/// Against the machine's own fused operation, where rounding is hard: products that nearly cancel.
#[test]
fn fused_products_are_rounded_once() {
    let mut random = fastrand::Rng::with_seed(10);
    for round in 0..200_000 {
        let of = |bits: u32| f32::from_bits(bits);
        let [a, b] = [of(random.u32(..)), of(random.u32(..))];
        let c = match round % 3 {
            0 => of(random.u32(..)),
            1 => -(a * b),
            _ => a * b * 2.0_f32.powi(random.i32(-30..30)) * random.f32(),
        };
        let (ours, theirs) = (Real::fma(a, b, c), a.mul_add(b, c));
        assert!(
            ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(),
            "{a:e} · {b:e} + {c:e} is {ours:e}, not {theirs:e}"
        );
    }
    // 1 + 2^-10 squared is 1 + 2^-9 + 2^-20, and less a half of what it is rounded to.
    let (a, c) = (f16::from_bits(0x3c01), f16::from_bits(0xbc02));
    assert_eq!(Real::fma(a, a, c).to_f64(), 2.0_f64.powi(-20));
}

#[test]
fn exponents_come_off_and_go_on() {
    for a in [1.0_f64, -0.75, 6.5e300, 5e-324, 3e-310, 0.0, -0.0] {
        let (significand, exponent) = Real::frexp(a);
        assert!(a == 0.0 || (0.5..1.0).contains(&significand.abs()), "{a:e}");
        assert_eq!(significand.ldexp(exponent).to_bits(), a.to_bits(), "{a:e}");
    }
    assert_eq!(ldexp(F32, f(1.0), -149), Some(1));
    assert_eq!(ldexp(F32, f(1.0), i32::MIN), Some(0));
    assert_eq!(ldexp(F32, f(-1.0), i32::MAX), Some(f(f32::NEG_INFINITY)));
    assert_eq!(ldexp(F64, 1.5_f64.to_bits(), -1074), Some(2));
    assert_eq!(ldexp(F64, 1.25_f64.to_bits(), -1075), Some(1));
    assert_eq!(ldexp(F64, 5e-324_f64.to_bits(), 2097), Some(2.0_f64.powi(1023).to_bits()));
    assert_eq!(ldexp(F16, 0x3c00, 15), Some(0x7800));
    assert_eq!(frexp(F32, 1), Some((f(0.5), -148)));
    assert_eq!((ldexp(U32, 1, 1), frexp(I32, 1), fma(U32, 1, 1, 1)), (None, None, None));
}

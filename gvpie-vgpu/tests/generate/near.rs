//! Numeric functions that devices may round as they like, and how far off WGSL lets them be.
//!
//! Arguments are exact, and given beside the result, so that no error is inherited. With ulp(y) the distance
//! of neighbouring f32 at y, a result r for the true y (computed in f64) is right if
//!
//! |r − y| ≤ [`Of::allowed`]
//!
//! which is the table "Accuracy of expressions" of the WGSL specification. Where it says "inherited from" an
//! expression, the bounds of its parts are put together: first order, and ½ ulp for each operation that is
//! correctly rounded.

use fastrand::Rng;

/// A function and its domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Of {
    Divide,
    Sqrt,
    InverseSqrt,
    Exp,
    Exp2,
    Log,
    Log2,
    Pow,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Length,
    Mix,
    Smoothstep,
    Degrees,
    Remainder,
}

use Of::*;

const ALL: &[Of] = &[
    Divide,
    Sqrt,
    InverseSqrt,
    Exp,
    Exp2,
    Log,
    Log2,
    Pow,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Length,
    Mix,
    Smoothstep,
    Degrees,
    Remainder,
];

/// A lane's words `at`, `at` + 1 and `at` + 2: two arguments and a result.
#[derive(Debug, Clone, Copy)]
pub struct Near {
    pub at: usize,
    pub of: Of,
}

pub fn pick(random: &mut Rng) -> Of {
    ALL[random.usize(..ALL.len())]
}

/// The distance of f32 at y, of normal numbers.
fn ulp(y: f64) -> f64 {
    2_f64.powi((y.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor()) as i32 - 23)
}

/// Of the logarithm to either base.
fn log_error(x: f64, y: f64) -> f64 {
    if (0.5..=2.0).contains(&x) { 2_f64.powi(-21) } else { 3.0 * ulp(y) }
}

/// Of e or 2 to the power x.
fn exp_error(x: f64, y: f64) -> f64 {
    (3.0 + 2.0 * x.abs()) * ulp(y)
}

impl Of {
    /// The k-th argument of a folded float: a multiple of 2⁻⁴ below 2⁷.
    pub fn argument(self, k: usize, folded: &str) -> String {
        match (self, k) {
            (Divide | Atan2, 1) | (Log | Log2 | InverseSqrt | Pow, 0) => {
                format!("abs({folded}) + 0.0625")
            }
            (Atan2, _) => format!("abs({folded}) + 0.5"),
            (Remainder, 1) => format!("abs({folded}) + 1.0"),
            (Sqrt | Asinh, _) => format!("abs({folded})"),
            (Exp | Exp2 | Sinh | Cosh | Tanh | Pow, _) => format!("{folded} * 0.0625"),
            (Sin | Cos, _) => format!("{folded} * 0.015625"),
            (Tan | Asin | Acos, _) => format!("{folded} * 0.0078125"),
            (Smoothstep, 0) => format!("{folded} * 0.0078125"),
            _ => folded.into(),
        }
    }

    pub fn call(self, [x, y]: &[String; 2]) -> String {
        match self {
            Divide => format!("{x} / {y}"),
            Sqrt => format!("sqrt({x})"),
            InverseSqrt => format!("inverseSqrt({x})"),
            Exp => format!("exp({x})"),
            Exp2 => format!("exp2({x})"),
            Log => format!("log({x})"),
            Log2 => format!("log2({x})"),
            Pow => format!("pow({x}, {y})"),
            Sin => format!("sin({x})"),
            Cos => format!("cos({x})"),
            Tan => format!("tan({x})"),
            Asin => format!("asin({x})"),
            Acos => format!("acos({x})"),
            Atan => format!("atan({x})"),
            Atan2 => format!("atan2({x}, {y})"),
            Sinh => format!("sinh({x})"),
            Cosh => format!("cosh({x})"),
            Tanh => format!("tanh({x})"),
            Asinh => format!("asinh({x})"),
            Length => format!("length(vec2<f32>({x}, {y}))"),
            Mix => format!("mix({x}, {y}, 0.375f)"),
            Smoothstep => format!("smoothstep(-1.0f, 0.75f, {x})"),
            Degrees => format!("degrees({x})"),
            Remainder => format!("{x} % {y}"),
        }
    }

    pub fn of(self, x: f64, y: f64) -> f64 {
        match self {
            Divide => x / y,
            Sqrt => x.sqrt(),
            InverseSqrt => 1.0 / x.sqrt(),
            Exp => x.exp(),
            Exp2 => x.exp2(),
            Log => x.ln(),
            Log2 => x.log2(),
            Pow => x.powf(y),
            Sin => x.sin(),
            Cos => x.cos(),
            Tan => x.tan(),
            Asin => x.asin(),
            Acos => x.acos(),
            Atan => x.atan(),
            Atan2 => x.atan2(y),
            Sinh => x.sinh(),
            Cosh => x.cosh(),
            Tanh => x.tanh(),
            Asinh => x.asinh(),
            Length => x.hypot(y),
            Mix => x * 0.625 + y * 0.375,
            Smoothstep => {
                let t = ((x + 1.0) / 1.75).clamp(0.0, 1.0);
                t * t * (3.0 - 2.0 * t)
            }
            Degrees => x.to_degrees(),
            Remainder => x - y * (x / y).trunc(),
        }
    }

    /// How far a result may be from the true one, which is `r`.
    pub fn allowed(self, x: f64, y: f64, r: f64) -> f64 {
        let small = 2_f64.powi(-11);
        match self {
            Divide => 2.5 * ulp(r),
            InverseSqrt => 2.0 * ulp(r),
            // 1 / inverseSqrt(x): 2 ulp of the root, twice that where a binade ends, and 2.5 of a division.
            Sqrt => 6.5 * ulp(r),
            Exp | Exp2 => exp_error(x, r),
            Log | Log2 => log_error(x, r),
            Pow => {
                // exp2(y · log2(x)).
                let log = x.log2();
                let exponent = y * log;
                let off = y.abs() * log_error(x, log) + 0.5 * ulp(exponent);
                r * (off.exp2() - 1.0) + exp_error(exponent, r) * off.exp2()
            }
            Sin | Cos => small,
            Tan => {
                // sin(x) / cos(x).
                let cos = x.cos().abs();
                (small + r.abs() * small) / (cos - small) + 2.5 * ulp(r)
            }
            // atan2(x, sqrt(1 − x²)), or 6.77e-5 where that is more.
            Asin | Acos => (4096.0 * ulp(r) + 4096.0 * ulp(1.0)).max(6.77e-5),
            Atan | Atan2 => 4096.0 * ulp(r),
            Sinh | Cosh => {
                let (up, down) = (x.exp(), (-x).exp());
                0.5 * (exp_error(x, up) + exp_error(x, down)) + ulp(r)
            }
            // sinh(x) / cosh(x), or 1e-5 where that is more.
            Tanh => {
                let (up, down) = (x.exp(), (-x).exp());
                let each = exp_error(x, up) + exp_error(x, down);
                (each / (up + down) * 2.0 + 2.5 * ulp(1.0)).max(1e-5)
            }
            Asinh => {
                // log(x + sqrt(x² + 1)).
                let inner = x + x.hypot(1.0);
                log_error(inner, r) + 10.0 * ulp(inner) / inner
            }
            // sqrt(dot): the dot is exact.
            Length => 6.5 * ulp(r),
            // x·(1 − a) + y·a, or x + a·(y − x).
            Mix => 2.0 * ulp(x.abs().max(y.abs())),
            // A quotient of 2.5 ulp, and some operations on numbers up to 3; the slope is 1.5 at most.
            Smoothstep => 8.0 * ulp(1.0),
            Degrees => 2.5 * ulp(r),
            Remainder => {
                // x − y·trunc(x / y), where the quotient may be off past an integer: then by one y.
                let quotient = x / y;
                let whole = (quotient.round() - quotient).abs() <= 2.5 * ulp(quotient);
                if whole { y.abs() } else { 0.0 }
            }
        }
    }

    /// Why a result is not right, if it is not.
    pub fn fault(self, words: [u32; 3]) -> Option<String> {
        let [x, y, found] = words.map(|bits| f64::from(f32::from_bits(bits)));
        let expected = self.of(x, y);
        let allowed = self.allowed(x, y, expected);
        let near = (found - expected).abs() <= allowed;
        (!near).then(|| {
            format!("{self:?}({x}, {y}): {found:e}, expected {expected:e} within {allowed:.1e}")
        })
    }
}

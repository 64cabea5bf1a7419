//! The numbers a tensor may hold.

use half::f16;
use num_complex::Complex;

/// The type of a tensor's elements, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 binary16.
    F16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Two's-complement 32-bit integer.
    I32,
    /// Unsigned 32-bit integer.
    U32,
    /// Two binary32, real part first.
    C64,
    /// Two binary64, real part first.
    C128,
}

impl DType {
    /// The name WGSL and NumPy users know it by: `f16`, `f32`, `f64`, `i32`, `u32`, `complex64`,
    /// `complex128`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F16 => "f16",
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::C64 => "complex64",
            DType::C128 => "complex128",
        }
    }

    /// Bytes an element takes.
    pub const fn size(self) -> usize {
        match self {
            DType::F16 => 2,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F64 | DType::C64 => 8,
            DType::C128 => 16,
        }
    }

    /// Unit roundoff of a floating-point type, or of the parts of a complex one: half the distance
    /// from 1 to the next number. Zero for integers, whose arithmetic is exact.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            DType::F16 => 1.0 / 2048.0,
            DType::F32 | DType::C64 => 1.0 / 16_777_216.0,
            DType::F64 | DType::C128 => 1.0 / 9_007_199_254_740_992.0,
            DType::I32 | DType::U32 => 0.0,
        }
    }

    /// The smallest floating-point type that holds every value of both, as NumPy promotes:
    /// `f16 < f32 < f64`. `None` if either is an integer or complex.
    pub fn promote(self, other: DType) -> Option<DType> {
        let rank = |t| match t {
            DType::F16 => Some(0),
            DType::F32 => Some(1),
            DType::F64 => Some(2),
            DType::I32 | DType::U32 | DType::C64 | DType::C128 => None,
        };
        Some(if rank(self)? >= rank(other)? { self } else { other })
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is a tensor element: [`f16`](struct@half::f16), `f32`, `f64`, `i32`, `u32`,
/// [`Complex<f32>`](Complex), [`Complex<f64>`](Complex).
pub trait Element:
    bytemuck::Pod + Default + PartialEq + std::fmt::Debug + Send + Sync + sealed::Sealed + 'static
{
    /// The same type as data.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $rust {}
        impl Element for $rust { const DTYPE: DType = DType::$dtype; }
    )*};
}
elements!(f16 => F16, f32 => F32, f64 => F64, i32 => I32, u32 => U32, Complex<f32> => C64,
    Complex<f64> => C128);

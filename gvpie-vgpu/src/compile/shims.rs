//! What machine code calls: operations that it has no instructions for, as functions over the lanes of a
//! warp. They are those of [`numerics`](crate::numerics), so that they give what the interpreter gives.

use crate::ir::{Binary, Type, Unary};
use crate::numerics::{Lane, Real, Scalar, Visit1, Visit2, pack_half, table, unpack_half};
use half::f16;
use std::ptr::NonNull;

/// A function of lanes of one operand: where results go, the operand, and how many lanes.
pub(super) type Shim1 = unsafe extern "C" fn(*mut u8, *const u8, u64);
/// Of two operands.
pub(super) type Shim2 = unsafe extern "C" fn(*mut u8, *const u8, *const u8, u64);

/// A function that holds nothing, from nothing.
fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "a function of the table holds nothing") };
    // SAFETY: it has no bytes, and somebody had one to name its type.
    unsafe { NonNull::<F>::dangling().read() }
}

unsafe extern "C" fn lanes1<F: Fn(A) -> B + Copy, A: Scalar, B: Scalar>(
    out: *mut u8,
    a: *const u8,
    count: u64,
) {
    let f = conjure::<F>();
    for lane in 0..count as usize {
        // SAFETY: machine code gives so many lanes of each, aligned.
        unsafe {
            let a = a.cast::<A::Bits>().add(lane).read();
            out.cast::<B::Bits>().add(lane).write(f(A::of(a)).bits());
        }
    }
}

unsafe extern "C" fn lanes2<F: Fn(A, B) -> C + Copy, A: Scalar, B: Scalar, C: Scalar>(
    out: *mut u8,
    a: *const u8,
    b: *const u8,
    count: u64,
) {
    let f = conjure::<F>();
    for lane in 0..count as usize {
        // SAFETY: machine code gives so many lanes of each, aligned.
        unsafe {
            let a = a.cast::<A::Bits>().add(lane).read();
            let b = b.cast::<B::Bits>().add(lane).read();
            out.cast::<C::Bits>().add(lane).write(f(A::of(a), B::of(b)).bits());
        }
    }
}

/// Has the table's function as one over lanes.
struct Found;

impl Visit1 for Found {
    type Out = Shim1;
    fn visit<A: Scalar, B: Scalar>(self, f: impl Fn(A) -> B + Copy) -> Shim1 {
        fn shim<F: Fn(A) -> B + Copy, A: Scalar, B: Scalar>(_: F) -> Shim1 {
            lanes1::<F, A, B>
        }
        shim(f)
    }
}

impl Visit2 for Found {
    type Out = Shim2;
    fn visit<A: Scalar, B: Scalar, C: Scalar>(self, f: impl Fn(A, B) -> C + Copy) -> Shim2 {
        fn shim<F: Fn(A, B) -> C + Copy, A: Scalar, B: Scalar, C: Scalar>(_: F) -> Shim2 {
            lanes2::<F, A, B, C>
        }
        shim(f)
    }
}

pub(super) fn unary(op: Unary, ty: Type) -> Option<Shim1> {
    table::unary(op, ty, Found)
}

pub(super) fn binary(op: Binary, ty: Type) -> Option<Shim2> {
    table::binary(op, ty, Found)
}

pub(super) fn compare(op: crate::ir::Compare, ty: Type) -> Shim2 {
    table::compare(op, ty, Found)
}

pub(super) fn convert(from: Type, to: Type) -> Shim1 {
    table::convert(from, to, Found)
}

/// a·b + c, rounded once: the operands one after another.
pub(super) fn fma(ty: Type) -> Shim1 {
    unsafe extern "C" fn lanes<T: Real>(out: *mut u8, operands: *const u8, count: u64) {
        let (out, operands, count) =
            (out.cast::<T::Bits>(), operands.cast::<T::Bits>(), count as usize);
        for lane in 0..count {
            // SAFETY: machine code gives three times so many lanes, and as many to write.
            unsafe {
                let of = |number: usize| T::of(operands.add(number * count + lane).read());
                out.add(lane).write(of(0).fma(of(1), of(2)).bits());
            }
        }
    }
    match ty {
        Type::F16 => lanes::<f16>,
        Type::F32 => lanes::<f32>,
        _ => lanes::<f64>,
    }
}

/// a·2^b.
pub(super) fn ldexp(ty: Type) -> Shim2 {
    match ty {
        Type::F16 => Visit2::visit(Found, <f16 as Real>::ldexp),
        Type::F32 => Visit2::visit(Found, <f32 as Real>::ldexp),
        _ => Visit2::visit(Found, <f64 as Real>::ldexp),
    }
}

/// The significand, or the exponent.
pub(super) fn frexp(ty: Type, exponent: bool) -> Shim1 {
    match (ty, exponent) {
        (Type::F16, false) => Visit1::visit(Found, |a: f16| a.frexp().0),
        (Type::F16, true) => Visit1::visit(Found, |a: f16| a.frexp().1),
        (Type::F32, false) => Visit1::visit(Found, |a: f32| a.frexp().0),
        (Type::F32, true) => Visit1::visit(Found, |a: f32| a.frexp().1),
        (_, false) => Visit1::visit(Found, |a: f64| a.frexp().0),
        (_, true) => Visit1::visit(Found, |a: f64| a.frexp().1),
    }
}

pub(super) fn pack() -> Shim2 {
    Visit2::visit(Found, pack_half)
}

/// The lower half, or the upper.
pub(super) fn unpack(upper: bool) -> Shim1 {
    match upper {
        false => Visit1::visit(Found, |word: u32| unpack_half(word)[0]),
        true => Visit1::visit(Found, |word: u32| unpack_half(word)[1]),
    }
}

/// Bits of a lane, one after another, as wide numbers.
///
/// # Safety
/// There are so many lanes of the type at `from`.
pub(super) unsafe fn lane(from: *const u8, ty: Type, lane: usize) -> u64 {
    match ty.bytes() {
        // SAFETY: the caller's promise.
        8 => unsafe { from.cast::<u64>().add(lane).read() },
        // SAFETY: the caller's promise.
        _ => unsafe { from.cast::<u32>().add(lane).read().wide() },
    }
}

/// Writes the bits of a lane.
///
/// # Safety
/// There are so many lanes of the type at `to`.
pub(super) unsafe fn set_lane(to: *mut u8, ty: Type, lane: usize, bits: u64) {
    match ty.bytes() {
        // SAFETY: the caller's promise.
        8 => unsafe { to.cast::<u64>().add(lane).write(bits) },
        // SAFETY: the caller's promise.
        _ => unsafe { to.cast::<u32>().add(lane).write(bits as u32) },
    }
}

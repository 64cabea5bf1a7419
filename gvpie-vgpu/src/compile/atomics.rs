//! Atomics, as functions that machine code calls with the lanes that take part.

use crate::interp::WIDE;
use crate::ir::{Atomic, Type};
use crate::numerics::changed;
use std::ptr::NonNull;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Where the memory begins, addresses, operands, what must be there, where results go, and who takes part.
pub(super) type Shim =
    unsafe extern "C" fn(*mut u8, *const u32, *const u8, *const u8, *mut u8, u64);

/// One word, an operand, and what must be there: gives what was there.
trait Change: Fn(&AtomicU32, u32, u32) -> u32 + Copy {}
impl<F: Fn(&AtomicU32, u32, u32) -> u32 + Copy> Change for F {}

unsafe extern "C" fn words<F: Change>(
    start: *mut u8,
    addresses: *const u32,
    values: *const u8,
    compares: *const u8,
    out: *mut u8,
    mask: u64,
) {
    const { assert!(size_of::<F>() == 0, "it holds nothing") };
    // SAFETY: it has no bytes, and somebody had one to name its type.
    let change = unsafe { NonNull::<F>::dangling().read() };
    let mut left = mask;
    while left != 0 {
        let lane = left.trailing_zeros() as usize;
        left &= left - 1;
        // SAFETY: machine code gives a word of each for every lane of the mask, and addresses that it has
        // held within their memory, whose words are aligned and only looked at as machine words or atomics.
        unsafe {
            let word = AtomicU32::from_ptr(start.add(addresses.add(lane).read() as usize).cast());
            let value = values.cast::<u32>().add(lane).read();
            let compare = compares.cast::<u32>().add(lane).read();
            out.cast::<u32>().add(lane).write(change(word, value, compare));
        }
    }
}

/// Of 64 bits, whose words need not be aligned as machines want them: under the lock that the interpreter
/// takes too.
unsafe fn longs(op: Atomic, ty: Type, start: *mut u8, at: [*const u8; 3], out: *mut u8, mask: u64) {
    let _held = WIDE.lock().unwrap_or_else(PoisonError::into_inner);
    let [addresses, values, compares] = at;
    let mut left = mask;
    while left != 0 {
        let lane = left.trailing_zeros() as usize;
        left &= left - 1;
        // SAFETY: as above, of two words each.
        unsafe {
            let at = start.add(addresses.cast::<u32>().add(lane).read() as usize).cast::<u64>();
            let old = at.read_unaligned();
            let value = values.cast::<u64>().add(lane).read();
            let compare = Some(compares.cast::<u64>().add(lane).read());
            let new = changed(op, ty, old, value, compare);
            at.write_unaligned(new);
            out.cast::<u64>().add(lane).write(old);
        }
    }
}

/// A function of 64 bits.
macro_rules! long {
    ($op:ident, $ty:ident) => {{
        unsafe extern "C" fn shim(
            start: *mut u8,
            addresses: *const u32,
            values: *const u8,
            compares: *const u8,
            out: *mut u8,
            mask: u64,
        ) {
            let at = [addresses.cast(), values, compares];
            // SAFETY: the caller's promise.
            unsafe { longs(Atomic::$op, Type::$ty, start, at, out, mask) }
        }
        shim as Shim
    }};
}

/// The function of an operation.
pub(super) fn shim(op: Atomic, ty: Type) -> Shim {
    fn of<F: Change>(_: F) -> Shim {
        words::<F>
    }
    if ty.bytes() == 8 {
        return match (op, ty) {
            (Atomic::Load, _) => long!(Load, U64),
            (Atomic::Store, _) => long!(Store, U64),
            (Atomic::Add, _) => long!(Add, U64),
            (Atomic::Sub, _) => long!(Sub, U64),
            (Atomic::And, _) => long!(And, U64),
            (Atomic::Or, _) => long!(Or, U64),
            (Atomic::Xor, _) => long!(Xor, U64),
            (Atomic::Min, Type::I64) => long!(Min, I64),
            (Atomic::Min, _) => long!(Min, U64),
            (Atomic::Max, Type::I64) => long!(Max, I64),
            (Atomic::Max, _) => long!(Max, U64),
            (Atomic::Exchange, _) => long!(Exchange, U64),
            (Atomic::CompareExchange, _) => long!(CompareExchange, U64),
        };
    }
    let float = ty == Type::F32;
    match op {
        Atomic::Load => of(|word, _, _| word.load(Relaxed)),
        Atomic::Store | Atomic::Exchange => of(|word, value, _| word.swap(value, Relaxed)),
        Atomic::Add if float => of(|word, value, _| floats(word, value, |a, b| a + b)),
        Atomic::Sub if float => of(|word, value, _| floats(word, value, |a, b| a - b)),
        Atomic::Add => of(|word, value, _| word.fetch_add(value, Relaxed)),
        Atomic::Sub => of(|word, value, _| word.fetch_sub(value, Relaxed)),
        Atomic::And => of(|word, value, _| word.fetch_and(value, Relaxed)),
        Atomic::Or => of(|word, value, _| word.fetch_or(value, Relaxed)),
        Atomic::Xor => of(|word, value, _| word.fetch_xor(value, Relaxed)),
        Atomic::Min if ty == Type::I32 => {
            of(|word, value, _| change(word, |old| (old as i32).min(value as i32) as u32))
        }
        Atomic::Max if ty == Type::I32 => {
            of(|word, value, _| change(word, |old| (old as i32).max(value as i32) as u32))
        }
        Atomic::Min => of(|word, value, _| word.fetch_min(value, Relaxed)),
        Atomic::Max => of(|word, value, _| word.fetch_max(value, Relaxed)),
        Atomic::CompareExchange => of(|word, value, compare| {
            match word.compare_exchange(compare, value, Relaxed, Relaxed) {
                Ok(old) | Err(old) => old,
            }
        }),
    }
}

fn floats(word: &AtomicU32, value: u32, f: impl Fn(f32, f32) -> f32) -> u32 {
    change(word, |old| f(f32::from_bits(old), f32::from_bits(value)).to_bits())
}

fn change(word: &AtomicU32, f: impl Fn(u32) -> u32) -> u32 {
    let mut old = word.load(Relaxed);
    loop {
        match word.compare_exchange_weak(old, f(old), Relaxed, Relaxed) {
            Ok(old) => return old,
            Err(other) => old = other,
        }
    }
}

//! What machine code asks of its host with all lanes at once: subgroups and textures.

use super::emit::{Emitter, Held, scalar};
use super::layout::Given;
use super::run::Host;
use super::shims::{lane, set_lane};
use crate::interp::RunError;
use crate::ir::{self, Op, Together, Type};
use crate::numerics::Subgroup;
use cranelift_codegen::ir::{InstBuilder, types};
use std::sync::Arc;

/// A question.
#[derive(Debug)]
pub(super) enum Asked {
    Together { op: Together, ty: Type, two: bool },
    Ballot,
    TextureLoad { texture: u32, axes: usize, level: bool },
    TextureStore { texture: u32, axes: usize },
    TextureSize { texture: u32, level: bool },
}

/// The area of scratch memory where the first result goes.
const RESULTS: u32 = 8;

impl Emitter<'_, '_> {
    /// Asks the host.
    pub(super) fn ask(&mut self, first: ir::Value, op: &Op) {
        let asked = match op {
            Op::Together(op, a, b) => {
                Asked::Together { op: *op, ty: self.ty(*a), two: b.is_some() }
            }
            Op::Ballot(_) => Asked::Ballot,
            Op::TextureLoad { texture, at, level } => {
                Asked::TextureLoad { texture: *texture, axes: at.len(), level: level.is_some() }
            }
            Op::TextureStore { texture, at, .. } => {
                Asked::TextureStore { texture: *texture, axes: at.len() }
            }
            Op::TextureSize { texture, level } => {
                Asked::TextureSize { texture: *texture, level: level.is_some() }
            }
            _ => return,
        };
        let mut operands = Vec::new();
        op.operands(|value| operands.push(value));
        for (area, value) in (0..RESULTS).zip(operands) {
            self.put(area, value, false);
        }
        let asked = Arc::new(asked);
        self.asks.push(Arc::clone(&asked));
        let asked = Arc::as_ptr(&asked) as i64;
        let (asked, at, out) = (self.long(asked), self.area(0), self.area(RESULTS));
        let mask = self.mask();
        let bits = self.bits(&mask);
        let bits = self.b.ins().uextend(types::I64, bits);
        if let Some(stop) =
            self.call(answer as *const () as usize, &[self.given, asked, bits, at, out], true)
        {
            self.stop_if(stop);
        }
        for number in 0..op.results() {
            let value = ir::Value(first.0 + number);
            let ty = self.ty(value);
            let at = self.area(RESULTS + number);
            let held = match self.shapes.uniform[value.0 as usize] {
                true if ty != Type::Bool => {
                    Held::Uniform(self.load(scalar(ty), super::emit::own(), at, 0))
                }
                uniform => self.collect(ty, at, uniform),
            };
            self.give_out(first, number, held);
        }
    }
}

/// Answers, lane by lane; the others get what the first has.
///
/// # Safety
/// Called by machine code: with what it was given, a question that lives as long as the code, and scratch
/// memory of [`AREAS`](super::emit::AREAS).
unsafe extern "C" fn answer(
    given: *mut Given,
    asked: *const Asked,
    mask: u64,
    at: *const u8,
    out: *mut u8,
) -> u32 {
    // SAFETY: the caller's promise: both are there, and the host is this thread's own.
    let (host, asked) = unsafe { (&mut *(*given).host.cast::<Host<'_>>(), &*asked) };
    let lanes = host.lanes;
    let area = 8 * lanes;
    let there = |lane: usize| mask >> lane & 1 != 0;
    // SAFETY: areas have room for so many lanes of any type.
    let operand = |number: usize, ty: Type, n: usize| unsafe { lane(at.add(number * area), ty, n) };
    let word = |number: usize, n: usize| operand(number, Type::U32, n) as u32;
    // SAFETY: as above.
    let put = |number: usize, ty: Type, n: usize, bits: u64| unsafe {
        set_lane(out.add(number * area), ty, n, bits);
    };
    let mut results: Vec<(usize, [u64; 4])> = Vec::with_capacity(lanes);
    let texel = |n: usize, axes: usize| {
        let mut texel = [0; 3];
        texel.iter_mut().take(axes).enumerate().for_each(|(axis, to)| *to = word(axis, n));
        texel
    };
    let active = (0..lanes).filter(|n| there(*n));
    let texture =
        |number: u32| host.dispatch.textures.get(number as usize).and_then(Option::as_ref);
    let missing = RunError::Broken("a texture that nobody has bound".into());
    let (ty, count) = match asked {
        Asked::Together { op, ty, two } => {
            let index = |n: usize| if *two { word(1, n) as usize } else { 0 };
            let value = |n: usize| operand(0, *ty, n);
            let mut of = Vec::with_capacity(lanes);
            Subgroup { lanes: 0..lanes, there, value, index }.run(*op, *ty, &mut of);
            results.extend(of.into_iter().map(|(n, bits)| (n, [bits, 0, 0, 0])));
            (*ty, 1)
        }
        Asked::Ballot => {
            let bits = active.clone().filter(|n| word(0, *n) != 0).fold(0, |bits, n| bits | 1 << n);
            results.extend(active.map(|n| (n, [bits, 0, 0, 0])));
            (Type::U32, 4)
        }
        Asked::TextureLoad { texture: number, axes, level } => {
            let Some(texture) = texture(*number) else { return host.stop(missing) };
            let level = |n: usize| if *level { word(*axes, n) } else { 0 };
            let load = |n: usize| texture.load(texel(n, *axes), level(n)).map(u64::from);
            results.extend(active.map(|n| (n, load(n))));
            (Type::U32, 4)
        }
        Asked::TextureStore { texture: number, axes } => {
            let Some(texture) = texture(*number) else { return host.stop(missing) };
            for n in active {
                let channels = [0, 1, 2, 3].map(|channel| word(axes + channel, n));
                texture.store(texel(n, *axes), channels);
            }
            (Type::U32, 0)
        }
        Asked::TextureSize { texture: number, level } => {
            let Some(texture) = texture(*number) else { return host.stop(missing) };
            let size = |n: usize| {
                let [x, y, z] = texture.size(if *level { word(0, n) } else { 0 }).map(u64::from);
                [x, y, z, 0]
            };
            results.extend(active.map(|n| (n, size(n))));
            (Type::U32, 3)
        }
    };
    if let Some((_, first)) = results.first() {
        for number in 0..count {
            (0..lanes).for_each(|n| put(number, ty, n, first[number]));
            results.iter().for_each(|(n, bits)| put(number, ty, *n, bits[number]));
        }
    }
    0
}

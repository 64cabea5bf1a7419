//! A pass over memory on the host: every line along one axis is read, transformed and written.
//!
//! Lines that are not contiguous are moved in blocks of neighbours into a core's cache and back, so
//! that whole cache lines are read and written.

use super::wide::{self, Wide};
use num_complex::Complex;
use rayon::prelude::*;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftDirection, FftNum, FftPlanner};
use std::marker::PhantomData;
use std::sync::Arc;

/// What makes kernels, and keeps what several of them share.
pub(super) struct Planners {
    single: FftPlanner<f32>,
    real_single: RealFftPlanner<f32>,
    double: FftPlanner<f64>,
    real_double: RealFftPlanner<f64>,
}

impl Planners {
    pub fn new() -> Self {
        Planners {
            single: FftPlanner::new(),
            real_single: RealFftPlanner::new(),
            double: FftPlanner::new(),
            real_double: RealFftPlanner::new(),
        }
    }
}

/// The parts of the complex numbers that the host works with, and the kernels for them.
pub(super) trait Real: FftNum + bytemuck::Pod {
    fn of(value: f64) -> Self;
    fn complex(n: usize, inverse: bool, planners: &mut Planners) -> Kernel<Self>;
    fn halve(n: usize, planners: &mut Planners) -> Kernel<Self>;
    fn double(n: usize, planners: &mut Planners) -> Kernel<Self>;
}

fn direction(inverse: bool) -> FftDirection {
    if inverse { FftDirection::Inverse } else { FftDirection::Forward }
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }

    fn complex(n: usize, inverse: bool, planners: &mut Planners) -> Kernel<f32> {
        Kernel::Complex(match wide::errs(n) {
            true => Arc::new(Wide(planners.double.plan_fft(n, direction(inverse)))),
            false => planners.single.plan_fft(n, direction(inverse)),
        })
    }

    fn halve(n: usize, planners: &mut Planners) -> Kernel<f32> {
        Kernel::Halve(match wide::errs(n) {
            true => Arc::new(Wide(planners.real_double.plan_fft_forward(n))),
            false => planners.real_single.plan_fft_forward(n),
        })
    }

    fn double(n: usize, planners: &mut Planners) -> Kernel<f32> {
        Kernel::Double(match wide::errs(n) {
            true => Arc::new(Wide(planners.real_double.plan_fft_inverse(n))),
            false => planners.real_single.plan_fft_inverse(n),
        })
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn complex(n: usize, inverse: bool, planners: &mut Planners) -> Kernel<f64> {
        Kernel::Complex(planners.double.plan_fft(n, direction(inverse)))
    }

    fn halve(n: usize, planners: &mut Planners) -> Kernel<f64> {
        Kernel::Halve(planners.real_double.plan_fft_forward(n))
    }

    fn double(n: usize, planners: &mut Planners) -> Kernel<f64> {
        Kernel::Double(planners.real_double.plan_fft_inverse(n))
    }
}

/// The operands that have strides; offsets and strides are kept in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Input = 0,
    Output = 1,
    Window = 2,
    Spectrum = 3,
}

/// What is done with each line.
pub(super) enum Kernel<T: Real> {
    Complex(Arc<dyn Fft<T>>),
    /// Real numbers into half a spectrum.
    Halve(Arc<dyn RealToComplex<T>>),
    /// Half a spectrum into real numbers.
    Double(Arc<dyn ComplexToReal<T>>),
}

/// Memory that many threads read or write, each other elements: real numbers or complex ones.
#[derive(Debug)]
pub(super) struct Field<T> {
    first: *mut u8,
    bytes: usize,
    of: PhantomData<T>,
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Field<T> {}

// SAFETY: a field is a pointer; those who follow it say why no two threads meet.
unsafe impl<T: Send> Send for Field<T> {}
// SAFETY: as above, of shared pointers.
unsafe impl<T: Sync> Sync for Field<T> {}

impl<T: Real> Field<T> {
    pub fn of(bytes: &mut [u8]) -> Self {
        Field { first: bytes.as_mut_ptr(), bytes: bytes.len(), of: PhantomData }
    }

    /// A field that is never written.
    pub fn to_read(bytes: &[u8]) -> Self {
        Field { first: bytes.as_ptr().cast_mut(), bytes: bytes.len(), of: PhantomData }
    }

    fn elements<E>(self) -> (*mut E, usize) {
        (self.first.cast(), self.bytes / size_of::<E>())
    }
}

/// An axis whose lines, or blocks of them, are gone through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loop {
    pub extent: usize,
    /// By [`Role`].
    pub strides: [usize; 4],
}

/// What is done after the last transform.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish<'a, T> {
    pub factor: T,
    pub spectrum: Option<&'a [Complex<T>]>,
}

/// Factors by which the first half of a long transform is followed.
pub(super) trait Twiddles<T>: Sync {
    /// Multiplies a line by those of this index.
    fn apply(&self, index: usize, line: &mut [Complex<T>]);
}

/// One pass.
///
/// Whoever makes one has checked that all its elements lie within their fields, that those of the
/// output are distinct, and that input and output are the same elements or have none in common.
pub(super) struct Pass<'a, T: Real> {
    pub kernel: &'a Kernel<T>,
    /// Elements to read of each line, the rest taken for zero; and to write.
    pub read: usize,
    pub write: usize,
    /// Strides along the lines, by [`Role`].
    pub axis: [usize; 4],
    pub loops: Vec<Loop>,
    pub start: [usize; 4],
    pub from: Field<T>,
    pub to: Field<T>,
    pub window: Option<&'a [T]>,
    pub finish: Option<Finish<'a, T>>,
    /// For passes with one loop, whose index tells which.
    pub twiddles: Option<&'a dyn Twiddles<T>>,
    pub threads: bool,
}

/// What a thread needs besides; grows as needed.
#[derive(Debug)]
pub(super) struct Scratch<T> {
    real: Vec<T>,
    complex: Vec<Complex<T>>,
    inner: Vec<Complex<T>>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Scratch { real: Vec::new(), complex: Vec::new(), inner: Vec::new() }
    }
}

/// As many elements a block has, if its lines are short: half of a core's cache, for f32.
const BLOCK: usize = 1 << 14;
/// Neighbours of 8 bytes that make a cache line.
const NEIGHBOURS: usize = 8;
/// Below this many elements, threads cost more than they give.
const WORTH_THREADS: usize = 1 << 13;

fn room<E: Copy>(held: &mut Vec<E>, count: usize, zero: E) -> &mut [E] {
    if held.len() < count {
        held.resize(count, zero);
    }
    &mut held[..count]
}

impl<T: Real> Pass<'_, T> {
    /// Elements of a line in the working memory.
    fn length(&self) -> usize {
        match self.kernel {
            Kernel::Complex(fft) => fft.len(),
            Kernel::Halve(fft) => fft.len(),
            Kernel::Double(fft) => fft.complex_len(),
        }
    }

    pub fn lines(&self) -> usize {
        self.loops.iter().map(|l| l.extent).product()
    }

    /// Whether lines are best taken one at a time: they are contiguous, or there is but one.
    pub fn lines_are_long(&self) -> bool {
        let one = self.loops.iter().all(|l| l.extent == 1);
        one || self.rows()
    }

    /// Whether lines are contiguous on both sides.
    fn rows(&self) -> bool {
        self.axis[0] == 1 && self.axis[1] == 1
    }

    /// Loops with neighbours last: those along which blocks are made.
    fn arrange(&self) -> Vec<Loop> {
        let mut loops: Vec<Loop> = self.loops.iter().copied().filter(|l| l.extent != 1).collect();
        if self.twiddles.is_some() {
            return loops;
        }
        let side = usize::from(self.axis[1] != 1 || self.axis[0] == 1);
        loops.sort_by_key(|l| std::cmp::Reverse(l.strides[side]));
        // Two loops that go on where the other ends are one.
        let mut merged: Vec<Loop> = Vec::new();
        for l in loops {
            match merged.last_mut() {
                Some(outer) if (0..4).all(|r| outer.strides[r] == l.extent * l.strides[r]) => {
                    *outer = Loop { extent: outer.extent * l.extent, strides: l.strides };
                }
                _ => merged.push(l),
            }
        }
        merged
    }

    pub fn run(&self, scratch: &mut Scratch<T>) {
        let mut loops = self.arrange();
        let block = loops.pop().unwrap_or(Loop { extent: 1, strides: [0; 4] });
        let length = self.length().max(self.write);
        let least = if self.rows() { 1 } else { NEIGHBOURS };
        let width = (BLOCK / length).clamp(least, 1 << 10).min(block.extent);
        let blocks = block.extent.div_ceil(width);
        let tasks = loops.iter().map(|l| l.extent).product::<usize>() * blocks;
        let task = |index: usize, scratch: &mut Scratch<T>| {
            let first = index % blocks * width;
            let mut start = self.start;
            let mut go = |i: usize, l: &Loop| {
                (0..4).for_each(|role| start[role] += i * l.strides[role]);
            };
            go(first, &block);
            let mut rest = index / blocks;
            for l in loops.iter().rev() {
                go(rest % l.extent, l);
                rest /= l.extent;
            }
            let count = width.min(block.extent - first);
            self.block(first, start, Loop { extent: count, ..block }, scratch);
        };
        let work = tasks.saturating_mul(width).saturating_mul(length);
        if !self.threads || work < WORTH_THREADS || tasks == 1 {
            (0..tasks).for_each(|index| task(index, scratch));
            return;
        }
        // A few parts for each thread: one that is held up leaves some to the others.
        let parts = tasks.min(8 * rayon::current_num_threads());
        (0..parts).into_par_iter().for_each(|part| {
            let mut scratch = Scratch::default();
            (tasks * part / parts..tasks * (part + 1) / parts)
                .for_each(|index| task(index, &mut scratch));
        });
    }

    /// Transforms neighbouring lines, `block.extent` of them, the first of which has this index.
    fn block(&self, index: usize, start: [usize; 4], block: Loop, scratch: &mut Scratch<T>) {
        let zero = Complex::new(T::zero(), T::zero());
        let count = block.extent;
        let n = self.length();
        match self.kernel {
            Kernel::Complex(fft) => {
                let pitch = if self.rows() { n } else { pitch(n) };
                let lines = room(&mut scratch.complex, count * pitch, zero);
                self.gather(start, block, lines, pitch, n);
                self.windowed(start, block, lines, pitch);
                let inner = room(&mut scratch.inner, fft.get_inplace_scratch_len(), zero);
                if pitch == n {
                    fft.process_with_scratch(lines, inner);
                } else {
                    lines
                        .chunks_mut(pitch)
                        .for_each(|l| fft.process_with_scratch(&mut l[..n], inner));
                }
                if let Some(twiddles) = self.twiddles {
                    for (i, line) in lines.chunks_mut(pitch).enumerate() {
                        twiddles.apply(index + i, &mut line[..n]);
                    }
                }
                self.finish(start, block, lines, pitch);
                self.scatter(start, block, lines, pitch);
            }
            Kernel::Halve(fft) => {
                let lines = room(&mut scratch.real, count * n, T::zero());
                let halves = room(&mut scratch.complex, count * self.write, zero);
                let inner = room(&mut scratch.inner, fft.get_scratch_len(), zero);
                self.gather(start, block, lines, n, n);
                self.windowed(start, block, lines, n);
                for (line, half) in lines.chunks_mut(n).zip(halves.chunks_mut(self.write)) {
                    // Lengths are those that the kernel was made for.
                    let _ = fft.process_with_scratch(line, half, inner);
                }
                self.finish(start, block, halves, self.write);
                self.scatter(start, block, halves, self.write);
            }
            Kernel::Double(fft) => {
                let lines = room(&mut scratch.real, count * self.write, T::zero());
                let halves = room(&mut scratch.complex, count * n, zero);
                let inner = room(&mut scratch.inner, fft.get_scratch_len(), zero);
                self.gather(start, block, halves, n, n);
                self.windowed(start, block, halves, n);
                for (line, half) in lines.chunks_mut(self.write).zip(halves.chunks_mut(n)) {
                    half[0].im = T::zero();
                    if self.write.is_multiple_of(2) {
                        half[n - 1].im = T::zero();
                    }
                    // Lengths are those that the kernel was made for.
                    let _ = fft.process_with_scratch(half, line, inner);
                }
                if let Some(finish) = &self.finish {
                    lines.iter_mut().for_each(|x| *x = *x * finish.factor);
                }
                self.scatter(start, block, lines, self.write);
            }
        }
    }

    /// Reads a block into lines that are `pitch` apart and `n` long.
    fn gather<E: Copy + bytemuck::Pod>(
        &self,
        start: [usize; 4],
        block: Loop,
        lines: &mut [E],
        pitch: usize,
        n: usize,
    ) {
        let (from, held) = self.from.elements::<E>();
        let (along, across) = (self.axis[0], block.strides[0]);
        let (read, count, start) = (self.read, block.extent, start[0]);
        let end = start + (read - 1) * along + (count - 1) * across;
        assert!(end < held && (count - 1) * pitch + n <= lines.len() && read <= n);
        // SAFETY: `end`, which is within the field, is the largest index; while elements are read
        // no thread writes them, as only the lines of this block are written there.
        let at = |i: usize, line: usize| unsafe { *from.add(start + i * along + line * across) };
        if along == 1 {
            for (line, held) in lines.chunks_mut(pitch).enumerate() {
                // SAFETY: as above.
                let row =
                    unsafe { std::slice::from_raw_parts(from.add(start + line * across), read) };
                held[..read].copy_from_slice(row);
            }
        } else if across < along && count > 1 {
            // Of a few elements of each line at a time, so that both sides keep to the nearest cache.
            for i in (0..read).step_by(NEIGHBOURS) {
                let few = NEIGHBOURS.min(read - i);
                for line in 0..count {
                    let held = &mut lines[line * pitch + i..][..few];
                    held.iter_mut().zip(i..).for_each(|(x, i)| *x = at(i, line));
                }
            }
        } else {
            for (line, held) in lines.chunks_mut(pitch).enumerate() {
                (0..read).for_each(|i| held[i] = at(i, line));
            }
        }
        if read < n {
            lines.chunks_mut(pitch).for_each(|line| line[read..n].fill(E::zeroed()));
        }
    }

    /// Writes a block from lines that are `pitch` apart.
    fn scatter<E: Copy>(&self, start: [usize; 4], block: Loop, lines: &[E], pitch: usize) {
        let (to, held) = self.to.elements::<E>();
        let (along, across) = (self.axis[1], block.strides[1]);
        let (write, count, start) = (self.write, block.extent, start[1]);
        let end = start + (write - 1) * along + (count - 1) * across;
        assert!(end < held && (count - 1) * pitch + write <= lines.len());
        // SAFETY: `end`, which is within the field, is the largest index; elements of the output are
        // distinct, and those of this block are no other thread's.
        let put = |i: usize, line: usize, x: E| unsafe {
            *to.add(start + i * along + line * across) = x;
        };
        if along == 1 {
            for (line, held) in lines.chunks(pitch).enumerate() {
                let first = start + line * across;
                // SAFETY: as above.
                let row = unsafe { std::slice::from_raw_parts_mut(to.add(first), write) };
                row.copy_from_slice(&held[..write]);
            }
        } else if across < along && count > 1 {
            for i in (0..write).step_by(NEIGHBOURS) {
                let few = NEIGHBOURS.min(write - i);
                for line in 0..count {
                    let held = &lines[line * pitch + i..][..few];
                    held.iter().zip(i..).for_each(|(x, i)| put(i, line, *x));
                }
            }
        } else {
            for (line, held) in lines.chunks(pitch).enumerate() {
                (0..write).for_each(|i| put(i, line, held[i]));
            }
        }
    }

    /// Multiplies a block by the window.
    fn windowed<E: Copy + std::ops::Mul<T, Output = E>>(
        &self,
        start: [usize; 4],
        block: Loop,
        lines: &mut [E],
        pitch: usize,
    ) {
        let Some(window) = self.window else { return };
        let role = Role::Window as usize;
        for (line, held) in lines.chunks_mut(pitch).enumerate() {
            let first = start[role] + line * block.strides[role];
            for (i, x) in held[..self.read].iter_mut().enumerate() {
                *x = *x * window[first + i * self.axis[role]];
            }
        }
    }

    /// Multiplies a block by the spectrum and the factor.
    fn finish(&self, start: [usize; 4], block: Loop, lines: &mut [Complex<T>], pitch: usize) {
        let Some(Finish { factor, spectrum }) = self.finish else { return };
        let role = Role::Spectrum as usize;
        for (line, held) in lines.chunks_mut(pitch).enumerate() {
            let held = &mut held[..self.write];
            if let Some(spectrum) = spectrum {
                let first = start[role] + line * block.strides[role];
                for (i, x) in held.iter_mut().enumerate() {
                    *x = *x * spectrum[first + i * self.axis[role]];
                }
            }
            if factor != T::one() {
                held.iter_mut().for_each(|x| *x = *x * factor);
            }
        }
    }
}

/// Elements from one line of a block to the next: lines of a large power of two would all meet in
/// the same places of the cache.
fn pitch(n: usize) -> usize {
    if n >= 64 && n.is_multiple_of(32) { n + NEIGHBOURS } else { n }
}

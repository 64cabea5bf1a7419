//! Contractions by loops on the host: on slices and plain numbers.

use super::layout::Axis;
use super::loops::Loops;
use crate::element::DType;
use crate::error::{Error, Result};
use half::f16;
use num_complex::Complex;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::{Add, Mul};

/// Results that are summed side by side.
const BLOCK: usize = 256;

/// Parts of sums where there are fewer results than these.
const PARTS: usize = 16;

/// Products from which threads share the work.
const WORTH_THREADS: usize = 1 << 15;

/// A type that sums are worked in.
pub(super) trait Working:
    bytemuck::Pod + Default + Send + Sync + Add<Output = Self> + Mul<Output = Self>
{
    /// Elements of a type that this one holds exactly.
    fn widen(bytes: &[u8], dtype: DType) -> Cow<'_, [Self]>;

    /// Writes this number as an element of a result.
    fn put(self, bytes: &mut [u8], at: usize, dtype: DType);
}

macro_rules! working {
    ($($type:ty),*) => {$(
        impl Working for $type {
            fn widen(bytes: &[u8], _: DType) -> Cow<'_, [Self]> {
                match bytemuck::try_cast_slice(bytes) {
                    Ok(elements) => Cow::Borrowed(elements),
                    Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
                }
            }
            fn put(self, bytes: &mut [u8], at: usize, _: DType) {
                let size = size_of::<Self>();
                bytes[at * size..][..size].copy_from_slice(bytemuck::bytes_of(&self));
            }
        }
    )*};
}
working!(f64, Complex<f32>, Complex<f64>);

impl Working for f32 {
    fn widen(bytes: &[u8], dtype: DType) -> Cow<'_, [Self]> {
        match (dtype, bytemuck::try_cast_slice(bytes)) {
            (DType::F16, _) => {
                let halves: Vec<f16> = bytemuck::pod_collect_to_vec(bytes);
                Cow::Owned(halves.into_iter().map(f32::from).collect())
            }
            (_, Ok(elements)) => Cow::Borrowed(elements),
            (_, Err(_)) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
        }
    }
    fn put(self, bytes: &mut [u8], at: usize, dtype: DType) {
        match dtype {
            DType::F16 => {
                bytes[2 * at..][..2].copy_from_slice(&f16::from_f32(self).to_bits().to_ne_bytes());
            }
            _ => bytes[4 * at..][..4].copy_from_slice(&self.to_ne_bytes()),
        }
    }
}

/// Computes a contraction by loops; operands are the bytes of whole buffers, and where in them the
/// operand begins, in elements.
pub(super) fn einsum_loops<T: Working>(
    loops: &Loops,
    terms: &[(&[u8], usize)],
    (y, y_offset): (&mut [u8], usize),
) -> Result<()> {
    let axes: Vec<&Axis> = loops.outer.iter().chain(&loops.inner).collect();
    if loops.outer.iter().any(|axis| axis.extent == 0) {
        return Ok(());
    }
    let window = |at: usize, bytes: usize, offset: usize, dtype: DType| {
        let reach = axes.iter().map(|axis| axis.extent.saturating_sub(1) * axis.strides[at]);
        let end = reach.sum::<usize>() + 1;
        let held = (bytes / dtype.size()).saturating_sub(offset);
        match end <= held {
            true => Ok(offset * dtype.size()..(offset + end) * dtype.size()),
            false => Err(Error::shape(
                format!("operand {}", at + 1),
                format!("at most {held} elements"),
                format!("{end}"),
            )),
        }
    };
    let mut read: Vec<Cow<'_, [T]>> = Vec::new();
    for (at, (&(bytes, offset), &dtype)) in terms.iter().zip(&loops.terms).enumerate() {
        let bytes = &bytes[window(at, bytes.len(), offset, dtype)?];
        read.push(T::widen(bytes, dtype));
    }
    let read: Vec<&[T]> = read.iter().map(|term| &**term).collect();
    let y = {
        let window = window(terms.len(), y.len(), y_offset, loops.result)?;
        &mut y[window]
    };

    // Blocks of neighbouring results, each by one thread.
    let (last, rest) = match loops.outer.split_last() {
        Some((last, rest)) => (last.clone(), rest),
        None => (Axis { extent: 1, strides: vec![0; terms.len() + 1] }, &[][..]),
    };
    let block = BLOCK.min(last.extent);
    let blocks = last.extent.div_ceil(block);
    let count: usize = rest.iter().map(|axis| axis.extent).product::<usize>() * blocks;
    // Few results of long sums: parts of the outermost sum by a thread each, always as many, so that
    // the same bits come of any number of threads.
    let long = loops.inner.first().map_or(1, |axis| axis.extent);
    let parts = if count < PARTS { PARTS.min(long).max(1) } else { 1 };
    let work = |task: usize| {
        let (index, part) = (task / parts, task % parts);
        let (row, first) = (index / blocks, index % blocks * block);
        let width = block.min(last.extent - first);
        let mut at = vec![0; terms.len() + 1];
        let mut left = row;
        for axis in rest.iter().rev() {
            let i = left % axis.extent;
            left /= axis.extent;
            at.iter_mut().zip(&axis.strides).for_each(|(at, stride)| *at += i * stride);
        }
        at.iter_mut().zip(&last.strides).for_each(|(at, stride)| *at += first * stride);
        let place = at[terms.len()];
        let mut inner = Cow::Borrowed(&loops.inner[..]);
        if parts > 1
            && let Some(axis) = inner.to_mut().first_mut()
        {
            let [begin, end] = [part, part + 1].map(|part| part * axis.extent / parts);
            at.iter_mut().zip(&axis.strides).for_each(|(at, stride)| *at += begin * stride);
            axis.extent = end - begin;
        }
        let mut sums = vec![T::default(); width];
        if !terms.is_empty() {
            sum(&mut sums, &read, &at, &last.strides, &inner);
        }
        (place, sums)
    };
    let step = last.strides[terms.len()];
    let mut put = |parts: &[(usize, Vec<T>)]| {
        let Some(((at, first), others)) = parts.split_first() else { return };
        for (i, &first) in first.iter().enumerate() {
            let sum = others.iter().fold(first, |sum, (_, part)| sum + part[i]);
            sum.put(y, at + i * step, loops.result);
        }
    };
    let products: usize = axes.iter().map(|axis| axis.extent).fold(1, usize::saturating_mul);
    // A few blocks for each thread at a time, so that little is held beside the result.
    let at_once = 64 * rayon::current_num_threads();
    for begin in (0..count).step_by(at_once) {
        let tasks = begin * parts..count.min(begin + at_once) * parts;
        let done: Vec<_> = match products < WORTH_THREADS {
            true => tasks.map(work).collect(),
            false => tasks.into_par_iter().map(work).collect(),
        };
        done.chunks(parts).for_each(&mut put);
    }
    Ok(())
}

/// Adds to each of some neighbouring results its products.
fn sum<T: Working>(
    sums: &mut [T],
    terms: &[&[T]],
    at: &[usize],
    neighbour: &[usize],
    inner: &[Axis],
) {
    let Some((axis, rest)) = inner.split_first() else {
        return products(sums, terms, at, neighbour);
    };
    if rest.is_empty() && sums.len() == 1 {
        // One result: along the sum, in one accumulator after the other.
        let mut partial = [T::default(); 16];
        let mut at = at.to_vec();
        for start in (0..axis.extent).step_by(partial.len()) {
            let width = partial.len().min(axis.extent - start);
            products(&mut partial[..width], terms, &at, &axis.strides);
            at.iter_mut().zip(&axis.strides).for_each(|(at, stride)| *at += width * stride);
        }
        sums[0] = partial.into_iter().fold(sums[0], |sum, x| sum + x);
        return;
    }
    let mut at = at.to_vec();
    for _ in 0..axis.extent {
        sum(sums, terms, &at, neighbour, rest);
        at.iter_mut().zip(&axis.strides).for_each(|(at, stride)| *at += stride);
    }
}

/// One product more for each of some neighbours.
fn products<T: Working>(sums: &mut [T], terms: &[&[T]], at: &[usize], step: &[usize]) {
    let from = |term: usize| (&terms[term][at[term]..], step[term]);
    match terms.len() {
        1 => match from(0) {
            (x, 1) => sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum = *sum + x),
            (x, s) => sums.iter_mut().enumerate().for_each(|(i, sum)| *sum = *sum + x[i * s]),
        },
        2 => match (from(0), from(1)) {
            ((x, 1), (y, 1)) => {
                let pairs = x.iter().zip(y);
                sums.iter_mut().zip(pairs).for_each(|(sum, (&x, &y))| *sum = *sum + x * y);
            }
            ((x, 0), (y, 1)) | ((y, 1), (x, 0)) => {
                let x = x[0];
                sums.iter_mut().zip(y).for_each(|(sum, &y)| *sum = *sum + x * y);
            }
            ((x, s), (y, t)) => {
                let each = sums.iter_mut().enumerate();
                each.for_each(|(i, sum)| *sum = *sum + x[i * s] * y[i * t]);
            }
        },
        _ => {
            for (i, sum) in sums.iter_mut().enumerate() {
                let factor = |term: usize| terms[term][at[term] + i * step[term]];
                let first = factor(0);
                *sum = *sum + (1..terms.len()).fold(first, |product, term| product * factor(term));
            }
        }
    }
}

//! Lines that are longer than a core's cache, on the host, by all threads.
//!
//! With n = n₁·n₂, j = n₂·j₁ + j₂ and k = k₁ + n₁·k₂ (Bailey, *FFTs in external or hierarchical
//! memory*, 1990), the transform is n₂ of length n₁, factors exp(∓2πi·j₂·k₁/n), and n₁ of length n₂: two
//! passes over memory, in each of which the lines fit a core's cache.

use super::lines::{Field, Kernel, Loop, Pass, Planners, Real, Scratch, Twiddles};
use num_complex::Complex;
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::sync::{Mutex, PoisonError};

/// Lines of fewer elements are never divided.
const LONG: usize = 1 << 15;
/// Lines of at most so many are only where there are too few of them for all threads.
const WHOLE: usize = 1 << 16;
/// Lines of at most so many are, where there are enough of them, one thread's each.
const OWN: usize = 1 << 18;

/// A long transform.
pub(super) struct Long<T: Real> {
    n: [usize; 2],
    kernels: [Kernel<T>; 2],
    factors: Factors,
    /// What the passes of one run keep between them: memory that is given back to the system costs
    /// as much to get again as a pass. A run at the same time gets its own.
    between: Mutex<Vec<Complex<T>>>,
}

/// Roots of unity by two tables of about √n: w^m = low\[m mod 2^bits\]·high\[m / 2^bits\].
struct Factors {
    bits: u32,
    low: Vec<Complex<f64>>,
    high: Vec<Complex<f64>>,
}

impl Factors {
    fn new(n: usize, inverse: bool) -> Self {
        let bits = n.ilog2().div_ceil(2);
        let step = 1 << bits;
        let sign = if inverse { TAU } else { -TAU };
        let root = |m: usize| Complex::cis(sign * (m as f64 / n as f64));
        Factors {
            bits,
            low: (0..step).map(root).collect(),
            high: (0..n.div_ceil(step)).map(|m| root(m * step)).collect(),
        }
    }

    fn at(&self, m: usize) -> Complex<f64> {
        self.low[m & (self.low.len() - 1)] * self.high[m >> self.bits]
    }
}

/// Factors that are looked up; those between them are products.
const STEP: usize = 32;

impl<T: Real> Twiddles<T> for Factors {
    fn apply(&self, index: usize, line: &mut [Complex<T>]) {
        let narrow = |w: Complex<f64>| Complex::new(T::of(w.re), T::of(w.im));
        let steps: [Complex<T>; STEP] = std::array::from_fn(|i| narrow(self.at(index * i)));
        for (part, held) in line.chunks_mut(STEP).enumerate() {
            let first = narrow(self.at(index * part * STEP));
            for (x, step) in held.iter_mut().zip(&steps) {
                *x = *x * (first * *step);
            }
        }
    }
}

impl<T: Real> Long<T> {
    /// `None` for lengths that are not long, or of no two factors of about the same size.
    pub fn new(n: usize, inverse: bool, planners: &mut Planners) -> Option<Self> {
        if n < LONG {
            return None;
        }
        let root = (n as f64).sqrt() as usize;
        let first = (root / 4..=root).rev().find(|&d| d > 0 && n.is_multiple_of(d))?;
        let n12 = [first, n / first];
        let kernels = n12.map(|n| T::complex(n, inverse, planners));
        Some(Long { n: n12, kernels, factors: Factors::new(n, inverse), between: Mutex::default() })
    }

    /// Whether dividing them is faster than to do so many lines whole.
    pub fn pays(&self, lines: usize) -> bool {
        self.n[0] * self.n[1] > WHOLE || lines < rayon::current_num_threads()
    }

    /// Does all lines of a pass.
    pub fn run(&self, pass: Pass<'_, T>) {
        let lines = pass.lines();
        let length = self.n[0] * self.n[1];
        let start = |mut line: usize| {
            let mut start = pass.start;
            for l in pass.loops.iter().rev() {
                (0..4).for_each(|role| start[role] += line % l.extent * l.strides[role]);
                line /= l.extent;
            }
            start
        };
        let own = length <= OWN && lines >= 2 * rayon::current_num_threads();
        let work = |range: std::ops::Range<usize>, threads: bool| {
            let kept = || self.between.lock().unwrap_or_else(PoisonError::into_inner);
            let mut between = std::mem::take(&mut *kept());
            if between.is_empty() {
                between = vec![Complex::new(T::zero(), T::zero()); length];
            }
            let field = Field::of(bytemuck::cast_slice_mut(&mut between));
            let mut scratch = Scratch::default();
            range.for_each(|line| self.line(&pass, start(line), field, threads, &mut scratch));
            *kept() = between;
        };
        if pass.threads && own {
            let parts = lines.min(8 * rayon::current_num_threads());
            (0..parts).into_par_iter().for_each(|part| {
                work(lines * part / parts..lines * (part + 1) / parts, false);
            });
        } else {
            work(0..lines, pass.threads);
        }
    }

    fn line(
        &self,
        pass: &Pass<'_, T>,
        start: [usize; 4],
        between: Field<T>,
        threads: bool,
        scratch: &mut Scratch<T>,
    ) {
        let [n1, n2] = self.n;
        let [x, y, window, spectrum] = pass.axis;
        let first = Pass {
            kernel: &self.kernels[0],
            read: n1,
            write: n1,
            axis: [n2 * x, n2, n2 * window, 0],
            loops: vec![Loop { extent: n2, strides: [x, 1, window, 0] }],
            start: [start[0], 0, start[2], 0],
            from: pass.from,
            to: between,
            window: pass.window,
            finish: None,
            twiddles: Some(&self.factors),
            threads,
        };
        first.run(scratch);
        let second = Pass {
            kernel: &self.kernels[1],
            read: n2,
            write: n2,
            axis: [1, n1 * y, 0, n1 * spectrum],
            loops: vec![Loop { extent: n1, strides: [n2, y, 0, spectrum] }],
            start: [0, start[1], 0, start[3]],
            from: between,
            to: pass.to,
            window: None,
            finish: pass.finish,
            twiddles: None,
            threads,
        };
        second.run(scratch);
    }
}

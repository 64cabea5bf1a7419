//! Pairs summed one by one, and what is done for many points at once: loops over lanes that the
//! compiler turns into vectors of whatever the processor has.
//!
//! Sources are staged in tiles that stay in the first cache. A tile's part of a sum is formed in the
//! working precision, in one sum a lane, and added to sums of f64, so that rounding does not grow with
//! the number of sources.

use super::harmonics::Real;
use faer::traits::{ComplexField, SimdArch};

/// Numbers to a vector of the loops below: one of 256 bits of f32, two of f64.
pub(super) const LANES: usize = 8;

/// Sources of a tile: 8 KiB of f32.
const TILE: usize = 512;

/// A number with vectors.
pub(super) trait Float: Real + ComplexField {
    /// The largest relative error of rounding to it.
    const ROUNDOFF: f64;

    /// 1/√x; 0 where x is not above 0.
    fn inverse_root(self) -> Self;
}

impl Float for f32 {
    const ROUNDOFF: f64 = f32::EPSILON as f64 / 2.0;

    #[inline(always)]
    fn inverse_root(self) -> Self {
        if self > 0.0 { 1.0 / self.sqrt() } else { 0.0 }
    }
}

impl Float for f64 {
    const ROUNDOFF: f64 = f64::EPSILON / 2.0;

    #[inline(always)]
    fn inverse_root(self) -> Self {
        if self > 0.0 { 1.0 / self.sqrt() } else { 0.0 }
    }
}

/// Runs code compiled for the vectors that this processor has.
#[inline(always)]
pub(super) fn vectorised<T: Float, R>(work: impl FnOnce() -> R) -> R {
    <T as ComplexField>::Arch::default().dispatch(work)
}

/// Points by coordinate: x, y, z, q.
#[derive(Debug, Clone)]
pub(super) struct Bodies<T>(pub [Vec<T>; 4]);

/// Sources about to act.
pub(super) struct Tile<T> {
    rows: [[T; TILE]; 4],
    held: usize,
}

impl<T: Float> Tile<T> {
    pub fn new() -> Self {
        Tile { rows: [[T::default(); TILE]; 4], held: 0 }
    }

    /// Takes bodies from `range`, moved by `by`, as many as there is room for; returns how many.
    #[inline(always)]
    pub fn take(
        &mut self,
        Bodies(from): &Bodies<T>,
        range: std::ops::Range<usize>,
        by: Option<[f64; 3]>,
    ) -> usize {
        let count = range.len().min(TILE - self.held);
        for axis in 0..4 {
            let to = &mut self.rows[axis][self.held..][..count];
            let from = &from[axis][range.start..][..count];
            match by {
                Some(by) if axis < 3 => {
                    for (to, from) in to.iter_mut().zip(from) {
                        *to = T::narrow(from.wide() + by[axis]);
                    }
                }
                _ => to.copy_from_slice(from),
            }
        }
        self.held += count;
        count
    }

    /// Adds what the sources do to every target, and lets go of them. `softening` is ε².
    #[inline(always)]
    pub fn act(&mut self, targets: &[[T; 3]], softening: T, sums: &mut [[f64; 4]]) {
        let end = self.held.next_multiple_of(LANES);
        for row in &mut self.rows[..3] {
            let last = row[self.held.saturating_sub(1)];
            row[self.held..end].fill(last);
        }
        self.rows[3][self.held..end].fill(T::default());
        for (target, sums) in targets.iter().zip(sums) {
            let mut parts = [[T::default(); LANES]; 4];
            for at in (0..end).step_by(LANES) {
                let lanes = |row: usize| -> &[T; LANES] {
                    self.rows[row][at..at + LANES].try_into().expect("whole lanes")
                };
                let [x, y, z, q] = [lanes(0), lanes(1), lanes(2), lanes(3)];
                for w in 0..LANES {
                    let d = [x[w] - target[0], y[w] - target[1], z[w] - target[2]];
                    let square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + softening;
                    let inverse = square.inverse_root();
                    let potential = q[w] * inverse;
                    // Not d·(q/r³), which overflows where q/r² does not.
                    let slope = potential * inverse;
                    parts[0][w] += potential;
                    parts[1][w] += slope * (d[0] * inverse);
                    parts[2][w] += slope * (d[1] * inverse);
                    parts[3][w] += slope * (d[2] * inverse);
                }
            }
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum += part.iter().map(|part| part.wide()).sum::<f64>();
            }
        }
        self.held = 0;
    }

    /// What a whole range does: tile after tile, the last left for the next.
    #[inline(always)]
    pub fn stream(
        &mut self,
        from: &Bodies<T>,
        mut range: std::ops::Range<usize>,
        by: Option<[f64; 3]>,
        targets: &[[T; 3]],
        softening: T,
        sums: &mut [[f64; 4]],
    ) {
        while !range.is_empty() {
            range.start += self.take(from, range.clone(), by);
            if self.held == TILE {
                self.act(targets, softening, sums);
            }
        }
    }
}

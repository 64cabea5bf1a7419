//! Solid harmonics: the functions in which multipole and local expansions are written.
//!
//! Of the complex ones, Racah-normalised and without the Condon–Shortley sign,
//!
//! C_lm(r) = √((l−m)!/(l+m)!) |r|^l P_l^m(cos θ) e^{imφ}, 0 ≤ m ≤ l,
//!
//! the real ones are R_l0 = C_l0, R_lm = √2 Re C_lm and R_l,−m = √2 Im C_lm, and the irregular ones
//! S_lm(r) = R_lm(r) / |r|^{2l+1}. Then, for |y| < |x|,
//!
//! 1/|x − y| = Σ_lm R_lm(y) S_lm(x).
//!
//! The first are 1; y, z, x; √3xy, √3yz, z² − (x² + y²)/2, √3xz, √3(x² − y²)/2. The coefficient of
//! degree l and order m lies at l² + l + m.

use std::array::from_fn;
use std::ops::{Add, Mul, Sub};

/// Coefficients up to degree `p`.
pub(super) const fn terms(p: usize) -> usize {
    (p + 1) * (p + 1)
}

/// Where the coefficient of degree l and order m lies.
pub(super) const fn place(l: usize, m: isize) -> usize {
    (l * l + l).wrapping_add_signed(m)
}

/// A number the host computes with.
pub(super) trait Real:
    bytemuck::Pod
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
{
    fn narrow(value: f64) -> Self;
    fn wide(self) -> f64;
}

impl Real for f32 {
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

/// Factors of the recurrences up to a degree:
///
/// * C_mm = `diagonal[m]` (x + iy) C_{m−1,m−1}, with the √2 of the real form in that of m = 1;
/// * R_lm = `up[l² + l + m]` z R_{l−1,m} − `down[l² + l + m]` |r|² R_{l−2,m} where |m| < l.
#[derive(Debug, Clone)]
pub(super) struct Recurrence<T> {
    pub degree: usize,
    pub diagonal: Vec<T>,
    pub up: Vec<T>,
    pub down: Vec<T>,
}

impl<T: Real> Recurrence<T> {
    pub fn new(degree: usize) -> Self {
        let diagonal = |m: usize| match m {
            0 | 1 => 1.0,
            _ => ((2 * m - 1) as f64 / (2 * m) as f64).sqrt(),
        };
        let mut up = vec![T::default(); terms(degree)];
        let mut down = up.clone();
        for l in 1..=degree {
            for m in 1 - l as isize..l as isize {
                let width = ((l * l) as f64 - (m * m) as f64).sqrt();
                let below = ((l - 1) * (l - 1)) as f64 - (m * m) as f64;
                up[place(l, m)] = T::narrow((2 * l - 1) as f64 / width);
                down[place(l, m)] = T::narrow(below.max(0.0).sqrt() / width);
            }
        }
        let diagonal = (0..=degree).map(|m| T::narrow(diagonal(m))).collect();
        Recurrence { degree, diagonal, up, down }
    }

    /// R of W points; `out[i][w]` is coefficient i of point w.
    #[inline(always)]
    pub fn regular<const W: usize>(&self, [x, y, z]: &[[T; W]; 3], out: &mut [[T; W]]) {
        let square: [T; W] = from_fn(|w| x[w] * x[w] + y[w] * y[w] + z[w] * z[w]);
        self.climb([x, y, z], &square, [T::narrow(1.0); W], out);
    }

    /// Both kinds obey the same recurrences; the irregular kind has r/|r|² for r, and 1/|r| for the
    /// first.
    #[inline(always)]
    fn climb<const W: usize>(
        &self,
        [x, y, z]: [&[T; W]; 3],
        square: &[T; W],
        first: [T; W],
        out: &mut [[T; W]],
    ) {
        let p = self.degree;
        let out = &mut out[..terms(p)];
        let (up, down) = (&self.up[..terms(p)], &self.down[..terms(p)]);
        out[0] = first;
        for l in 1..=p {
            let (a, middle, before) = (self.diagonal[l], l * l + l, l * l - l);
            // Row l of what was computed is l² − l + m, row l − 2 is l² − 3l + 2 + m.
            let (cos, sin) = if l == 1 {
                (out[0], [T::default(); W])
            } else {
                (out[before + l - 1], out[before + 1 - l])
            };
            out[middle + l] = from_fn(|w| a * (x[w] * cos[w] - y[w] * sin[w]));
            out[middle - l] = from_fn(|w| a * (x[w] * sin[w] + y[w] * cos[w]));
            for at in middle + 1 - l..middle + l {
                let (u, one) = (up[at], out[at - 2 * l]);
                out[at] = if at + 2 > middle + l || at < middle + 2 - l {
                    from_fn(|w| u * z[w] * one[w])
                } else {
                    let (d, two) = (down[at], out[at + 2 - 4 * l]);
                    from_fn(|w| u * z[w] * one[w] - d * square[w] * two[w])
                };
            }
        }
    }
}

/// R of one point, to degree `p`.
pub(super) fn regular(p: usize, point: [f64; 3]) -> Vec<f64> {
    let mut out = vec![[0.0]; terms(p)];
    Recurrence::new(p).regular(&point.map(|x| [x]), &mut out);
    out.into_iter().flatten().collect()
}

/// S of one point other than 0, to degree `p`.
pub(super) fn irregular(p: usize, point: [f64; 3]) -> Vec<f64> {
    let square: f64 = point.iter().map(|x| x * x).sum();
    let [x, y, z] = point.map(|x| [x / square]);
    let mut out = vec![[0.0]; terms(p)];
    let recurrence = Recurrence::<f64>::new(p);
    recurrence.climb([&x, &y, &z], &[square.recip()], [square.sqrt().recip()], &mut out);
    out.into_iter().flatten().collect()
}

/// A term of a derivative: ∂R_`from`/∂(x, y, z)_`axis` contains `factor` R_`to`; so the derivative
/// of Σ L_i R_i has `factor` L_`from` in its coefficient `to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    pub axis: usize,
    pub from: usize,
    pub to: usize,
    pub factor: f64,
}

/// All terms of the derivatives of R up to degree `p`, by axis and by what they go to. With
/// ∂₋ = ∂/∂x − i∂/∂y and ∂₊ its conjugate,
///
/// ∂₋C_lm = √((l+m)(l+m−1)) C_{l−1,m−1}, ∂₊C_lm = −√((l−m)(l−m−1)) C_{l−1,m+1},
/// ∂C_lm/∂z = √(l² − m²) C_{l−1,m}.
pub(super) fn gradient(p: usize) -> Vec<Slope> {
    let half = 0.5_f64.sqrt();
    let mut slopes = Vec::new();
    for l in 1..=p {
        let root = |a: usize, b: usize| ((a * b) as f64).sqrt();
        let mut slope = |axis: usize, m: isize, to: isize, factor: f64| {
            // The factor is zero where the order would pass the degree.
            if to.unsigned_abs() < l {
                slopes.push(Slope { axis, from: place(l, m), to: place(l - 1, to), factor });
            }
        };
        for m in 0..=l {
            let s = m as isize;
            let (lower, raise) = (root(l + m, (l + m).saturating_sub(1)), {
                let gap = l - m;
                root(gap, gap.saturating_sub(1))
            });
            for sign in if m == 0 { 1..=1 } else { -1..=1 } {
                if sign != 0 {
                    slope(2, sign * s, sign * s, root(l + m, l - m));
                }
            }
            match m {
                0 => {
                    slope(0, 0, 1, -raise * half);
                    slope(1, 0, -1, -raise * half);
                }
                1 => {
                    slope(0, 1, 0, lower * half);
                    slope(1, -1, 0, lower * half);
                }
                _ => {
                    slope(0, s, s - 1, lower / 2.0);
                    slope(0, -s, 1 - s, lower / 2.0);
                    slope(1, s, 1 - s, -lower / 2.0);
                    slope(1, -s, s - 1, lower / 2.0);
                }
            }
            if m > 0 {
                slope(0, s, s + 1, -raise / 2.0);
                slope(0, -s, -s - 1, -raise / 2.0);
                slope(1, s, -s - 1, -raise / 2.0);
                slope(1, -s, s + 1, raise / 2.0);
            }
        }
    }
    slopes.sort_by_key(|slope| (slope.axis, slope.to, slope.from));
    slopes
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [[f64; 3]; 4] =
        [[0.3, -0.2, 0.4], [0.0, 0.0, -0.5], [-0.4, 0.0, 0.1], [0.01, 0.49, -0.33]];

    #[test]
    fn the_first_are_as_stated() {
        let [x, y, z] = POINTS[0];
        let root = 3.0_f64.sqrt();
        let expected = [
            1.0,
            y,
            z,
            x,
            root * x * y,
            root * y * z,
            z * z - (x * x + y * y) / 2.0,
            root * x * z,
            root * (x * x - y * y) / 2.0,
        ];
        for (found, expected) in regular(2, POINTS[0]).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
    }

    #[test]
    fn their_sum_is_the_inverse_distance() {
        let far = [1.9, -1.2, 2.4];
        let s = irregular(30, far);
        for y in POINTS {
            let distance: f64 = (0..3).map(|i| (far[i] - y[i]).powi(2)).sum::<f64>().sqrt();
            let sum: f64 = regular(30, y).iter().zip(&s).map(|(r, s)| r * s).sum();
            assert!((sum * distance - 1.0).abs() < 1e-14, "{y:?}: {sum}");
        }
    }

    #[test]
    fn their_slopes_are_the_differences() {
        let p = 12;
        for at in POINTS {
            let value = regular(p, at);
            let mut slopes = vec![[0.0; 3]; terms(p)];
            for slope in gradient(p) {
                slopes[slope.from][slope.axis] += slope.factor * value[slope.to];
            }
            for axis in 0..3 {
                let [ahead, behind] = [1e-5, -1e-5].map(|step| {
                    let mut moved = at;
                    moved[axis] += step;
                    regular(p, moved)
                });
                for i in 0..terms(p) {
                    let difference = (ahead[i] - behind[i]) / 2e-5;
                    assert!((slopes[i][axis] - difference).abs() < 1e-8, "{i} {axis} {at:?}");
                }
            }
        }
    }
}

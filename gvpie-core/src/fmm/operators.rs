//! Translations of expansions, as dense real matrices.
//!
//! In a cell of centre c and side s, with u = (x − c)/s, a multipole expansion is M_i = Σ q R_i(u) over
//! its sources, and a local one is φ(x) = (1/s) Σ L_i R_i(u). In these units one set of matrices serves
//! every level:
//!
//! * `m2m[o]`: M_parent += T_o M_child for the child in octant o (bit 0 of o: the high half in x,
//!   bit 1: in y, bit 2: in z);
//! * `l2l[o]`: L_child += U_o L_parent, U_o = T_oᵀ/2;
//! * `m2l(d)`: L_target += K_d M_source, d = (target cell − source cell) in sides, 2 ≤ max|d| ≤ 3.
//!
//! Matrices are row-major, \[to\]\[from\]. They come of the addition theorems of the complex harmonics
//! Ĉ_lm = (−1)^m C_lm/√((l−m)!(l+m)!) and Ŝ_lm = (−1)^m √((l−m)!(l+m)!) C_lm/|r|^{2l+1}, for
//! negative m by f_l,−m = (−1)^m f̄_lm:
//!
//! Ĉ_lm(a + b) = Σ_kn Ĉ_kn(a) Ĉ_{l−k,m−n}(b),
//! 1/|d + u − v| = Σ_lm,kn (−1)^k conj Ĉ_lm(v) conj Ĉ_kn(u) Ŝ_{l+k,m+n}(d).
//!
//! A mirrored harmonic is itself or its negative, so the K of the 316 offsets are those of the 56
//! without negative parts with signs: K_σd = Σ K_d Σ for a mirroring σ.

use super::harmonics::{irregular, place, regular, terms};
use num_complex::Complex;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Those without negative parts: 4³ − 2³.
pub(super) const KINDS: usize = 56;

/// The matrices of one degree.
#[derive(Debug)]
pub(super) struct Operators {
    pub order: usize,
    /// T_o, one after another.
    pub m2m: Vec<f64>,
    /// U_o, one after another.
    pub l2l: Vec<f64>,
    /// K of the offsets without negative parts, in the order of [`kind`].
    pub m2l: Vec<f64>,
    /// What each harmonic becomes under a mirroring, 1 or −1: `mirrors[σ·terms + i]`, bit 0 of σ
    /// mirrors x, bit 1 y, bit 2 z.
    pub mirrors: Vec<f64>,
}

impl Operators {
    /// Those of degree `order`, made once in the life of a program.
    pub fn of(order: usize) -> Arc<Operators> {
        static MADE: Mutex<Option<HashMap<usize, Arc<Operators>>>> = Mutex::new(None);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.get_or_insert_default();
        made.entry(order).or_insert_with(|| Arc::new(Operators::new(order))).clone()
    }

    fn new(order: usize) -> Self {
        let m2m: Vec<f64> = (0..8).flat_map(|o| from_octant(order, o)).collect();
        let n = terms(order);
        let transposed = |o: usize| {
            let t = &m2m[o * n * n..][..n * n];
            (0..n * n).map(move |at| t[at % n * n + at / n] / 2.0)
        };
        let l2l = (0..8).flat_map(transposed).collect();
        let kinds = (0..64).map(|at| [at % 4, at / 4 % 4, at / 16]);
        let far = kinds.filter(|d| d.iter().any(|&d| d >= 2));
        let m2l = far.flat_map(|d| interaction(order, d.map(|d| d as f64))).collect();
        let mirrors = (0..8).flat_map(|mirror| mirrored(order, mirror)).collect();
        Operators { order, m2m, l2l, m2l, mirrors }
    }

    /// Coefficients of an expansion.
    pub fn terms(&self) -> usize {
        terms(self.order)
    }

    /// K_d of an offset.
    pub fn m2l(&self, d: [i32; 3]) -> Vec<f64> {
        let n = self.terms();
        let matrix = &self.m2l[kind(d) * n * n..][..n * n];
        let signs = &self.mirrors[mirror(d) * n..][..n];
        (0..n * n).map(|at| signs[at / n] * signs[at % n] * matrix[at]).collect()
    }
}

/// Which of the 56 kinds an offset is of, by the sizes of its parts: those come in the order of
/// x + 4y + 16z.
pub(super) fn kind(d: [i32; 3]) -> usize {
    let [x, y, z] = d.map(|d| d.unsigned_abs() as usize);
    let at = x + 4 * y + 16 * z;
    // The eight that are near are 0, 1, 4, 5, 16, 17, 20, 21.
    at - [0, 1, 4, 5, 16, 17, 20, 21].iter().filter(|&&near| near < at).count()
}

/// The mirroring that makes an offset of one without negative parts.
pub(super) fn mirror(d: [i32; 3]) -> usize {
    (0..3).map(|axis| usize::from(d[axis] < 0) << axis).sum()
}

/// All 316 offsets, 7³ − 3³, x first.
pub(super) fn offsets() -> impl Iterator<Item = [i32; 3]> {
    let all = (0..343).map(|at| [at % 7 - 3, at / 7 % 7 - 3, at / 49 - 3]);
    all.filter(|d| d.iter().any(|d: &i32| d.abs() >= 2))
}

/// Signs of the harmonics under a mirroring.
fn mirrored(order: usize, mirror: usize) -> impl Iterator<Item = f64> {
    let odd = move |l: usize, m: isize| {
        let sine = usize::from(m < 0);
        let flips = [m.unsigned_abs() + sine, sine, l + m.unsigned_abs()];
        (0..3).map(|axis| (mirror >> axis & 1) * flips[axis]).sum::<usize>() % 2 == 1
    };
    let signs = move |l: usize| (-(l as isize)..=l as isize).map(move |m| (l, m));
    (0..=order).flat_map(signs).map(move |(l, m)| if odd(l, m) { -1.0 } else { 1.0 })
}

/// √((l−m)!(l+m)!).
fn weight(factorials: &[f64], l: usize, m: usize) -> f64 {
    (factorials[l - m] * factorials[l + m]).sqrt()
}

fn factorials(highest: usize) -> Vec<f64> {
    (0..=highest)
        .scan(1.0, |product, i| {
            *product *= i.max(1) as f64;
            Some(*product)
        })
        .collect()
}

/// Ĉ_lm is a (R_l|m| ± i R_l,−|m|): returns a and the sign; the second term is none for m = 0.
fn written(factorials: &[f64], l: usize, m: isize) -> (f64, f64) {
    let size = m.unsigned_abs();
    let a = weight(factorials, l, size).recip();
    match m {
        0 => (a, 0.0),
        1.. if m % 2 == 1 => (-a * 0.5_f64.sqrt(), 1.0),
        1.. => (a * 0.5_f64.sqrt(), 1.0),
        _ => (a * 0.5_f64.sqrt(), -1.0),
    }
}

/// Ĉ_lm or Ŝ_lm of a point from its real harmonics, `weight` being the one that goes with it.
fn complex(values: &[f64], weight: f64, l: usize, m: isize) -> Complex<f64> {
    let size = m.unsigned_abs() as isize;
    let value = match m {
        0 => Complex::new(values[place(l, 0)], 0.0),
        _ => Complex::new(values[place(l, size)], values[place(l, -size)]) * 0.5_f64.sqrt(),
    };
    match m {
        1.. if m % 2 == 1 => -value * weight,
        0.. => value * weight,
        _ => value.conj() * weight,
    }
}

/// T_o of the module's `m2m`.
pub(super) fn from_octant(order: usize, o: usize) -> Vec<f64> {
    let corner = [0, 1, 2].map(|axis| if o >> axis & 1 == 1 { 0.25 } else { -0.25 });
    shift(order, 0.5, corner)
}

/// The matrix T with R(scale·u + by) = T R(u).
fn shift(order: usize, scale: f64, by: [f64; 3]) -> Vec<f64> {
    let n = terms(order);
    let fact = factorials(2 * order);
    let there = regular(order, by);
    let mut matrix = vec![0.0; n * n];
    for (l, m) in (0..=order).flat_map(|l| (0..=l as isize).map(move |m| (l, m))) {
        let (own, _) = written(&fact, l, m);
        for (k, order) in (0..=l).flat_map(|k| (-(k as isize)..=k as isize).map(move |n| (k, n))) {
            let (rest, turn) = (l - k, m - order);
            if turn.unsigned_abs() > rest {
                continue;
            }
            let inverse = weight(&fact, rest, turn.unsigned_abs()).recip();
            let (a, sign) = written(&fact, k, order);
            // own·(R_lm + i R_l,−m) gains factor·(R_k|n| + i sign R_k,−|n|).
            let factor = complex(&there, inverse, rest, turn) * a * (scale.powi(k as i32) / own);
            let size = order.unsigned_abs() as isize;
            let (row, column) = (place(l, m) * n, place(k, size));
            matrix[row + column] += factor.re;
            if sign != 0.0 {
                matrix[row + place(k, -size)] -= sign * factor.im;
            }
            if m > 0 {
                let row = place(l, -m) * n;
                matrix[row + column] += factor.im;
                if sign != 0.0 {
                    matrix[row + place(k, -size)] += sign * factor.re;
                }
            }
        }
    }
    matrix
}

/// The matrix K with 1/|d + u − v| = Σ R_i(u) K_ij R_j(v).
fn interaction(order: usize, d: [f64; 3]) -> Vec<f64> {
    let n = terms(order);
    let fact = factorials(4 * order);
    let far = irregular(2 * order, d);
    let both = |l: usize| (-(l as isize)..=l as isize).map(move |m| (l, m));
    let hat: Vec<Complex<f64>> = (0..=2 * order)
        .flat_map(both)
        .map(|(l, m)| complex(&far, weight(&fact, l, m.unsigned_abs()), l, m))
        .collect();
    let mut matrix = vec![0.0; n * n];
    // Of the conjugate pairs (l, m), (k, n) and (l, −m), (k, −n) the one with m ≥ 0, twice.
    for (l, m) in (0..=order).flat_map(|l| (0..=l as isize).map(move |m| (l, m))) {
        let (a, v) = written(&fact, l, m);
        let times = if m == 0 { 1.0 } else { 2.0 };
        for (k, turn) in (0..=order).flat_map(both) {
            let (b, u) = written(&fact, k, turn);
            let parity = if k % 2 == 1 { -times } else { times };
            let factor = hat[place(l + k, m + turn)] * (parity * a * b);
            // Re factor·(R_k|n| − i u R_k,−|n|)(R_lm − i v R_l,−m)
            let size = turn.unsigned_abs() as isize;
            let (row, minus) = (place(k, size) * n, place(k, -size) * n);
            matrix[row + place(l, m)] += factor.re;
            if v != 0.0 {
                matrix[row + place(l, -m)] += v * factor.im;
            }
            if u != 0.0 {
                matrix[minus + place(l, m)] += u * factor.im;
                if v != 0.0 {
                    matrix[minus + place(l, -m)] -= u * v * factor.re;
                }
            }
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
        let rows = matrix.chunks_exact(vector.len());
        rows.map(|row| row.iter().zip(vector).map(|(a, x)| a * x).sum()).collect()
    }

    #[test]
    fn shifts_are_exact() {
        let operators = Operators::of(9);
        let n = operators.terms();
        let u = [0.31, -0.47, 0.05];
        for o in 0..8 {
            let moved = [0, 1, 2].map(|axis| u[axis] / 2.0 + (o >> axis & 1) as f64 / 2.0 - 0.25);
            let direct = regular(9, moved);
            let found = times(&operators.m2m[o * n * n..][..n * n], &regular(9, u));
            for (found, direct) in found.iter().zip(&direct) {
                assert!((found - direct).abs() < 1e-14, "octant {o}: {found} {direct}");
            }
            // φ by the parent's local expansion, and by the child's.
            let local: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let parent: f64 = local.iter().zip(&direct).map(|(l, r)| l * r).sum();
            let child = times(&operators.l2l[o * n * n..][..n * n], &local);
            let sum: f64 = child.iter().zip(regular(9, u)).map(|(l, r)| 2.0 * l * r).sum();
            assert!((sum - parent).abs() < 1e-13, "octant {o}: {sum} {parent}");
        }
    }

    #[test]
    fn each_offset_alone_is_the_inverse_distance() {
        let order = 12;
        let operators = Operators::of(order);
        let (u, v) = ([0.21, -0.17, 0.25], [-0.2, 0.13, 0.24]);
        let (ru, rv) = (regular(order, u), regular(order, v));
        let mut worst = 0.0_f64;
        for d in offsets() {
            let distance =
                (0..3).map(|i| (f64::from(d[i]) + u[i] - v[i]).powi(2)).sum::<f64>().sqrt();
            let local = times(&operators.m2l(d), &rv);
            let sum: f64 = local.iter().zip(&ru).map(|(l, r)| l * r).sum();
            worst = worst.max((sum * distance - 1.0).abs());
            assert!((sum * distance - 1.0).abs() < 1e-6, "{d:?}: {sum}");
        }
        assert!(worst > 0.0);
        assert_eq!(offsets().count(), 316);
    }

    #[test]
    fn entries_are_exact_by_derivatives_of_the_kernel() {
        // Column 0 of K_d is S with signs: 1/|d + u| = Σ (−1)^l S_lm(d) R_lm(u).
        let order = 10;
        let operators = Operators::of(order);
        let n = operators.terms();
        for d in offsets() {
            let s = irregular(order, d.map(f64::from));
            let k = operators.m2l(d);
            for l in 0..=order {
                for i in l * l..(l + 1) * (l + 1) {
                    let expected = if l % 2 == 1 { -s[i] } else { s[i] };
                    assert!((k[i * n] - expected).abs() <= 1e-13 * s[0], "{d:?} {i}");
                    assert!((k[i] - s[i]).abs() <= 1e-13 * s[0], "{d:?} {i}");
                }
            }
        }
    }

    #[test]
    fn a_childs_multipole_acts_through_its_parent() {
        // M2L of the parent's multipole, as the child's own sources act.
        let order = 16;
        let operators = Operators::of(order);
        let n = operators.terms();
        let (source, target) = ([0.4, -0.3, 0.2], [0.1, 0.2, -0.1]);
        let rt = regular(order, target);
        for o in 0..8 {
            let up = times(&operators.m2m[o * n * n..][..n * n], &regular(order, source));
            let place = [0, 1, 2].map(|i| source[i] / 2.0 + (o >> i & 1) as f64 / 2.0 - 0.25);
            let d = [3, -2, 1];
            let distance = (0..3)
                .map(|i| (f64::from(d[i]) + target[i] - place[i]).powi(2))
                .sum::<f64>()
                .sqrt();
            let local = times(&operators.m2l(d), &up);
            let sum: f64 = local.iter().zip(&rt).map(|(l, r)| l * r).sum();
            assert!((sum * distance - 1.0).abs() < 1e-5, "octant {o}: {}", sum * distance);
        }
    }
}

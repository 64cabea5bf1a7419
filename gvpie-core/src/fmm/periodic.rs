//! The far images of a periodic cube, as one operator on the expansions of its root cell.
//!
//! Let G be the potential of a unit charge in a cube of edge 1 that repeats itself, as Ewald's sum
//! gives it with a conductor around all: ∇²G = −4π (Σₙ δ(r − n) − 1), n over all triples of whole
//! numbers, mean zero. The tree sums the 27 images n ∈ {−1, 0, 1}³ as it sums all else, with
//! colleagues that wrap around from the root on, by which a cell may be its own neighbour. What is
//! left is smooth to |r| = 2, beyond the cube's diagonal:
//!
//! G(r) − Σ₂₇ 1/|r − n| = c₀₀ + (2π/3) |r|² + Σ_{l ≥ 4} c_lm R_lm(r), c_lm = Σ_{n not of the 27} S_lm(n)
//!
//! in real solid harmonics of Racah's normalisation: R_l0 = |r|^l P_l(cos θ), R_lm and R_l,−m are
//! √(2 (l − m)!/(l + m)!) |r|^l P_lm(cos θ) times cos mφ and sin mφ, and S_lm = R_lm / |r|^(2l + 1), so
//! that 1/|x − y| = Σ R_lm(y) S_lm(x) for |y| < |x|. The cube's symmetry leaves only even l and of
//! each only the cosines of m = 0, 4, 8, …; of l = 2 it leaves nothing. The quadratic term is the
//! background's.
//!
//! With r = u − v the harmonics divide by their addition theorem, and the operator A of [`lattice`]
//! does for all far images what one matrix of the multipole-to-local translation does for one: with
//! M of the root about its centre, in units of its side, L_root += A · M_root. Cut off at degree p that
//! errs as a translation between cells two sides apart does whose points all lie in their corners, as
//! crowds on the cube's faces do. So the tree does not stop at the root, and [`octants`] does the same
//! between its children, which are three of their sides from each other's far images:
//!
//! L_o += Σ_o' B_{o−o'} · M_o', B_{o−o'} = U_o A T_o', A of a degree so high that its error is none,
//!
//! before the downward pass, which then carries it to every leaf.
//!
//! The quadratic term holds charges to its second moment, which harmonics do not have, so it is left
//! to [`Surface`], at each target after the leaf's expansion:
//!
//! φ += 2π/3V (Q |x − c|² − 2 D·(x − c) + Σⱼ q_j |y_j − c|²), ∇φ += 4π/3V (Q (x − c) − D),
//!
//! with V = side³, Q = Σ q_j, D = Σ q_j (y_j − c). Of these Q is zero but with a background.
//!
//! A couples only entries whose m differ by, or sum to, a multiple of 4, and cosines only with
//! cosines: so it is the same whichever sign harmonics of odd m, or sines, are given.
//!
//! ## Sources
//!
//! * Berman & Greengard, *A renormalization method for the evaluation of lattice sums*, 1994.
//! * de Leeuw, Perram & Smith, *Simulation of electrostatic systems in periodic boundary conditions
//!   I*, 1980: why the terms of degree 2 depend on what surrounds all, and what they are.
//! * Dehnen, *A fast multipole method for stellar dynamics*, 2014: harmonics without factors in
//!   their addition theorems, which this file computes with.

#[cfg(test)]
mod tests;

use super::harmonics::terms;
use super::operators::from_octant;
use crate::error::{Error, Result};
use num_complex::Complex;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::f64::consts::{SQRT_2, TAU};
use std::ops::{Add, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// G(r) − 1/|r| where r is 0: the potential of a charge in the lattice of its own images.
const OWN_LATTICE: f64 = -2.837_297_479_480_619_5;

/// Degrees beyond those asked for, which the lowest lattice sums draw on: what is cut off is below
/// 10⁻²⁰ of the sum of degree 4, less of every other.
const BEYOND: usize = 48;

/// The operators B of the [module](self) for offsets without negative parts, bit 0 of their number
/// being the part along x: each \[to\]\[from\], (order + 1)² squared, row-major. Those of other offsets
/// are mirrored as translations are. For orders to 24, computed once each.
pub(super) fn octants(order: usize) -> Arc<Vec<f64>> {
    static KNOWN: Mutex<BTreeMap<usize, Arc<Vec<f64>>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(order).or_insert_with(|| Arc::new(between_octants(order))).clone()
}

fn between_octants(order: usize) -> Vec<f64> {
    // At the root's degree 24 the error is that of degree 16 between cells, at 32 that of 24.
    let root = (order + 8).max(24);
    let (n, all) = (terms(order), terms(root));
    let add = |sum: &mut [f64], factor: f64, row: &[f64]| {
        if factor != 0.0 {
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += factor * x);
        }
    };
    let up = from_octant(root, 0);
    let mut far = vec![0.0; all * n];
    for (sum, row) in far.chunks_exact_mut(n).zip(lattice(root).chunks_exact(all)) {
        for (&factor, up) in row.iter().zip(up.chunks_exact(all)) {
            add(sum, factor, &up[..n]);
        }
    }
    let mut operators = vec![0.0; 8 * n * n];
    operators.par_chunks_exact_mut(n * n).enumerate().for_each(|(o, operator)| {
        for (down, far) in from_octant(root, o).chunks_exact(all).zip(far.chunks_exact(n)) {
            for (sum, factor) in operator.chunks_exact_mut(n).zip(down) {
                add(sum, factor / 2.0, far);
            }
        }
    });
    operators
}

/// The term of degree 2 of the [module](self)'s expansion: of one charge, or of the sum of many.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Surface {
    /// Σ q.
    pub charge: f64,
    /// Σ q v, v = (y − c) / side.
    pub dipole: [f64; 3],
    /// Σ q |v|².
    pub second: f64,
}

impl Surface {
    /// Of a charge at v = (y − c) / side.
    pub fn of(v: [f64; 3], charge: f64) -> Self {
        let square: f64 = v.iter().map(|v| v * v).sum();
        Surface { charge, dipole: v.map(|v| charge * v), second: charge * square }
    }

    /// Adds its potential and gradient at u = (x − c) / side to a row φ, ∇φ in the caller's units.
    pub fn add_to(&self, row: &mut [f64; 4], u: [f64; 3], side: f64) {
        let square: f64 = u.iter().map(|u| u * u).sum();
        let along: f64 = u.iter().zip(self.dipole).map(|(u, d)| u * d).sum();
        row[0] += TAU / (3.0 * side) * (self.charge * square - 2.0 * along + self.second);
        for axis in 0..3 {
            let slope = self.charge * u[axis] - self.dipole[axis];
            row[axis + 1] += 2.0 * TAU / (3.0 * side * side) * slope;
        }
    }
}

impl Add for Surface {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Surface {
            charge: self.charge + other.charge,
            dipole: [0, 1, 2].map(|axis| self.dipole[axis] + other.dipole[axis]),
            second: self.second + other.second,
        }
    }
}

/// Units of roundoff, of Σ |q|, that a sum of charges may differ from 0 by: what rounding leaves of
/// neutral charges, each of which is off by up to one unit, and of their hierarchical sum.
const NEUTRAL: f64 = 32.0;

/// Refuses a net charge Σ q of points whose Σ |q| is `magnitude`, of a type of this unit roundoff.
pub(super) fn check_charge(charge: f64, magnitude: f64, roundoff: f64) -> Result<()> {
    if charge.abs() <= NEUTRAL * roundoff * magnitude {
        return Ok(());
    }
    Err(Error::Value {
        operand: "the points".into(),
        expected: "charges whose sum is 0, or a background".into(),
        found: format!("a sum of {charge:.6e}"),
    })
}

/// Where (l, m), 0 ≤ m ≤ l, lies in the harmonics of this file, which hold no m < 0.
fn place(l: usize, m: usize) -> usize {
    l * (l + 1) / 2 + m
}

/// r^l P_lm(cos θ) exp(imφ) / (l + m)! to a degree.
fn regular(r: [f64; 3], top: usize) -> Vec<Complex<f64>> {
    let [x, y, z] = r;
    let square = x * x + y * y + z * z;
    let mut found = vec![Complex::from(1.0); place(top + 1, 0)];
    for m in 0..=top {
        if m > 0 {
            found[place(m, m)] = found[place(m - 1, m - 1)] * Complex::new(x, y) / (2 * m) as f64;
        }
        for l in m..top {
            let below = if l > m { found[place(l - 1, m)] * square } else { 0.0.into() };
            let next = found[place(l, m)] * ((2 * l + 1) as f64 * z) - below;
            found[place(l + 1, m)] = next / ((l + 1) * (l + 1) - m * m) as f64;
        }
    }
    found
}

/// (l − m)! P_lm(cos θ) exp(imφ) / r^(l + 1) to a degree.
fn irregular(r: [f64; 3], top: usize) -> Vec<Complex<f64>> {
    let [x, y, z] = r;
    let square = x * x + y * y + z * z;
    let mut found = vec![Complex::from(square.sqrt().recip()); place(top + 1, 0)];
    for m in 0..=top {
        if m > 0 {
            let step = Complex::new(x, y) * ((2 * m - 1) as f64 / square);
            found[place(m, m)] = found[place(m - 1, m - 1)] * step;
        }
        for l in m..top {
            let below = if l > m { found[place(l - 1, m)] } else { 0.0.into() };
            let next =
                found[place(l, m)] * ((2 * l + 1) as f64 * z) - below * (l * l - m * m) as f64;
            found[place(l + 1, m)] = next / square;
        }
    }
    found
}

/// Triples of whole numbers.
fn block(range: Range<i32>) -> impl Iterator<Item = [i32; 3]> {
    let (xs, ys, zs) = (range.clone(), range.clone(), range);
    let rows = xs.flat_map(move |x| ys.clone().map(move |y| (x, y)));
    rows.flat_map(move |(x, y)| zs.clone().map(move |z| [x, y, z]))
}

/// Adds the sum of harmonics over points that have the cube's symmetry, where that leaves any: of the
/// others only rounding errors would be summed.
fn add_symmetric(sums: &mut [f64], harmonics: &[Complex<f64>], top: usize) {
    for l in (0..=top).step_by(2).filter(|&l| l != 2) {
        for m in (0..=l).step_by(4) {
            sums[place(l, m)] += harmonics[place(l, m)].re;
        }
    }
}

/// Σ (l − m)! P_lm exp(imφ) / |n|^(l + 1) over all n but the nearest 27, for 4 ≤ l ≤ top.
///
/// Space is also filled by copies of the block of 27, three apart. Beyond the middle block of 9³ these
/// copies are themselves all but the nearest 27, and each, by the addition theorem, is one point's
/// harmonics of the same and higher degree:
///
/// c_lm = Σ_{9³ less 27} S_lm(n) + Σ_{λμ} ρ_λμ 3^−(l + λ + 1) c_{l + λ, m + μ}, ρ = Σ₂₇ R_λμ(n)
///
/// which, ρ₀₀ being 27, gives c_lm from those of higher degree.
fn sums(top: usize) -> Vec<f64> {
    let highest = top + BEYOND;
    let mut block_moments = vec![0.0; place(highest + 1, 0)];
    for n in block(-1..2) {
        add_symmetric(&mut block_moments, &regular(n.map(f64::from), highest), highest);
    }
    let mut sums = vec![0.0; place(highest + 1, 0)];
    for n in block(-4..5).filter(|n| n.iter().any(|n| n.abs() > 1)) {
        add_symmetric(&mut sums, &irregular(n.map(f64::from), highest), highest);
    }
    for l in (4..=highest).rev().filter(|l| l % 2 == 0) {
        for m in (0..=l).step_by(4) {
            let mut sum = sums[place(l, m)];
            for beyond in (4..=highest - l).step_by(2) {
                let shrunk = 3.0_f64.powi(-((l + beyond + 1) as i32));
                for order in (0..=beyond).step_by(4) {
                    let moment = block_moments[place(beyond, order)] * shrunk;
                    sum += moment * sums[place(l + beyond, m + order)];
                    if order > 0 {
                        sum += moment * sums[place(l + beyond, m.abs_diff(order))];
                    }
                }
            }
            sums[place(l, m)] = sum / (1.0 - 3.0_f64.powi(2 - l as i32));
        }
    }
    // Of degree 0 all charges see the same; of degree 2, nothing.
    sums[0] = OWN_LATTICE - 6.0 - 12.0 / SQRT_2 - 8.0 / 3.0_f64.sqrt();
    sums.truncate(place(top + 1, 0));
    sums
}

/// 1 / √((l − m)! (l + m)!): what both kinds of harmonics of this file are multiplied by in terms of
/// Racah's normalisation, the regular ones when expressed by it, the irregular ones to become it.
fn normal(l: usize, m: usize) -> f64 {
    (1..=l - m).chain(1..=l + m).map(|k| (k as f64).sqrt().recip()).product()
}

/// The operator A of the [module](self): \[to\]\[from\], (order + 1)² squared, row-major, in units of
/// the cube's side.
fn lattice(order: usize) -> Vec<f64> {
    let sums = sums(2 * order);
    let count = (order + 1) * (order + 1);
    let mut matrix = vec![0.0; count * count];
    let orders = || (0..=order).flat_map(|l| (0..=l).map(move |m| (l, m)));
    let normals: Vec<f64> = orders().map(|(l, m)| normal(l, m)).collect();
    for (l, m) in orders() {
        // R of degree k changes by (−1)^k where v changes its sign; only even sums of degrees appear.
        let sign = if l % 2 == 0 { 1.0 } else { -1.0 };
        for (k, n) in orders().filter(|(k, n)| (l + k) % 2 == 0 && (m + n) % 2 == 0) {
            let factor = sign * normals[place(l, m)] * normals[place(k, n)];
            let sum = factor * sums[place(l + k, m + n)];
            // Of −m, whose harmonic is (−1)^m times the conjugate of that of m.
            let difference = factor * sums[place(l + k, m.abs_diff(n))];
            let difference = if m % 2 == 0 { difference } else { -difference };
            let (row, column) = (l * l + l, k * k + k);
            match (m, n) {
                (0, 0) => matrix[row * count + column] = sum,
                (0, _) | (_, 0) => matrix[(row + m) * count + column + n] = SQRT_2 * sum,
                _ => {
                    matrix[(row + m) * count + column + n] = difference + sum;
                    matrix[(row - m) * count + column - n] = difference - sum;
                }
            }
        }
    }
    matrix
}

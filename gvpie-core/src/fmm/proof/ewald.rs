//! Potentials in a periodic cube by Ewald's sum, in f64.
//!
//! Of the cube of edge 1, with r = x − y:
//!
//! G(r) = Σₙ erfc(α|r − n|) / |r − n| + (1/π) Σ_{h ≠ 0} exp(−π²h²/α²) / h² · cos(2π h·r) − π/α²
//!
//! with n and h over all triples of whole numbers, whatever α > 0. G has mean zero over the cube and
//! ∇²G = −4π (Σₙ δ(r − n) − 1): each charge comes with an even background of the opposite one, which
//! cancels where the net charge is zero. Where r is itself an n, that term is what is left of it
//! without 1/|r − n|: −2α/√π.
//!
//! Source: Ewald, *Die Berechnung optischer und elektrostatischer Gitterpotentiale*, 1921.

use rayon::prelude::*;
use std::f64::consts::{FRAC_2_SQRT_PI, PI, TAU};

/// Where the sum is divided between space and frequencies: here every term beyond the nearest images
/// is below the last place.
const ALPHA: f64 = 6.0;

/// Distance to which images are summed: erfc(α·1) is 2·10⁻¹⁷.
const REACH: f64 = 1.0;

/// Frequencies to this length are summed: exp(−π²·12²/α²) is 7·10⁻¹⁸.
const HIGHEST: i32 = 12;

/// Rows φ, ∂φ/∂x, ∂φ/∂y, ∂φ/∂z at targets (rows x, y, z and a number not read) of sources (rows x, y,
/// z, q) in a cube of edge `side` that repeats itself, with a conductor around all and any net charge
/// neutralised by an even background.
///
/// A pair that lies at distance 0 contributes only by its images. The error is some 10⁻¹⁵ of Σ|q| /
/// `side` (of the gradient, Σ|q| / `side`²), or of the largest term where one is larger. Time grows
/// with the number of pairs: a few seconds for a thousand points on two cores.
///
/// ```
/// use gvpie_core::fmm::proof::ewald::ewald;
/// // Rock salt, along one edge of its cubic cell: alternating charges half a side apart.
/// let mut salt = Vec::new();
/// for ion in 0..8 {
///     let place = [ion & 1, ion >> 1 & 1, ion >> 2].map(|high| 0.5 * high as f64);
///     let sign = if (ion as u32).count_ones() % 2 == 0 { 1.0 } else { -1.0 };
///     salt.extend([place[0], place[1], place[2], sign]);
/// }
/// let result = ewald(&salt, &salt, 1.0);
/// assert!((result[0] * 0.5 + 1.747_564_594_633_182).abs() < 1e-13);
/// ```
pub fn ewald(sources: &[f64], targets: &[f64], side: f64) -> Vec<f64> {
    let waves = waves(sources, side);
    let charge: f64 = sources.chunks_exact(4).map(|y| y[3]).sum();
    let mut result = vec![0.0; targets.len() / 4 * 4];
    result.par_chunks_exact_mut(4).zip(targets.par_chunks_exact(4)).for_each(|(out, x)| {
        let mut sum = [-PI / (ALPHA * ALPHA) * charge, 0.0, 0.0, 0.0];
        for y in sources.chunks_exact(4) {
            let apart = [0, 1, 2].map(|axis| {
                let d = (y[axis] - x[axis]) / side;
                d - d.round()
            });
            add_images(apart, y[3], &mut sum);
        }
        for wave in &waves {
            let (sin, cos) = wave.angle(x, side).sin_cos();
            sum[0] += wave.re * cos + wave.im * sin;
            for axis in 0..3 {
                sum[axis + 1] += TAU * wave.h[axis] * (wave.im * cos - wave.re * sin);
            }
        }
        out[0] = sum[0] / side;
        for axis in 1..4 {
            out[axis] = sum[axis] / (side * side);
        }
    });
    result
}

/// Adds a charge's images within [`REACH`] of a target, from which the nearest is `apart`.
fn add_images(apart: [f64; 3], charge: f64, sum: &mut [f64; 4]) {
    for image in 0..27 {
        let steps = [image % 3, image / 3 % 3, image / 9].map(|step| f64::from(step - 1));
        let d = [0, 1, 2].map(|axis| apart[axis] + steps[axis]);
        let square: f64 = d.iter().map(|d| d * d).sum();
        if square == 0.0 {
            sum[0] -= charge * FRAC_2_SQRT_PI * ALPHA;
        } else if square < REACH * REACH {
            let r = square.sqrt();
            let potential = libm::erfc(ALPHA * r) / r;
            let factor =
                (potential + FRAC_2_SQRT_PI * ALPHA * (-ALPHA * ALPHA * square).exp()) / square;
            sum[0] += charge * potential;
            for axis in 0..3 {
                sum[axis + 1] += charge * factor * d[axis];
            }
        }
    }
}

/// One frequency of the charges, weighted: the sum of its cosine and sine is its part of φ.
struct Wave {
    h: [f64; 3],
    re: f64,
    im: f64,
}

impl Wave {
    fn angle(&self, point: &[f64], side: f64) -> f64 {
        TAU * (0..3).map(|axis| self.h[axis] * (point[axis] / side)).sum::<f64>()
    }
}

/// Of each pair h, −h one, with twice its weight.
fn waves(sources: &[f64], side: f64) -> Vec<Wave> {
    let range = -HIGHEST..=HIGHEST;
    let rows = range.clone().flat_map(|x| range.clone().map(move |y| (x, y)));
    let all = rows.flat_map(|(x, y)| range.clone().map(move |z| [x, y, z]));
    let upper =
        all.filter(|&h| h > [0; 3] && h.iter().map(|h| h * h).sum::<i32>() <= HIGHEST.pow(2));
    let summed = |h: [i32; 3]| {
        let mut wave = Wave { h: h.map(f64::from), re: 0.0, im: 0.0 };
        for y in sources.chunks_exact(4) {
            let (sin, cos) = wave.angle(y, side).sin_cos();
            wave.re += y[3] * cos;
            wave.im += y[3] * sin;
        }
        let square: f64 = wave.h.iter().map(|h| h * h).sum();
        let weight = 2.0 / PI * (-PI * PI * square / (ALPHA * ALPHA)).exp() / square;
        Wave { h: wave.h, re: weight * wave.re, im: weight * wave.im }
    };
    upper.collect::<Vec<_>>().into_par_iter().map(summed).collect()
}

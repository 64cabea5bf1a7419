//! What proves an implementation of the fast multipole method: clouds of points on which it is hard
//! to be exact or quick, compensated direct sums of f64, and the error against these. Tests and
//! benchmarks read this one; the bound that errors are held to is [`FmmPlan::bound`].
//!
//! [`FmmPlan::bound`]: super::FmmPlan::bound

pub mod ewald;

use fastrand::Rng;
use rayon::prelude::*;

/// How points lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// Evenly in the unit cube.
    Cube,
    /// Evenly on the unit sphere.
    Sphere,
    /// As Plummer's model of a star cluster, of scale 1: dense in the middle, without an end.
    Plummer,
    /// Evenly in two unit balls, 100 apart.
    Clusters,
    /// Evenly on a line that is oblique to the axes.
    Line,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Cloud; 5] =
        [Cloud::Cube, Cloud::Sphere, Cloud::Plummer, Cloud::Clusters, Cloud::Line];

    /// Rows x, y, z, q of so many points: masses of 0.5 to 1.5, or charges of 1 and −1. All numbers
    /// are numbers of f32.
    pub fn points(self, count: usize, charges: bool, seed: u64) -> Vec<f64> {
        let mut random = Rng::with_seed(seed);
        let mut row = |at: usize| {
            let [x, y, z] = self.place(at, &mut random);
            let q = match charges {
                true if random.bool() => 1.0,
                true => -1.0,
                false => 0.5 + random.f64(),
            };
            [x, y, z, q].map(|x| f64::from(x as f32))
        };
        (0..count).flat_map(&mut row).collect()
    }

    fn place(self, at: usize, random: &mut Rng) -> [f64; 3] {
        match self {
            Cloud::Cube => [random.f64(), random.f64(), random.f64()],
            Cloud::Sphere => direction(random),
            Cloud::Plummer => {
                // The mass within r is r³/(1 + r²)^(3/2); the last thousandth is left out.
                let mass: f64 = random.f64() * 0.999;
                let radius = (mass.powf(-2.0 / 3.0) - 1.0).sqrt().recip();
                direction(random).map(|x| x * radius)
            }
            Cloud::Clusters => {
                let radius = random.f64().cbrt();
                let [x, y, z] = direction(random).map(|x| x * radius);
                [x + (at % 2) as f64 * 100.0, y, z]
            }
            Cloud::Line => {
                let along = random.f64();
                [along, 0.3 * along, -0.7 * along]
            }
        }
    }
}

fn direction(random: &mut Rng) -> [f64; 3] {
    let (z, turn) = (2.0 * random.f64() - 1.0, random.f64() * std::f64::consts::TAU);
    let radius = (1.0 - z * z).sqrt();
    [radius * turn.cos(), radius * turn.sin(), z]
}

/// Potential and gradient at these targets (rows of four), every pair summed in f64 with
/// compensation (Neumaier's).
pub fn direct(sources: &[f64], targets: &[f64], softening: f64) -> Vec<[f64; 4]> {
    let one = |x: &[f64]| {
        let (mut sum, mut lost) = ([0.0_f64; 4], [0.0; 4]);
        for y in sources.chunks_exact(4) {
            let d = [y[0] - x[0], y[1] - x[1], y[2] - x[2]];
            let square = d.iter().map(|d| d * d).sum::<f64>() + softening * softening;
            if square == 0.0 {
                continue;
            }
            let inverse = square.sqrt().recip();
            let slope = y[3] * inverse * inverse;
            let terms = [
                y[3] * inverse,
                slope * (d[0] * inverse),
                slope * (d[1] * inverse),
                slope * (d[2] * inverse),
            ];
            for ((sum, lost), term) in sum.iter_mut().zip(&mut lost).zip(terms) {
                let total = *sum + term;
                *lost += if sum.abs() >= term.abs() {
                    (*sum - total) + term
                } else {
                    (term - total) + *sum
                };
                *sum = total;
            }
        }
        [0, 1, 2, 3].map(|column| sum[column] + lost[column])
    };
    targets.par_chunks_exact(4).map(one).collect()
}

/// Every so-manyth row of four, so that there are at most `count`.
pub fn sample<T: Copy>(rows: &[T], count: usize) -> Vec<T> {
    let step = (rows.len() / 4).div_ceil(count.max(1)).max(1);
    rows.chunks_exact(4).step_by(step).flatten().copied().collect()
}

/// Relative errors in L2 of potentials and of gradients; where the exact ones are all zero, the
/// errors themselves.
pub fn errors(found: &[f64], exact: &[[f64; 4]]) -> [f64; 2] {
    let part = |columns: std::ops::Range<usize>| {
        let (mut error, mut size) = (0.0, 0.0);
        for (found, exact) in found.chunks_exact(4).zip(exact) {
            for column in columns.clone() {
                error += (found[column] - exact[column]).powi(2);
                size += exact[column].powi(2);
            }
        }
        (error / if size > 0.0 { size } else { 1.0 }).sqrt()
    };
    [part(0..1), part(1..4)]
}

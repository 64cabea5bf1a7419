//! Bodies to begin with: a star cluster, and two galaxies about to meet.

use fastrand::Rng;
use std::f64::consts::{PI, TAU};

/// Positions and velocities of bodies on the host, as a state's rows are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bodies {
    /// Rows x, y, z, m.
    pub positions: Vec<[f64; 4]>,
    /// Rows vx, vy, vz, 0.
    pub velocities: Vec<[f64; 4]>,
}

impl Bodies {
    /// Moves the centre of mass to the origin, at rest.
    fn centre(mut self) -> Self {
        let mass: f64 = self.positions.iter().map(|x| x[3]).sum();
        for axis in 0..3 {
            let rows = || self.positions.iter().zip(&self.velocities);
            let x = rows().map(|(x, _)| x[3] * x[axis]).sum::<f64>() / mass;
            let v = rows().map(|(x, v)| x[3] * v[axis]).sum::<f64>() / mass;
            self.positions.iter_mut().for_each(|row| row[axis] -= x);
            self.velocities.iter_mut().for_each(|row| row[axis] -= v);
        }
        self
    }

    fn push(&mut self, x: [f64; 3], v: [f64; 3], mass: f64) {
        self.positions.push([x[0], x[1], x[2], mass]);
        self.velocities.push([v[0], v[1], v[2], 0.0]);
    }
}

/// Of a Plummer sphere, the mass beyond this part of it is left out: it reaches to 39 scale radii.
const KEPT: f64 = 0.999;

/// A direction, evenly.
fn direction(random: &mut Rng) -> [f64; 3] {
    let z = 2.0 * random.f64() - 1.0;
    let (sin, cos) = (TAU * random.f64()).sin_cos();
    let r = (1.0 - z * z).sqrt();
    [r * cos, r * sin, z]
}

/// A number of the normal distribution (Box & Muller 1958).
fn normal(random: &mut Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos()
}

/// The radius within which a Plummer sphere of scale radius 1 has this part of its mass.
fn plummer_radius(part: f64) -> f64 {
    (part.powf(-2.0 / 3.0) - 1.0).max(1e-300).sqrt().recip()
}

/// A Plummer sphere in equilibrium, of equal masses, in standard units: G = 1, mass 1, energy −¼,
/// so that its scale radius is 3π/16. Equal seeds give equal bodies.
///
/// After Aarseth, Hénon & Wielen, *A comparison of numerical methods for the study of star cluster
/// dynamics*, 1974.
pub fn plummer(bodies: usize, seed: u64) -> Bodies {
    let mut random = Rng::with_seed(seed);
    let mut all = Bodies::default();
    let scale = 3.0 * PI / 16.0;
    for _ in 0..bodies {
        let r = plummer_radius(KEPT * (1.0 - random.f64()));
        let place = direction(&mut random);
        // The speed, in that of escape, has the distribution q²(1 − q²)^{7/2}, whose top is 0.0922.
        let q = loop {
            let (q, height) = (random.f64(), 0.1 * random.f64());
            if height < q * q * (1.0 - q * q).powf(3.5) {
                break q;
            }
        };
        let speed = q * 2.0_f64.sqrt() / (1.0 + r * r).powf(0.25);
        let heading = direction(&mut random);
        let x = place.map(|x| x * r * scale);
        all.push(x, heading.map(|v| v * speed / scale.sqrt()), 1.0 / bodies as f64);
    }
    all.centre()
}

/// A spiral galaxy without its dark halo: an exponential disc of scale length 1 around a bulge, a
/// Plummer sphere, with mass 1 in all.
#[derive(Debug, Clone, Copy)]
struct Galaxy;

/// Mass of the bulge, of 1.
const BULGE: f64 = 0.35;
/// Scale radius of the bulge, in scale lengths of the disc.
const BULGE_RADIUS: f64 = 0.25;
/// Height of the disc: its density is as sech²(z/HEIGHT).
const HEIGHT: f64 = 0.08;
/// The disc ends here, in scale lengths.
const EDGE: f64 = 6.0;
/// How warm the disc is (Toomre 1964): below 1, it falls to lumps.
const TOOMRE: f64 = 1.4;

impl Galaxy {
    /// The mass of the disc within a cylinder, of 1.
    fn disc_within(r: f64) -> f64 {
        let part = |r: f64| 1.0 - (1.0 + r) * (-r).exp();
        part(r.min(EDGE)) / part(EDGE)
    }

    /// The speed on a circle, the disc's mass taken as if it were a sphere's.
    fn circular(r: f64) -> f64 {
        let disc = (1.0 - BULGE) * Self::disc_within(r) / r;
        let bulge = BULGE * r * r / (r * r + BULGE_RADIUS * BULGE_RADIUS).powf(1.5);
        (disc + bulge).sqrt()
    }

    /// The radius within which the disc has this part of its mass, by bisection.
    fn disc_radius(part: f64) -> f64 {
        let (mut low, mut high) = (0.0, EDGE);
        for _ in 0..52 {
            let middle = 0.5 * (low + high);
            if Self::disc_within(middle) < part { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }

    /// A star of the disc: it turns about z.
    fn star(random: &mut Rng) -> ([f64; 3], [f64; 3]) {
        let r = Self::disc_radius(random.f64()).max(1e-3);
        let (sin, cos) = (TAU * random.f64()).sin_cos();
        let density = (1.0 - BULGE) * (-r).exp() / TAU;
        let z = HEIGHT * (2.0 * random.f64() - 1.0).clamp(-0.9999, 0.9999).atanh();
        // Epicycles: κ² = 2 (v/r) (v/r + dv/dr); σ = Q · 3.36 Σ/κ, at most a third of the speed.
        let v = Self::circular(r);
        let slope = (Self::circular(1.01 * r) - Self::circular(0.99 * r)) / (0.02 * r);
        let kappa = (2.0 * v / r * (v / r + slope)).max(1e-6).sqrt();
        let radial = (TOOMRE * 3.36 * density / kappa).min(v / 3.0);
        let across = radial * (kappa * r / (2.0 * v)).min(1.0);
        let upward = (PI * density * HEIGHT).sqrt().min(v / 3.0);
        // The mean motion lags behind the circle by what the dispersion carries.
        let lag = radial.powi(2) * (1.0 - 2.0 * r) - across.powi(2);
        let turning = (v * v + lag).max(0.25 * v * v).sqrt() + across * normal(random);
        let outward = radial * normal(random);
        (
            [r * cos, r * sin, z],
            [outward * cos - turning * sin, outward * sin + turning * cos, upward * normal(random)],
        )
    }

    /// A star of the bulge: the directions of its motion are even.
    fn bulge_star(dispersion: &[f64], random: &mut Rng) -> ([f64; 3], [f64; 3]) {
        let r = BULGE_RADIUS * plummer_radius(0.98 * (1.0 - random.f64()));
        let at = ((r / EDGE * dispersion.len() as f64) as usize).min(dispersion.len() - 1);
        let sigma = dispersion[at];
        let x = direction(random).map(|x| x * r);
        let most = 1.3 * Self::circular(r.max(1e-3));
        (x, [0; 3].map(|_| (sigma * normal(random)).clamp(-most, most)))
    }

    /// Dispersions of the bulge along one axis at even radii to the edge, by Jeans' equation:
    /// σ² = 1/ρ ∫ ρ v²/r dr, v the speed on a circle.
    fn dispersions() -> Vec<f64> {
        let steps = 2000;
        let width = EDGE / f64::from(steps);
        let density = |r: f64| (1.0 + (r / BULGE_RADIUS).powi(2)).powf(-2.5);
        let mut sum = 0.0;
        let mut table: Vec<f64> = (0..steps)
            .rev()
            .map(|i| {
                let r = (f64::from(i) + 0.5) * width;
                sum += density(r) * Self::circular(r).powi(2) / r * width;
                (sum / density(r)).sqrt()
            })
            .collect();
        table.reverse();
        table
    }
}

/// Turns a vector about x, then about z.
fn turn([x, y, z]: [f64; 3], about_x: f64, about_z: f64) -> [f64; 3] {
    let (sin, cos) = about_x.sin_cos();
    let (y, z) = (cos * y - sin * z, sin * y + cos * z);
    let (sin, cos) = about_z.sin_cos();
    [cos * x - sin * y, sin * x + cos * y, z]
}

/// Two disc galaxies about to meet, of masses 0.65 and 0.35 in bodies of equal mass: in units of
/// G = 1 and the larger disc's scale length, they are 9 apart on a parabola whose nearest point is
/// 1.6. Equal seeds give equal bodies.
///
/// Each is an exponential disc around a bulge, near its equilibrium after Hernquist, *N-body
/// realizations of compound galaxies*, 1993, with the disc's force taken as a sphere's and without
/// a dark halo; after the encounter they have the tails of Toomre & Toomre, *Galactic bridges and
/// tails*, 1972.
pub fn galaxy(bodies: usize, seed: u64) -> Bodies {
    let mut random = Rng::with_seed(seed);
    let dispersions = Galaxy::dispersions();
    let mass = 1.0 / bodies as f64;
    let mut all = Bodies::default();
    // Parabola of reduced mass: pericentre p, v² = 2/d, angular momentum √(2p).
    let (apart, nearest): (f64, f64) = (9.0, 1.6);
    let across = (2.0 * nearest).sqrt() / apart;
    let along = (2.0 / apart - across * across).sqrt();
    // Mass, and what turns its disc to face the observer half or its companion.
    let [large, small] = [(0.65, 0.35, 0.6), (0.35, -0.8, -0.9)];
    for ((share, about_x, about_z), side) in [(large, -small.0), (small, large.0)] {
        let count = if side < 0.0 {
            (bodies as f64 * share).round() as usize
        } else {
            bodies - all.positions.len()
        };
        // Of equal surface brightness: a galaxy's size is as the root of its mass.
        let size = (share / large.0).sqrt();
        let speed = (share / size).sqrt();
        for i in 0..count {
            let of_bulge = (i as f64 + 0.5) * BULGE % 1.0 < BULGE;
            let (x, v) = if of_bulge {
                Galaxy::bulge_star(&dispersions, &mut random)
            } else {
                Galaxy::star(&mut random)
            };
            let x = turn(x.map(|x| x * size), about_x, about_z);
            let v = turn(v.map(|v| v * speed), about_x, about_z);
            let x = [x[0] + side * apart, x[1], x[2]];
            all.push(x, [v[0] - side * along, v[1] + side * across, v[2]], mass);
        }
    }
    all.centre()
}

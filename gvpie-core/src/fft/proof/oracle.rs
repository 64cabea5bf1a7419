//! The transform in f64, by its definition.

use crate::fft::{Fft, Kind};
use num_complex::Complex;
use rayon::prelude::*;
use rustfft::{FftDirection, FftPlanner};
use std::f64::consts::TAU;

/// Lengths to which each sum is formed term by term. Longer transforms are rustfft's, in f64, of which
/// a few sums are formed again.
const NAIVE: usize = 4096;

/// How many bins of each longer line are formed again.
const SAMPLES: usize = 2;

/// exp(2πi·m/n) for m < n. The angle is brought below π/4 in whole numbers, so that it carries no
/// error but its own rounding.
fn root(m: usize, n: usize) -> Complex<f64> {
    let (eighth, eight_m) = (n as u128, 8 * m as u128);
    let octant = eight_m / eighth;
    // Even octants begin at their angle, odd ones end at the next.
    let within = eight_m % eighth;
    let within = if octant.is_multiple_of(2) { within } else { eighth - within };
    let angle = TAU / 8.0 * (within as f64 / n as f64);
    let (sin, cos) = angle.sin_cos();
    match octant {
        0 => Complex::new(cos, sin),
        1 => Complex::new(sin, cos),
        2 => Complex::new(-sin, cos),
        3 => Complex::new(-cos, sin),
        4 => Complex::new(-cos, -sin),
        5 => Complex::new(-sin, -cos),
        6 => Complex::new(sin, -cos),
        _ => Complex::new(cos, -sin),
    }
}

/// A sum with what its additions lost (Neumaier 1974).
#[derive(Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        let part = sum - self.sum;
        self.lost += (self.sum - (sum - part)) + (x - part);
        self.sum = sum;
    }
}

/// Bin k of a line: Σⱼ x\[j\]·root(j·k mod n).
fn bin(x: &[Complex<f64>], k: usize, root: impl Fn(usize) -> Complex<f64>) -> Complex<f64> {
    let (mut re, mut im) = (Sum::default(), Sum::default());
    let mut m = 0;
    for value in x {
        let w = root(m);
        re.add(value.re * w.re);
        re.add(-value.im * w.im);
        im.add(value.re * w.im);
        im.add(value.im * w.re);
        m += k;
        if m >= x.len() {
            m -= x.len();
        }
    }
    Complex::new(re.sum + re.lost, im.sum + im.lost)
}

/// Contiguous lines of n each; an error names a bin on which the two ways disagree.
fn lines(data: &mut [Complex<f64>], n: usize, inverse: bool) -> Result<(), String> {
    let turned = |w: Complex<f64>| if inverse { w } else { w.conj() };
    if n <= NAIVE {
        let roots: Vec<_> = (0..n).map(|m| turned(root(m, n))).collect();
        data.par_chunks_mut(n).for_each(|line| {
            let x = line.to_vec();
            line.par_iter_mut().with_min_len(64).enumerate().for_each(|(k, y)| {
                *y = bin(&x, k, |m| roots[m]);
            });
        });
        return Ok(());
    }
    let direction = if inverse { FftDirection::Inverse } else { FftDirection::Forward };
    let fft = FftPlanner::new().plan_fft(n, direction);
    data.par_chunks_mut(n).try_for_each(|line| {
        let x = line.to_vec();
        fft.process(line);
        let norm = (x.iter().map(Complex::norm_sqr).sum::<f64>()).sqrt();
        (0..SAMPLES).into_par_iter().try_for_each(|sample| {
            let k = (n / 3 + sample * (n / 2 + 1)) % n;
            let expected = bin(&x, k, |m| turned(root(m, n)));
            let error = (line[k] - expected).norm();
            // Both err by a few roundings of the norm.
            if error <= 1e-14 * norm {
                return Ok(());
            }
            Err(format!("bin {k} of {n} is {}, by rustfft {}", expected, line[k]))
        })
    })
}

/// Every line along an axis, whose extent may change: `transform` is given them contiguous.
fn along(
    data: &[Complex<f64>],
    dims: &mut [usize],
    axis: usize,
    transform: impl FnOnce(Vec<Complex<f64>>) -> Result<(Vec<Complex<f64>>, usize), String>,
) -> Result<Vec<Complex<f64>>, String> {
    let inner: usize = dims[axis + 1..].iter().product();
    let outer: usize = dims[..axis].iter().product();
    let n = dims[axis];
    let at = |i: usize| {
        let (line, j) = (i / n, i % n);
        data[(line / inner * n + j) * inner + line % inner]
    };
    let (result, n) = transform((0..data.len()).map(at).collect())?;
    dims[axis] = n;
    let back = |i: usize| {
        let (o, k, t) = (i / (inner * n), i / inner % n, i % inner);
        result[(o * inner + t) * n + k]
    };
    Ok((0..outer * n * inner).map(back).collect())
}

/// The output, dense and row-major, from a dense input; real numbers as complex ones.
pub(super) fn oracle(
    problem: &Fft,
    mut x: Vec<Complex<f64>>,
    window: Option<&[f64]>,
    spectrum: Option<&[Complex<f64>]>,
) -> Result<Vec<Complex<f64>>, String> {
    let mut dims = problem.input().0.dims().to_vec();
    let Some((last, n)) = problem.last() else { return Err("no axes".into()) };
    let inverse = problem.inverse;
    let others = &problem.axes[..problem.axes.len() - 1];
    if let Some(window) = window {
        let given = dims[last];
        x = along(&x, &mut dims, last, |mut lines| {
            lines.iter_mut().zip(window.iter().cycle()).for_each(|(x, w)| *x *= w);
            Ok((lines, given))
        })?;
    }
    let real_result = problem.kind == Kind::Real && inverse;
    let last_axis = |x: Vec<Complex<f64>>, dims: &mut [usize]| {
        let given = dims[last];
        along(&x, dims, last, |held| {
            let mut full = Vec::with_capacity(held.len() / given * n);
            for line in held.chunks(given) {
                if real_result {
                    full.extend((0..n).map(|k| match k {
                        k if k == 0 || 2 * k == n => line[k].re.into(),
                        k if k < given => line[k],
                        k => line[n - k].conj(),
                    }));
                } else {
                    full.extend(line);
                    full.resize(full.len() + n - given, Complex::default());
                }
            }
            lines(&mut full, n, inverse)?;
            if problem.kind == Kind::Real && !inverse {
                let half = n / 2 + 1;
                full = full.chunks(n).flat_map(|line| &line[..half]).copied().collect();
                return Ok((full, half));
            }
            Ok((full, n))
        })
    };
    if !real_result {
        x = last_axis(x, &mut dims)?;
    }
    for &axis in others {
        let n = dims[axis];
        x = along(&x, &mut dims, axis, |mut held| {
            lines(&mut held, n, inverse)?;
            Ok((held, n))
        })?;
    }
    if real_result {
        x = last_axis(x, &mut dims)?;
    }
    if let Some(spectrum) = spectrum {
        let held = dims[last];
        x = along(&x, &mut dims, last, |mut lines| {
            lines.iter_mut().zip(spectrum.iter().cycle()).for_each(|(x, w)| *x *= w);
            Ok((lines, held))
        })?;
    }
    let factor = problem.factor();
    x.iter_mut().for_each(|x| *x *= factor);
    Ok(x)
}

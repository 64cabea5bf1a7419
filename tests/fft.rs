//! The FFT against the sums of its definition: the table of hard cases on every back end, every
//! length, and random long ones.

use crate::adapter::gpu;
use crate::effort::Effort;
use fastrand::Rng;
use gvpie_core::fft::proof::{Case, hard_cases};
use gvpie_core::{Backend, Context, Error, Fft};
use std::time::{Duration, Instant};

/// What cases showed.
#[derive(Default)]
struct Tally {
    ran: usize,
    worst: f64,
    faults: Vec<String>,
}

impl Tally {
    fn add(&mut self, case: &Case, ctx: &Context, seed: u64) {
        let has_f64 = ctx.device().gpu().is_none_or(|gpu| gpu.has_f64());
        match case.check(ctx, seed) {
            Ok(outcome) => {
                self.ran += 1;
                self.worst = self.worst.max(outcome.error / outcome.allowed);
            }
            Err(Error::Unsupported { what, .. }) if what.contains("f64") && !has_f64 => {}
            Err(error) => self.faults.push(format!("{error}: {case:?}")),
        }
    }

    /// Fails with all that was wrong.
    fn end(self, ctx: &Context, least: usize) {
        let Tally { ran, worst, faults } = self;
        println!("{ran} on {}, at most {worst:.3} of the bound", ctx.adapter());
        assert!(faults.is_empty(), "{} are wrong:\n{}", faults.len(), faults.join("\n"));
        assert!(ran >= least, "only {ran} ran");
    }
}

/// Checks the hard cases of these reasons. A quick proof on a GPU takes them in an order that the seed
/// tells until time is over, since software drivers take seconds to compile some kernels; all else
/// takes every case, of which there must be at least so many.
fn check(ctx: &Context, least: usize, chosen: impl Fn(&str) -> bool) {
    let effort = Effort::of_environment();
    let partly = effort == Effort::Quick && ctx.backend() == Backend::Gpu;
    let mut cases = hard_cases();
    cases.retain(|case| chosen(case.why));
    assert!(cases.len() >= least, "only {} cases", cases.len());
    if partly {
        let seed = effort.seed();
        println!("hard cases on {}: {}", ctx.adapter(), effort.again(seed));
        Rng::with_seed(seed).shuffle(&mut cases);
    }
    let start = Instant::now();
    let mut tally = Tally::default();
    for case in &cases {
        if partly && start.elapsed() > Duration::from_secs(25) {
            break;
        }
        tally.add(case, ctx, 11);
    }
    tally.end(ctx, if partly { 2 } else { least });
}

/// The parts of the table, which a software driver computes side by side.
fn part(why: &str) -> usize {
    match why {
        why if why.starts_with("a length") => 0,
        why if why.starts_with("longer") => 1,
        why if why.starts_with("axes") && !why.contains("turned") => 2,
        why if why.starts_with("a prime") => 4,
        _ => 3,
    }
}

#[test]
fn the_host_transforms_all_hard_cases() {
    check(&Context::on(Backend::Cpu).unwrap(), 500, |_| true);
}

#[test]
fn gpu_fft_of_hard_lengths_matches() {
    let Some(gpu) = gpu() else { return };
    check(&gpu, 150, |why| part(why) == 0);
}

#[test]
fn gpu_fft_of_prime_lengths_matches() {
    let Some(gpu) = gpu() else { return };
    check(&gpu, 140, |why| part(why) == 4);
}

#[test]
fn gpu_fft_of_long_lines_matches() {
    let Some(gpu) = gpu() else { return };
    check(&gpu, 20, |why| part(why) == 1);
}

#[test]
fn gpu_fft_along_all_axes_matches() {
    let Some(gpu) = gpu() else { return };
    check(&gpu, 140, |why| part(why) == 2);
}

#[test]
fn gpu_fft_of_strided_and_hooked_operands_matches() {
    let Some(gpu) = gpu() else { return };
    check(&gpu, 200, |why| part(why) == 3);
}

/// Lines of n that hold enough numbers together for the errors of single ones not to show.
fn enough(n: usize) -> usize {
    (512 / n).max(1)
}

/// Forward and inverse of every length up to 2048, in an order that the seed tells, until time is over
/// or, if all are asked for, to the end.
fn every_length(ctx: &Context, time: Duration) {
    let effort = Effort::of_environment();
    let seed = effort.seed();
    println!("lengths on {}: {}", ctx.adapter(), effort.again(seed));
    let mut lengths: Vec<usize> = (1..=2048).collect();
    Rng::with_seed(seed).shuffle(&mut lengths);
    let start = Instant::now();
    let mut tally = Tally::default();
    for n in lengths {
        if effort == Effort::Quick && start.elapsed() > time {
            break;
        }
        let problem = Fft::new([enough(n), n]);
        for problem in [problem.clone(), problem.inverse()] {
            tally.add(&Case::dense("every length", problem), ctx, seed);
        }
    }
    tally.end(ctx, 2);
}

/// 200 lengths to 2^22, evenly distributed in their logarithm, forward and inverse by turns.
fn random_lengths(ctx: &Context, time: Duration) {
    let effort = Effort::of_environment();
    let seed = effort.seed();
    println!("random lengths on {}: {}", ctx.adapter(), effort.again(seed));
    let start = Instant::now();
    let mut tally = Tally::default();
    for index in 0..200 {
        if effort == Effort::Quick && start.elapsed() > time {
            break;
        }
        let mut random = Rng::with_seed(seed.wrapping_add(index));
        let n = (random.f64() * 22.0).exp2() as usize;
        let shape = [enough(n), n];
        let problem = if random.bool() { Fft::new(shape) } else { Fft::real(shape) };
        for problem in [problem.clone(), problem.inverse()] {
            tally.add(&Case::dense("a random length", problem), ctx, index);
        }
    }
    tally.end(ctx, 2);
}

#[test]
fn the_host_transforms_every_length() {
    every_length(&Context::on(Backend::Cpu).unwrap(), Duration::from_secs(20));
}

#[test]
fn gpu_fft_of_every_length_matches() {
    if let Some(gpu) = gpu() {
        every_length(&gpu, Duration::from_secs(30));
    }
}

#[test]
fn the_host_transforms_random_lengths() {
    random_lengths(&Context::on(Backend::Cpu).unwrap(), Duration::from_secs(20));
}

#[test]
fn gpu_fft_of_random_lengths_matches() {
    if let Some(gpu) = gpu() {
        random_lengths(&gpu, Duration::from_secs(30));
    }
}

/// What the transform must do whatever the numbers.
mod laws {
    use super::*;
    use gvpie_core::fft::proof::{relative, tolerance};
    use gvpie_core::{Complex, Tensor};
    use std::f64::consts::TAU;

    type Wave = Vec<Complex<f64>>;

    /// Lengths of every kind of algorithm: short, smooth, prime, longer than a pass.
    const LENGTHS: [usize; 12] = [1, 2, 3, 8, 17, 60, 97, 1000, 1013, 4096, 10_007, 1 << 17];

    fn wave(n: usize, random: &mut Rng) -> Wave {
        let mut part = || f64::from(random.f32() * 2.0 - 1.0);
        (0..n).map(|_| Complex::new(part(), part())).collect()
    }

    fn upload(ctx: &Context, x: &Wave) -> Tensor<Complex<f32>> {
        let narrow: Vec<_> = x.iter().map(|x| Complex::new(x.re as f32, x.im as f32)).collect();
        ctx.upload([x.len()], &narrow).unwrap()
    }

    fn wide(y: Tensor<Complex<f32>>) -> Wave {
        let y = y.download().unwrap();
        y.iter().map(|y| Complex::new(y.re.into(), y.im.into())).collect()
    }

    fn forward(ctx: &Context, x: &Wave) -> Wave {
        wide(ctx.fft(&upload(ctx, x)).unwrap())
    }

    /// exp(−2πi·m/n)
    fn root(m: usize, n: usize) -> Complex<f64> {
        Complex::cis(-TAU * (m % n) as f64 / n as f64)
    }

    fn near(
        law: &str,
        n: usize,
        transforms: f64,
        found: &[Complex<f64>],
        expected: &[Complex<f64>],
    ) {
        // Each transform errs by its bound, and what is rounded to f32 in between by its unit.
        let allowed = transforms * tolerance(&Fft::new([n]).inverse()) + 0.5_f64.powi(23);
        let error = relative(found, expected);
        assert!(error <= allowed, "{law}, n = {n}: {error:.3e}, {allowed:.3e} is allowed");
    }

    fn hold(ctx: &Context) {
        let seed = Effort::of_environment().seed();
        println!("laws on {}: GVPIE_SEED={seed}", ctx.adapter());
        let slow = ctx.device().gpu().is_some_and(|gpu| gpu.is_software());
        let most =
            if slow && Effort::of_environment() == Effort::Quick { 4096 } else { usize::MAX };
        for n in LENGTHS.into_iter().filter(|&n| n <= most) {
            let random = &mut Rng::with_seed(seed.wrapping_add(n as u64));
            let (x, z) = (wave(n, random), wave(n, random));
            let (y, v) = (forward(ctx, &x), forward(ctx, &z));

            let at = random.usize(..n);
            let mut impulse = vec![Complex::default(); n];
            impulse[at] = Complex::new(1.0, 0.0);
            let expected: Wave = (0..n).map(|k| root(at * k, n)).collect();
            near("an impulse", n, 1.0, &forward(ctx, &impulse), &expected);

            let mut turned = x.clone();
            turned.rotate_right(at);
            let expected: Wave = (0..n).map(|k| y[k] * root(at * k, n)).collect();
            near("a shift", n, 2.0, &forward(ctx, &turned), &expected);

            let sum: Wave = x.iter().zip(&z).map(|(x, z)| x + z * 0.5).collect();
            let expected: Wave = y.iter().zip(&v).map(|(y, v)| y + v * 0.5).collect();
            near("linearity", n, 3.0, &forward(ctx, &sum), &expected);

            let energy = |x: &Wave| x.iter().map(Complex::norm_sqr).sum::<f64>();
            let (given, found) = (energy(&x) * n as f64, energy(&y));
            near("Parseval", n, 1.0, &[found.sqrt().into()], &[given.sqrt().into()]);

            let back = wide(ctx.ifft(&ctx.fft(&upload(ctx, &x)).unwrap()).unwrap());
            near("a round trip", n, 2.0, &back, &x);

            let real: Wave = x.iter().map(|x| x.re.into()).collect();
            let y = forward(ctx, &real);
            let mirrored: Wave = (0..n).map(|k| y[(n - k) % n].conj()).collect();
            near("conjugate symmetry", n, 2.0, &y, &mirrored);
            let parts: Vec<f32> = real.iter().map(|x| x.re as f32).collect();
            let parts = ctx.upload([n], &parts).unwrap();
            let half = ctx.rfft(&parts).unwrap();
            let back = ctx.irfft(&half, n).unwrap().download().unwrap();
            let back: Wave = back.iter().map(|&x| f64::from(x).into()).collect();
            near("a real round trip", n, 2.0, &back, &real);
            near("half a spectrum", n, 2.0, &wide(half), &y[..n / 2 + 1]);
        }
    }

    #[test]
    fn the_host_keeps_the_laws_of_the_fft() {
        hold(&Context::on(Backend::Cpu).unwrap());
    }

    #[test]
    fn gpu_fft_keeps_its_laws() {
        if let Some(gpu) = gpu() {
            hold(&gpu);
        }
    }
}

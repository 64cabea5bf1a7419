//! What matrix multiplication must do whatever the numbers: laws, on random problems.
//!
//! Where a law needs equal bits, operands are integers small enough that every product and sum is
//! exact; elsewhere the bound is the one that `gvpie_core::gemm` states, applied to each step.
//! `GVPIE_PROOF=full` tries many more problems than `quick`, the default. Both print their seed, and
//! `GVPIE_SEED` repeats one.

use crate::adapter::contexts;
use crate::effort::Effort;
use gvpie_core::gemm::Activation;
use gvpie_core::{Backend, Context, ContextOptions, Gemm, Result, Tensor};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::sync::OnceLock;

/// Unit roundoff of f32.
const U: f64 = 1.0 / (1 << 24) as f64;

/// How many problems a law is tried on, and from which seed.
fn effort(backend: Backend) -> (u32, u64) {
    let effort = Effort::of_environment();
    let cases = match (backend, effort) {
        (Backend::Cpu, Effort::Quick) => 96,
        (Backend::Gpu, Effort::Quick) => 24,
        (_, Effort::Full) => 4000,
    };
    (cases, effort.seed())
}

/// Holds a law against random problems on every back end; a failure is shrunk and shown.
fn law<S: Strategy>(
    name: &str,
    problems: S,
    holds: impl Fn(&Context, S::Value) -> Result<(), Broken>,
) {
    // Compiled kernels are shared by all laws of this process.
    static CONTEXTS: OnceLock<Vec<Context>> = OnceLock::new();
    for ctx in CONTEXTS.get_or_init(|| contexts(ContextOptions::from_env().unwrap())) {
        let (cases, seed) = effort(ctx.backend());
        println!("{name}, {} problems on {}: GVPIE_SEED={seed}", cases, ctx.adapter());
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let tried = TestRunner::new_with_rng(config, rng).run(&problems, |problem| {
            holds(ctx, problem).map_err(|broken| TestCaseError::fail(broken.0))
        });
        tried.unwrap_or_else(|error| panic!("{name} on {}, seed {seed}: {error}", ctx.adapter()));
    }
}

/// Why a law does not hold.
struct Broken(String);

impl From<gvpie_core::Error> for Broken {
    fn from(error: gvpie_core::Error) -> Self {
        Broken(error.to_string())
    }
}

fn equal(what: &str, found: &[f32], expected: &[f32]) -> Result<(), Broken> {
    if found.len() != expected.len() {
        return Err(Broken(format!("{what}: {} elements for {}", found.len(), expected.len())));
    }
    match (0..found.len()).find(|&i| found[i] != expected[i]) {
        None => Ok(()),
        Some(i) => Err(Broken(format!("{what}: [{i}] is {}, not {}", found[i], expected[i]))),
    }
}

/// An extent: whole vectors of four, or odd, which no vector divides. Drivers compile another
/// kernel for each mixture, so one problem keeps to one kind.
fn extents<const N: usize>() -> impl Strategy<Value = [usize; N]> {
    let some = proptest::array::uniform(1_usize..=18);
    (any::<bool>(), some).prop_map(|(vectors, sizes): (bool, [usize; N])| {
        sizes.map(
            |size| if vectors { 4 * size } else { 4 * size - if size % 2 == 0 { 1 } else { 3 } },
        )
    })
}

/// Extents with a seed for the numbers.
fn problem<const N: usize>() -> impl Strategy<Value = ([usize; N], u64)> {
    (extents(), any::<u64>())
}

/// Random matrices; a value has the same bits whenever it is asked for in the same order.
struct Numbers(fastrand::Rng);

impl Numbers {
    fn new(seed: u64) -> Self {
        Numbers(fastrand::Rng::with_seed(seed))
    }

    /// Integers of −4 to 4: with k ≤ 72, sums stay below 2^11, and so do sums of sums below 2^24.
    fn integers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.0.i8(-4..=4).into()).collect()
    }

    /// Numbers of many magnitudes and both signs.
    fn reals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.0.f32() - 0.5) * 2.0_f32.powi(self.0.i32(-12..=12))).collect()
    }
}

fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
}

/// |A|·|B| in f64, the measure of every bound.
fn magnitude(a: &[f64], b: &[f64], [m, n, k]: [usize; 3]) -> Vec<f64> {
    let at = |i: usize| {
        let (row, column) = (i / n, i % n);
        (0..k).map(|l| a[row * k + l].abs() * b[l * n + column].abs()).sum()
    };
    (0..m * n).map(at).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

#[test]
fn every_device_leave_a_matrix_times_one() {
    law("A·I = I·A = A", problem(), |ctx, ([m, n], seed)| {
        let a = Numbers::new(seed).reals(m * n);
        let one = |n: usize| -> Result<Tensor<f32>> {
            let data: Vec<f32> = (0..n * n).map(|i| f32::from(u8::from(i / n == i % n))).collect();
            ctx.upload([n, n], &data)
        };
        let t = ctx.upload([m, n], &a)?;
        equal("A·I", &ctx.gemm(&t, &one(n)?)?.download()?, &a)?;
        equal("I·A", &ctx.gemm(&one(m)?, &t)?.download()?, &a)
    });
}

#[test]
fn every_device_transpose_products() {
    law("(A·B)ᵀ = Bᵀ·Aᵀ", problem(), |ctx, ([m, n, k], seed)| {
        let mut numbers = Numbers::new(seed);
        let a = ctx.upload([m, k], &numbers.integers(m * k))?;
        let b = ctx.upload([k, n], &numbers.integers(k * n))?;
        let product = ctx.gemm(&a, &b)?.download()?;
        let expected = transposed(&product, m, n);
        let views = ctx.gemm(b.view().transpose()?, a.view().transpose()?)?;
        equal("by views", &views.download()?, &expected)?;
        let mut c = ctx.zeros([n, m])?;
        Gemm::new(n, m, k).transpose_a().transpose_b().plan(ctx)?.run(&b, &a, &mut c)?;
        equal("by the plan", &c.download()?, &expected)?;
        // A result written through a transposed view is the same matrix.
        let turned = c.view_mut().map(|view| view.transpose())?;
        Gemm::new(m, n, k).plan(ctx)?.run(&a, &b, turned)?;
        equal("into a view", &c.download()?, &expected)
    });
}

#[test]
fn every_device_are_linear() {
    let factors = (-3_i8..=3, -3_i8..=3);
    law("αAB + βC", (problem(), factors), |ctx, (([m, n, k], seed), (alpha, beta))| {
        let mut numbers = Numbers::new(seed);
        let (a, b) = (numbers.integers(m * k), numbers.integers(k * n));
        let (b2, c0) = (numbers.integers(k * n), numbers.integers(m * n));
        let ta = ctx.upload([m, k], &a)?;
        let product = |b: &[f32]| ctx.gemm(&ta, &ctx.upload([k, n], b)?)?.download();
        let ab = product(&b)?;

        let mut c = ctx.upload([m, n], &c0)?;
        let scaled = Gemm::new(m, n, k).alpha(alpha.into()).beta(beta.into());
        scaled.plan(ctx)?.run(&ta, &ctx.upload([k, n], &b)?, &mut c)?;
        let (alpha, beta) = (f32::from(alpha), f32::from(beta));
        let expected: Vec<f32> = ab.iter().zip(&c0).map(|(x, c)| alpha * x + beta * c).collect();
        equal("αAB + βC", &c.download()?, &expected)?;

        let sum = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x + y).collect::<Vec<_>>();
        equal("A(B + B')", &product(&sum(&b, &b2))?, &sum(&ab, &product(&b2)?))
    });
}

#[test]
fn every_device_add_a_bias_and_cut_at_zero() {
    law("max(AB + bias, 0)", (problem(), any::<bool>()), |ctx, (([m, n, k], seed), turned)| {
        let mut numbers = Numbers::new(seed);
        let a = ctx.upload([m, k], &numbers.integers(m * k))?;
        let b = ctx.upload([k, n], &numbers.integers(k * n))?;
        let bias = numbers.integers(n);
        let product = ctx.gemm(&a, &b)?.download()?;
        let steps = product.iter().enumerate().map(|(i, x)| (x + bias[i % n]).max(0.0));
        let steps: Vec<f32> = steps.collect();

        let plan = Gemm::new(m, n, k).bias().activation(Activation::Relu).plan(ctx)?;
        let mut c = ctx.upload(if turned { [n, m] } else { [m, n] }, &vec![f32::NAN; m * n])?;
        let out = c.view_mut().map(|c| if turned { c.transpose() } else { Ok(c.clone()) })?;
        plan.run_biased(&a, &b, &ctx.upload([n], &bias)?, out)?;
        let steps = if turned { transposed(&steps, m, n) } else { steps };
        equal("in one step", &c.download()?, &steps)
    });
}

#[test]
fn every_device_associate_within_their_bound() {
    law("(A·B)·C = A·(B·C)", problem(), |ctx, ([m, k, l, n], seed)| {
        let mut numbers = Numbers::new(seed);
        let (a, b) = (numbers.reals(m * k), numbers.reals(k * l));
        let c = numbers.reals(l * n);
        let (ta, tb) = (ctx.upload([m, k], &a)?, ctx.upload([k, l], &b)?);
        let tc = ctx.upload([l, n], &c)?;
        let left = ctx.gemm(&ctx.gemm(&ta, &tb)?, &tc)?.download()?;
        let right = ctx.gemm(&ta, &ctx.gemm(&tb, &tc)?)?.download()?;
        // Each side errs by (k + 4)u in one product and by (l + 4)u in the other, each time relative
        // to |A|·|B|·|C|; what is of second order in u is below a thousandth of that.
        let ab = magnitude(&wide(&a), &wide(&b), [m, l, k]);
        let size = magnitude(&ab, &wide(&c), [m, n, l]);
        let growth = 2.0 * (k + l + 8) as f64 * U * 1.001;
        for (i, (x, y)) in left.iter().zip(&right).enumerate() {
            let (error, bound) = ((f64::from(*x) - f64::from(*y)).abs(), growth * size[i]);
            if error.is_nan() || error > bound {
                return Err(Broken(format!("[{i}]: {x} and {y} differ by more than {bound}")));
            }
        }
        Ok(())
    });
}

#[test]
fn every_device_multiply_block_by_block() {
    law("blocks", (problem(), 0.0..1.0, 0.0..1.0), |ctx, (([m, n, k], seed), x, y)| {
        let mut numbers = Numbers::new(seed);
        let a = ctx.upload([m, k], &numbers.integers(m * k))?;
        let b = ctx.upload([k, n], &numbers.integers(k * n))?;
        let whole = ctx.gemm(&a, &b)?.download()?;
        // Where to cut: anywhere, but at whole vectors where the extents are.
        let cut = |extent: usize, part: f64| {
            let step = if extent.is_multiple_of(4) { 4 } else { 1 };
            (part * (extent / step) as f64) as usize * step
        };
        let (row, column, middle) = (cut(m, x), cut(n, y), cut(k, (x + y) / 2.0));
        let mut c = ctx.upload([m, n], &vec![f32::NAN; m * n])?; // shows what is not written
        for rows in [0..row, row..m] {
            for columns in [0..column, column..n] {
                let (a, b) =
                    (a.view().slice(0, rows.clone())?, b.view().slice(1, columns.clone())?);
                for (part, beta) in [(0..middle, 0.0), (middle..k, 1.0)] {
                    let (a, b) = (a.slice(1, part.clone())?, b.slice(0, part.clone())?);
                    let block = c
                        .view_mut()
                        .map(|c| c.slice(0, rows.clone())?.slice(1, columns.clone()))?;
                    let problem = Gemm::new(rows.len(), columns.len(), part.len()).beta(beta);
                    problem.plan(ctx)?.run(a, b, block)?;
                }
            }
        }
        equal("the blocks together", &c.download()?, &whole)
    });
}

#[test]
fn every_device_batches_are_their_products() {
    law("batches", (problem(), 1_usize..5), |ctx, (([m, n, k], seed), count)| {
        let mut numbers = Numbers::new(seed);
        let a = ctx.upload([count, m, k], &numbers.integers(count * m * k))?;
        let b = ctx.upload([k, n], &numbers.integers(k * n))?;
        let together = ctx.gemm(&a, &b)?.download()?;
        for index in 0..count {
            let one = a.view().slice(0, index..index + 1)?;
            let one = ctx.gemm(one, &b)?.download()?;
            equal("one of the batch", &together[index * m * n..][..m * n], &one)?;
        }
        Ok(())
    });
}

#[test]
fn every_device_repeat_themselves_to_the_bit() {
    law("one plan twice", problem(), |ctx, ([m, n, k], seed)| {
        let mut numbers = Numbers::new(seed);
        let a = ctx.upload([m, k], &numbers.reals(m * k))?;
        let b = ctx.upload([k, n], &numbers.reals(k * n))?;
        let plan = Gemm::new(m, n, k).alpha(0.7).plan(ctx)?;
        let run = |before: f32| -> Result<Vec<u32>> {
            let mut c = ctx.upload([m, n], &vec![before; m * n])?;
            plan.run(&a, &b, &mut c)?;
            Ok(c.download()?.into_iter().map(f32::to_bits).collect())
        };
        let first = run(0.0)?;
        // Neither what C held nor other work on the device has a part in it.
        ctx.gemm(b.view().transpose()?, a.view().transpose()?)?;
        let second = run(f32::NAN)?;
        match (0..m * n).find(|&i| first[i] != second[i]) {
            None => Ok(()),
            Some(i) => Err(Broken(format!("[{i}]: {:08x}, then {:08x}", first[i], second[i]))),
        }
    });
}

/// Thin problems, whose sums are divided and kept in memory that all runs of a plan share.
#[test]
fn every_device_repeat_divided_sums_to_the_bit() {
    let thin = (proptest::sample::select(vec![2, 36]), 256_usize..768, any::<u64>());
    law("one plan, runs side by side", thin, |ctx, (m, quarter, seed)| {
        let (n, k) = (36, 4 * quarter);
        let mut numbers = Numbers::new(seed);
        let a = [0; 2].map(|_| numbers.reals(m * k));
        let b = ctx.upload([n, k], &numbers.reals(k * n))?;
        let a = [ctx.upload([m, k], &a[0])?, ctx.upload([m, k], &a[1])?];
        let plan = Gemm::new(m, n, k).transpose_b().plan(ctx)?;
        if ctx.backend() == Backend::Gpu && k >= 2048 && plan.workspace() == 0 {
            return Err(Broken(format!("{} divides nothing", plan.algorithm())));
        }
        let mut alone = Vec::new();
        for a in &a {
            let mut c = ctx.upload([m, n], &vec![f32::NAN; m * n])?;
            plan.run(a, &b, &mut c)?;
            alone.push(c.download()?);
        }
        let mut batch = ctx.batch("side by side");
        let mut c = [ctx.zeros([m, n])?, ctx.zeros([m, n])?, ctx.zeros([m, n])?];
        for (a, c) in a.iter().cycle().zip(&mut c) {
            plan.clone().record(&mut batch, a, &b, c)?;
        }
        batch.submit()?;
        for (c, alone) in c.iter().zip(alone.iter().cycle()) {
            equal("together", &c.download()?, alone)?;
        }
        Ok(())
    });
}

#[test]
fn every_device_agree_to_the_bit_on_integers() {
    law("the sum itself", problem(), |ctx, ([m, n, k], seed)| {
        let mut numbers = Numbers::new(seed);
        let (a, b) = (numbers.integers(m * k), numbers.integers(k * n));
        let found = ctx.gemm(&ctx.upload([m, k], &a)?, &ctx.upload([k, n], &b)?)?.download()?;
        let sum = |i: usize| (0..k).map(|l| a[i / n * k + l] * b[l * n + i % n]).sum();
        equal("A·B", &found, &(0..m * n).map(sum).collect::<Vec<f32>>())
    });
}

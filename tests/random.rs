//! Random problems against the f64 oracle: what no table of hard cases thought of.
//!
//! The problem of a seed depends on nothing else but `GVPIE_PROOF` and whether the GPU is software;
//! a run tries that of its seed, the next, and so on. A failure names the seed whose first problem it
//! is. `quick`, the default, tries for a fixed time, and draws from few kinds of problem on a
//! software driver, which compiles for longer than it computes; `full` tries 10 000 of all kinds.

use crate::adapter::gpu;
use crate::effort::Effort;
use DType::{F16, F32, F64};
use fastrand::Rng;
use gvpie_core::gemm::proof::{Case, Storage};
use gvpie_core::gemm::{Accuracy, Activation};
use gvpie_core::{Backend, Context, DType, Error, Gemm};
use std::time::{Duration, Instant};

/// Problems that each device is held against where nothing ends the run before.
const FULL: u64 = 10_000;

/// The element types that a check knows, the usual first.
const ELEMENTS: [[DType; 3]; 8] = [
    [F32; 3],
    [F16; 3],
    [F16, F16, F32],
    [F64; 3],
    [F16, F32, F32],
    [F32, F64, F64],
    [F32, F32, F16],
    [F64, F64, F32],
];

/// Where problems come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    All,
    /// Of few renderings: two mixtures of types, dense operands in whole vectors or strided ones.
    Few,
}

/// An extent of 0 to 200, as often of one digit as of two; one in 16 of up to 600.
fn extent(random: &mut Rng) -> usize {
    let most = if random.u8(..16) == 0 { 601.0_f64 } else { 201.0 };
    // At 0 an exponent of two is none.
    ((1.0 + most).powf(random.f64()) - 1.0) as usize
}

fn storage(random: &mut Rng) -> Storage {
    // Half of all operands are dense: what most callers pass, and the loads of whole vectors.
    if random.bool() {
        return Storage { broadcast: random.u8(..4) == 0, ..Storage::default() };
    }
    Storage {
        pad: random.usize(..9),
        offset: random.usize(..9),
        column_major: random.bool(),
        broadcast: random.u8(..4) == 0,
        spread: if random.u8(..4) == 0 { random.usize(1..4) } else { 0 },
    }
}

/// A factor: often one of those that implementations treat apart.
fn factor(random: &mut Rng, usual: f64) -> f64 {
    match random.u8(..8) {
        0..4 => usual,
        4 => 0.0,
        5 => 1.0,
        6 => -1.0,
        _ => random.f64() * 4.0 - 2.0,
    }
}

fn draw(seed: u64, pool: Pool) -> Case {
    let random = &mut Rng::with_seed(seed);
    let few = pool == Pool::Few;
    let whole = few && random.bool();
    let mut size = || match extent(random) {
        size if whole => size.div_ceil(4) * 4,
        size if few => size | 1,
        size => size,
    };
    let (m, n, k) = (size(), size(), size());
    let batch = if random.u8(..4) == 0 { random.usize(..6) } else { 1 };
    let [a, b, c] = ELEMENTS[if few { random.usize(..2) } else { random.usize(..8) }];
    let mut p = Gemm::new(m, n, k).batch(batch).elements(a, b, c);
    p = p.alpha(factor(random, 1.0)).beta(factor(random, 0.0));
    let either = [Accuracy::F32, Accuracy::Exact, Accuracy::F16];
    p = p.accuracy(either[random.usize(..3)]);
    if !few && random.bool() {
        p = p.transpose_a();
    }
    if !few && random.bool() {
        p = p.transpose_b();
    }
    if !few && random.u8(..3) == 0 {
        p = p.bias();
    }
    let functions = [Activation::None, Activation::None, Activation::Relu, Activation::Gelu];
    if !few {
        p = p.activation(functions[random.usize(..4)]);
    }
    let mut layouts: [Storage; 3] = std::array::from_fn(|_| match (few, whole) {
        (false, _) => storage(random),
        (_, true) => {
            Storage { pad: 4 * random.usize(..3), offset: 4 * random.usize(..3), ..one(random) }
        }
        (_, false) => Storage { pad: random.usize(..9), offset: random.usize(..9), ..one(random) },
    });
    layouts[2].broadcast = false; // products of a batch have each their own C
    let bias =
        if few { Storage::default() } else { Storage { column_major: false, ..storage(random) } };
    Case { layouts, bias, ..Case::dense("random", p) }
}

fn one(random: &mut Rng) -> Storage {
    Storage { broadcast: random.u8(..4) == 0, ..Storage::default() }
}

/// Tries problems until there were [`FULL`], or, unless all are asked for, the time is over.
fn prove(ctx: &Context, time: Duration) {
    let effort = Effort::of_environment();
    let seed = effort.seed();
    let gpu = ctx.device().gpu();
    let few = effort == Effort::Quick && gpu.is_some_and(|gpu| gpu.is_software());
    let pool = if few { Pool::Few } else { Pool::All };
    println!("random problems on {}: {}", ctx.adapter(), effort.again(seed));
    let (has_f16, has_f64) = gpu.map_or((true, true), |gpu| (gpu.has_f16(), gpu.has_f64()));
    let start = Instant::now();
    let (mut tried, mut refused, mut worst) = (0, 0, 0.0_f64);
    while tried < FULL && (effort == Effort::Full || start.elapsed() < time) {
        let seed = seed.wrapping_add(tried);
        let case = draw(seed, pool);
        let fault = |error: Error| {
            panic!("{}: {error}: {case:?}, on {}", effort.again(seed), ctx.adapter())
        };
        match case.check(ctx, seed) {
            Ok(outcome) => worst = worst.max(outcome.worst),
            // Shaders have no f64 exponential; nothing else may be refused where f16 and f64 are.
            Err(Error::Unsupported { what, .. })
                if gpu.is_some()
                    && (what.contains("GELU of f64")
                        || what.contains("f16") && !has_f16
                        || what.contains("f64") && !has_f64) =>
            {
                refused += 1;
            }
            Err(error) => fault(error),
        }
        tried += 1;
    }
    let seconds = start.elapsed().as_secs();
    println!("{tried} tried in {seconds} s, {refused} refused, at most {worst:.3} of a bound");
    assert!(tried > refused, "all of {tried} were refused");
}

#[test]
fn the_host_computes_random_problems() {
    prove(&Context::on(Backend::Cpu).unwrap(), Duration::from_secs(60));
}

#[test]
fn gpu_computes_random_problems() {
    if let Some(gpu) = gpu() {
        prove(&gpu, Duration::from_secs(90));
    }
}

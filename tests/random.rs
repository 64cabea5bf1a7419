//! Random problems against the f64 oracle: what no table of hard cases thought of.
//!
//! The problem of a seed depends on nothing else but `GVPIE_PROOF` and whether the GPU is software;
//! a run tries that of its seed, the next, and so on. A failure names the seed whose first problem it
//! is. All try 10 000: `full` of every kind however long it takes; `quick`, the default, until its time
//! is over, and on a software driver, which compiles for longer than it computes, of few kinds.

use crate::adapter::gpu;
use crate::effort::Effort;
use DType::{F16, F32, F64};
use fastrand::Rng;
use gvpie_core::gemm::proof::{Case, Storage};
use gvpie_core::gemm::{Accuracy, Activation};
use gvpie_core::{Backend, Context, DType, Error, Gemm};
use std::time::{Duration, Instant};

/// Problems that each device is held against, unless time ends the run before.
const FULL: u64 = 10_000;

/// The element types that a check knows.
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

/// An extent of 0 to 200, as often of one digit as of two; one in 16 of up to 600.
fn extent(random: &mut Rng) -> usize {
    let most = if random.u8(..16) == 0 { 601.0_f64 } else { 201.0 };
    // Evenly distributed in the logarithm of one more, since zero has none.
    ((1.0 + most).powf(random.f64()) - 1.0) as usize
}

fn batch(random: &mut Rng) -> usize {
    if random.u8(..4) == 0 { random.usize(..6) } else { 1 }
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

fn accuracy(random: &mut Rng) -> Accuracy {
    [Accuracy::F32, Accuracy::Exact, Accuracy::F16][random.usize(..3)]
}

/// Half of all operands are dense: what most callers pass, and the loads of whole vectors.
fn storage(random: &mut Rng) -> Storage {
    let broadcast = random.u8(..4) == 0;
    if random.bool() {
        return Storage { broadcast, ..Storage::default() };
    }
    Storage {
        pad: random.usize(..9),
        offset: random.usize(..9),
        column_major: random.bool(),
        broadcast,
        spread: if random.u8(..4) == 0 { random.usize(1..4) } else { 0 },
    }
}

/// A problem of any kind.
fn any(random: &mut Rng) -> Case {
    let [m, n, k] = [(); 3].map(|()| extent(random));
    let [a, b, c] = ELEMENTS[random.usize(..ELEMENTS.len())];
    let functions = [Activation::None, Activation::None, Activation::Relu, Activation::Gelu];
    let mut p = Gemm::new(m, n, k)
        .batch(batch(random))
        .elements(a, b, c)
        .alpha(factor(random, 1.0))
        .beta(factor(random, 0.0))
        .accuracy(accuracy(random))
        .activation(functions[random.usize(..functions.len())]);
    p = if random.bool() { p.transpose_a() } else { p };
    p = if random.bool() { p.transpose_b() } else { p };
    p = if random.u8(..3) == 0 { p.bias() } else { p };
    let mut layouts = [(); 3].map(|()| storage(random));
    layouts[2].broadcast = false; // products of a batch have each their own C
    let bias = Storage { column_major: false, ..storage(random) };
    Case { layouts, bias, ..Case::dense("random", p) }
}

/// A problem of few renderings, 16 with two sizes of tile: f32 plain, or f16 turned with a bias and
/// ReLU; all extents and offsets whole vectors of four, or odd rows; always something to sum.
fn plain(random: &mut Rng) -> Case {
    let (half, whole) = (random.bool(), random.bool());
    let [m, n, k] = [(); 3].map(|()| match extent(random) {
        size if whole => (size / 4 + 1) * 4,
        size => size | 1,
    });
    let alpha = random.f64() * 4.0 - 2.0;
    let mut p = Gemm::new(m, n, k).batch(batch(random)).alpha(alpha).beta(factor(random, 0.0));
    p = p.accuracy(accuracy(random));
    if half {
        p = p.elements(F16, F16, F16).transpose_a().transpose_b().bias();
        p = p.activation(Activation::Relu);
    }
    let step = if whole { 4 } else { 1 };
    let mut layouts = [(); 3].map(|()| Storage {
        pad: step * random.usize(..9),
        offset: step * random.usize(..9),
        broadcast: random.u8(..4) == 0,
        ..Storage::default()
    });
    layouts[2].broadcast = false;
    Case { layouts, ..Case::dense("random", p) }
}

/// Tries [`FULL`] problems or, unless all are asked for, as many as the time allows.
fn prove(ctx: &Context, time: Duration) {
    let effort = Effort::of_environment();
    let seed = effort.seed();
    let gpu = ctx.device().gpu();
    let few = effort == Effort::Quick && gpu.is_some_and(|gpu| gpu.is_software());
    let draw = if few { plain } else { any };
    println!("random problems on {}: {}", ctx.adapter(), effort.again(seed));
    let (has_f16, has_f64) = gpu.map_or((true, true), |gpu| (gpu.has_f16(), gpu.has_f64()));
    let start = Instant::now();
    let (mut tried, mut refused, mut worst) = (0, 0, 0.0_f64);
    while tried < FULL && (effort == Effort::Full || start.elapsed() < time) {
        let seed = seed.wrapping_add(tried);
        let case = draw(&mut Rng::with_seed(seed));
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

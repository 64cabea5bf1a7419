//! einsum against NumPy, and on random expressions against its definition in f64.

use crate::adapter::{contexts, gpu};
use crate::effort::Effort;
use gvpie_core::einsum::proof::random_case;
use gvpie_core::{
    Backend, Complex, Context, ContextOptions, DType, Einsum, Element, Error, Tensor,
};
use std::time::{Duration, Instant};

/// Cases that each device is held against, unless time ends the run before.
const FULL: u64 = 5000;

/// A device forgets no pipeline, and every case has its own: so many to a context.
const TO_A_CONTEXT: u64 = 250;

/// Tries [`FULL`] cases or, unless all are asked for, as many as the time allows.
fn prove(context: impl Fn() -> Option<Context>, elements: &[DType], time: Duration) {
    let effort = Effort::of_environment();
    let first = effort.seed();
    let (start, mut worst, mut tried) = (Instant::now(), 0.0_f64, 0);
    let Some(mut ctx) = context() else { return };
    println!("random expressions on {}: {}", ctx.adapter(), effort.again(first));
    while tried < FULL && (effort == Effort::Full || start.elapsed() < time) {
        if tried % TO_A_CONTEXT == TO_A_CONTEXT - 1 {
            let Some(fresh) = context() else { return };
            ctx = fresh;
        }
        let seed = first.wrapping_add(tried);
        let case = random_case(seed, elements);
        match case.check(&ctx, seed) {
            Ok(outcome) => worst = worst.max(outcome.worst),
            Err(error) => panic!("{}: {error}: {case:?}", effort.again(seed)),
        }
        tried += 1;
    }
    println!("{tried} tried in {} s, at most {worst:.3} of a bound", start.elapsed().as_secs());
    assert!(tried > 20, "only {tried} in {time:?}");
}

#[test]
fn the_host_contracts_random_expressions() {
    let elements = [DType::F32, DType::F64, DType::F16, DType::C64, DType::C128];
    prove(|| Context::on(Backend::Cpu).ok(), &elements, Duration::from_secs(20));
}

#[test]
fn gpu_contracts_random_expressions() {
    let Some(ctx) = gpu() else { return };
    let has_f16 = ctx.device().gpu().is_some_and(|device| device.has_f16());
    let all = [DType::F32, DType::F32, DType::C64, DType::F16];
    let elements = if has_f16 { &all[..] } else { &all[..3] };
    prove(gpu, elements, Duration::from_secs(60));
}

/// What the table was made from: small whole numbers, so that every sum is exact.
fn operand(number: usize, count: usize) -> Vec<[f64; 2]> {
    let part = |i: usize, step: usize, of: usize, modulus: usize| {
        ((i * step + of * number) % modulus) as f64 - (modulus / 2) as f64
    };
    (0..count).map(|i| [part(i, 7, 3, 11), part(i, 5, 1, 7)]).collect()
}

fn contract<T: Element>(
    ctx: &Context,
    expression: &str,
    shapes: &[&[usize]],
    of: impl Fn([f64; 2]) -> T,
) -> Tensor<T> {
    let mut tensors = Vec::new();
    for (at, shape) in shapes.iter().enumerate() {
        let numbers = operand(at + 1, shape.iter().product());
        let data: Vec<T> = numbers.into_iter().map(&of).collect();
        tensors.push(ctx.upload(*shape, &data).unwrap());
    }
    let operands: Vec<&Tensor<T>> = tensors.iter().collect();
    ctx.einsum(expression, &operands).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_device_contracts_as_numpy() {
    for ctx in contexts(ContextOptions::from_env().unwrap()) {
        for (expression, shapes, shape, expected) in REAL {
            let found = contract(&ctx, expression, shapes, |[re, _]| re as f32);
            assert_eq!(found.shape().dims(), shape, "'{expression}' on {}", ctx.adapter());
            let found: Vec<f64> = found.download().unwrap().into_iter().map(f64::from).collect();
            assert_eq!(found, expected, "'{expression}' on {}", ctx.adapter());
        }
        for (expression, shapes, shape, expected) in COMPLEX {
            let found =
                contract(&ctx, expression, shapes, |[re, im]| Complex::new(re as f32, im as f32));
            assert_eq!(found.shape().dims(), shape, "'{expression}' on {}", ctx.adapter());
            let found: Vec<[f64; 2]> =
                found.download().unwrap().iter().map(|z| [z.re.into(), z.im.into()]).collect();
            assert_eq!(found, expected, "'{expression}' on {}", ctx.adapter());
        }
    }
}

/// Operands longer than a device binds at once, tried with a lower limit.
#[test]
fn gpu_reads_operands_past_the_binding_limit() {
    let options = ContextOptions { binding_limit: Some(1 << 16), ..ContextOptions::default() };
    let Some(ctx) = crate::adapter::gpu_with(options) else { return };
    for (expression, shapes) in [
        ("bi,bij->bj", &[&[8, 64][..], &[8, 64, 64]][..]),
        ("ij,ik->ijk", &[&[40, 30], &[40, 32]]),
        ("ijk,ijk->i", &[&[6, 64, 65], &[6, 64, 65]]),
        ("i,j->ij", &[&[250], &[100]]),
    ] {
        let host = Context::on(Backend::Cpu).unwrap();
        let [found, expected] = [&ctx, &host]
            .map(|ctx| contract(ctx, expression, shapes, |[re, _]| re as f32).download().unwrap());
        assert_eq!(found, expected, "{expression}");
    }
    let vast = Einsum::new("i->").plan(&ctx, [[1 << 15]]).unwrap_err();
    assert!(matches!(vast, Error::Limit { .. }), "{vast}");
}

/// The same plan gives the same bits, also where sums are divided.
#[test]
fn every_device_gives_the_same_bits_again() {
    for ctx in contexts(ContextOptions::from_env().unwrap()) {
        let numbers: Vec<f32> = (0..100_000_u32).map(|i| (i as f32).sin()).collect();
        let x = ctx.upload([100_000], &numbers).unwrap();
        let plan = Einsum::new("i,i->").plan(&ctx, [[100_000], [100_000]]).unwrap();
        let runs = [(); 3].map(|()| {
            let mut y = ctx.zeros::<f32>(plan.shape()).unwrap();
            plan.run(&[&x, &x], &mut y).unwrap();
            y.download().unwrap()[0].to_bits()
        });
        assert!(runs.iter().all(|bits| *bits == runs[0]), "{runs:?} on {}", ctx.adapter());
    }
}

// numpy.einsum, NumPy 2.4.6.
/// Expression, shapes of operands and result, elements of the result.
type Known<T> = (&'static str, &'static [&'static [usize]], &'static [usize], &'static [T]);

const REAL: [Known<f64>; 38] = [
    ("ij,jk", &[&[2, 3], &[3, 2]], &[2, 2], &[14.0, 9.0, 13.0, 9.0]),
    ("ij,jk->ki", &[&[2, 3], &[3, 2]], &[2, 2], &[14.0, 13.0, 9.0, 9.0]),
    ("ba", &[&[2, 3]], &[3, 2], &[-2.0, -3.0, 5.0, 4.0, 1.0, 0.0]),
    ("Ba", &[&[2, 3]], &[2, 3], &[-2.0, 5.0, 1.0, -3.0, 4.0, 0.0]),
    ("aB,Ba", &[&[2, 3], &[3, 2]], &[], &[23.0]),
    ("ii", &[&[3, 3]], &[], &[1.0]),
    ("ii->i", &[&[3, 3]], &[3], &[-2.0, 4.0, -1.0]),
    ("iij->ij", &[&[2, 2, 3]], &[2, 3], &[-2.0, 5.0, 1.0, -5.0, 2.0, -2.0]),
    ("ij->", &[&[2, 3]], &[], &[5.0]),
    ("ij->j", &[&[2, 3]], &[3], &[-5.0, 9.0, 1.0]),
    ("ij->ji", &[&[2, 3]], &[3, 2], &[-2.0, -3.0, 5.0, 4.0, 1.0, 0.0]),
    ("ij,ij->ij", &[&[2, 3], &[1, 3]], &[2, 3], &[-2.0, -15.0, 4.0, -3.0, -12.0, 0.0]),
    ("ij,ij", &[&[2, 3], &[2, 1]], &[], &[1.0]),
    ("i,i->i", &[&[1], &[0]], &[0], &[]),
    ("ij,jk->ik", &[&[2, 0], &[0, 2]], &[2, 2], &[0.0, 0.0, 0.0, 0.0]),
    ("ij->j", &[&[0, 3]], &[3], &[0.0, 0.0, 0.0]),
    (",", &[&[], &[]], &[], &[-2.0]),
    ("->", &[&[]], &[], &[-2.0]),
    ("", &[&[]], &[], &[-2.0]),
    (",i->i", &[&[], &[3]], &[3], &[-2.0, 6.0, -8.0]),
    ("i,j,k->kji", &[&[2], &[1], &[3]], &[3, 1, 2], &[-8.0, 20.0, 0.0, 0.0, 8.0, -20.0]),
    (
        "...ij,...jk->...ik",
        &[&[2, 1, 2, 2], &[2, 2, 2]],
        &[2, 2, 2, 2],
        &[
            18.0, 6.0, -11.0, -3.0, 3.0, -31.0, -1.0, 18.0, 4.0, -12.0, 8.0, 12.0, -16.0, 12.0,
            13.0, -27.0,
        ],
    ),
    ("...j,j", &[&[2, 2, 3], &[3]], &[2, 2], &[-13.0, -15.0, -17.0, -19.0]),
    ("i...->...", &[&[2, 3]], &[3], &[-5.0, 9.0, 1.0]),
    ("...ii->...i", &[&[2, 2, 2]], &[2, 2], &[-2.0, -3.0, 4.0, 3.0]),
    ("i...i->...", &[&[2, 3, 2]], &[3], &[1.0, -4.0, 2.0]),
    ("...,...", &[&[2, 1], &[3]], &[2, 3], &[-2.0, 6.0, -8.0, 5.0, -15.0, 20.0]),
    ("ij,...->...ij", &[&[2, 2], &[]], &[2, 2], &[-2.0, 5.0, 1.0, -3.0]),
    ("ij->...ji", &[&[2, 3]], &[3, 2], &[-2.0, -3.0, 5.0, 4.0, 1.0, 0.0]),
    (" i j , j k -> i k ", &[&[2, 2], &[2, 2]], &[2, 2], &[18.0, 6.0, -11.0, -3.0]),
    ("abc,bad->cd", &[&[2, 3, 2], &[3, 2, 2]], &[2, 2], &[-3.0, 8.0, 24.0, -1.0]),
    ("ijkl,jmln->imkn", &[&[2, 2, 1, 2], &[2, 1, 2, 2]], &[2, 1, 1, 2], &[17.0, 24.0, 17.0, -39.0]),
    (
        "ij,jk,kl,lm->im",
        &[&[2, 1], &[1, 2], &[2, 3], &[3, 2]],
        &[2, 2],
        &[-78.0, 104.0, 195.0, -260.0],
    ),
    ("ab,bc,ca", &[&[2, 3], &[3, 2], &[2, 2]], &[], &[47.0]),
    ("bi,bij->bj", &[&[2, 2], &[2, 2, 3]], &[2, 3], &[-2.0, -14.0, 7.0, 5.0, -20.0, -1.0]),
    ("apb,bqc->apqc", &[&[1, 2, 2], &[2, 1, 2]], &[1, 2, 1, 2], &[18.0, 6.0, -11.0, -3.0]),
    ("ijk,ijk->i", &[&[2, 2, 3], &[2, 2, 3]], &[2], &[-29.0, 5.0]),
    ("ij,ik->ijk", &[&[2, 2], &[2, 2]], &[2, 2, 2], &[-2.0, 6.0, 5.0, -15.0, 4.0, 0.0, -12.0, 0.0]),
];

const COMPLEX: [Known<[f64; 2]>; 5] = [
    (
        "ij,jk->ik",
        &[&[2, 3], &[3, 2]],
        &[2, 2],
        &[[8.0, 16.0], [0.0, 18.0], [22.0, -10.0], [0.0, 18.0]],
    ),
    ("ii", &[&[3, 3]], &[], &[[1.0, -2.0]]),
    ("i,i", &[&[4], &[4]], &[], &[[-8.0, -18.0]]),
    ("ij->ji", &[&[2, 2]], &[2, 2], &[[-2.0, -2.0], [1.0, 1.0], [5.0, 3.0], [-3.0, -1.0]]),
    ("ij,ij,ij->i", &[&[2, 2], &[2, 2], &[2, 2]], &[2], &[[-64.0, 12.0], [-26.0, -18.0]]),
];

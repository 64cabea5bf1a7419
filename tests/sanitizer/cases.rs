//! What runs of each operation.

use super::{Sanitizer, nothing_is_left};
use crate::emulated;
use gvpie_core::fft::{Convolution, Trig};
use gvpie_core::fmm::Method;
use gvpie_core::fmm::proof::Cloud;
use gvpie_core::gemm::proof::{Case, Entries, Input};
use gvpie_core::pixel::Algorithm;
use gvpie_core::{
    Backend, Complex, Context, DType, Einsum, Element, Fft, Fmm, Gemm, NBody, Pixel, einsum, fft,
    fmm, gemm, glyph, nbody, pixel, sort,
};

/// The shaders of each test.
pub const FILES: [&[&str]; 10] =
    [GEMM, EINSUM, TRANSFORMS, TRIG, CONVOLUTION, FMM, GLYPH, MOTION, PIXEL, SORT];

const GEMM: &[&str] = &[
    "gemm_simt.wgsl.jinja",
    "gemm_vector.wgsl.jinja",
    "gemm_sum.wgsl.jinja",
    "gemm_pack.wgsl.jinja",
];
const EINSUM: &[&str] = &["einsum_loops.wgsl.jinja", "einsum_turn.wgsl.jinja"];
const TRANSFORMS: &[&str] = &["fft.wgsl.jinja", "fft_pairs.wgsl.jinja"];
const TRIG: &[&str] = &["fft_trig.wgsl.jinja"];
const CONVOLUTION: &[&str] = &["fft_copy.wgsl.jinja", "fft_product.wgsl.jinja"];
const FMM: &[&str] = &[
    "fmm_points.wgsl.jinja",
    "fmm_tree.wgsl.jinja",
    "fmm_expand.wgsl.jinja",
    "fmm_m2l.wgsl.jinja",
    "fmm_near.wgsl.jinja",
];
const GLYPH: &[&str] = &["glyph.wgsl.jinja", "selftest.wgsl"];
const MOTION: &[&str] = &["nbody.wgsl"];
const PIXEL: &[&str] = &["pixel.wgsl.jinja"];
const SORT: &[&str] = &["sort_count.wgsl.jinja", "sort_scan.wgsl.jinja", "sort_scatter.wgsl.jinja"];

fn host() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

#[test]
fn gpu_gemm_passes_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    let ctx = &device.ctx;
    let small = |case: &Case| !case.why.contains("large") && !case.why.contains("past a grid");
    let thin = |element| Gemm::new(2, 68, 64).elements(element, element, element).beta(0.5);
    let more = [DType::F16, DType::F32, DType::F64].map(|t| Case::dense("thin, and C", thin(t)));
    for case in gemm::proof::hard_cases().into_iter().filter(small).chain(more) {
        match case.check(ctx, 11) {
            Err(gvpie_core::Error::Unsupported { what, .. }) if what.contains("GELU of f64") => {}
            checked => drop(checked.unwrap_or_else(|error| panic!("{case:?}: {error}"))),
        }
        device.clean(&format!("{case:?}"));
    }
    for (name, balanced) in
        [("coop-f16x3-64x64x32", false), ("coop-balanced-f16x3-128x128x32", true)]
    {
        let Ok(gemm::Algorithm::Coop(tile)) = name.parse() else { panic!("{name}") };
        for entries in [Entries::Random, Entries::NonFinite] {
            let input = Input { extents: [70, 70, 300], entries };
            input.check_packing(ctx, tile, balanced).unwrap();
            device.clean(&format!("{name}, {entries:?}"));
        }
    }
    emulated::split_products(ctx);
    emulated::halves_as_they_lie(ctx);
    nothing_is_left(&[device], GEMM);
}

#[test]
fn gpu_einsum_passes_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    let elements = [DType::F32, DType::F32, DType::C64, DType::F16];
    let random = (0..200).map(|seed| einsum::proof::random_case(seed, &elements));
    for case in einsum::proof::hard_cases().into_iter().chain(sums()).chain(random) {
        match case.check(&device.ctx, 11) {
            Err(gvpie_core::Error::Unsupported { .. })
                if [DType::F64, DType::C128].contains(&case.problem.dtype()) => {}
            checked => drop(checked.unwrap_or_else(|error| panic!("{case:?}: {error}"))),
        }
        device.clean(&format!("{case:?}"));
    }
    nothing_is_left(&[device], EINSUM);
}

/// What hard cases have in f32 only, or not in vectors: long sums into two axes, sums over two axes that cannot
/// be read as one, with operands that lie well, badly and along one of them, and products of four.
fn sums() -> Vec<einsum::proof::Case> {
    let of = |expression: &str, element, shapes: &[&[usize]]| {
        let problem = Einsum::new(expression).element(element);
        einsum::proof::Case::dense("a sum in another way", problem, shapes)
    };
    let mut all = vec![
        of("ikj->ij", DType::F32, &[&[2, 9000, 3]]),
        of("ikj->ij", DType::F32, &[&[2, 9000, 8]]),
        of("i,i,i,i->", DType::C64, &[&[40_usize][..]; 4]),
        of("i,i,i,i->i", DType::C64, &[&[40_usize][..]; 4]),
    ];
    for (expression, shapes) in [
        ("ikj,jik,k->j", &[&[3, 5, 64][..], &[64, 3, 5], &[5]][..]),
        ("kj,kk->j", &[&[5, 64], &[5, 5]]),
        ("ijk,i->j", &[&[3, 5, 64], &[3]]),
    ] {
        all.push(of(expression, DType::F16, shapes));
    }
    all
}

/// By turns on a device with little and one with much for a workgroup.
#[test]
fn gpu_fft_passes_the_sanitizer() {
    let Some(small) = Sanitizer::new(256, 16 << 10) else { return };
    let Some(large) = Sanitizer::new(1024, 48 << 10) else { return };
    let devices = [small, large];
    let check = |device: &Sanitizer, case: &fft::proof::Case| {
        case.check(&device.ctx, 11).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        device.clean(&format!("{case:?}"));
    };
    let small = |case: &fft::proof::Case| case.problem.input().0.len() <= Some(300_000);
    for (i, case) in fft::proof::hard_cases().iter().filter(|case| small(case)).enumerate() {
        check(&devices[i % 2], case);
    }
    // A chirp over its own input, columns between others in two passes, and in parts with their mirrors.
    let of = |problem| fft::proof::Case::dense("a kernel of its own", problem);
    let all = |problem: Fft| problem.spectrum().scale(3.0);
    let mut more = vec![
        fft::proof::Case { in_place: true, ..of(Fft::new([2, 1013]).inverse()) },
        of(Fft::new([2, 16_384, 3]).axes([1])),
        of(all(Fft::real([2, 118_098]).window().pad(59_049))),
        of(all(Fft::real([2, 1 << 16]))),
    ];
    for problem in [Fft::real([4096, 12]).all_axes(), Fft::real([1 << 16, 12]).all_axes()] {
        more.extend([of(problem.clone()), of(problem.inverse())]);
    }
    more.iter().for_each(|case| devices.iter().for_each(|device| check(device, case)));
    for problem in [Fft::real([1 << 20]), Fft::real([1 << 20]).inverse()] {
        check(&devices[0], &of(problem)); // three passes
    }
    nothing_is_left(&devices, TRANSFORMS);
}

/// Elements of some kind, made of numbers between −1 and 1.
fn numbers<T: Element>(count: usize, of: impl Fn(f64) -> T) -> Vec<T> {
    (0..count).map(|i| of((i as f64).sin())).collect()
}

/// Fails if the largest difference of parts is above so much.
#[track_caller]
fn near(found: &[f64], expected: &[f64], allowed: f64) {
    assert_eq!(found.len(), expected.len());
    let error = found.iter().zip(expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(error <= allowed, "an error of {error:e}, {allowed:e} is allowed");
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

#[test]
fn gpu_cosines_and_sines_pass_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    let makes: [fn(Vec<usize>) -> Trig; 6] =
        [Trig::dct2, Trig::dct3, Trig::dct4, Trig::dst2, Trig::dst3, Trig::dst4];
    // An even and an odd length along an axis with one other, and with four.
    let shapes: [(&[usize], usize); 4] =
        [(&[2, 8], 1), (&[2, 15], 1), (&[3, 4, 2, 3, 2], 1), (&[3, 5, 2, 3, 2], 1)];
    for (make, (shape, axis)) in makes.iter().flat_map(|make| shapes.map(|shape| (make, shape))) {
        let problem = make(shape.to_vec()).axes([axis]);
        let host = host();
        let [found, exact] = [&device.ctx, &host].map(|ctx| transform(ctx, &problem, |x| x));
        // Of sums of at most 15 numbers between −2 and 2.
        near(&found, &exact, 1e-13);
        near(&wide(&transform(&device.ctx, &problem, |x| x as f32)), &exact, 1e-4);
        device.clean(&format!("{problem:?}"));
    }
    nothing_is_left(&[device], TRIG);
}

fn transform<T: Element>(ctx: &Context, problem: &Trig, of: impl Fn(f64) -> T) -> Vec<T> {
    let problem = problem.clone().precision(T::DTYPE);
    let shape = problem.shape();
    let x = ctx.upload(shape, &numbers(shape.len().unwrap(), of)).unwrap();
    let mut y = ctx.zeros::<T>(shape).unwrap();
    problem.plan(ctx).unwrap().run(&x, &mut y).unwrap();
    y.download().unwrap()
}

#[test]
fn gpu_convolutions_pass_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    // Along the only axis, along all of five, along one with batches of each operand.
    let shapes: [(&[usize], &[usize], &[usize]); 3] = [
        (&[20], &[7], &[0]),
        (&[2, 3, 4, 5, 4], &[2, 2, 2, 2, 2], &[0, 1, 2, 3, 4]),
        (&[2, 1, 3, 1, 8], &[1, 4, 1, 2, 5], &[4]),
    ];
    let host = host();
    for (a, b, axes) in shapes {
        let problem = Convolution::new(a, b).axes(axes);
        for problem in [problem.clone(), problem.correlate()] {
            let pair = |x: f64| Complex::new(x, x * x);
            let narrow = |z: Complex<f64>| Complex::new(z.re as f32, z.im as f32);
            let flat = |z: &[Complex<f64>]| z.iter().flat_map(|z| [z.re, z.im]).collect::<Vec<_>>();
            let real = problem.clone().precision(DType::F64);
            let complex = real.clone().complex();
            let single = complex.clone().precision(DType::F32);
            let exact = convolve(&host, &real, a, b, |x| x);
            // Of sums of at most 64 products of numbers below √2.
            near(&convolve(&device.ctx, &real, a, b, |x| x), &exact, 1e-12);
            near(&wide(&convolve(&device.ctx, &problem, a, b, |x| x as f32)), &exact, 1e-3);
            let exact = flat(&convolve(&host, &complex, a, b, pair));
            near(&flat(&convolve(&device.ctx, &complex, a, b, pair)), &exact, 1e-12);
            let found = convolve(&device.ctx, &single, a, b, |x| narrow(pair(x)));
            let found = found.iter().map(|z| Complex::new(z.re.into(), z.im.into()));
            near(&flat(&found.collect::<Vec<_>>()), &exact, 1e-3);
            device.clean(&format!("{problem:?}"));
        }
    }
    nothing_is_left(&[device], CONVOLUTION);
}

fn convolve<T: Element>(
    ctx: &Context,
    problem: &Convolution,
    a: &[usize],
    b: &[usize],
    of: impl Fn(f64) -> T,
) -> Vec<T> {
    let [a, b] =
        [a, b].map(|shape| ctx.upload(shape, &numbers(shape.iter().product(), &of)).unwrap());
    let mut y = ctx.zeros::<T>(problem.output().unwrap()).unwrap();
    problem.plan(ctx).unwrap().run(&a, &b, &mut y).unwrap();
    y.download().unwrap()
}

fn upload(ctx: &Context, rows: &[f64]) -> gvpie_core::Tensor<f32> {
    let narrow: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
    ctx.upload([rows.len() / 4, 4], &narrow).unwrap()
}

#[test]
fn gpu_fmm_passes_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    let cloud = |cloud: Cloud, count| cloud.points(count, true, 1);
    // A cloud and a body beyond what keys of one word tell apart.
    let far = [cloud(Cloud::Cube, 200), vec![1e6, 2e5, -3e5, 1.0]].concat();
    let targets = cloud(Cloud::Plummer, 100);
    let fmm =
        |points: &[f64], order| Fmm::new(points.len() / 4).order(order).leaf(8).method(Method::Fmm);
    // Of order 11 harmonics are made of half as many points at a time.
    for (points, order) in
        [(cloud(Cloud::Clusters, 300), 3), (cloud(Cloud::Clusters, 24), 11), (far, 3)]
    {
        let problem = fmm(&points, order);
        evaluate(&device, &problem, &points, None, 0.0);
        if order == 3 {
            evaluate(&device, &problem.targets(100), &points, Some(&targets), 0.0);
        }
    }
    let points = cloud(Cloud::Plummer, 300);
    for softening in [0.0, 0.1] {
        let problem = fmm(&points, 3).softening(softening);
        evaluate(&device, &problem, &points, None, softening);
        evaluate(&device, &problem.method(Method::Direct), &points, None, softening);
    }
    let mut points = cloud(Cloud::Cube, 300);
    points.chunks_exact_mut(4).enumerate().for_each(|(i, row)| row[3] = [1.0, -1.0][i % 2]);
    for softening in [0.0, 0.01] {
        let problem = fmm(&points, 3).periodic(1.0).softening(softening);
        let mut result = upload(&device.ctx, &points);
        problem.plan(&device.ctx).unwrap().run(&upload(&device.ctx, &points), &mut result).unwrap();
        assert!(result.download().unwrap().iter().all(|x| x.is_finite()));
        device.clean(&format!("{problem:?}"));
    }
    nothing_is_left(&[device], FMM);
}

/// Runs a problem and holds it against the sum over all pairs, to the bound that its plan states (of an
/// outlier's cloud, some more).
fn evaluate(
    device: &Sanitizer,
    problem: &Fmm,
    points: &[f64],
    targets: Option<&[f64]>,
    softening: f64,
) {
    let ctx = &device.ctx;
    let at = targets.unwrap_or(points);
    let mut result = upload(ctx, at);
    let plan = problem.plan(ctx).unwrap();
    match targets {
        Some(targets) => plan.run_at(&upload(ctx, points), &upload(ctx, targets), &mut result),
        None => plan.run(&upload(ctx, points), &mut result),
    }
    .unwrap();
    let exact = fmm::proof::direct(points, at, softening);
    let [potential, gradient] = fmm::proof::errors(&wide(&result.download().unwrap()), &exact);
    let error = potential.max(gradient);
    assert!(error <= 4.0 * plan.bound(), "{problem:?}: {error:e}, {:e}", plan.bound());
    device.clean(&format!("{problem:?}"));
}

#[test]
fn gpu_glyphs_pass_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    let small = |case: &glyph::proof::Case| !case.why.contains("past a grid");
    for case in glyph::proof::hard_cases().into_iter().filter(small) {
        case.check(&device.ctx, 11).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        device.clean(&format!("{case:?}"));
    }
    // The self-test of drivers ran before all.
    nothing_is_left(&[device], GLYPH);
}

#[test]
fn gpu_motion_passes_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    let bodies = nbody::models::plummer(300, 1);
    let still = NBody::new(300).step(0.01).softening(0.02).method(Method::Direct);
    for problem in [still.clone(), still.adaptive(0.005)] {
        let begin = |ctx: &Context| {
            let [x, v] = [&bodies.positions, &bodies.velocities];
            let plan = problem.clone().precision(DType::F32).plan(ctx).unwrap();
            plan.begin(upload(ctx, x.as_flattened()), upload(ctx, v.as_flattened())).unwrap()
        };
        let [found, expected] = [&device.ctx, &host()].map(|ctx| {
            let mut state = begin(ctx);
            state.advance(3).unwrap();
            let energy = state.integrals().unwrap().energy();
            [vec![energy], wide(&state.positions().download().unwrap())].concat()
        });
        near(&found, &expected, 1e-5);
        device.clean(&format!("{problem:?}"));
    }
    nothing_is_left(&[device], MOTION);
}

#[test]
fn gpu_programs_pass_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    for canvas in [[24, 20], [1, 1], [33, 7]] {
        let programs: Vec<_> = (0..100).map(|seed| pixel::proof::program(seed, canvas)).collect();
        let states = |ctx: &Context, algorithm| {
            let problem = Pixel::of(programs.iter().cloned()).algorithm(algorithm).limit(200);
            let mut machines = problem.plan(ctx).unwrap().start().unwrap();
            while machines.step(u32::MAX).unwrap() > 0 {}
            machines.states().unwrap().to_vec()
        };
        let expected = states(&host(), Algorithm::Host);
        for algorithm in [Algorithm::Group, Algorithm::Lane] {
            assert!(states(&device.ctx, algorithm) == expected, "{algorithm}, {canvas:?}");
            device.clean(&format!("{algorithm}, {canvas:?}"));
        }
    }
    nothing_is_left(&[device], PIXEL);
}

#[test]
fn gpu_sorts_pass_the_sanitizer() {
    let Some(device) = Sanitizer::usual() else { return };
    let small = |case: &sort::proof::Case| case.problem.keys_shape().len() <= Some(8000);
    for case in sort::proof::hard_cases().into_iter().filter(small) {
        case.check(&device.ctx, 11).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        device.clean(&format!("{case:?}"));
    }
    nothing_is_left(&[device], SORT);
}

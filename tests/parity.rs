//! GPU = CPU = a naive sum in f64, over each operation's table of hard cases.
//!
//! A software driver spends nearly all of the time in compiling: each layout and element type is
//! another rendering of the kernel. The table is divided into tests of about the same number of
//! renderings, which then run side by side; no case is in two of them or in none.

use crate::adapter::{contexts, gpu, gpu_with};
use gvpie_core::gemm::proof::{Case, Entries, Input, Outcome, Storage, hard_cases, hard_inputs};
use gvpie_core::gemm::{Accuracy, Activation, Algorithm};
use gvpie_core::{Backend, Context, ContextOptions, Error, Gemm, glyph, sort};

/// The parts of GEMM's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Dense,
    Strided,
    Elements,
    ElementsTurned,
    Epilogues,
    Vectors,
    Thin,
    ThinTiles,
}

fn part(case: &Case) -> Part {
    match case.why {
        why if why.starts_with("thin") && why.contains("few tiles") => Part::ThinTiles,
        why if why.starts_with("thin: vectors") => Part::Vectors,
        why if why.starts_with("thin") => Part::Thin,
        why if why.starts_with("epilogue") => Part::Epilogues,
        why if why.starts_with("element types") && why.ends_with("turned") => Part::ElementsTurned,
        why if why.starts_with("element types") => Part::Elements,
        _ if case.layouts == [Storage::default(); 3] => Part::Dense,
        _ => Part::Strided,
    }
}

/// Checks one part of the table, of which at least so many cases must have run on the GPU.
fn check(chosen: Part, least: usize) {
    let Some(gpu) = gpu() else { return };
    let cpu = Context::on(Backend::Cpu).unwrap();
    let has_f16 = gpu.device().gpu().is_some_and(|device| device.has_f16());
    let has_f64 = gpu.device().gpu().is_some_and(|device| device.has_f64());
    let mut ran = 0;
    for case in hard_cases().into_iter().filter(|case| part(case) == chosen) {
        let host = case.check(&cpu, 11).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        match case.check(&gpu, 11) {
            Ok(device) => {
                ran += 1;
                assert_eq!(device.result.len(), host.result.len(), "{case:?}");
            }
            // Shaders have no f64 exponential; nothing else may be refused where f16 and f64 are.
            Err(Error::Unsupported { what, .. }) if what.contains("GELU of f64") => {}
            Err(Error::Unsupported { what, .. }) if what.contains("f64") && !has_f64 => {}
            Err(Error::Unsupported { what, .. }) if what.contains("f16") && !has_f16 => {}
            Err(error) => panic!("{case:?}: {error}"),
        }
    }
    assert!(ran >= least || !has_f16, "only {ran} cases ran on the GPU");
}

#[test]
fn gpu_gemm_matches_the_host_and_the_oracle() {
    check(Part::Dense, 45);
}

#[test]
fn gpu_gemm_of_strided_operands_matches() {
    check(Part::Strided, 25);
}

#[test]
fn gpu_gemm_of_all_element_types_matches() {
    check(Part::Elements, 8);
}

#[test]
fn gpu_gemm_of_all_element_types_turned_matches() {
    check(Part::ElementsTurned, 8);
}

#[test]
fn gpu_gemm_with_epilogues_matches() {
    check(Part::Epilogues, 27);
}

/// Plain f32 summed in one sequence, which the bound of `F32` is relative to: tiles of multiply-adds,
/// those that compute what the split leaves. All of them sum alike. What a plan for `Exact` would
/// choose may divide k, and then errs less.
fn plain(input: &Input, gpu: &Context) -> Outcome {
    let [m, n, k] = input.extents;
    let problem = Gemm::new(m, n, k).accuracy(Accuracy::Exact);
    let plan = problem.plan_with(gpu, "simt-f32-64x64x16".parse().unwrap()).unwrap();
    input.measure_plan(&plan, gpu).unwrap()
}

/// Where a path splits or rounds operands, it must not show but in its bound: `F32` against plain
/// f32 in one sequence, and every element against f64. Problems this small are plain arithmetic
/// unless told otherwise, so the split is told.
#[test]
fn gpu_gemm_keeps_its_accuracy_on_hard_inputs() {
    let Some(gpu) = gpu() else { return };
    let splits = ["coop-f16x3-128x128x32", "coop-f16x3-64x64x32", "coop-balanced-f16x3-128x128x32"];
    let mut faults = Vec::new();
    let mut split = 0;
    for input in hard_inputs() {
        let [exact, default, half] = [Accuracy::Exact, Accuracy::F32, Accuracy::F16]
            .map(|accuracy| input.measure(&gpu, accuracy).unwrap());
        let plain = plain(&input, &gpu);
        let [m, n, k] = input.extents;
        let told = splits.iter().filter_map(|name| {
            let plan = Gemm::new(m, n, k).plan_with(&gpu, name.parse().unwrap()).ok()?;
            Some(input.measure_plan(&plan, &gpu).unwrap())
        });
        let mut f32s: Vec<_> = told.collect();
        split += f32s.len();
        f32s.push(default);
        for found in f32s.iter().chain([&exact, &half, &plain]) {
            if found.worst > 1.0 {
                let (worst, algorithm) = (found.worst, found.algorithm);
                faults.push(format!("{input:?}: {worst:.3} times the bound, by {algorithm}"));
            }
        }
        // A quarter of u: two results that are as good as exact are not told apart.
        let allowed = input.allowed(plain.frobenius);
        for found in f32s.iter().filter(|found| found.frobenius > allowed && !input.cancels()) {
            let (algorithm, error, plain) = (found.algorithm, found.frobenius, plain.frobenius);
            faults.push(format!("{input:?}: {error:.2e} by {algorithm}, {plain:.2e} by plain f32"));
        }
    }
    assert!(faults.is_empty(), "on {}:\n{}", gpu.adapter(), faults.join("\n"));
    if gpu.device().gpu().is_some_and(|device| device.has_tensor_cores()) {
        assert!(split > 100, "only {split} were split");
    } else {
        eprintln!("SKIPPED in part: {} has no tensor cores to split for", gpu.adapter());
    }
}

/// Every layout, element type and epilogue on tensor cores, whatever a plan would choose.
#[test]
fn gpu_tensor_cores_match_the_oracle() {
    let Some(gpu) = gpu() else { return };
    if !gpu.device().gpu().is_some_and(|device| device.has_tensor_cores()) {
        eprintln!("SKIPPED: {} has no cooperative matrices of 16x16", gpu.adapter());
        return;
    }
    let mut ran = 0;
    for case in hard_cases() {
        for accuracy in [Accuracy::F32, Accuracy::F16] {
            let problem = case.problem.clone().accuracy(accuracy);
            let coop = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Coop(_));
            let candidates = problem.candidates(&gpu).unwrap_or_default();
            let case = Case { problem, ..case.clone() };
            // The first is what a plan would choose of them, the last has the smallest tiles.
            let mut chosen: Vec<_> = candidates.into_iter().filter(coop).collect();
            if chosen.len() > 2 {
                chosen.drain(1..chosen.len() - 1);
            }
            for algorithm in chosen {
                case.check_by(algorithm, &gpu, 11)
                    .unwrap_or_else(|error| panic!("{case:?}, {algorithm}: {error}"));
                ran += 1;
            }
        }
    }
    assert!(ran > 200, "only {ran} ran");
}

/// What is multiplied on tensor cores is packed by kernels that need none, and that run here.
#[test]
fn gpu_packs_split_operands() {
    let Some(gpu) = gpu() else { return };
    if !gpu.device().gpu().is_some_and(|device| device.has_f16()) {
        eprintln!("SKIPPED: {} has no f16", gpu.adapter());
        return;
    }
    let tile = |name: &str| match name.parse() {
        Ok(Algorithm::Coop(tile)) => tile,
        other => panic!("{name}: {other:?}"),
    };
    let (split, balanced) = (tile("coop-f16x3-64x64x32"), tile("coop-balanced-f16x3-128x128x32"));
    use Entries::*;
    for (entries, splits) in [
        (Random, [true, true]),
        (Scaled, [true, true]),
        (ScaledWithin, [false, true]),
        (Alternating, [true, true]),
        (Hilbert, [true, true]),
        (Huge, [false, false]),
        (Sparse(0.5), [true, true]),
        (ZeroRow, [false, false]),
        (NonFinite, [false, false]),
        (Overflowing, [true, false]),
    ] {
        let input = Input { extents: [150, 70, 300], entries };
        let found = [false, true].map(|again| {
            let tile = if again { balanced } else { split };
            input.check_packing(&gpu, tile, again).unwrap_or_else(|error| panic!("{error}"))
        });
        assert_eq!(found, splits, "{entries:?}");
    }
    // Numbers that some devices take for zero: right either way, whatever is made of them.
    let input = Input { extents: [70, 70, 100], entries: Subnormal };
    input.check_packing(&gpu, split, false).unwrap_or_else(|error| panic!("{error}"));
}

/// The split takes what it can: all of C where operands are even or scaled by rows and columns, and,
/// balanced, where they are scaled along k as well; never a tile that meets infinity.
#[test]
fn gpu_tensor_cores_take_what_can_be_split() {
    let Some(gpu) = gpu() else { return };
    if !gpu.device().gpu().is_some_and(|device| device.has_tensor_cores()) {
        eprintln!("SKIPPED: {} has no cooperative matrices of 16x16", gpu.adapter());
        return;
    }
    let split = "coop-f16x3-128x128x32";
    let balanced = "coop-balanced-f16x3-128x128x32";
    for (algorithm, entries, left) in [
        (split, Entries::Random, 0),
        (split, Entries::Scaled, 0),
        (split, Entries::Hilbert, 0),
        (split, Entries::ScaledWithin, 6),
        (balanced, Entries::Random, 0),
        (balanced, Entries::ScaledWithin, 0),
        (balanced, Entries::Scaled, 0),
    ] {
        let input = Input { extents: [300, 200, 1000], entries };
        let problem = Gemm::new(300, 200, 1000);
        let plan = problem.plan_with(&gpu, algorithm.parse().unwrap()).unwrap();
        let plain = plain(&input, &gpu);
        for _ in 0..3 {
            let found = input.measure_plan(&plan, &gpu).unwrap();
            assert!(found.worst <= 1.0, "{algorithm}, {entries:?}: {}", found.worst);
            let allowed = input.allowed(plain.frobenius);
            assert!(found.frobenius <= allowed, "{algorithm}, {entries:?}: {:e}", found.frobenius);
            assert_eq!(plan.left_to_plain().unwrap(), Some([left, 6]), "{algorithm}, {entries:?}");
        }
    }
    let input = Input { extents: [300, 200, 1000], entries: Entries::NonFinite };
    let plan = Gemm::new(300, 200, 1000).plan_with(&gpu, balanced.parse().unwrap()).unwrap();
    assert!(input.measure_plan(&plan, &gpu).unwrap().worst <= 1.0);
    let [left, all] = plan.left_to_plain().unwrap().unwrap();
    assert!(left > 0 && left <= all, "{left} of {all}");
}

#[test]
fn gpu_gemm_of_thin_problems_matches() {
    check(Part::Thin, 64);
}

#[test]
fn gpu_gemm_of_vectors_matches() {
    check(Part::Vectors, 18);
}

#[test]
fn gpu_gemm_of_few_tiles_matches() {
    check(Part::ThinTiles, 12);
}

#[test]
fn every_device_keep_nan_through_activations() {
    let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 1.5, -0.0, -1e-30];
    for ctx in contexts(ContextOptions::from_env().unwrap()) {
        let [a, b] = [[1, 0], [0, x.len()]].map(|shape| ctx.zeros::<f32>(shape).unwrap());
        let bias = ctx.upload([x.len()], &x).unwrap();
        let of = |activation| {
            let mut c = ctx.zeros([1, x.len()]).unwrap();
            let plan = Gemm::new(1, x.len(), 0).bias().activation(activation).plan(&ctx).unwrap();
            plan.run_biased(&a, &b, &bias, &mut c).unwrap();
            c.download().unwrap()
        };
        let relu = of(Activation::Relu);
        assert!(relu[0].is_nan(), "{}: {relu:?}", ctx.adapter());
        assert_eq!(relu[1..], [f32::INFINITY, 0.0, 1e30, 0.0, 1.5, 0.0, 0.0], "{}", ctx.adapter());
        let gelu = of(Activation::Gelu);
        assert!(gelu[0].is_nan() && gelu[2].is_nan(), "{}: {gelu:?}", ctx.adapter());
        assert_eq!([gelu[1], gelu[3], gelu[4]], [f32::INFINITY, 1e30, 0.0], "{}", ctx.adapter());
    }
}

#[test]
fn gpu_glyphs_match_the_host_and_the_oracle() {
    let Some(gpu) = gpu() else { return };
    let cpu = Context::on(Backend::Cpu).unwrap();
    for case in glyph::proof::hard_cases() {
        let [host, device] = [&cpu, &gpu]
            .map(|ctx| case.check(ctx, 11).unwrap_or_else(|error| panic!("{case:?}: {error}")));
        assert_eq!(device.picture, host.picture, "{case:?}"); // bit by bit
    }
}

#[test]
fn gpu_sorts_match_the_host_and_the_oracle() {
    let Some(gpu) = gpu() else { return };
    let cpu = Context::on(Backend::Cpu).unwrap();
    for case in sort::proof::hard_cases() {
        let [host, device] = [&cpu, &gpu]
            .map(|ctx| case.check(ctx, 11).unwrap_or_else(|error| panic!("{case:?}: {error}")));
        assert_eq!(device.keys, host.keys, "{case:?}");
        assert_eq!(device.order, host.order, "{case:?}");
    }
}

/// Where a budget has no room for a workspace, the plan does without one.
#[test]
fn gpu_plans_without_room_need_none() {
    let options =
        ContextOptions { device_budget: Some(32 << 10), ..ContextOptions::from_env().unwrap() };
    let Some(gpu) = gpu_with(options) else { return };
    let problem = Gemm::new(4, 256, 2048);
    let large = &problem.candidates(&gpu).unwrap()[0];
    assert!(matches!(problem.plan_with(&gpu, *large), Err(Error::OutOfMemory { .. })), "{large}");
    let plan = problem.plan(&gpu).unwrap();
    assert_eq!(plan.workspace(), 0);
    assert_ne!(plan.algorithm(), *large);
}

/// Whatever was measured, operands of any strides give the right result.
#[test]
fn gpu_every_candidate_computes_strided_operands() {
    let Some(gpu) = gpu() else { return };
    for (m, n, k, least) in [(37, 45, 29, 2), (37, 45, 1029, 5), (3, 45, 1029, 6)] {
        every_candidate(&gpu, [m, n, k], least);
    }
}

fn every_candidate(gpu: &Context, [m, n, k]: [usize; 3], least: usize) {
    // Small whole numbers: exact in any order of summation.
    let numbers = |count: usize, step: usize| -> Vec<f32> {
        (0..count).map(|i| ((i * step) % 7) as f32 - 3.0).collect()
    };
    let held = 1100 * 620;
    let a = gpu.upload([held], &numbers(held, 5)).unwrap();
    let b = gpu.upload([held], &numbers(held, 3)).unwrap();
    let problem = Gemm::new(m, n, k);
    let candidates = problem.candidates(gpu).unwrap();
    assert!(candidates.len() >= least, "{candidates:?}");
    for strides in [[1, 600], [601, 3]] {
        let a = a.view().strided([m, k], &strides, 1).unwrap();
        let b = b.view().strided([k, n], &strides, 3).unwrap();
        let (ha, hb) = (a.download().unwrap(), b.download().unwrap());
        let sum = |i: usize| {
            let products = (0..k).map(|l| ha[i / n * k + l] * hb[l * n + i % n]);
            products.sum::<f32>()
        };
        let expected: Vec<f32> = (0..m * n).map(sum).collect();
        for &algorithm in &candidates {
            let mut c = gpu.upload([m, n], &vec![f32::NAN; m * n]).unwrap();
            problem.plan_with(gpu, algorithm).unwrap().run(a.clone(), b.clone(), &mut c).unwrap();
            assert_eq!(c.download().unwrap(), expected, "{algorithm}, {strides:?}");
        }
    }
}

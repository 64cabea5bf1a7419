//! The fast multipole method on a GPU against direct sums in f64, on clouds that are hard and at the
//! edges.

use crate::adapter::gpu;
use crate::effort::Effort;
use gvpie_core::fmm::proof::{Cloud, direct, errors, sample};
use gvpie_core::fmm::{Method, Report};
use gvpie_core::{Context, Error, Fmm};

/// Degree of the expansions, one for most tests: kernels of each are others to compile.
const ORDER: usize = 6;

fn narrow(points: &[f64]) -> Vec<f32> {
    points.iter().map(|&x| x as f32).collect()
}

fn run(
    ctx: &Context,
    problem: &Fmm,
    points: &[f64],
    targets: Option<&[f64]>,
) -> (Vec<f64>, Report) {
    let upload = |x: &[f64]| ctx.upload([x.len() / 4, 4], &narrow(x)).unwrap();
    let rows = targets.unwrap_or(points).len() / 4;
    // A sentinel, so that what is not written is seen.
    let mut result = ctx.upload([rows, 4], &vec![f32::MAX; 4 * rows]).unwrap();
    let plan = problem.plan(ctx).unwrap();
    let report = match targets {
        Some(targets) => plan.run_at(&upload(points), &upload(targets), &mut result).unwrap(),
        None => plan.run(&upload(points), &mut result).unwrap(),
    };
    (result.download().unwrap().into_iter().map(f64::from).collect(), report)
}

/// The larger of the errors of potentials and gradients at some of the targets.
fn worst(found: &[f64], points: &[f64], targets: &[f64], softening: f64) -> f64 {
    let exact = direct(points, &sample(targets, 300), softening);
    let [potential, gradient] = errors(&sample(found, 300), &exact);
    potential.max(gradient)
}

#[test]
fn gpu_fmm_keeps_its_bound_on_every_cloud() {
    let Some(ctx) = gpu() else { return };
    let orders = match Effort::of_environment() {
        Effort::Full => (1..=14).collect(),
        Effort::Quick => vec![ORDER],
    };
    for order in orders {
        for cloud in Cloud::ALL {
            for charges in [false, true] {
                let count = 6000;
                let points = cloud.points(count, charges, 11);
                let problem = Fmm::new(count).order(order).leaf(30).method(Method::Fmm);
                let (found, report) = run(&ctx, &problem, &points, None);
                let bound = problem.plan(&ctx).unwrap().bound();
                let error = worst(&found, &points, &points, 0.0);
                assert!(error <= bound, "{cloud:?} {charges} {order}: {error:.2e}, {report:?}");
                assert!(report.levels > 3 && report.translations > 0, "{cloud:?}: {report:?}");
                assert!(report.leaves < report.cells && report.pairs > 0, "{cloud:?}: {report:?}");
                assert_eq!(
                    run(&ctx, &problem, &points, None).0,
                    found,
                    "{cloud:?}: repeats differ"
                );
            }
        }
    }
}

#[test]
fn gpu_fmm_evaluates_at_other_points() {
    let Some(ctx) = gpu() else { return };
    let sources = Cloud::Clusters.points(3000, true, 1);
    for (targets, count) in [(Cloud::Clusters, 5000), (Cloud::Plummer, 500), (Cloud::Cube, 1)] {
        let mut targets = targets.points(count, false, 2);
        // Of targets the fourth number is not read.
        targets.iter_mut().skip(3).step_by(4).for_each(|q| *q = f64::NAN);
        let problem = Fmm::new(3000).targets(count).order(ORDER).leaf(30).method(Method::Fmm);
        let (found, _) = run(&ctx, &problem, &sources, Some(&targets));
        let error = worst(&found, &sources, &targets, 0.0);
        assert!(error <= 2.0 * problem.plan(&ctx).unwrap().bound(), "{count}: {error:.2e}");
    }
}

#[test]
fn gpu_fmm_is_right_at_the_edges() {
    let Some(ctx) = gpu() else { return };
    let fmm = |count: usize| Fmm::new(count).order(ORDER).leaf(8).method(Method::Fmm);
    for count in [0, 1, 2, 3, 8, 9, 64, 65, 257] {
        let points = Cloud::Cube.points(count, true, 5);
        for problem in [fmm(count), Fmm::new(count).method(Method::Direct)] {
            let (found, _) = run(&ctx, &problem, &points, None);
            assert_eq!(found.len(), 4 * count);
            if count == 1 {
                assert_eq!(found, [0.0; 4]);
            } else if count > 1 {
                let error = worst(&found, &points, &points, 0.0);
                assert!(error <= 4e-4, "{count} {problem:?}: {error:.2e}");
            }
        }
    }
    // No sources, but targets.
    let none = Fmm::new(0).targets(3).method(Method::Fmm);
    assert_eq!(run(&ctx, &none, &[], Some(&[1.0; 12])).0, [0.0; 12]);
    // Equal points: pairs at distance 0 contribute nothing.
    let equal = [0.25, -3.0, 7.0, 2.0].repeat(200);
    assert_eq!(run(&ctx, &fmm(200), &equal, None).0, vec![0.0; 800]);
    // Sizes at which squares over- and underflow, and some beside a distance from the origin.
    for (scale, shift) in [(1e25, 0.0), (1e-25, 0.0), (1e-3, 1.0), (1.0, 1e5), (1.0, -3e4)] {
        let mut points = Cloud::Cube.points(1000, true, 3);
        for row in points.chunks_exact_mut(4) {
            (0..3).for_each(|axis| row[axis] = f64::from((row[axis] * scale + shift) as f32));
            // So that what comes out is neither too large nor too small for f32.
            row[3] = f64::from((row[3] * scale) as f32);
        }
        let (found, _) = run(&ctx, &fmm(1000), &points, None);
        let error = worst(&found, &points, &points, 0.0);
        assert!(error <= 4e-4, "{scale:e} {shift:e}: {error:.2e}");
    }
    // A cloud and a body a million times as far away, beyond what keys of one word tell apart.
    let mut points = Cloud::Cube.points(1000, true, 4);
    points.extend([1e6, 2e5, -3e5, 1.0]);
    let (found, report) = run(&ctx, &fmm(1001), &points, None);
    assert!(report.levels > 15, "{report:?}");
    let error = worst(&found, &points, &points, 0.0);
    assert!(error <= 4e-4, "an outlier: {error:.2e}, {report:?}");
}

#[test]
fn gpu_fmm_softens_near_pairs_without_error_afar() {
    let Some(ctx) = gpu() else { return };
    for softening in [1e-4, 1e-2, 1.0] {
        let points = Cloud::Plummer.points(4000, false, 9);
        let problem = Fmm::new(4000).order(ORDER).leaf(30).softening(softening).method(Method::Fmm);
        let (found, report) = run(&ctx, &problem, &points, None);
        let error = worst(&found, &points, &points, softening);
        let bound = problem.plan(&ctx).unwrap().bound();
        assert!(error <= 2.0 * bound, "{softening}: {error:.2e}, {report:?}");
        let all = Fmm::new(4000).softening(softening).method(Method::Direct);
        let (found, _) = run(&ctx, &all, &points, None);
        let error = worst(&found, &points, &points, softening);
        assert!(error <= 1e-6, "{softening}, direct: {error:.2e}");
    }
}

#[test]
fn gpu_fmm_names_what_is_not_finite() {
    let Some(ctx) = gpu() else { return };
    let good = ctx.upload([3, 4], &[0.5_f32; 12]).unwrap();
    let mut result = ctx.zeros::<f32>([3, 4]).unwrap();
    for method in [Method::Fmm, Method::Direct] {
        let problem = Fmm::new(3).order(ORDER).method(method);
        let (plan, at) = (problem.plan(&ctx).unwrap(), problem.targets(3).plan(&ctx).unwrap());
        for (value, column) in [(f32::NAN, 0), (f32::INFINITY, 1), (f32::NEG_INFINITY, 3)] {
            let mut points = [0.5_f32; 12];
            points[4 + column] = value;
            points[8] = f32::NAN;
            let bad = ctx.upload([3, 4], &points).unwrap();
            let words = plan.run(&bad, &mut result).unwrap_err().to_string();
            let found = format!("found {value} in {}", ["x", "y", "z", "q"][column]);
            assert_eq!(words, format!("the points, row 1: expected finite numbers, {found}"));
            let targets = at.run_at(&good, &bad, &mut result).unwrap_err().to_string();
            let row = if column == 3 { 2 } else { 1 };
            assert!(targets.starts_with(&format!("the targets, row {row}:")), "{targets}");
        }
        // The plan is as good as before.
        plan.run(&good, &mut result).unwrap();
        assert_eq!(result.download().unwrap(), [0.0; 12]);
    }
    let double = Fmm::new(3).precision(gvpie_core::DType::F64).plan(&ctx);
    assert!(matches!(double, Err(Error::Unsupported { .. })));
}

#[test]
fn gpu_fmm_finds_room_for_trees_larger_than_expected() {
    let Some(ctx) = gpu() else { return };
    // Small crowds, each at the end of a long branch of its own.
    let places = Cloud::Cube.points(500, true, 8);
    let shifts = Cloud::Cube.points(17, true, 9);
    let mut points = Vec::new();
    for (place, shift) in
        places.chunks_exact(4).flat_map(|place| shifts.chunks_exact(4).map(move |s| (place, s)))
    {
        let near = |axis: usize| f64::from((place[axis] + 4e-6 * shift[axis]) as f32);
        points.extend([near(0), near(1), near(2), shift[3]]);
    }
    let problem = Fmm::new(8500).order(ORDER).leaf(4).method(Method::Fmm);
    let (found, report) = run(&ctx, &problem, &points, None);
    assert!(report.levels > 15 && report.cells > 12_000, "{report:?}");
    let error = worst(&found, &points, &points, 0.0);
    assert!(error <= 4e-4, "{error:.2e}, {report:?}");
}

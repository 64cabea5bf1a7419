//! Choices, refusals and edges.

mod identities;
mod periodic;

use super::plan::choose;
use super::proof::{Cloud, direct, errors, sample};
use super::*;
use crate::device::Backend;

fn host() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

/// The words of the error that a problem's plan ends in.
fn refused(problem: Fmm) -> String {
    choose(&problem, Backend::Cpu).unwrap_err().to_string()
}

#[test]
fn problems_that_make_no_sense_are_refused_by_name() {
    assert_eq!(refused(Fmm::new(9).leaf(0)), "leaf=0: expected at least 1 point");
    assert_eq!(refused(Fmm::new(9).order(0)), "order=0: expected 1 to 14 of f32");
    assert_eq!(refused(Fmm::new(9).order(15)), "order=15: expected 1 to 14 of f32");
    assert!(refused(Fmm::new(9).precision(DType::F64).order(25)).contains("1 to 24 of f64"));
    for softening in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(Fmm::new(9).softening(softening)).starts_with("softening="));
    }
    for side in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(Fmm::new(9).periodic(side)).starts_with("periodic="));
    }
    assert!(refused(Fmm::new(9).precision(DType::I32)).contains("f32 or f64"));
    let double = Fmm::new(9).precision(DType::F64);
    assert!(matches!(choose(&double, Backend::Gpu), Err(Error::Unsupported { .. })));
}

#[test]
fn a_tolerance_that_cannot_be_had_names_the_one_that_can() {
    for tolerance in [0.0, -1.0, f64::NAN, 1e-9] {
        for method in [Method::Auto, Method::Fmm, Method::Direct] {
            let problem = Fmm::new(1_000_000).method(method);
            let words = refused(problem.clone().tolerance(tolerance));
            let (_, named) = words.split_once("at least ").expect(&words);
            let named: f64 = named.split(' ').next().unwrap().parse().unwrap();
            let (_, bound) = choose(&problem.tolerance(named), Backend::Cpu).expect(&words);
            assert!(bound <= named, "{words}: {bound}");
        }
    }
}

#[test]
fn tolerances_choose_degrees_and_sizes_choose_methods() {
    let chosen = |problem: Fmm| choose(&problem, Backend::Cpu).unwrap();
    let of_cube = |count| chosen(Fmm::new(count).periodic(1.0).tolerance(1e-3)).0.algorithm;
    assert!(matches!(of_cube(64), Algorithm::Fmm { order: 14, .. }), "{}", of_cube(64));
    assert!(matches!(of_cube(100_000), Algorithm::Fmm { order: 7, .. }), "{}", of_cube(100_000));
    let mut before = 0;
    for tolerance in [1e-1, 1e-2, 1e-3, 1e-4, 1e-5] {
        let (settings, bound) = chosen(Fmm::new(1_000_000).tolerance(tolerance));
        let Algorithm::Fmm { order, leaf } = settings.algorithm else {
            panic!("{:?}", settings.algorithm);
        };
        assert!(bound <= tolerance && order > before && (8..1000).contains(&leaf));
        before = order;
    }
    assert_eq!(chosen(Fmm::new(500)).0.algorithm, Algorithm::Direct);
    let few = Fmm::new(1_000_000).targets(10);
    assert_eq!(chosen(few).0.algorithm, Algorithm::Direct);
    let asked = Fmm::new(10).method(Method::Fmm).order(3).leaf(5);
    assert_eq!(chosen(asked).0.algorithm.to_string(), "fmm-p3-leaf5");
}

#[test]
fn errors_stay_below_the_bound_on_every_cloud() {
    let ctx = host();
    for cloud in Cloud::ALL {
        for charges in [false, true] {
            let points = cloud.points(6000, charges, 11);
            let narrow: Vec<f32> = points.iter().map(|&x| x as f32).collect();
            let bodies = ctx.upload([6000, 4], &narrow).unwrap();
            let mut result = ctx.zeros::<f32>([6000, 4]).unwrap();
            let exact = direct(&points, &sample(&points, 300), 0.0);
            for order in [3, 6, 10] {
                let problem = Fmm::new(6000).order(order).leaf(30).method(Method::Fmm);
                let plan = problem.plan(&ctx).unwrap();
                let report = plan.run(&bodies, &mut result).unwrap();
                assert!(report.translations > 0 && report.levels > 3, "{report:?}");
                let found = result.download().unwrap().into_iter().map(f64::from);
                let found = sample(&found.collect::<Vec<_>>(), 300);
                let errors = errors(&found, &exact);
                let worst = errors[0].max(errors[1]);
                assert!(worst <= plan.bound(), "{cloud:?} {charges} {order}: {errors:?}");
            }
        }
    }
}

#[test]
fn numbers_that_are_none_are_named_by_row() {
    let ctx = host();
    let good = ctx.upload([3, 4], &[0.5_f32; 12]).unwrap();
    let mut result = ctx.zeros::<f32>([3, 4]).unwrap();
    for method in [Method::Fmm, Method::Direct] {
        let problem = Fmm::new(3).method(method);
        let (plan, at) =
            (problem.clone().plan(&ctx).unwrap(), problem.targets(3).plan(&ctx).unwrap());
        for (value, column) in [(f32::NAN, 0), (f32::INFINITY, 1), (f32::NEG_INFINITY, 3)] {
            let mut points = [0.5_f32; 12];
            points[4 + column] = value;
            points[8] = f32::NAN;
            let bad = ctx.upload([3, 4], &points).unwrap();
            let words = plan.run(&bad, &mut result).unwrap_err().to_string();
            let found = format!("found {value} in {}", ["x", "y", "z", "q"][column]);
            assert_eq!(words, format!("the points, row 1: expected finite numbers, {found}"));
            let targets = at.run_at(&good, &bad, &mut result).unwrap_err().to_string();
            let row = if column == 3 { 2 } else { 1 }; // of targets, q is not read
            assert!(targets.starts_with(&format!("the targets, row {row}:")), "{targets}");
        }
    }
}

#[test]
fn none_and_one_have_no_sum() {
    let ctx = host();
    for method in [Method::Auto, Method::Fmm, Method::Direct] {
        let plan = Fmm::new(0).method(method).plan(&ctx).unwrap();
        let none = ctx.zeros::<f32>([0, 4]).unwrap();
        plan.run(&none, &mut ctx.zeros([0, 4]).unwrap()).unwrap();
        let targets = ctx.upload([2, 4], &[1.0_f32; 8]).unwrap();
        let mut result = ctx.upload([2, 4], &[9.0_f32; 8]).unwrap();
        let plan = Fmm::new(0).targets(2).method(method).plan(&ctx).unwrap();
        plan.run_at(&none, &targets, &mut result).unwrap();
        assert_eq!(result.download().unwrap(), [0.0; 8]);
        let one = ctx.upload([1, 4], &[3.0_f32, 4.0, 5.0, 6.0]).unwrap();
        let mut result = ctx.upload([1, 4], &[9.0_f32; 4]).unwrap();
        Fmm::new(1).method(method).plan(&ctx).unwrap().run(&one, &mut result).unwrap();
        assert_eq!(result.download().unwrap(), [0.0; 4]);
    }
}

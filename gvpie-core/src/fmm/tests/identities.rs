//! What every sum of 1/r obeys, and clouds that trees find hard.

use crate::fmm::Boundary;
use crate::fmm::cpu::evaluate;
use crate::fmm::harmonics::Real;
use crate::fmm::pairs::Float;
use crate::fmm::plan::{Algorithm, Report, Settings};
use crate::fmm::proof::{Cloud, direct, errors};

fn settings(order: usize, leaf: usize) -> Settings {
    let algorithm = Algorithm::Fmm { order, leaf };
    Settings { algorithm, softening: 0.0, boundary: Boundary::Free, bound: 1e-5, pairs: 1e5 }
}

fn run<T: Float>(
    settings: Settings,
    points: &[f64],
    targets: Option<&[f64]>,
) -> (Vec<f64>, Report) {
    let narrow = |x: &[f64]| x.iter().map(|&x| T::narrow(x)).collect::<Vec<T>>();
    let (points, targets) = (narrow(points), targets.map(narrow));
    let mut result = vec![T::narrow(9.0); targets.as_ref().unwrap_or(&points).len()];
    let report = evaluate(&settings, &points, targets.as_deref(), &mut result).unwrap();
    (result.into_iter().map(Real::wide).collect(), report)
}

fn rows(flat: &[f64]) -> Vec<[f64; 4]> {
    flat.chunks_exact(4).map(|row| [row[0], row[1], row[2], row[3]]).collect()
}

/// Errors of one result against another.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    let [potential, gradient] = errors(found, &rows(expected));
    potential.max(gradient)
}

fn sum(points: &[f64], order: usize) -> Vec<f64> {
    run::<f64>(settings(order, 20), points, None).0
}

#[test]
fn errors_fall_with_the_degree() {
    let points = Cloud::Cube.points(3000, true, 1);
    let exact = direct(&points, &points, 0.0);
    let mut before = f64::INFINITY;
    for order in [1, 2, 4, 6, 8, 10, 12, 16] {
        let [potential, gradient] = errors(&sum(&points, order), &exact);
        let worst = potential.max(gradient);
        assert!(worst < before / 1.5, "{order}: {worst} after {before}");
        before = worst;
    }
    assert!(before < 1e-6, "{before}");
}

#[test]
fn forces_balance() {
    let points = Cloud::Plummer.points(3000, false, 2);
    let result = sum(&points, 10);
    let (mut total, mut size) = ([0.0; 3], 0.0);
    for (point, sum) in points.chunks_exact(4).zip(result.chunks_exact(4)) {
        for axis in 0..3 {
            total[axis] += point[3] * sum[axis + 1];
            size += (point[3] * sum[axis + 1]).powi(2);
        }
    }
    assert!(total.iter().all(|total| total.abs() < 1e-5 * size.sqrt()), "{total:?} of {size}");
}

#[test]
fn moves_and_scales_carry_over() {
    let points = Cloud::Clusters.points(2000, true, 3);
    let plain = sum(&points, 8);
    let moved: Vec<f64> = points
        .chunks_exact(4)
        .flat_map(|x| [x[0] + 512.0, x[1] - 64.0, x[2] + 8.0, x[3]])
        .collect();
    assert!(apart(&sum(&moved, 8), &plain) < 1e-11);
    let scaled: Vec<f64> = points
        .chunks_exact(4)
        .flat_map(|x| [x[0] * 1e-30, x[1] * 1e-30, x[2] * 1e-30, 3.0 * x[3]])
        .collect();
    let back: Vec<f64> = sum(&scaled, 8)
        .chunks_exact(4)
        .flat_map(|x| [x[0] / 3e30, x[1] / 3e60, x[2] / 3e60, x[3] / 3e60])
        .collect();
    assert!(apart(&back, &plain) < 1e-11);
}

#[test]
fn the_cubes_48_symmetries_carry_over() {
    let points = Cloud::Sphere.points(1500, true, 4);
    let plain = sum(&points, 5);
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        for mirror in 0..8 {
            let turn = |x: [f64; 3]| -> [f64; 3] {
                let sign = |axis: usize| if mirror >> axis & 1 == 1 { -1.0 } else { 1.0 };
                std::array::from_fn(|axis| sign(axis) * x[order[axis]])
            };
            let place = |x: &[f64]| {
                let [a, b, c] = turn([x[0], x[1], x[2]]);
                [a, b, c, x[3]]
            };
            let turned: Vec<f64> = points.chunks_exact(4).flat_map(place).collect();
            let value = |x: &[f64]| {
                let [a, b, c] = turn([x[1], x[2], x[3]]);
                [x[0], a, b, c]
            };
            let expected: Vec<f64> = plain.chunks_exact(4).flat_map(value).collect();
            assert!(apart(&sum(&turned, 5), &expected) < 1e-3, "{order:?} {mirror}");
        }
    }
}

#[test]
fn charges_add_and_act_mutually() {
    let points = Cloud::Cube.points(2000, true, 5);
    let other = Cloud::Cube.points(2000, false, 6);
    let with = |charge: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let rows = points.chunks_exact(4).enumerate();
        rows.flat_map(|(at, x)| [x[0], x[1], x[2], charge(at)]).collect()
    };
    let (one, two) = (|at: usize| points[4 * at + 3], |at: usize| other[4 * at + 3]);
    let (a, b) = (sum(&with(&one), 6), sum(&with(&two), 6));
    let both = sum(&with(&|at| 2.0 * one(at) - 0.5 * two(at)), 6);
    let expected: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 2.0 * a - 0.5 * b).collect();
    assert!(apart(&both, &expected) < 1e-12);
    // Σ q_i φ'_i = Σ q'_i φ_i.
    let energy = |charge: &dyn Fn(usize) -> f64, sum: &[f64]| -> f64 {
        (0..2000).map(|at| charge(at) * sum[4 * at]).sum()
    };
    let (left, right) = (energy(&one, &b), energy(&two, &a));
    assert!((left - right).abs() < 1e-5 * left.abs().max(1000.0), "{left} {right}");
}

#[test]
fn gradients_are_the_slopes_of_potentials() {
    let points = Cloud::Plummer.points(3000, true, 7);
    let step = 1e-5;
    let at = [0.3, -0.2, 0.15];
    let mut targets = vec![at[0], at[1], at[2], 0.0];
    for axis in 0..3 {
        for sign in [1.0, -1.0] {
            let mut moved = at;
            moved[axis] += sign * step;
            targets.extend([moved[0], moved[1], moved[2], 0.0]);
        }
    }
    let (found, report) = run::<f64>(settings(12, 20), &points, Some(&targets));
    assert!(report.translations > 0);
    let size = found[1].hypot(found[2]).hypot(found[3]);
    for axis in 0..3 {
        let slope = (found[4 * (2 * axis + 1)] - found[4 * (2 * axis + 2)]) / (2.0 * step);
        assert!((slope - found[axis + 1]).abs() < 1e-4 * size, "{slope} {found:?}");
    }
}

#[test]
fn other_targets_are_met_too() {
    let points = Cloud::Cube.points(3000, true, 8);
    // Of a single target, whose charge is not read, the error is not one of a cloud.
    let one = (vec![0.25, 0.5, 0.75, f64::NAN], 1e-3);
    for (targets, bound) in [(Cloud::Sphere.points(700, true, 9), 1e-4), one] {
        let exact = direct(&points, &targets, 0.0);
        let (found, report) = run::<f32>(settings(10, 15), &points, Some(&targets));
        let errors = errors(&found, &exact);
        assert!(errors.iter().all(|&error| error < bound), "{errors:?} {report:?}");
    }
}

#[test]
fn flat_and_crowded_clouds_are_summed() {
    let cube = Cloud::Cube.points(1500, true, 10);
    let map = |change: &dyn Fn(&[f64]) -> [f64; 3]| -> Vec<f64> {
        let place = |x: &[f64]| {
            let [a, b, c] = change(x).map(|x| f64::from(x as f32));
            [a, b, c, x[3]]
        };
        cube.chunks_exact(4).flat_map(place).collect()
    };
    let mut outlier = cube.clone();
    outlier[40] = 1e6;
    let mut twins = cube.clone();
    twins[2000..4000].copy_from_slice(&cube[..2000]);
    let clouds = [
        ("on a line", map(&|x| [x[0], 0.5, 0.5]), 1e-4),
        ("in a plane", map(&|x| [x[0], 3.0, x[2]]), 1e-4),
        ("with an outlier", outlier, 1e-4),
        ("two at each place", twins, 1e-4),
        // All in corners of cells, where expansions err most.
        ("at three places", map(&|x| [(3.0 * x[0]).floor(), 0.0, 0.0]), 0.2),
    ];
    for (why, points, bound) in clouds {
        let exact = direct(&points, &points, 0.0);
        for leaf in [10, 5000] {
            let (found, report) = run::<f32>(settings(8, leaf), &points, None);
            let errors = errors(&found, &exact);
            assert!(errors.iter().all(|&error| error < bound), "{why}, {leaf}: {errors:?}");
            assert_eq!(report.levels == 1, leaf == 5000, "{why}");
        }
    }
    let (found, report) = run::<f32>(settings(8, 10), &map(&|_| [0.1, -2.0, 7.0]), None);
    assert!(found.iter().all(|&x| x == 0.0) && report.cells == 1, "{report:?}");
}

#[test]
fn softening_acts_near_and_far_pairs_hardly_feel_it() {
    let points = Cloud::Cube.points(3000, false, 11);
    for softening in [1e-4, 1e-2] {
        let exact = direct(&points, &points, softening);
        let (found, _) = run::<f32>(Settings { softening, ..settings(10, 20) }, &points, None);
        let errors = errors(&found, &exact);
        assert!(errors.iter().all(|&error| error < 1e-5), "{softening}: {errors:?}");
    }
}

#[test]
fn repeats_are_equal_to_the_bit() {
    let points = Cloud::Plummer.points(4000, true, 13);
    let first = run::<f32>(settings(6, 20), &points, None).0;
    for _ in 0..3 {
        assert_eq!(run::<f32>(settings(6, 20), &points, None).0, first);
    }
}

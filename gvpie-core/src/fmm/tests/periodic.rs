//! The periodic cube on both back ends, against Ewald's sum and Madelung's constants.

use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::Error;
use crate::fmm::pairs::Float;
use crate::fmm::plan::{choose, rounding};
use crate::fmm::proof::ewald::ewald;
use crate::fmm::proof::{errors, sample};
use crate::fmm::{Fmm, Method};
use fastrand::Rng;

fn gpu() -> Option<Context> {
    Context::of_tests()
}

fn host() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

fn try_run<T: Float + Element>(
    ctx: &Context,
    problem: Fmm,
    points: &[f64],
    targets: Option<&[f64]>,
) -> Result<(Vec<f64>, f64), Error> {
    let upload = |rows: &[f64]| {
        let narrow: Vec<T> = rows.iter().map(|&x| T::narrow(x)).collect();
        ctx.upload([rows.len() / 4, 4], &narrow)
    };
    let problem = match targets {
        Some(targets) => problem.targets(targets.len() / 4),
        None => problem,
    };
    let plan = problem.precision(T::DTYPE).plan(ctx)?;
    let bodies = upload(points)?;
    let mut result = ctx.zeros::<T>([targets.unwrap_or(points).len() / 4, 4])?;
    match targets {
        Some(targets) => plan.run_at(&bodies, &upload(targets)?, &mut result)?,
        None => plan.run(&bodies, &mut result)?,
    };
    Ok((result.download()?.into_iter().map(|x| x.wide()).collect(), plan.bound()))
}

fn run<T: Float + Element>(
    ctx: &Context,
    problem: Fmm,
    points: &[f64],
    targets: Option<&[f64]>,
) -> (Vec<f64>, f64) {
    try_run::<T>(ctx, problem, points, targets).unwrap()
}

fn exact(points: &[f64], targets: &[f64], side: f64) -> Vec<[f64; 4]> {
    let rows = ewald(points, targets, side);
    rows.chunks_exact(4).map(|row| [row[0], row[1], row[2], row[3]]).collect()
}

fn of(points: &[f64], side: f64) -> Fmm {
    Fmm::new(points.len() / 4).periodic(side)
}

/// As many of charge 1 as of −1, by a map of the unit cube; numbers of f32.
fn ions(count: usize, seed: u64, place: impl Fn([f64; 3]) -> [f64; 3]) -> Vec<f64> {
    let mut random = Rng::with_seed(seed);
    let row = |at: usize| {
        let [x, y, z] = place([(); 3].map(|()| random.f64()));
        [x, y, z, if at.is_multiple_of(2) { 1.0 } else { -1.0 }].map(|x| f64::from(x as f32))
    };
    (0..count).flat_map(row).collect()
}

/// Rock salt of so many ions along an edge of the unit cube, the first at the given place.
fn salt(edge: usize, first: f64) -> Vec<f64> {
    let row = |at: usize| {
        let n = [at % edge, at / edge % edge, at / edge / edge];
        let [x, y, z] = n.map(|n| first + n as f64 / edge as f64);
        [x, y, z, if n.iter().sum::<usize>() % 2 == 0 { 1.0 } else { -1.0 }]
    };
    (0..edge.pow(3)).flat_map(row).collect()
}

/// Caesium chloride of so many cells along an edge of the unit cube.
fn caesium(edge: usize) -> Vec<f64> {
    let ion = |at: usize| {
        let n = [at / 2 % edge, at / 2 / edge % edge, at / 2 / edge / edge];
        let shift = if at.is_multiple_of(2) { 0.0 } else { 0.5 };
        let [x, y, z] = n.map(|n| (n as f64 + shift) / edge as f64);
        [x, y, z, 1.0 - 4.0 * shift]
    };
    (0..2 * edge.pow(3)).flat_map(ion).collect()
}

/// Every ion's potential is Madelung's constant over the distance to its neighbours, its gradient 0.
/// Ions on a lattice lie at the same places of their cells, so errors do not average out.
fn assert_crystals<T: Float + Element>(
    ctx: &Context,
    edges: &[usize],
    order: usize,
    allowed: [f64; 2],
) {
    let mut crystals = vec![(caesium(4), 1.762_674_773_1, 3.0_f64.sqrt() / 8.0)];
    for &edge in edges {
        // On the faces, and within.
        for first in [0.0, 0.0625] {
            crystals.push((salt(edge, first), 1.747_564_594_6, 1.0 / edge as f64));
        }
    }
    for (points, known, distance) in crystals {
        let (found, _) = run::<T>(ctx, of(&points, 1.0).order(order).leaf(30), &points, None);
        for (ion, row) in points.chunks_exact(4).zip(found.chunks_exact(4)) {
            let constant = -ion[3] * row[0] * distance;
            assert!((constant - known).abs() < allowed[0], "{constant} for {known}");
            let slope = row[1..].iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            assert!(slope * distance * distance < allowed[1], "{row:?}");
        }
    }
}

/// What clouds are named, and their places in the unit cube.
type Place = fn([f64; 3]) -> [f64; 3];
const CLOUDS: [(&str, Place); 4] = [
    ("even", |x| x),
    ("in a corner", |x| x.map(|x| 0.1 * x * x)),
    ("in all corners", |x| x.map(|x| (0.2 * x + 0.9).rem_euclid(1.0))),
    ("on two faces", |[x, y, z]| [x, y, (0.04 * z + 0.98).rem_euclid(1.0)]),
];

fn assert_clouds<T: Float + Element>(ctx: &Context, orders: &[usize]) {
    let side = 2.3_f32.into();
    for (name, place) in CLOUDS {
        for background in [false, true] {
            let mut points = ions(1500, 3, |x| place(x).map(|x| x * side));
            if background {
                points.iter_mut().skip(3).step_by(4).for_each(|q| *q = q.abs());
            }
            let exact = exact(&points, &sample(&points, 100), side);
            // What rounding takes of potentials that the background cancels, of those that are left.
            let left = (exact.iter().map(|row| row[0].powi(2)).sum::<f64>() / 100.0).sqrt();
            let charge: f64 = points.iter().skip(3).step_by(4).sum();
            let lost = 22.0 * rounding(T::DTYPE) * charge.abs() / side / left;
            for &order in orders {
                let problem = of(&points, side).order(order).leaf(30);
                let problem = if background { problem.background() } else { problem };
                let (found, bound) = run::<T>(ctx, problem, &points, None);
                let errors = errors(&sample(&found, 100), &exact);
                let case = format!("{name} {background} {order}: {errors:?} above {bound:e}");
                assert!(errors[0] <= bound + lost && errors[1] <= bound, "{case} and {lost:e}");
            }
        }
    }
}

fn assert_net_charges(ctx: &Context) {
    let mut points = ions(1000, 5, |x| x.map(|x| 3.0 * x));
    points[3] = 2.0;
    let words = try_run::<f32>(ctx, of(&points, 3.0), &points, None).unwrap_err().to_string();
    let expected = "the points: expected charges whose sum is 0, or a background, found a sum of \
                    1.000000e0";
    assert_eq!(words, expected);
    let exact = exact(&points, &points, 3.0);
    let (found, bound) = run::<f32>(ctx, of(&points, 3.0).background(), &points, None);
    let errors = errors(&found, &exact);
    assert!(errors.iter().all(|&error| error <= bound), "{errors:?}");
    // Neutral but for rounding.
    let mut random = Rng::with_seed(6);
    for point in points.chunks_exact_mut(4) {
        point[3] = random.f64();
    }
    let mean = points.iter().skip(3).step_by(4).sum::<f64>() / 1000.0;
    points.iter_mut().skip(3).step_by(4).for_each(|q| *q -= mean);
    run::<f32>(ctx, of(&points, 3.0), &points, None);
}

fn assert_lone_charge(ctx: &Context) {
    // −2.8373 q / side, wherever it lies; at it no slope. Its images lie at one place of their cells,
    // where expansions err alike.
    for place in [[0.0; 3], [0.01, 2.49, 0.3], [1.25; 3], [-7.0, 12.3, 0.5]] {
        let point = [place[0], place[1], place[2], 1.5];
        let (found, _) = run::<f32>(ctx, of(&point, 2.5).background().order(14), &point, None);
        let known = -2.837_297_479_480_62 * 1.5 / 2.5;
        assert!((found[0] / known - 1.0).abs() < 1e-3, "{found:?} for {known}");
        assert!(found[1..].iter().all(|slope| slope.abs() < 1e-2), "{found:?}");
    }
}

fn assert_wrapping(ctx: &Context) {
    let side = 1.5;
    let inside = ions(1200, 7, |x| x.map(|x| (x * 1024.0).floor() / 1024.0 * side));
    let mut outside = inside.clone();
    for (at, point) in outside.chunks_exact_mut(4).enumerate() {
        for (axis, x) in point[..3].iter_mut().enumerate() {
            *x += side * ((at + axis) % 7) as f64 - 3.0 * side;
        }
    }
    let (plain, bound) = run::<f32>(ctx, of(&inside, side), &inside, None);
    let (wrapped, _) = run::<f32>(ctx, of(&outside, side), &outside, None);
    assert_eq!(plain, wrapped);
    // A shift moves points through the faces and between cells.
    let moved: Vec<f64> = inside
        .chunks_exact(4)
        .flat_map(|x| [x[0] + 0.375 * side, x[1] + 0.8125 * side, x[2] - 0.4375 * side, x[3]])
        .collect();
    let (shifted, _) = run::<f32>(ctx, of(&moved, side), &moved, None);
    let rows: Vec<[f64; 4]> =
        plain.chunks_exact(4).map(|row| [row[0], row[1], row[2], row[3]]).collect();
    let errors = errors(&shifted, &rows);
    assert!(errors.iter().all(|&error| error <= 2.0 * bound), "{errors:?}");
}

fn assert_other_targets(ctx: &Context) {
    let points = ions(1200, 8, |x| x);
    // Within, far outside, and crowded where there are no sources.
    let mut targets = ions(300, 9, |x| x.map(|x| 5.0 * x - 2.0));
    targets.extend(ions(300, 10, |x| x.map(|x| 0.01 * x)));
    let exact = exact(&points, &targets, 1.0);
    let (found, _) = run::<f32>(ctx, of(&points, 1.0).leaf(30), &points, Some(&targets));
    let errors = errors(&found, &exact);
    // Of crowds without sources the error is not one of a cloud.
    assert!(errors.iter().all(|&error| error < 1e-4), "{errors:?}");
    // None of the sources' octants has a target.
    let few = ions(20, 11, |x| x.map(|x| 0.3 * x));
    let there = ions(10, 12, |x| x.map(|x| 0.6 + 0.3 * x));
    let exact = self::exact(&few, &there, 1.0);
    let (found, _) = run::<f32>(ctx, of(&few, 1.0), &few, Some(&there));
    let errors = self::errors(&found, &exact);
    assert!(errors.iter().all(|&error| error < 1e-4), "{errors:?}");
}

#[test]
fn crystals_have_madelungs_constants() {
    assert_crystals::<f64>(&host(), &[4, 8], 24, [3e-5, 2e-4]);
    assert_crystals::<f32>(&host(), &[4, 8], 14, [1e-3, 5e-3]);
}

#[test]
fn gpu_crystals_have_madelungs_constants() {
    let Some(ctx) = gpu() else { return };
    assert_crystals::<f32>(&ctx, &[4], 14, [1e-3, 5e-3]);
}

#[test]
fn errors_stay_below_the_bound_in_a_periodic_cube() {
    assert_clouds::<f32>(&host(), &[3, 6, 10, 14]);
    assert_clouds::<f64>(&host(), &[8, 16, 24]);
}

#[test]
fn gpu_errors_stay_below_the_bound_in_a_periodic_cube() {
    let Some(ctx) = gpu() else { return };
    assert_clouds::<f32>(&ctx, &[10]);
}

#[test]
fn a_net_charge_needs_a_background() {
    assert_net_charges(&host());
}

#[test]
fn gpu_a_net_charge_needs_a_background() {
    let Some(ctx) = gpu() else { return };
    assert_net_charges(&ctx);
}

#[test]
fn one_charge_sees_its_own_lattice() {
    assert_lone_charge(&host());
}

#[test]
fn gpu_one_charge_sees_its_own_lattice() {
    let Some(ctx) = gpu() else { return };
    assert_lone_charge(&ctx);
}

#[test]
fn points_outside_count_where_their_images_lie() {
    assert_wrapping(&host());
}

#[test]
fn gpu_points_outside_count_where_their_images_lie() {
    let Some(ctx) = gpu() else { return };
    assert_wrapping(&ctx);
}

#[test]
fn other_targets_are_met_in_a_periodic_cube() {
    assert_other_targets(&host());
}

#[test]
fn gpu_other_targets_are_met_in_a_periodic_cube() {
    let Some(ctx) = gpu() else { return };
    assert_other_targets(&ctx);
}

#[test]
fn images_are_never_summed_pair_by_pair() {
    let direct = Fmm::new(9).periodic(1.0).method(Method::Direct);
    for backend in [Backend::Cpu, Backend::Gpu] {
        assert!(matches!(choose(&direct, backend), Err(Error::Unsupported { .. })));
        let (settings, _) = choose(&Fmm::new(9).periodic(1.0), backend).unwrap();
        assert!(settings.algorithm.to_string().starts_with("fmm"), "{}", settings.algorithm);
    }
}

#[test]
fn softening_must_not_reach_far_images() {
    let problem = |softening: f64| Fmm::new(9).periodic(2.0).softening(softening);
    let words = choose(&problem(0.1), Backend::Cpu).unwrap_err().to_string();
    let (_, named) = words.split_once("at most ").expect(&words);
    let named: f64 = named.split(' ').next().unwrap().parse().unwrap();
    assert!(choose(&problem(0.99 * named), Backend::Cpu).is_ok(), "{words}");
    assert!(choose(&problem(1.01 * named), Backend::Cpu).is_err(), "{words}");
    let double = Fmm::new(9).periodic(1e30).precision(DType::F64);
    assert!(choose(&double, Backend::Cpu).is_ok());
    assert!(choose(&double.precision(DType::F32), Backend::Cpu).is_err());
}

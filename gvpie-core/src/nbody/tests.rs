//! Orbits, what is conserved, edges, and the kernels against the host.

use super::models::{Bodies, galaxy, plummer};
use super::plan::division;
use super::*;
use crate::device::Backend;
use crate::element::Element;
use crate::error::Error;
use crate::tensor::Tensor;
use std::f64::consts::TAU;

fn host() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

fn gpu() -> Option<Context> {
    Context::of_tests()
}

/// A motion in f64 by the sum over all pairs.
fn exact(bodies: usize, step: f64) -> NBody {
    NBody::new(bodies).step(step).method(Method::Direct).precision(DType::F64)
}

fn begin(problem: &NBody, bodies: &Bodies) -> State<f64> {
    let ctx = host();
    let upload = |rows: &[[f64; 4]]| ctx.upload([rows.len(), 4], rows.as_flattened()).unwrap();
    let (positions, velocities) = (upload(&bodies.positions), upload(&bodies.velocities));
    problem.plan(&ctx).unwrap().begin(positions, velocities).unwrap()
}

fn begin_f32(problem: &NBody, ctx: &Context, bodies: &Bodies) -> Result<State<f32>> {
    let upload = |rows: &[[f64; 4]]| {
        let narrow: Vec<f32> = rows.as_flattened().iter().map(|&x| x as f32).collect();
        ctx.upload([rows.len(), 4], &narrow)
    };
    let plan = problem.clone().precision(DType::F32).plan(ctx)?;
    plan.begin(upload(&bodies.positions)?, upload(&bodies.velocities)?)
}

/// Two bodies of masses ¾ and ¼ at the far ends of an orbit of semi-major axis 1: its period is 2π.
fn kepler(eccentricity: f64) -> Bodies {
    let apart = 1.0 + eccentricity;
    let speed = ((1.0 - eccentricity) / (1.0 + eccentricity)).sqrt();
    Bodies {
        positions: vec![[-0.25 * apart, 0.0, 0.0, 0.75], [0.75 * apart, 0.0, 0.0, 0.25]],
        velocities: vec![[0.0, -0.25 * speed, 0.0, 0.0], [0.0, 0.75 * speed, 0.0, 0.0]],
    }
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} within {tolerance}");
}

#[test]
fn an_orbit_has_its_period_and_errs_with_the_square_of_the_step() {
    let bodies = kepler(0.5);
    let errors = [2000, 4000, 8000].map(|steps: u32| {
        let mut state = begin(&exact(2, TAU / f64::from(steps)), &bodies);
        near(state.integrals().unwrap().energy(), -0.75 * 0.25 / 2.0, 1e-15);
        state.advance(steps.into()).unwrap();
        near(state.time(), TAU, 1e-14);
        let x = state.positions().download().unwrap();
        let error = (0..8).map(|i| x[i] - bodies.positions.as_flattened()[i]);
        error.map(|d| d * d).sum::<f64>().sqrt()
    });
    assert!(errors[0] < 1e-3, "{errors:?}");
    for pair in errors.windows(2) {
        near(pair[0] / pair[1], 4.0, 0.05);
    }
}

#[test]
fn the_energy_of_an_orbit_oscillates_and_comes_back() {
    let mut state = begin(&exact(2, TAU / 500.0), &kepler(0.5));
    let start = state.integrals().unwrap();
    let mut worst: f64 = 0.0;
    for _ in 0..10 {
        for _ in 0..50 {
            state.advance(10).unwrap();
            worst = worst.max((state.integrals().unwrap().energy() / start.energy() - 1.0).abs());
        }
        // Ten times round without a drift: at the far end the error is a tenth of the worst.
        let now = state.integrals().unwrap();
        assert!((now.energy() / start.energy() - 1.0).abs() < 0.1 * worst + 1e-6);
        near(now.angular_momentum[2], start.angular_momentum[2], 1e-14);
    }
    assert!(worst > 1e-5 && worst < 1e-3, "{worst}");
}

#[test]
fn motion_runs_backwards() {
    let problem = exact(64, 0.01).softening(0.05);
    let bodies = plummer(64, 1);
    let mut state = begin(&problem, &bodies);
    state.advance(100).unwrap();
    let there = state.checkpoint().unwrap();
    let rows = |flat: &[f64]| flat.as_chunks::<4>().0.to_vec();
    let turned: Vec<f64> = there.velocities.iter().map(|v| -v).collect();
    let back = Bodies { positions: rows(&there.positions), velocities: rows(&turned) };
    let mut state = begin(&problem, &back);
    state.advance(100).unwrap();
    let x = state.positions().download().unwrap();
    for (found, &expected) in x.iter().zip(bodies.positions.as_flattened()) {
        near(*found, expected, 1e-11);
    }
}

#[test]
fn momenta_and_masses_are_kept() {
    let mut bodies = plummer(200, 2);
    bodies.positions[3][3] = 0.0; // a probe without mass
    let mut state = begin(&exact(200, 0.01).softening(0.01), &bodies);
    let start = state.integrals().unwrap();
    near(start.mass, 1.0 - 1.0 / 200.0, 1e-14);
    state.advance(50).unwrap();
    let end = state.integrals().unwrap();
    for axis in 0..3 {
        near(end.momentum[axis], start.momentum[axis], 1e-14);
        near(end.angular_momentum[axis], start.angular_momentum[axis], 1e-14);
        let moved = start.centre[axis] + state.time() * start.momentum[axis] / start.mass;
        near(end.centre[axis], moved, 1e-13);
    }
    assert_eq!(end.mass, start.mass);
    let x = state.positions().download().unwrap();
    assert!((x[12] - bodies.positions[3][0]).abs() > 1e-3, "the probe has not moved");
}

#[test]
fn integrals_are_those_of_the_formula() {
    let bodies = galaxy(50, 3);
    for softening in [0.0, 0.1] {
        let state = begin(&exact(50, 0.01).softening(softening), &bodies);
        let found = state.integrals().unwrap();
        let mut expected = Integrals::default();
        for (i, (x, v)) in bodies.positions.iter().zip(&bodies.velocities).enumerate() {
            expected.kinetic += 0.5 * x[3] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
            for y in &bodies.positions[..i] {
                let square: f64 = (0..3).map(|a| (x[a] - y[a]).powi(2)).sum();
                expected.potential -= x[3] * y[3] / (square + softening * softening).sqrt();
            }
            expected.angular_momentum[2] += x[3] * (x[0] * v[1] - x[1] * v[0]);
        }
        near(found.kinetic, expected.kinetic, 1e-14);
        near(found.potential, expected.potential, 1e-13);
        near(found.angular_momentum[2], expected.angular_momentum[2], 1e-14);
        (0..3).for_each(|axis| near(found.momentum[axis], 0.0, 1e-14));
        (0..3).for_each(|axis| near(found.centre[axis], 0.0, 1e-14));
    }
}

#[test]
fn a_cluster_keeps_its_energy() {
    let bodies = plummer(512, 4);
    let problem = exact(512, 1.0 / 64.0).softening(0.05);
    let mut precise = begin(&problem, &bodies);
    let mut single = begin_f32(&problem, &host(), &bodies).unwrap();
    let start = precise.integrals().unwrap().energy();
    near(single.integrals().unwrap().energy(), start, 1e-7);
    precise.advance(64).unwrap();
    single.advance(64).unwrap();
    let drift = precise.integrals().unwrap().energy() / start - 1.0;
    let drift_f32 = single.integrals().unwrap().energy() / start - 1.0;
    assert!(drift.abs() < 2e-4, "{drift}");
    assert!((drift_f32 - drift).abs() < 1e-5, "{drift_f32}, {drift}");
    assert_eq!(single.evaluations(), 65);
}

#[test]
fn a_resumed_motion_is_the_same_to_the_bit() {
    let bodies = plummer(100, 5);
    for adaptive in [None, Some(0.005)] {
        let problem = NBody { adaptive, ..exact(100, 0.05).softening(0.02) };
        fn check<T: Element>(mut whole: State<T>, mut half: State<T>) {
            whole.advance(10).unwrap();
            half.advance(5).unwrap();
            let taken = half.checkpoint().unwrap();
            let mut resumed = half.plan().resume(&taken).unwrap();
            assert_eq!(resumed.checkpoint().unwrap(), taken);
            resumed.advance(5).unwrap();
            let (resumed, whole) = (resumed.checkpoint().unwrap(), whole.checkpoint().unwrap());
            let bits = |x: &[T]| bytemuck::cast_slice::<T, u8>(x).to_vec();
            assert_eq!(bits(&resumed.positions), bits(&whole.positions));
            assert_eq!(bits(&resumed.velocities), bits(&whole.velocities));
            assert_eq!(bits(&resumed.field), bits(&whole.field));
            assert_eq!((resumed.steps, whole.steps), (10, 10));
        }
        check(begin(&problem, &bodies), begin(&problem, &bodies));
        let single = || begin_f32(&problem, &host(), &bodies).unwrap();
        check(single(), single());
    }
}

#[test]
fn steps_are_divided_as_far_as_accelerations_ask() {
    let of = |square| division(0.5, 0.02, 1.0, square);
    assert_eq!([0.0, 0.01, 0.025].map(|square| of(square).unwrap()), [0; 3]);
    assert_eq!([0.026, 0.4, 0.42].map(|square| of(square).unwrap()), [1, 1, 2]);
    assert!(matches!(of(1e30), Err(Error::Value { .. })));

    // A long orbit with a sharp turn: parts of a step spare its energy.
    let bodies = kepler(0.9);
    let run = |problem: NBody| {
        let mut state = begin(&problem, &bodies);
        let start = state.integrals().unwrap().energy();
        state.advance(64).unwrap();
        let error = (state.integrals().unwrap().energy() / start - 1.0).abs();
        (error, state.evaluations())
    };
    let problem = exact(2, TAU / 64.0).softening(0.01);
    let (fixed, _) = run(problem.clone());
    let (divided, evaluations) = run(problem.adaptive(0.02));
    assert!(divided < 0.05 * fixed, "{divided}, {fixed}");
    assert!((200..4000).contains(&evaluations), "{evaluations}");
}

#[test]
fn none_and_one_are_bodies_too() {
    let nothing = begin(&exact(0, 0.1), &Bodies::default());
    assert_eq!(nothing.integrals().unwrap(), Integrals::default());
    let one =
        Bodies { positions: vec![[1.0, 2.0, 3.0, 4.0]], velocities: vec![[0.5, 0.0, -1.0, 0.0]] };
    for softening in [0.0, 0.125] {
        let mut state = begin(&exact(1, 0.25).softening(softening), &one);
        state.advance(4).unwrap();
        assert_eq!(state.positions().download().unwrap(), [1.5, 2.0, 2.0, 4.0]);
        let integrals = state.integrals().unwrap();
        assert_eq!((integrals.kinetic, integrals.potential), (2.5, 0.0));
        assert_eq!(integrals.momentum, [2.0, 0.0, -4.0]);
        assert_eq!(integrals.centre, [1.5, 2.0, 2.0]);
    }
    let mut still = begin(&exact(1, 0.25).softening(0.5).adaptive(0.1), &one);
    still.advance(3).unwrap();
    assert_eq!(still.evaluations(), 4);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let ctx = host();
    let words = |problem: NBody| problem.plan(&ctx).unwrap_err().to_string();
    assert_eq!(words(NBody::new(2).step(-0.1)), "step=-0.1: expected a length of time above 0");
    assert!(words(NBody::new(2).step(f64::NAN)).starts_with("step=NaN"));
    assert!(words(NBody::new(2).softening(-1.0)).starts_with("softening=-1"));
    assert!(words(NBody::new(2).adaptive(0.0).softening(1.0)).starts_with("adaptive=0"));
    assert!(words(NBody::new(2).adaptive(0.1)).starts_with("softening=0"));

    let plan = NBody::new(2).plan(&ctx).unwrap();
    let rows = || ctx.zeros::<f32>([2, 4]).unwrap();
    let refused = |x: Tensor<f32>, v: Tensor<f32>| plan.begin(x, v).unwrap_err().to_string();
    let long = ctx.zeros::<f32>([3, 4]).unwrap();
    assert_eq!(refused(long, rows()), "the positions: expected shape 2x4, found shape 3x4");
    let flat = ctx.zeros::<f32>([8]).unwrap();
    assert_eq!(refused(rows(), flat), "the velocities: expected shape 2x4, found shape 8");
    let bad = |at: usize, value: f32| {
        let mut data = [0.0; 8];
        data[at] = value;
        ctx.upload([2, 4], &data).unwrap()
    };
    let words = refused(bad(6, f32::NAN), rows());
    assert_eq!(words, "the positions, row 1: expected finite numbers, found NaN");
    let words = refused(bad(3, 1.0), bad(2, f32::INFINITY));
    assert_eq!(words, "the velocities, row 0: expected finite numbers, found inf");
    let doubles = || ctx.zeros::<f64>([2, 4]).unwrap();
    assert!(matches!(plan.begin(doubles(), doubles()), Err(Error::Element { .. })));
    let foreign = host().zeros::<f32>([2, 4]).unwrap();
    assert!(matches!(plan.begin(foreign, rows()), Err(Error::Foreign { .. })));
    let short = Checkpoint { positions: vec![0.0_f32; 4], ..Checkpoint::default() };
    let words = plan.resume(&short).unwrap_err().to_string();
    assert_eq!(words, "the positions: expected 8 elements for shape 2x4, found 4 elements");
}

#[test]
fn a_plummer_sphere_is_in_equilibrium() {
    let bodies = plummer(4000, 6);
    assert_eq!(bodies, plummer(4000, 6));
    assert_ne!(bodies, plummer(4000, 7));
    let start = begin(&exact(4000, 0.01), &bodies).integrals().unwrap();
    near(start.energy(), -0.25, 0.01);
    near(-2.0 * start.kinetic / start.potential, 1.0, 0.03);
    near(start.mass, 1.0, 1e-12);
    // Half of the mass lies within 1.305 scale radii of 3π/16.
    let radius = |x: &[f64; 4]| x[..3].iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut radii: Vec<f64> = bodies.positions.iter().map(radius).collect();
    radii.sort_by(f64::total_cmp);
    near(radii[2000], 0.769, 0.03);
}

#[test]
fn galaxies_turn_and_meet() {
    let bodies = galaxy(1000, 8);
    assert_eq!((bodies.positions.len(), &bodies), (1000, &galaxy(1000, 8)));
    let mut state = begin(&exact(1000, 0.1).softening(0.05), &bodies);
    let start = state.integrals().unwrap();
    near(start.mass, 1.0, 1e-12);
    // Bound, and turning about as the larger disc does.
    assert!(start.energy() < -0.05 && start.angular_momentum[2] > 0.2, "{start:?}");
    let large = |x: &[f64]| x[..4 * 650].chunks(4).map(|x| x[0]).sum::<f64>() / 650.0;
    let before = large(bodies.positions.as_flattened());
    state.advance(50).unwrap();
    // Nearer after five units of time; and the large disc is still one.
    let x = state.positions().download().unwrap();
    let after = large(&x);
    assert!(before < -3.0 && after > before + 0.5, "{before}, {after}");
    let mut radii: Vec<f64> = x[..4 * 650].chunks(4).map(|x| (x[0] - after).hypot(x[1])).collect();
    radii.sort_by(f64::total_cmp);
    assert!((0.5..2.5).contains(&radii[325]), "{}", radii[325]);
    for count in [0, 1, 2] {
        assert_eq!(galaxy(count, 1).positions.len(), count);
        assert_eq!(plummer(count, 1).velocities.len(), count);
    }
}

#[test]
fn gpu_kernels_do_what_the_host_does() {
    let Some(ctx) = gpu() else { return };
    let mut random = fastrand::Rng::with_seed(9);
    for bodies in [1, 127, 128, 129, 5000, 40_000] {
        let kernels = gpu::Prepared::new(&ctx, bodies).unwrap();
        let mut draw = |shift: f32| -> Vec<f32> {
            (0..4 * bodies).map(|_| random.f32() - 0.5 + shift).collect()
        };
        let (x, v, field) = (draw(0.5), draw(0.25), draw(0.5));
        let upload = |data: &[f32]| ctx.upload([bodies, 4], data).unwrap();
        let (on_x, on_v, on_field) = (upload(&x), upload(&v), upload(&field));
        let bytes = kernels.part_bytes();
        let sums = crate::buffer::Buffer::zeroed(ctx.device(), bytes, "sums").unwrap();
        let read = || sums.read(0..bytes).unwrap();

        let mut batch = ctx.batch("steepest");
        kernels.steepest(&mut batch, on_field.buffer(), &sums).unwrap();
        batch.submit().unwrap();
        let (found, expected) = (kernels.largest(&read()), cpu::steepest(&field));
        near(found, expected, 4e-7 * expected);

        let own = 3.0;
        let mut batch = ctx.batch("measure");
        let (bx, bv, bf) = (on_x.buffer(), on_v.buffer(), on_field.buffer());
        kernels.measure(&mut batch, own, bx, bv, bf, &sums).unwrap();
        batch.submit().unwrap();
        let found = kernels.total(&read());
        for (found, expected) in found.into_iter().zip(cpu::measure(own, &x, &v, &field)) {
            // Each term is rounded a few times; sums add nothing.
            near(found, expected, 1e-6 * (bodies as f64).sqrt() + 1e-7 * expected.abs());
        }

        let mut batch = ctx.batch("kick and drift");
        kernels.kick(&mut batch, 0.25, bf, bv).unwrap();
        kernels.drift(&mut batch, 0.5, bv, bx).unwrap();
        batch.submit().unwrap();
        let (mut x, mut v) = (x, v);
        cpu::kick(0.25, &field, &mut v);
        cpu::drift(0.5, &v, &mut x);
        for (on_gpu, host) in [(&on_x, x), (&on_v, v)] {
            let on_gpu = on_gpu.download().unwrap();
            for (found, expected) in on_gpu.into_iter().zip(host) {
                near(found.into(), expected.into(), 3e-7);
            }
        }
    }
}

#[test]
fn gpu_states_follow_the_host_and_resume_to_the_bit() {
    let Some(ctx) = gpu() else { return };
    let bodies = plummer(600, 10);
    for (method, adaptive) in [(Method::Direct, None), (Method::Fmm, Some(0.02))] {
        let problem = NBody { adaptive, ..exact(600, 0.02).softening(0.05).method(method) };
        let mut precise = begin(&NBody { method: Method::Direct, ..problem.clone() }, &bodies);
        let start = precise.integrals().unwrap();
        let mut state = begin_f32(&problem, &ctx, &bodies).unwrap();
        let found = state.integrals().unwrap();
        near(found.kinetic, start.kinetic, 1e-6);
        near(found.potential, start.potential, 1e-5);
        near(found.mass, 1.0, 1e-6);
        state.advance(2).unwrap();
        let taken = state.checkpoint().unwrap();
        state.advance(2).unwrap();
        precise.advance(4).unwrap();
        let found = state.positions().download().unwrap();
        for (found, expected) in found.iter().zip(precise.positions().download().unwrap()) {
            near((*found).into(), expected, 1e-5);
        }
        let mut resumed = state.plan().resume(&taken).unwrap();
        resumed.advance(2).unwrap();
        assert_eq!(resumed.checkpoint().unwrap(), state.checkpoint().unwrap());
    }
    let nothing = begin_f32(&exact(0, 0.1), &ctx, &Bodies::default()).unwrap();
    assert_eq!(nothing.integrals().unwrap(), Integrals::default());
}

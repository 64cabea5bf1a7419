//! Choices, edges and the oracle.

use super::proof::{Case, hard_cases, tolerance};
use super::*;
use crate::device::Backend;
use std::collections::HashSet;

fn host() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

/// The words of the error that a problem's plan ends in.
fn refused(problem: Fft) -> String {
    problem.plan(&host()).unwrap_err().to_string()
}

#[test]
fn problems_that_make_no_sense_are_refused_by_name() {
    let words = refused(Fft::new([4, 5]).axes([2]));
    assert_eq!(words, "axes: expected axes below 2, as shape 4x5 has, found 2");
    let words = refused(Fft::new([4, 5]).axes([1, 1]));
    assert_eq!(words, "axes: expected each axis once, found axis 1 again in [1, 1]");
    assert!(refused(Fft::new([4, 5]).axes([])).contains("at least one axis"));
    assert!(refused(Fft::new([])).contains("axes below 0"));
    assert!(refused(Fft::new([4, 0])).contains("at least 1 along axis 1"));
    assert!(refused(Fft::real([0]).inverse()).contains("at least 1 along axis 0"));
    assert!(refused(Fft::new([8]).pad(9)).contains("1 to 8"));
    assert!(refused(Fft::new([8]).pad(0)).contains("1 to 8"));
    let half = Fft::real([8]).inverse();
    assert!(matches!(half.clone().pad(4).plan(&host()), Err(Error::Unsupported { .. })));
    assert!(matches!(half.spectrum().plan(&host()), Err(Error::Unsupported { .. })));
    let precise = Fft::new([8]).precision(DType::F16).plan(&host());
    assert!(matches!(precise, Err(Error::Element { found: "f16", .. })));
}

#[test]
fn operands_that_do_not_fit_are_refused_by_name() {
    let ctx = host();
    let plan = Fft::real([4, 6]).plan(&ctx).unwrap();
    let x = ctx.zeros::<f32>([4, 6]).unwrap();
    let mut y = ctx.zeros::<Complex<f32>>([4, 4]).unwrap();
    plan.run(&x, &mut y).unwrap();
    let short = ctx.zeros::<f32>([4, 5]).unwrap();
    let words = plan.run(&short, &mut y).unwrap_err().to_string();
    assert_eq!(words, "the input: expected shape 4x6, found shape 4x5");
    let mut long = ctx.zeros::<Complex<f32>>([4, 6]).unwrap();
    let words = plan.run(&x, &mut long).unwrap_err().to_string();
    assert_eq!(words, "the output: expected shape 4x4, found shape 4x6");
    let wide = ctx.zeros::<f64>([4, 6]).unwrap();
    assert!(matches!(plan.run(&wide, &mut y), Err(Error::Element { .. })));
    let foreign = host().zeros::<f32>([4, 6]).unwrap();
    assert!(matches!(plan.run(&foreign, &mut y), Err(Error::Foreign { .. })));
    assert!(matches!(plan.run_in_place(&mut y), Err(Error::Unsupported { .. })));
    let folded = y.view_mut().map(|y| y.strided([4, 4], &[1, 1], 0)).unwrap();
    assert!(plan.run(&x, folded).unwrap_err().to_string().contains("do not overlap"));
    let spectrum = ctx.rfft(&x).unwrap();
    let words = ctx.irfft(&spectrum, 9).unwrap_err().to_string();
    assert_eq!(words, "the input: expected shape 4x5, found shape 4x4");
}

#[test]
fn hooks_are_given_as_they_were_asked_for() {
    let ctx = host();
    let x = ctx.zeros::<f32>([3, 6]).unwrap();
    let mut y = ctx.zeros::<Complex<f32>>([3, 5]).unwrap();
    let plan = Fft::real([3, 8]).pad(6).window().spectrum().plan(&ctx).unwrap();
    let window = ctx.zeros::<f32>([6]).unwrap();
    let spectrum = ctx.zeros::<Complex<f32>>([5]).unwrap();
    let hooks = Hooks::new().window(&window).spectrum(&spectrum);
    plan.run_with(&x, hooks.clone(), &mut y).unwrap();
    let words = plan.run(&x, &mut y).unwrap_err().to_string();
    assert_eq!(words, "the window: expected a vector of shape 6, found none");
    let words = plan.run_with(&x, Hooks::new().window(&window), &mut y).unwrap_err().to_string();
    assert_eq!(words, "the spectrum: expected a vector of shape 5, found none");
    let long = ctx.zeros::<f32>([8]).unwrap();
    let words = plan.run_with(&x, hooks.clone().window(&long), &mut y).unwrap_err().to_string();
    assert_eq!(words, "the window: expected shape 6, found shape 8");
    let plain = Fft::real([3, 8]).pad(6).plan(&ctx).unwrap();
    let words = plain.run_with(&x, hooks, &mut y).unwrap_err().to_string();
    assert!(words.starts_with("the window: expected none"), "{words}");
}

/// By hand: x = 1, 2, 3 has the spectrum 6, (−3 ± √3·i)/2.
#[test]
fn small_transforms_are_what_the_formula_says() {
    let ctx = host();
    let near = |found: Vec<Complex<f64>>, expected: &[(f64, f64)]| {
        assert_eq!(found.len(), expected.len());
        for (found, &(re, im)) in found.iter().zip(expected) {
            assert!((found - Complex::new(re, im)).norm() < 1e-14, "{found}, not {re} + {im}i");
        }
    };
    let half = 0.75_f64.sqrt();
    let x = ctx.upload([3], &[1.0_f64, 2.0, 3.0]).unwrap();
    near(ctx.rfft(&x).unwrap().download().unwrap(), &[(6.0, 0.0), (-1.5, half)]);
    let x = ctx.upload([3], &[1.0_f64, 2.0, 3.0].map(Complex::from)).unwrap();
    let y = ctx.fft(&x).unwrap();
    near(y.download().unwrap(), &[(6.0, 0.0), (-1.5, half), (-1.5, -half)]);
    near(ctx.ifft(&y).unwrap().download().unwrap(), &[(1.0, 0.0), (2.0, 0.0), (3.0, 0.0)]);
    // Along both axes of two by two: the sum of all, and differences.
    let x = ctx.upload([2, 2], &[1.0_f64, 2.0, 3.0, 5.0].map(Complex::from)).unwrap();
    let mut y = ctx.zeros([2, 2]).unwrap();
    let problem = Fft::new([2, 2]).all_axes().precision(DType::F64);
    problem.clone().plan(&ctx).unwrap().run(&x, &mut y).unwrap();
    near(y.download().unwrap(), &[(11.0, 0.0), (-3.0, 0.0), (-5.0, 0.0), (1.0, 0.0)]);
    problem.norm(Norm::Ortho).scale(2.0).plan(&ctx).unwrap().run(&x, &mut y).unwrap();
    near(y.download().unwrap(), &[(11.0, 0.0), (-3.0, 0.0), (-5.0, 0.0), (1.0, 0.0)]);
}

/// What a real signal's spectrum cannot have is not read: the imaginary parts of its ends.
#[test]
fn the_real_inverse_ignores_imaginary_ends() {
    let ctx = host();
    for (n, last) in [(4, 7.0), (5, 0.0)] {
        let ends = [(1.0_f32, 9.0_f32), (0.5, 0.25), (0.0, last)];
        let given = ctx.upload([3], &ends.map(|(re, im)| Complex::new(re, im))).unwrap();
        let clean = [(1.0_f32, 0.0_f32), (0.5, 0.25), (0.0, 0.0)];
        let clean = ctx.upload([3], &clean.map(|(re, im)| Complex::new(re, im))).unwrap();
        let [found, expected] = [given, clean].map(|x| ctx.irfft(&x, n).unwrap());
        assert_eq!(found.download().unwrap(), expected.download().unwrap());
    }
}

#[test]
fn one_plan_serves_many_threads() {
    let ctx = host();
    let plan = Fft::new([64, 64]).all_axes().plan(&ctx).unwrap();
    let data: Vec<Complex<f32>> =
        (0..4096).map(|i| Complex::new((i % 17) as f32, (i % 5) as f32)).collect();
    let x = ctx.upload([64, 64], &data).unwrap();
    let run = || {
        let mut y = ctx.zeros::<Complex<f32>>([64, 64]).unwrap();
        plan.run(&x, &mut y).unwrap();
        y.download().unwrap()
    };
    let alone = run();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().for_each(|thread| assert!(thread.join().unwrap() == alone));
    });
}

#[test]
fn flops_and_shapes_are_counted_as_others_count() {
    assert_eq!(Fft::new([10, 1024]).flops(), 5.0 * 10.0 * 1024.0 * 10.0);
    assert_eq!(Fft::real([32, 32]).all_axes().flops(), 2.5 * 1024.0 * 10.0);
    let real = Fft::real([4, 7, 10]).axes([2, 1]);
    assert_eq!(real.output(), (Shape::from([4, 4, 10]), DType::C64));
    assert_eq!(real.inverse().input(), (Shape::from([4, 4, 10]), DType::C64));
    assert_eq!(Fft::new([4, 8]).pad(3).input().0, Shape::from([4, 3]));
}

#[test]
fn the_table_holds_what_it_says() {
    let cases = hard_cases();
    let reasons: HashSet<_> = cases.iter().map(|case| case.why).collect();
    assert!(cases.len() > 500 && reasons.len() > 30, "{}, {}", cases.len(), reasons.len());
    assert!(cases.iter().any(|case| case.in_place && case.input.turn > 0));
    assert!(cases.iter().all(|case| tolerance(&case.problem) < 1e-6));
}

#[test]
fn one_wrong_line_of_a_large_batch_is_seen() {
    let ctx = host();
    let allowed = Case::dense("right", Fft::new([70_000, 4])).check(&ctx, 1).unwrap().allowed;
    let expected = vec![Complex::new(1.0, -1.0); 280_000];
    let mut found = expected.clone();
    found[139_999] = Complex::new(1.0, 1.0);
    assert!(proof::relative(&found, &expected) > 1e4 * allowed);
    found[139_999] = Complex::new(f64::NAN, 0.0);
    assert!(proof::relative(&found, &expected).is_nan());
}

#[test]
fn bounds_are_those_of_the_text() {
    assert_eq!(tolerance(&Fft::new([1])), 0.5_f64.powi(23));
    assert_eq!(tolerance(&Fft::new([3]).inverse()), 0.5_f64.powi(23));
    assert_eq!(tolerance(&Fft::new([4]).inverse()), 5e-8 * 2.0_f64.sqrt());
    let (single, hooks) = (5e-8 * 10.0_f64.sqrt(), 0.5_f64.powi(22));
    assert_eq!(tolerance(&Fft::new([1024]).window().spectrum()), single + hooks);
    let double = Fft::new([1024]).precision(DType::F64);
    assert_eq!(tolerance(&double), single * 0.5_f64.powi(27));
}

/// The recipe of a dense problem on a device with so much memory and so many threads a workgroup.
fn recipe(problem: Fft, workgroup_storage: usize, invocations: usize) -> super::recipe::Recipe {
    use super::bindings::Binding;
    use super::recipe::{Facts, Side};
    let binding = Binding { most: 1 << 32, alignment: 16 };
    let facts = Facts { workgroup_storage, invocations, f64: true, binding, software: false };
    let side = |shape: Shape| Side { strides: shape.strides(), offset: 0 };
    let (x, y) = (side(problem.input().0), side(problem.output().0));
    Recipe::choose(&problem, &facts, &x, &y).unwrap()
}

#[test]
fn recipes_are_chosen_without_a_device() {
    let large = |problem| recipe(problem, 48 << 10, 1024).to_string();
    assert_eq!(large(Fft::new([64, 256])), "256=16*16/16x16rr");
    assert_eq!(large(Fft::new([64, 4096])), "4096=16*16*16/256x1rr");
    assert_eq!(large(Fft::new([64, 1000])), "1000=10*10*10/100x3rr");
    let two = large(Fft::new([2, 1 << 16]));
    assert_eq!(two, "[256=16*16/16x16cc 256=16*16/16x16rc]");
    assert_eq!(large(Fft::new([2, 1 << 24])).matches("cc").count(), 2); // and a third pass
    assert!(large(Fft::new([9, 1013])).ends_with('~')); // a convolution in one pass
    // The least that WebGPU promises.
    let small = |problem| recipe(problem, 16 << 10, 256).to_string();
    assert_eq!(small(Fft::new([64, 256])), "256=16*16/16x13rr");
    assert_eq!(small(Fft::new([64, 4096])), "4096=16*16*16/256x1rr:2");
    assert_eq!(small(Fft::new([64, 8192])), "8192=32*16*16/256x1rr:4");
    assert_eq!(small(Fft::new([64, 16_384])).matches('=').count(), 2);
    assert_eq!(
        recipe(Fft::new([8, 64]), 48 << 10, 1024),
        recipe(Fft::new([8, 64]), 48 << 10, 1024)
    );
}

/// Primes of which one less is smooth, and for which its convolution fits a workgroup, are Rader's;
/// all others Bluestein's.
#[test]
fn prime_lengths_are_the_cheaper_convolution() {
    use super::radix::{effort, prime, smooth};
    let large = |n| recipe(Fft::new([9, n]), 48 << 10, 1024).to_string();
    for n in (17..2048).chain([4951, 8191]).filter(|&n| prime(n)) {
        let found = large(n);
        if smooth(n - 1) {
            assert!(found.starts_with(&format!("{}=", n - 1)), "{n}: {found}");
            assert!(found.ends_with(&format!("~{n}")), "{n}: {found}");
            assert!(effort(n - 1) < effort(2 * n.next_power_of_two()), "{n}");
        } else {
            assert!(found.ends_with('~'), "{n}: {found}");
        }
    }
    assert!(large(1013).ends_with('~') && large(2 * 17).ends_with('~'));
    // One that is too long for a workgroup is four passes, as it was.
    assert!(!large(65_537).contains('~') && large(65_537).matches('=').count() == 4);
    let small = |n| recipe(Fft::new([9, n]), 16 << 10, 256).to_string();
    assert!(small(2311).ends_with("~2311") && !small(4951).contains('~'));
    let double = Fft::new([9, 4951]).precision(DType::F64);
    assert!(recipe(double, 48 << 10, 1024).to_string().ends_with("~4951"));
}

#[test]
fn powers_of_a_generator_are_all_numbers_below_the_prime() {
    use super::twiddles::{generator, powers};
    assert_eq!([3, 5, 7, 17, 41, 257, 1009].map(generator), [2, 2, 3, 3, 6, 3, 11]);
    assert_eq!(powers(7), [1, 3, 2, 6, 4, 5]);
    for n in [3, 17, 1009, 4951, 8191, 65_537] {
        let mut all = powers(n);
        all.sort_unstable();
        assert!(all.into_iter().eq(1..n as u32), "{n}");
    }
}

#[test]
fn lines_longer_than_the_memory_of_a_workgroup_go_through_it_in_parts() {
    use super::recipe::{Facts, Recipe, Side};
    let chosen = |problem: Fft, storage: usize| recipe(problem, storage << 10, 1024).to_string();
    assert_eq!(chosen(Fft::new([64, 8192]), 48), "8192=32*16*16/256x1rr:2");
    assert_eq!(chosen(Fft::new([64, 8192]), 32), "8192=32*16*16/256x1rr:2");
    assert_eq!(chosen(Fft::new([64, 16_384]), 48), "16384=32*32*16/512x1rr:2");
    assert_eq!(chosen(Fft::new([64, 16_384]), 32), "16384=32*32*16/512x1rr:4");
    assert_eq!(chosen(Fft::new([64, 16_384]), 228), "16384=32*32*16/512x1rr:2");
    // A software driver takes minutes to compile what is unrolled so far.
    let binding = super::bindings::Binding { most: 1 << 32, alignment: 16 };
    let facts = Facts {
        workgroup_storage: 48 << 10,
        invocations: 1024,
        f64: true,
        binding,
        software: true,
    };
    let side = Side { strides: vec![8192, 1], offset: 0 };
    let software = Recipe::choose(&Fft::new([64, 8192]), &facts, &side, &side).unwrap();
    assert!(software.to_string().starts_with('['));
    // An odd radix leaves no halves; registers hold no more; columns are read together.
    assert!(chosen(Fft::new([64, 15_625]), 48).starts_with('['));
    assert!(chosen(Fft::new([64, 1 << 15]), 48).starts_with('['));
    assert!(chosen(Fft::new([1 << 14, 64]).axes([0]), 48).starts_with('['));
    let double = |n| chosen(Fft::new([64, n]).precision(DType::F64), 48);
    assert_eq!(double(8192), "8192=32*16*16/256x1rr:2");
    assert!(double(16_384).starts_with('['));
}

/// Workgroups of so little memory that lines go through it in parts, short as these are.
#[test]
fn gpu_fft_in_parts_is_that_in_one() {
    use super::plan::Operands;
    use super::program::{Key, Program};
    use super::recipe::{Facts, Recipe, Side};
    let Some(ctx) = Context::of_tests() else { return };
    let host = Context::on(Backend::Cpu).unwrap();
    let cases = [
        (64, ":2"),
        (64, ":4"),
        (256, ":2"),
        (512, ":2"),
        (1000, ":2"),
        (288, ":2"),
        (97, ":2~97"),
        (67, "~67"),
    ];
    for (n, expected) in cases {
        let problem = Fft::new([3, n]);
        let strides = problem.input().0.strides();
        let side = Side { strides, offset: 0 };
        let facts = |workgroup_storage| Facts {
            workgroup_storage,
            invocations: 256,
            f64: false,
            binding: super::bindings::Binding { most: 1 << 27, alignment: 256 },
            software: true,
        };
        // The most memory with which the recipe is of that form.
        let storage = (128..12 * n).rev().find(|&storage| {
            Recipe::choose(&problem, &facts(storage), &side, &side)
                .is_ok_and(|recipe| recipe.to_string().ends_with(expected))
        });
        let storage = storage.unwrap_or_else(|| panic!("{n} is never {expected}"));
        let mut random = fastrand::Rng::with_seed(n as u64);
        let mut draw = || random.f32() - 0.5;
        let data: Vec<_> = (0..3 * n).map(|_| Complex::new(draw(), draw())).collect();
        for (problem, in_place) in [(problem.clone(), false), (problem.inverse(), true)] {
            let key = Key { x: side.clone(), y: side.clone(), in_place };
            let program = Program::new(&problem, &ctx, &facts(storage), key).unwrap();
            let x = ctx.upload([3, n], &data).unwrap();
            let zeros = ctx.zeros([3, n]).unwrap();
            let y = if in_place { &x } else { &zeros };
            let [x, out] = [&x, y].map(|tensor| tensor.view().operand());
            let operands = Operands { x, y: out, window: None, spectrum: None };
            let mut batch = ctx.batch("fft");
            program.record(&mut batch, &ctx, &operands).unwrap();
            batch.submit().unwrap();
            let mut right = host.zeros::<Complex<f32>>([3, n]).unwrap();
            let x = host.upload([3, n], &data).unwrap();
            problem.plan(&host).unwrap().run(&x, &mut right).unwrap();
            let found = y.download().unwrap();
            let wide = |x: Vec<Complex<f32>>| -> Vec<Complex<f64>> {
                x.iter().map(|x| Complex::new(x.re.into(), x.im.into())).collect()
            };
            let right = wide(right.download().unwrap());
            let error = proof::relative(&wide(found), &right);
            assert!(error < 4e-7, "{n}: {error:.2e}, {expected}");
        }
    }
}

/// Lines beside their mirrors make a half spectrum of two passes, or read it, where eight of them fit.
#[test]
fn halves_of_long_lines_take_no_pass_of_their_own() {
    let large = |problem| recipe(problem, 48 << 10, 1024).to_string();
    assert!(!large(Fft::real([2, 1 << 14])).contains('|')); // in one pass
    for n in (16..=22).map(|log| 1 << log).chain([100_000, 3 << 16, 2 * 19_683, 2 * 78_125]) {
        let forward = large(Fft::real([2, n]));
        assert!(forward.ends_with("|]") && !forward.contains('+'), "{n}: {forward}");
        let back = large(Fft::real([2, n]).inverse());
        assert!(back.contains("| ") && !back.contains('+'), "{n}: {back}");
        let passes = |recipe: &str| recipe.matches('=').count();
        assert_eq!([passes(&forward), passes(&back)], [2, 2], "{n}: {forward}, {back}");
    }
    // The shorter of two lengths is that of the mirrored lines: 2^21 is 2048 times 1024.
    assert!(large(Fft::real([1 << 22])).contains("2048="));
    assert!(large(Fft::real([1 << 22])).contains(" 1024="));
    // Too long for two passes; of several axes, the inverse's space has no room for parts.
    assert!(large(Fft::real([1 << 25])).contains('+'));
    assert!(large(Fft::real([4, 1 << 16]).all_axes()).contains('|'));
    assert!(large(Fft::real([4, 1 << 16]).all_axes().inverse()).contains('+'));
    // A line each beside their mirrors is worth nothing.
    assert!(recipe(Fft::real([1 << 16]), 2 << 10, 256).to_string().contains('+'));
}

#[test]
fn recipes_multiply_to_their_length() {
    use super::radix::{divide, smooth};
    for n in (1..=4096).filter(|&n| smooth(n)) {
        let stages = divide(n, 1024).unwrap();
        assert_eq!(stages.radices.iter().product::<usize>(), n, "{stages:?}");
    }
    assert!(!smooth(17) && !smooth(2 * 1013) && smooth(13 * 11 * 7));
}

#[test]
fn plans_hold_a_bounded_workspace() {
    let held = recipe(Fft::new([1 << 12, 1 << 16]), 48 << 10, 1024).spaces;
    assert_eq!(held, [(256 << 20) / 8]);
    assert!(recipe(Fft::new([1 << 12, 1 << 12]), 48 << 10, 1024).spaces.is_empty());
}

#[test]
fn roots_are_right_to_the_last_place() {
    use super::twiddles::root;
    for n in [1, 2, 3, 8, 12, 1000, 1013, 65_536] {
        for k in 0..n.min(3000) {
            let (w, back) = (root(k, n), root(n - k, n));
            assert!((w - back.conj()).norm() < 3e-16, "{k} of {n}");
            assert!((w.norm_sqr() - 1.0).abs() < 4e-16, "{k} of {n}");
            let (sin, cos) = (std::f64::consts::TAU * k as f64 / n as f64).sin_cos();
            assert!((w.re - cos).abs() < 4e-15 && (w.im + sin).abs() < 4e-15, "{k} of {n}");
        }
    }
    assert_eq!([root(1, 4), root(1, 2)], [Complex::new(0.0, -1.0), Complex::new(-1.0, 0.0)]);
}

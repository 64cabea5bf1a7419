use super::*;
use crate::device::Backend;
use crate::element::Element;
use crate::error::Error;
use crate::tensor::TensorView;
use std::f64::consts::{PI, SQRT_2};

type Make = fn(Shape) -> Trig;

const PROBLEMS: [Make; 6] = [
    |shape| Trig::dct2(shape),
    |shape| Trig::dct3(shape),
    |shape| Trig::dct4(shape),
    |shape| Trig::dst2(shape),
    |shape| Trig::dst3(shape),
    |shape| Trig::dst4(shape),
];

const NORMS: [Norm; 3] = [Norm::Backward, Norm::Ortho, Norm::Forward];

/// The matrix element of row k and column j, from the formulas of scipy.fft.dct and dst: the forward
/// transform without normalisation, with the weights of an orthonormal one where asked for.
fn element(kind: Type, wave: Wave, n: usize, k: usize, j: usize, ortho: bool) -> f64 {
    // Angles are multiples of π/4n, reduced as integers.
    let angle = |numerator: usize| PI * (numerator % (8 * n)) as f64 / (4 * n) as f64;
    let last = n - 1;
    match (kind, wave) {
        (Type::Two, Wave::Cosine) => {
            let weight = if ortho && k == 0 { 1.0 / SQRT_2 } else { 1.0 };
            weight * 2.0 * angle(2 * k * (2 * j + 1)).cos()
        }
        (Type::Two, Wave::Sine) => {
            let weight = if ortho && k == last { 1.0 / SQRT_2 } else { 1.0 };
            weight * 2.0 * angle(2 * (k + 1) * (2 * j + 1)).sin()
        }
        (Type::Three, Wave::Cosine) if j == 0 => {
            if ortho {
                SQRT_2
            } else {
                1.0
            }
        }
        (Type::Three, Wave::Cosine) => 2.0 * angle(2 * (2 * k + 1) * j).cos(),
        (Type::Three, Wave::Sine) if j == last => {
            let sign = if k.is_multiple_of(2) { 1.0 } else { -1.0 };
            sign * if ortho { SQRT_2 } else { 1.0 }
        }
        (Type::Three, Wave::Sine) => 2.0 * angle(2 * (2 * k + 1) * (j + 1)).sin(),
        (Type::Four, Wave::Cosine) => 2.0 * angle((2 * k + 1) * (2 * j + 1)).cos(),
        (Type::Four, Wave::Sine) => 2.0 * angle((2 * k + 1) * (2 * j + 1)).sin(),
    }
}

/// The transform of row-major x by its definition.
fn naive(problem: &Trig, x: &[f64]) -> Vec<f64> {
    let dims = problem.shape.dims();
    let mut all = x.to_vec();
    for &axis in &problem.axes {
        let n = dims[axis];
        // scipy: the inverse of a type is another type; 'forward' scales the forward transform.
        let kind = match (problem.kind, problem.inverse) {
            (Type::Two, true) => Type::Three,
            (Type::Three, true) => Type::Two,
            (kind, _) => kind,
        };
        let scaled = match problem.norm {
            Norm::Backward => problem.inverse,
            Norm::Forward => !problem.inverse,
            Norm::Ortho => false,
        };
        let ortho = problem.norm == Norm::Ortho;
        let scale = match (ortho, scaled) {
            (true, _) => (2.0 * n as f64).sqrt().recip(),
            (false, true) => (2.0 * n as f64).recip(),
            (false, false) => 1.0,
        };
        let matrix: Vec<f64> = (0..n * n)
            .map(|e| scale * element(kind, problem.wave, n, e / n, e % n, ortho))
            .collect();
        let inner: usize = dims[axis + 1..].iter().product();
        let mut next = vec![0.0; all.len()];
        for (e, out) in next.iter_mut().enumerate() {
            let k = e / inner % n;
            let begin = e - k * inner;
            *out = (0..n).map(|j| matrix[k * n + j] * all[begin + j * inner]).sum();
        }
        all = next;
    }
    all
}

fn signal(count: usize, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| f64::from(random.f32() * 2.0 - 1.0)).collect()
}

/// Relative error in the Euclidean norm.
fn relative(found: &[f64], expected: &[f64]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let error = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    error / norm(&mut expected.iter().copied()).max(f64::MIN_POSITIVE)
}

/// Rounding grows with the depth of the FFT and the passes around it; the oracle's own, of a sum of n
/// terms, with the root of n.
fn bound(precision: DType, count: usize) -> f64 {
    let depth = (count as f64).log2().max(0.0);
    precision.unit_roundoff() * (4.0 + 3.0 * depth)
        + DType::F64.unit_roundoff() * (count as f64).sqrt()
}

fn cpu() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

fn gpu() -> Option<Context> {
    Context::of_tests()
}

fn has_f64(ctx: &Context) -> bool {
    ctx.device().gpu().is_none_or(|gpu| gpu.has_f64())
}

trait Real: Element {
    fn narrow(x: f64) -> Self;
    fn wide(self) -> f64;
}
impl Real for f32 {
    fn narrow(x: f64) -> Self {
        x as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}
impl Real for f64 {
    fn narrow(x: f64) -> Self {
        x
    }
    fn wide(self) -> f64 {
        self
    }
}

/// Runs a problem on dense operands and holds it against its definition.
fn check<T: Real>(ctx: &Context, problem: &Trig) {
    let problem = problem.clone().precision(T::DTYPE);
    let count = problem.shape.len().unwrap();
    let x = signal(count, 7);
    let elements: Vec<T> = x.iter().map(|&x| T::narrow(x)).collect();
    let x = ctx.upload(&problem.shape, &elements).unwrap();
    let mut y = ctx.upload(&problem.shape, &vec![T::narrow(f64::NAN); count]).unwrap();
    problem.plan(ctx).unwrap().run(&x, &mut y).unwrap();
    let found: Vec<f64> = y.download().unwrap().into_iter().map(T::wide).collect();
    let expected = naive(&problem, &elements.iter().map(|x| x.wide()).collect::<Vec<_>>());
    let error = relative(&found, &expected);
    assert!(error <= bound(T::DTYPE, count), "{problem:?}: {error:e}");
}

fn every_kind(shape: &[usize], f: impl Fn(Trig)) {
    for make in PROBLEMS {
        for norm in NORMS {
            let problem = make(shape.into()).norm(norm);
            f(problem.clone());
            f(problem.inverse());
        }
    }
}

fn lengths(ctx: &Context, lengths: impl Iterator<Item = usize>) {
    for n in lengths {
        every_kind(&[2, n], |problem| {
            check::<f32>(ctx, &problem);
            if has_f64(ctx) {
                check::<f64>(ctx, &problem);
            }
        });
    }
}

#[test]
fn every_length_type_and_norm_is_as_defined() {
    lengths(&cpu(), (1..=40).chain([97, 128, 999, 1000]));
}

#[test]
fn gpu_every_length_type_and_norm_is_as_defined() {
    if let Some(ctx) = gpu() {
        // Software drivers take seconds to compile some kernels.
        match ctx.device().gpu().is_some_and(|gpu| gpu.is_software()) {
            true => lengths(&ctx, [1, 2, 3, 8, 15, 17].into_iter()),
            false => lengths(&ctx, (1..=40).chain([97, 128, 999, 1000])),
        }
    }
}

/// Of [1, 2, 3, 5], orthonormal, by scipy 1.17.
const SCIPY: [(Make, [f64; 4]); 6] = [
    (|shape| Trig::dct2(shape), [5.500000000, -2.883723980, 0.500000000, -0.429110718]),
    (|shape| Trig::dct3(shape), [4.659553215, -3.725211312, 1.725211312, -0.659553215]),
    (|shape| Trig::dct4(shape), [3.737686411, -3.732758742, 2.359345709, -2.351531478]),
    (|shape| Trig::dst2(shape), [4.889995713, -2.500000000, 2.566698644, -1.500000000]),
    (|shape| Trig::dst3(shape), [5.730442497, -1.658512668, 1.341487332, -1.269557503]),
    (|shape| Trig::dst4(shape), [6.155057665, -0.745952613, 0.747514808, 0.006438310]),
];

#[test]
fn the_definition_is_that_of_scipy() {
    let x = [1.0, 2.0, 3.0, 5.0];
    for (problem, expected) in SCIPY {
        let found = naive(&problem(Shape::from([4])).norm(Norm::Ortho), &x);
        assert!(relative(&found, &expected) < 1e-8, "{found:?} {expected:?}");
    }
}

fn axes(ctx: &Context) {
    for shape in [[6, 5, 4], [3, 8, 7]] {
        for axes in [&[0][..], &[1], &[2], &[0, 1], &[2, 0], &[1, 2], &[1, 0, 2]] {
            every_kind(&shape, |problem| check::<f32>(ctx, &problem.axes(axes)));
        }
    }
    check::<f32>(ctx, &Trig::dct2([24, 30]).all_axes());
    check::<f32>(ctx, &Trig::dct2([70_000, 3]).axes([1]));
}

#[test]
fn any_axes_in_any_order() {
    axes(&cpu());
}

#[test]
fn gpu_any_axes_in_any_order() {
    if let Some(ctx) = gpu() {
        axes(&ctx);
    }
}

fn window<'a>(all: &TensorView<'a, f32>) -> Result<TensorView<'a, f32>> {
    all.slice(2, 3..7)?.permute(&[2, 0, 1])
}

/// Axes 1 (every second of 12), 0 and 2 of a tensor of 7x5x12.
fn within<'a>(all: &TensorView<'a, f32>) -> Result<TensorView<'a, f32>> {
    all.strided([4, 6, 5], &[60, 2, 12], 61)
}

/// Operands that are windows of larger tensors with their axes turned, and in place.
fn strides(ctx: &Context) {
    let shape = [4, 6, 5];
    every_kind(&shape, |problem| {
        let problem = problem.axes([2, 1]);
        let plan = problem.plan(ctx).unwrap();
        let memory: Vec<f32> = signal(7 * 5 * 12, 3).iter().map(|&x| x as f32).collect();
        let x = ctx.upload([7, 5, 12], &memory).unwrap();
        let view = within(&x.view()).unwrap();
        let mut y = ctx.upload([6, 5, 9], &[-7.0_f32; 270]).unwrap();
        plan.run(view.clone(), y.view_mut().map(window).unwrap()).unwrap();
        let dense: Vec<f64> = view.download().unwrap().into_iter().map(f64::from).collect();
        let expected = naive(&problem, &dense);
        let found = window(&y.view()).unwrap().download().unwrap();
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        let error = relative(&found, &expected);
        assert!(error <= bound(DType::F32, 30), "{problem:?}: {error:e}");
        let untouched = y.download().unwrap().iter().filter(|&&v| v == -7.0).count();
        assert_eq!(untouched, 270 - 120);

        let mut x = x;
        plan.run_in_place(x.view_mut().map(within).unwrap()).unwrap();
        let found = within(&x.view()).unwrap().download().unwrap();
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        assert!(relative(&found, &expected) <= bound(DType::F32, 30), "{problem:?} in place");
    });
}

#[test]
fn any_strides_and_in_place() {
    strides(&cpu());
}

#[test]
fn gpu_any_strides_and_in_place() {
    if let Some(ctx) = gpu() {
        strides(&ctx);
    }
}

/// A plan that several threads use at once, and twice in one batch.
fn shared(ctx: &Context) {
    let problem = Trig::dct2([50, 64]).axes([0, 1]);
    let plan = problem.plan(ctx).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (plan, problem) = (&plan, &problem);
            scope.spawn(move || {
                for round in 0..8 {
                    let data: Vec<f64> = signal(3200, seed * 8 + round);
                    let narrow: Vec<f32> = data.iter().map(|&x| x as f32).collect();
                    let x = ctx.upload([50, 64], &narrow).unwrap();
                    let (mut y, mut z) =
                        (ctx.zeros([50, 64]).unwrap(), ctx.zeros([50, 64]).unwrap());
                    let mut batch = ctx.batch("two");
                    plan.record(&mut batch, &x, &mut y).unwrap();
                    plan.record(&mut batch, &y, &mut z).unwrap();
                    batch.submit().unwrap();
                    let expected = naive(problem, &naive(problem, &data));
                    let found: Vec<f64> =
                        z.download().unwrap().into_iter().map(f32::into).collect();
                    let error = relative(&found, &expected);
                    assert!(error <= 2.0 * bound(DType::F32, 3200), "{error:e}");
                }
            });
        }
    });
}

#[test]
fn one_plan_serves_many_threads() {
    shared(&cpu());
}

#[test]
fn gpu_one_plan_serves_many_threads() {
    if let Some(ctx) = gpu() {
        shared(&ctx);
    }
}

#[test]
fn mistakes_are_named() {
    let ctx = cpu();
    let shape = |problem: Trig, operand: &str| match problem.plan(&ctx) {
        Err(Error::Shape { operand: found, .. }) => assert_eq!(found, operand),
        other => panic!("{other:?}"),
    };
    shape(Trig::dct2([4, 4]).axes([2]), "axes");
    shape(Trig::dct2([4, 4]).axes([1, 1]), "axes");
    shape(Trig::dct2([4, 4]).axes([]), "axes");
    shape(Trig::dct2(Shape::from([])), "axes");
    shape(Trig::dst4([4, 0]), "shape");
    let error = Trig::dct2([4]).precision(DType::C64).plan(&ctx).unwrap_err();
    assert!(matches!(error, Error::Element { .. }), "{error}");

    let plan = Trig::dct2([2, 4]).plan(&ctx).unwrap();
    let (x, mut y) = (ctx.zeros::<f32>([2, 4]).unwrap(), ctx.zeros::<f32>([4, 2]).unwrap());
    let error = plan.run(&x, &mut y).unwrap_err();
    assert!(error.to_string().starts_with("the output: expected shape 2x4"), "{error}");
    let error = plan.run(&y, &mut x.view().download().map(|_| ctx.zeros([2, 4]).unwrap()).unwrap());
    assert!(matches!(error, Err(Error::Shape { operand, .. }) if operand == "the input"));
    let wide = ctx.zeros::<f64>([2, 4]).unwrap();
    let error = plan.run(&wide, &mut ctx.zeros::<f64>([2, 4]).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Element { .. }), "{error}");
    let other = cpu();
    let error = plan.run(&other.zeros::<f32>([2, 4]).unwrap(), &mut ctx.zeros([2, 4]).unwrap());
    assert!(matches!(error, Err(Error::Foreign { .. })));
    let mut y = ctx.zeros::<f32>([8]).unwrap();
    let overlapping = y.view_mut().map(|all| all.strided([2, 4], &[1, 1], 0)).unwrap();
    assert!(matches!(plan.run(&x, overlapping), Err(Error::Shape { .. })));

    // No elements: nothing to do.
    let plan = Trig::dct2([0, 4]).plan(&ctx).unwrap();
    plan.run(&ctx.zeros::<f32>([0, 4]).unwrap(), &mut ctx.zeros([0, 4]).unwrap()).unwrap();
}

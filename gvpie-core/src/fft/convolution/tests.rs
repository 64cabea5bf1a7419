use super::*;
use crate::device::Backend;
use crate::element::Element;
use crate::tensor::TensorView;
use num_complex::Complex;

const MODES: [Mode; 3] = [Mode::Full, Mode::Same, Mode::Valid];

type Values = Vec<Complex<f64>>;

fn strides(dims: &[usize]) -> Vec<usize> {
    Shape::from(dims).strides()
}

/// Indices of a shape, row-major.
fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let count = dims.iter().product::<usize>();
    let steps = strides(dims);
    (0..count).map(move |e| steps.iter().zip(dims).map(|(s, d)| e / s % d).collect())
}

/// The problem by its sums, cut as scipy.signal.fftconvolve cuts.
fn naive(problem: &Convolution, a: &Values, b: &Values) -> Values {
    let (a_dims, b_dims) = (problem.a.dims(), problem.b.dims());
    let output = problem.output().unwrap();
    let along = |axis: usize| problem.axes.contains(&axis);
    let first = |axis: usize| {
        let (na, nb) = (a_dims[axis], b_dims[axis]);
        match problem.mode {
            _ if !along(axis) => 0,
            Mode::Full => 0,
            Mode::Same => (nb - 1) / 2,
            Mode::Valid => na.min(nb) - 1,
        }
    };
    let flat = |dims: &[usize], index: &[usize]| {
        index.iter().zip(strides(dims)).map(|(i, s)| i * s).sum::<usize>()
    };
    // Only the axes to sum over have an extent.
    let sums: Vec<usize> =
        (0..a_dims.len()).map(|axis| if along(axis) { a_dims[axis] } else { 1 }).collect();
    let element = |k: Vec<usize>| -> Complex<f64> {
        let term = |l: Vec<usize>| {
            let (mut at_a, mut at_b) = (l.clone(), l.clone());
            for axis in 0..k.len() {
                if !along(axis) {
                    at_a[axis] = if a_dims[axis] == 1 { 0 } else { k[axis] };
                    at_b[axis] = if b_dims[axis] == 1 { 0 } else { k[axis] };
                    continue;
                }
                let (k, nb) = (k[axis] + first(axis), b_dims[axis]);
                let wanted = match problem.correlate {
                    false => k.checked_sub(l[axis]),
                    true => (l[axis] + nb - 1).checked_sub(k),
                };
                at_b[axis] = wanted.filter(|&i| i < nb)?;
            }
            let b = b[flat(b_dims, &at_b)];
            Some(a[flat(a_dims, &at_a)] * if problem.correlate { b.conj() } else { b })
        };
        indices(&sums).filter_map(term).sum()
    };
    indices(output.dims()).map(element).collect()
}

trait Number: Element {
    fn narrow(z: Complex<f64>) -> Self;
    fn wide(self) -> Complex<f64>;
}
macro_rules! numbers {
    ($($type:ty: $narrow:expr, $wide:expr;)*) => {$(
        impl Number for $type {
            fn narrow(z: Complex<f64>) -> Self {
                $narrow(z)
            }
            fn wide(self) -> Complex<f64> {
                $wide(self)
            }
        }
    )*};
}
numbers! {
    f32: |z: Complex<f64>| z.re as f32, |x| Complex::new(f64::from(x), 0.0);
    f64: |z: Complex<f64>| z.re, |x| Complex::new(x, 0.0);
    Complex<f32>: |z: Complex<f64>| Complex::new(z.re as f32, z.im as f32),
        |z: Self| Complex::new(z.re.into(), z.im.into());
    Complex<f64>: |z| z, |z| z;
}

fn data<T: Number>(count: usize, seed: u64) -> Vec<T> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut part = || f64::from(random.f32() * 2.0 - 1.0);
    (0..count).map(|_| T::narrow(Complex::new(part(), part()))).collect()
}

fn wide<T: Number>(all: Vec<T>) -> Values {
    all.into_iter().map(T::wide).collect()
}

fn size(all: &Values) -> f64 {
    all.iter().map(Complex::norm_sqr).sum::<f64>().sqrt()
}

/// Rounding is relative to ‖A‖·‖B‖, the most that an element can be, and grows with the depth of three
/// FFTs.
fn holds<T: Number>(found: &Values, expected: &Values, a: &Values, b: &Values) -> Option<f64> {
    let depth = ((a.len() + b.len()) as f64).log2();
    let bound = T::DTYPE.unit_roundoff() * (8.0 + 6.0 * depth) * size(a) * size(b);
    let error = found.iter().zip(expected).map(|(x, y)| (x - y).norm()).fold(0.0, f64::max);
    (found.len() != expected.len() || error.is_nan() || error > bound).then_some(error)
}

fn check<T: Number>(ctx: &Context, problem: &Convolution) {
    let problem = match T::DTYPE {
        DType::C64 | DType::C128 => problem.clone().complex(),
        _ => problem.clone(),
    };
    let precision =
        if matches!(T::DTYPE, DType::F64 | DType::C128) { DType::F64 } else { DType::F32 };
    let problem = problem.precision(precision);
    let a = data::<T>(problem.a.len().unwrap(), 1);
    let b = data::<T>(problem.b.len().unwrap(), 2);
    let output = problem.output().unwrap();
    let unwritten = vec![T::narrow(Complex::new(f64::NAN, f64::NAN)); output.len().unwrap()];
    let mut y = ctx.upload(&output, &unwritten).unwrap();
    let (on_a, on_b) = (ctx.upload(&problem.a, &a).unwrap(), ctx.upload(&problem.b, &b).unwrap());
    problem.plan(ctx).unwrap().run(&on_a, &on_b, &mut y).unwrap();
    let (a, b) = (wide(a), wide(b));
    let expected = naive(&problem, &a, &b);
    let found = wide(y.download().unwrap());
    if let Some(error) = holds::<T>(&found, &expected, &a, &b) {
        panic!("{problem:?}: {error:e}");
    }
}

fn every_kind(ctx: &Context, a: &[usize], b: &[usize], axes: &[usize]) {
    for mode in MODES {
        let convolution = Convolution::new(a, b).axes(axes).mode(mode);
        if convolution.output().is_err() {
            continue; // neither operand is the longer one along all axes
        }
        for problem in [convolution.clone(), convolution.correlate()] {
            check::<f32>(ctx, &problem);
            check::<Complex<f32>>(ctx, &problem);
            if ctx.device().gpu().is_none_or(|gpu| gpu.has_f64()) {
                check::<f64>(ctx, &problem);
                check::<Complex<f64>>(ctx, &problem);
            }
        }
    }
}

fn cpu() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

fn gpu() -> Option<Context> {
    Context::of_tests()
}

fn lengths(ctx: &Context) {
    for a in (1..=20).filter(|a| a % 3 != 0 || *a == 3) {
        for b in (1..=20).filter(|b| (a + b) % 4 == 1 || *b == 1 || *b == a) {
            every_kind(ctx, &[a], &[b], &[0]);
        }
    }
    every_kind(ctx, &[300], &[77], &[0]);
    every_kind(ctx, &[5], &[200], &[0]);
}

#[test]
fn every_mode_of_short_lengths() {
    lengths(&cpu());
}

#[test]
fn gpu_every_mode_of_short_lengths() {
    if let Some(ctx) = gpu() {
        lengths(&ctx);
    }
}

fn batches(ctx: &Context) {
    for (a, b, axes) in [
        (&[7, 9][..], &[3, 4][..], &[0, 1][..]),
        (&[3, 4], &[7, 9], &[1, 0]),
        (&[7, 3], &[2, 5], &[0, 1]),
        (&[4, 6], &[1, 3], &[1]),
        (&[1, 6], &[5, 9], &[1]),
        (&[6, 4], &[5, 4], &[0]),
        (&[6, 4], &[5, 1], &[0]),
        (&[2, 5, 3], &[2, 4, 3], &[1]),
        (&[2, 5, 1, 4], &[1, 4, 3, 2], &[1, 3]),
        (&[4, 3, 5], &[2, 3, 2], &[0, 1, 2]),
    ] {
        every_kind(ctx, a, b, axes);
    }
}

#[test]
fn axes_and_broadcast_batches() {
    batches(&cpu());
}

#[test]
fn gpu_axes_and_broadcast_batches() {
    if let Some(ctx) = gpu() {
        batches(&ctx);
    }
}

fn turned<'a>(all: &TensorView<'a, f32>) -> Result<TensorView<'a, f32>> {
    all.slice(0, 1..9)?.transpose()
}

/// Operands that are windows of larger tensors with their axes turned.
fn views(ctx: &Context) {
    let a = ctx.upload([10, 3], &data::<f32>(30, 1)).unwrap();
    let b = ctx.upload([9, 3], &data::<f32>(27, 2)).unwrap();
    let mut y = ctx.upload([9, 3], &[-7.0_f32; 27]).unwrap();
    let (on_a, on_b) = (turned(&a.view()).unwrap(), b.view().strided([3, 4], &[1, 6], 3).unwrap());
    for problem in [Convolution::new([3, 8], [3, 4]), Convolution::new([3, 8], [3, 4]).correlate()]
    {
        let problem = problem.mode(Mode::Same);
        let plan = problem.plan(ctx).unwrap();
        plan.run(on_a.clone(), on_b.clone(), y.view_mut().map(turned).unwrap()).unwrap();
        let [a, b] = [&on_a, &on_b].map(|x| wide(x.download().unwrap()));
        let found = wide(turned(&y.view()).unwrap().download().unwrap());
        let error = holds::<f32>(&found, &naive(&problem, &a, &b), &a, &b);
        assert_eq!(error, None, "{problem:?}");
        assert_eq!(y.download().unwrap()[..3], [-7.0; 3]);
    }
}

#[test]
fn any_strides() {
    views(&cpu());
}

#[test]
fn gpu_any_strides() {
    if let Some(ctx) = gpu() {
        views(&ctx);
    }
}

#[test]
fn the_definition_is_that_of_scipy() {
    // scipy.signal.{fftconvolve, correlate}([1, 2, 3], [1, 2, 3, 4, 5, 6], mode), scipy 1.17.
    let [a, b] =
        [3, 6].map(|n| (1..=n).map(|x| Complex::new(f64::from(x), 0.0)).collect::<Values>());
    for (mode, convolved, correlated) in [
        (Mode::Full, &[1, 4, 10, 16, 22, 28, 27, 18][..], &[6, 17, 32, 26, 20, 14, 8, 3][..]),
        (Mode::Same, &[10, 16, 22], &[32, 26, 20]),
        (Mode::Valid, &[10, 16, 22, 28], &[32, 26, 20, 14]),
    ] {
        let problem = Convolution::new([3], [6]).mode(mode);
        let whole = |all: Values| all.iter().map(|z| z.re.round() as i32).collect::<Vec<_>>();
        assert_eq!(whole(naive(&problem, &a, &b)), convolved);
        assert_eq!(whole(naive(&problem.correlate(), &a, &b)), correlated);
    }
}

#[test]
fn smooth_lengths_are_the_next() {
    let smooth = |mut n: usize| {
        for prime in [2, 3, 5, 7, 11, 13] {
            while n.is_multiple_of(prime) {
                n /= prime;
            }
        }
        n == 1
    };
    for least in 0..5000 {
        let expected = (least.max(1)..).find(|&n: &usize| n.is_multiple_of(2) && smooth(n));
        assert_eq!(next_smooth(least), expected);
    }
    assert_eq!(next_smooth((1 << 62) + 1), Some(4_611_727_689_839_424_000));
    assert_eq!(next_smooth(usize::MAX), None);
}

#[test]
fn mistakes_are_named() {
    let ctx = cpu();
    let shape = |problem: Convolution, operand: &str| match problem.plan(&ctx) {
        Err(Error::Shape { operand: found, .. }) => assert_eq!(found, operand, "{problem:?}"),
        other => panic!("{problem:?}: {other:?}"),
    };
    shape(Convolution::new([4], [1, 4]), "B");
    shape(Convolution::new([4, 4], [3, 4]), "B");
    shape(Convolution::new([4, 4], [3, 5]).axes([0, 1]).mode(Mode::Valid), "B");
    shape(Convolution::new([4, 4], [4, 4]).axes([2]), "axes");
    shape(Convolution::new([4, 4], [4, 4]).axes([0, 0]), "axes");
    shape(Convolution::new([4, 4], [4, 4]).axes([]), "axes");
    shape(Convolution::new([4, 0], [4, 4]), "shape");
    let vast = Convolution::new([usize::MAX], [usize::MAX]).plan(&ctx);
    assert!(matches!(vast, Err(Error::Limit { .. })), "{vast:?}");
    let error = Convolution::new([4], [4]).precision(DType::I32).plan(&ctx).unwrap_err();
    assert!(matches!(error, Error::Element { .. }), "{error}");

    let plan = Convolution::new([4], [3]).plan(&ctx).unwrap();
    let [a, b] = [4, 3].map(|n| ctx.zeros::<f32>([n]).unwrap());
    let mut y = ctx.zeros::<f32>([6]).unwrap();
    let refused = |result: Result<()>, name: &str| match result {
        Err(Error::Shape { operand, .. }) => assert_eq!(operand, name),
        other => panic!("{other:?}"),
    };
    refused(plan.run(&b, &b, &mut y), "A");
    refused(plan.run(&a, &a, &mut y), "B");
    refused(plan.run(&a, &b, &mut ctx.zeros([5]).unwrap()), "the output");
    let wrong = ctx.zeros::<Complex<f32>>([4]).unwrap();
    let (b, mut y) = (ctx.zeros([3]).unwrap(), ctx.zeros([6]).unwrap());
    assert!(matches!(plan.run(&wrong, &b, &mut y), Err(Error::Element { .. })));

    // No elements: nothing to do.
    let plan = Convolution::new([0, 4], [1, 3]).plan(&ctx).unwrap();
    let [a, b] = [[0, 4], [1, 3]].map(|shape| ctx.zeros::<f32>(shape).unwrap());
    plan.run(&a, &b, &mut ctx.zeros([0, 6]).unwrap()).unwrap();
}

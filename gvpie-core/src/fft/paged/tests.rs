//! Transforms in slabs against the resident ones.

use super::*;
use crate::device::Backend;
use crate::fft::Norm;
use crate::fft::proof::tolerance;
use crate::paged::tests::contexts;
use num_complex::Complex;

const MIB: u64 = 1 << 20;

/// A random element, and the square of the distance of two.
trait Part: Element {
    fn draw(random: &mut fastrand::Rng) -> Self;
    fn distance(self, other: Self) -> f64;
}
macro_rules! parts {
    ($($real:ty),*) => {$(
        impl Part for $real {
            fn draw(random: &mut fastrand::Rng) -> Self {
                random.f64() as $real - 0.5
            }
            fn distance(self, other: Self) -> f64 {
                f64::from(self - other).powi(2)
            }
        }
        impl Part for Complex<$real> {
            fn draw(random: &mut fastrand::Rng) -> Self {
                Complex::new(<$real>::draw(random), <$real>::draw(random))
            }
            fn distance(self, other: Self) -> f64 {
                (self - other).norm_sqr().into()
            }
        }
    )*};
}
parts!(f32, f64);

fn as_resident<X: Part, Y: Part>(ctx: &Context, problem: &Fft) {
    let ((from, _), (to, _)) = (problem.input(), problem.output());
    let mut random = fastrand::Rng::with_seed(11);
    let data: Vec<X> = (0..from.len().unwrap()).map(|_| X::draw(&mut random)).collect();
    let mut x = ctx.paged::<X>(&from).unwrap();
    x.write(0, &data).unwrap();
    let mut y = ctx.paged::<Y>(&to).unwrap();
    problem.plan_paged(ctx).unwrap().run(&x, &mut y).unwrap();
    let mut found = vec![Y::default(); y.len()];
    y.read(0, &mut found).unwrap();

    let host = Context::on(Backend::Cpu).unwrap();
    let mut resident = host.zeros::<Y>(&to).unwrap();
    problem.plan(&host).unwrap().run(&host.upload(&from, &data).unwrap(), &mut resident).unwrap();
    let expected = resident.download().unwrap();
    let pairs = || found.iter().zip(&expected);
    let wrong: f64 = pairs().map(|(&a, &b)| a.distance(b)).sum();
    let size: f64 = expected.iter().map(|&b| b.distance(Y::default())).sum();
    let error = (wrong / size).sqrt();
    // Both may err by the tolerance, each its own way.
    let allowed = 2.0 * tolerance(problem);
    assert!(error <= allowed, "{} {problem:?}: {error:e} > {allowed:e}", ctx.backend());
    let mut kept = vec![X::default(); data.len()];
    x.read(0, &mut kept).unwrap();
    assert!(kept == data, "the input is untouched");
}

#[test]
fn transforms_in_slabs_are_the_resident_ones() {
    type C64 = Complex<f32>;
    type C128 = Complex<f64>;
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(MIB, MIB, folder.path()) {
        as_resident::<C64, C64>(&ctx, &Fft::new([64, 60, 48]).all_axes().norm(Norm::Ortho));
        as_resident::<f32, C64>(&ctx, &Fft::real([301, 400]));
        if ctx.backend() == Backend::Cpu {
            as_resident::<C64, C64>(&ctx, &Fft::new([300, 512]));
            as_resident::<C64, C64>(&ctx, &Fft::new([512, 300]).axes([0]).inverse());
            as_resident::<C64, C64>(&ctx, &Fft::new([40, 101, 33]).axes([1, 0]).scale(3.0));
            let double = Fft::new([128, 200]).all_axes().precision(DType::F64);
            as_resident::<C128, C128>(&ctx, &double);
            as_resident::<f32, C64>(&ctx, &Fft::real([64, 50, 45]).axes([2, 0, 1]));
            let inverse = Fft::real([64, 50, 46]).all_axes().inverse().norm(Norm::Forward);
            as_resident::<C64, f32>(&ctx, &inverse);
            as_resident::<C64, f32>(&ctx, &Fft::real([501, 200]).inverse());
        }
        let usage = ctx.device().pool().usage();
        assert!(usage.peak <= MIB && usage.host.peak <= MIB, "{usage:?}");
        assert!(usage.spills > 0 && usage.in_use == 0, "{usage:?}");
    }
}

#[test]
fn what_is_not_done_in_slabs_is_refused() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    for problem in [Fft::new([8]).window(), Fft::new([8]).pad(4), Fft::new([8]).spectrum()] {
        let refused = problem.plan_paged(&ctx).unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    }
    let x = ctx.paged::<Complex<f32>>([4, 4]).unwrap();
    let mut y = ctx.paged::<Complex<f32>>([4, 5]).unwrap();
    let plan = Fft::new([4, 4]).plan_paged(&ctx).unwrap();
    assert!(matches!(plan.run(&x, &mut y), Err(Error::Shape { .. })));
    let folder = tempfile::tempdir().unwrap();
    let small = contexts(1 << 16, MIB, folder.path()).remove(0);
    let x = small.paged::<Complex<f32>>([2, 1 << 16]).unwrap();
    let mut y = small.paged::<Complex<f32>>([2, 1 << 16]).unwrap();
    let refused = Fft::new([2, 1 << 16]).plan_paged(&small).unwrap().run(&x, &mut y).unwrap_err();
    assert!(matches!(refused, Error::OutOfMemory { .. }), "{refused}");
}

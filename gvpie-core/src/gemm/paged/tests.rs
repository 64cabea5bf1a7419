//! Products under budgets that divide them every way, against the resident plan and the bound.

use super::*;
use crate::gemm::Accuracy;
use crate::gemm::proof::element;
use crate::paged::tests::contexts;
use half::f16;

const MIB: u64 = 1 << 20;

/// A number of the type from a small one, exactly.
trait Small: Element + Into<f64> {
    fn small(value: i32) -> Self;
}
impl Small for f16 {
    fn small(value: i32) -> Self {
        f16::from_f32(value as f32)
    }
}
impl Small for f32 {
    fn small(value: i32) -> Self {
        value as f32
    }
}
impl Small for f64 {
    fn small(value: i32) -> Self {
        value.into()
    }
}

fn filled<T: Small>(
    ctx: &Context,
    shape: &[usize],
    random: &mut fastrand::Rng,
) -> (Paged<T>, Vec<T>) {
    let mut x = ctx.paged::<T>(shape).unwrap();
    let data: Vec<T> = (0..x.len()).map(|_| T::small(random.i32(-3..=3))).collect();
    x.write(0, &data).unwrap();
    (x, data)
}

fn all<T: Element>(x: &Paged<T>) -> Vec<T> {
    let mut found = vec![T::default(); x.len()];
    x.read(0, &mut found).unwrap();
    found
}

/// Sums of small integers have no rounding, so every order gives the resident plan's bits.
fn as_resident<A: Small, B: Small, C: Small>(ctx: &Context, problem: &Gemm, seed: u64) {
    let problem = problem.clone().elements(A::DTYPE, B::DTYPE, C::DTYPE);
    if let Err(Error::Unsupported { .. }) = working(&problem, &Facts::of(ctx)) {
        return;
    }
    let Gemm { m, n, k, batch, .. } = problem;
    let shape = |turn: bool, rows: usize, columns: usize| {
        let matrix = if turn { [columns, rows] } else { [rows, columns] };
        if batch == 1 { matrix.to_vec() } else { vec![batch, matrix[0], matrix[1]] }
    };
    let mut random = fastrand::Rng::with_seed(seed);
    let (sa, sb, sc) =
        (shape(problem.transpose_a, m, k), shape(problem.transpose_b, k, n), shape(false, m, n));
    let (a, da) = filled::<A>(ctx, &sa, &mut random);
    let (b, db) = filled::<B>(ctx, &sb, &mut random);
    let (mut c, dc) = filled::<C>(ctx, &sc, &mut random);
    let plan = problem.plan_paged(ctx).unwrap();
    plan.run(&a, &b, &mut c).unwrap();

    let host = Context::on(Backend::Cpu).unwrap();
    let mut resident = host.upload(sc, &dc).unwrap();
    let (ra, rb) = (host.upload(sa, &da).unwrap(), host.upload(sb, &db).unwrap());
    problem.plan(&host).unwrap().run(&ra, &rb, &mut resident).unwrap();
    let (found, expected) = (all(&c), resident.download().unwrap());
    assert!(found == expected, "{} {problem:?} in {:?}, seed {seed}", ctx.backend(), plan.tiling());
    assert!(all(&a) == da && all(&b) == db, "operands are untouched");
}

#[test]
fn divided_products_of_integers_are_the_resident_ones() {
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(MIB / 2, MIB / 2, folder.path()) {
        let plain = Gemm::new(300, 260, 310);
        let Tiling { rows, columns, depth, .. } = plain.plan_paged(&ctx).unwrap().tiling();
        assert!(rows * columns * depth < 300 * 260 * 310);
        let turned = Gemm::new(260, 300, 129).transpose_a().transpose_b().alpha(2.0).beta(-1.0);
        as_resident::<f32, f32, f32>(&ctx, &turned, 1);
        as_resident::<f16, f16, f16>(&ctx, &Gemm::new(200, 210, 220).beta(2.0), 2);
        if ctx.backend() == Backend::Gpu {
            continue; // a software driver compiles each further kernel for seconds
        }
        as_resident::<f32, f32, f32>(&ctx, &plain, 3);
        as_resident::<f32, f32, f32>(&ctx, &Gemm::new(200, 150, 100).batch(3).transpose_b(), 4);
        as_resident::<f32, f32, f32>(&ctx, &Gemm::new(1, 2000, 700).transpose_a(), 5);
        let relu = Gemm::new(300, 200, 400).activation(Activation::Relu).beta(1.0);
        as_resident::<f32, f32, f32>(&ctx, &relu, 6);
        as_resident::<f16, f32, f32>(&ctx, &Gemm::new(200, 210, 220).transpose_b(), 7);
        as_resident::<f64, f64, f64>(&ctx, &Gemm::new(170, 180, 90), 8);
        as_resident::<f32, f64, f32>(&ctx, &Gemm::new(90, 180, 170).beta(1.0), 9);
        as_resident::<f32, f32, f32>(&ctx, &Gemm::new(50, 60, 70).alpha(0.0).beta(3.0), 10);
        as_resident::<f32, f32, f32>(&ctx, &Gemm::new(0, 60, 70), 11);
        as_resident::<f32, f32, f32>(&ctx, &Gemm::new(30, 60, 0), 12);
        let usage = ctx.device().pool().usage();
        assert!(usage.peak <= MIB / 2 && usage.host.peak <= MIB / 2, "{usage:?}");
        assert!(usage.spills > 0 && usage.in_use == 0, "{usage:?}");
    }
}

#[test]
fn divided_products_stay_within_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(MIB / 4, MIB / 2, folder.path()) {
        for accuracy in [Accuracy::F32, Accuracy::Exact] {
            let problem = Gemm::new(150, 140, 1000).accuracy(accuracy);
            let mut random = fastrand::Rng::with_seed(5);
            let mut draw =
                |count: usize| -> Vec<f32> { (0..count).map(|_| random.f32() - 0.5).collect() };
            let (da, db) = (draw(150 * 1000), draw(1000 * 140));
            let a = Paged::of(&ctx, [150, 1000], da.clone()).unwrap();
            let b = Paged::of(&ctx, [1000, 140], db.clone()).unwrap();
            let mut c = ctx.paged::<f32>([150, 140]).unwrap();
            let plan = problem.plan_paged(&ctx).unwrap();
            assert!(plan.tiling().depth < 1000, "{:?}", plan.tiling());
            plan.run(&a, &b, &mut c).unwrap();
            for (at, found) in all(&c).into_iter().enumerate().step_by(7) {
                let (i, j) = (at / 140, at % 140);
                let factors = (0..1000).map(|l| (da[i * 1000 + l].into(), db[l * 140 + j].into()));
                let (exact, bound) = element(&problem, factors, 0.0, 0.0);
                let error = (f64::from(found) - exact).abs();
                assert!(error <= bound, "{accuracy} {i} {j}: {error} > {bound}");
            }
        }
    }
}

#[test]
fn operands_of_twice_both_budgets_are_multiplied() {
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(MIB, MIB, folder.path()) {
        let mut random = fastrand::Rng::with_seed(6);
        let (a, da) = filled::<f32>(&ctx, &[4096, 256], &mut random); // 4 MiB
        let (b, db) = filled::<f32>(&ctx, &[256, 256], &mut random);
        let c = ctx.gemm_paged(&a, &b).unwrap(); // 4 MiB
        for row in [0, 1, 1023, 4095] {
            let mut found = [0.0_f32; 256];
            c.read(row * 256, &mut found).unwrap();
            for (j, found) in found.into_iter().enumerate() {
                let exact: f32 = (0..256).map(|l| da[row * 256 + l] * db[l * 256 + j]).sum();
                assert_eq!(found, exact, "{row} {j}");
            }
        }
        let usage = ctx.device().pool().usage();
        assert!(usage.peak <= MIB && usage.host.peak <= MIB && usage.spilled > 0, "{usage:?}");
    }
}

#[test]
fn a_source_that_fails_is_the_error() {
    struct Failing;
    impl crate::paged::Source<f32> for Failing {
        fn read_at(&self, first: usize, out: &mut [f32]) -> Result<()> {
            if first + out.len() > 60_000 {
                return Err(Error::unsupported("reading that far", "it is a test"));
            }
            out.fill(1.0);
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(MIB / 4, MIB / 2, folder.path()) {
        let a = Paged::of(&ctx, [300, 300], Failing).unwrap();
        let (b, before) = filled::<f32>(&ctx, &[300, 300], &mut fastrand::Rng::with_seed(1));
        let refused = ctx.gemm_paged(&a, &b).unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
        assert!(all(&b) == before);
        assert_eq!(ctx.device().pool().usage().in_use, 0);
        let wrong = ctx.gemm_paged(&b, &ctx.paged([299, 2]).unwrap()).unwrap_err();
        assert!(matches!(wrong, Error::Shape { .. }), "{wrong}");
        let biased = Gemm::new(2, 2, 2).bias().plan_paged(&ctx).unwrap_err();
        assert!(matches!(biased, Error::Unsupported { .. }), "{biased}");
    }
}

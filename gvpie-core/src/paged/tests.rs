//! Paged tensors against a plain vector, under budgets that make every page move.
#![allow(clippy::single_range_in_vec_init)] // regions of one axis

use super::*;
use crate::context::ContextOptions;
use crate::device::Backend;
use crate::error::Error;

const MIB: u64 = 1 << 20;

/// A context on each back end, with these budgets, whose files are in the folder.
pub(crate) fn contexts(device: u64, host: u64, folder: &std::path::Path) -> Vec<Context> {
    let options = |backend| ContextOptions {
        backend: Some(backend),
        device_budget: Some(device),
        host_budget: Some(host),
        spill_folder: Some(folder.into()),
        ..ContextOptions::from_env().unwrap()
    };
    let host = pollster::block_on(Context::request(options(Backend::Cpu))).unwrap();
    std::iter::once(host).chain(Context::of_tests_with(options(Backend::Gpu))).collect()
}

fn random_region(random: &mut fastrand::Rng, dims: &[usize]) -> Vec<Range<usize>> {
    let range = |random: &mut fastrand::Rng, extent: usize| {
        if random.u8(..4) == 0 {
            return 0..extent;
        }
        let start = random.usize(..extent);
        start..random.usize(start..=extent)
    };
    dims.iter().map(|&extent| range(random, extent)).collect()
}

/// The indices of a region's elements, in order.
fn indices(shape: &Shape, region: &[Range<usize>]) -> Vec<usize> {
    let strides = shape.strides();
    region.iter().zip(strides).fold(vec![0], |outer, (range, stride)| {
        outer.iter().flat_map(|&at| range.clone().map(move |i| at + i * stride)).collect()
    })
}

fn against_a_vector<T: Element>(ctx: &Context, dims: &[usize], of: impl Fn(u32) -> T, rounds: u64) {
    let shape = Shape::from(dims);
    let mut paged = ctx.paged::<T>(&shape).unwrap();
    let mut model = vec![T::default(); paged.len()];
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        let words = format!("{} {shape} {}: seed {seed}, round {round}", ctx.backend(), T::DTYPE);
        match random.u8(..5) {
            0 => {
                let first = random.usize(..model.len());
                let count = random.usize(..=(model.len() - first).min(40_000));
                let data: Vec<T> = (0..count).map(|_| of(random.u32(..))).collect();
                paged.write(first, &data).unwrap();
                model[first..first + count].copy_from_slice(&data);
            }
            1 => {
                let first = random.usize(..model.len());
                let mut found = vec![of(1); random.usize(..=model.len() - first)];
                paged.read(first, &mut found).unwrap();
                assert!(found == model[first..first + found.len()], "{words}");
            }
            2 => paged.prefetch(&random_region(&mut random, dims)).unwrap(),
            3 => {
                let region = random_region(&mut random, dims);
                let at = indices(&shape, &region);
                let data: Vec<T> = at.iter().map(|_| of(random.u32(..))).collect();
                let extents: Vec<usize> = region.iter().map(ExactSizeIterator::len).collect();
                paged.store(&region, &ctx.upload(extents, &data).unwrap()).unwrap();
                at.iter().zip(data).for_each(|(&at, x)| model[at] = x);
            }
            _ => {
                let region = random_region(&mut random, dims);
                let found = paged.load(&region).unwrap().download().unwrap();
                let expected: Vec<T> =
                    indices(&shape, &region).into_iter().map(|at| model[at]).collect();
                assert!(found == expected, "{words}, region {region:?}");
            }
        }
    }
    let mut all = vec![T::default(); model.len()];
    paged.read(0, &mut all).unwrap();
    assert!(all == model);
}

#[test]
fn random_access_is_that_of_a_vector() {
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(16 * MIB, MIB, folder.path()) {
        against_a_vector(&ctx, &[1 << 20], |bits| bits, 30); // 4 MiB
        against_a_vector(&ctx, &[300, 5, 501], |bits| bits as f32, 40); // 3 MiB
        against_a_vector(&ctx, &[601, 1001], |bits| half::f16::from_bits(bits as u16 & 0x3fff), 40);
        against_a_vector(&ctx, &[200, 900], f64::from, 30);
        let usage = ctx.device().pool().usage();
        assert!(usage.host.peak <= MIB, "{usage:?}");
        assert!(usage.spills > 10 && usage.fetched > MIB && usage.hits > 10, "{usage:?}");
        assert!(usage.uploaded > 0 && usage.downloaded > 0, "{usage:?}");
        assert_eq!((usage.in_use, usage.disk.in_use), (0, 0), "{usage:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn zeros_cost_nothing_until_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(MIB, MIB, folder.path()) {
        let mut x = ctx.paged::<f32>([1024, 1024]).unwrap();
        assert_eq!(x.load(&[7..9, 0..1024]).unwrap().download().unwrap(), [0.0; 2048]);
        let staged = ctx.device().pool().usage().host.in_use;
        x.write(5000, &[1.0]).unwrap();
        let usage = ctx.device().pool().usage();
        assert_eq!(usage.host.in_use - staged, 4 * x.page() as u64);
        assert_eq!((usage.disk.in_use, usage.fetched), (0, 0));
    }
}

#[test]
fn sources_are_read_when_wanted_and_written_pages_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers");
    let numbers: Vec<u32> = (0..1 << 20).collect();
    let head = [9_u8; 12];
    std::fs::write(&path, [&head[..], bytemuck::cast_slice(&numbers)].concat()).unwrap();
    for ctx in contexts(MIB, MIB, folder.path()) {
        let source = FileSource::open(&path, 12).unwrap();
        let mut x = Paged::of(&ctx, [1024, 1024], source).unwrap();
        assert_eq!(ctx.device().pool().usage().fetched, 0);
        x.write(1000, &[5; 48]).unwrap();
        for row in [1000, 3, 0] {
            let found = x.load(&[row..row + 1, 0..1024]).unwrap().download().unwrap();
            let expected = |at: usize| if (1000..1048).contains(&at) { 5 } else { at as u32 };
            assert!(found.iter().enumerate().all(|(i, &n)| n == expected(row * 1024 + i)));
        }
        let mut all = vec![0; 1 << 20];
        x.read(0, &mut all).unwrap();
        assert_eq!((all[1000], all[1048], all[(1 << 20) - 1]), (5, 1048, (1 << 20) - 1));
        assert!(ctx.device().pool().usage().spills <= 1, "clean pages of a source are dropped");
    }
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers");
    for ctx in contexts(MIB, MIB, folder.path()) {
        std::fs::write(&path, vec![1_u8; 4 << 20]).unwrap();
        let x = Paged::of(&ctx, [1 << 20], FileSource::<u32>::open(&path, 0).unwrap()).unwrap();
        let mut some = vec![0; 1000];
        x.read(0, &mut some).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        let mut all = vec![0; 1 << 20];
        match x.read(0, &mut all).unwrap_err() {
            Error::File { path: named, kind, .. } => {
                assert_eq!((named, kind), (path.clone(), std::io::ErrorKind::UnexpectedEof));
            }
            other => panic!("{other}"),
        }
        assert!(x.load(&[1 << 19..1 << 20]).is_err());
        x.prefetch(&[1 << 19..1 << 20]).unwrap();
        x.read(0, &mut some).unwrap();
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for ctx in contexts(MIB, MIB, folder.path()) {
        let mut x = ctx.paged::<f32>([10, 10]).unwrap();
        let small = ctx.zeros::<f32>([10]).unwrap();
        let shape = |outcome: Result<()>| assert!(matches!(outcome, Err(Error::Shape { .. })));
        shape(x.load(&[0..10]).map(drop));
        shape(x.load(&[0..10, 5..11]).map(drop));
        shape(x.store(&[0..2, 0..10], &small));
        shape(x.write(99, &[0.0; 2]));
        shape(x.read(usize::MAX, &mut [0.0; 2]));
        let other = Context::on(Backend::Cpu).unwrap().zeros::<f32>([10]).unwrap();
        assert!(matches!(x.store(&[0..1, 0..10], &other), Err(Error::Foreign { .. })));
        assert!(matches!(ctx.paged::<f64>([usize::MAX, 2]), Err(Error::Limit { .. })));
        match ctx.paged::<f64>([1 << 50]).unwrap_err() {
            Error::OutOfMemory { budgets, .. } => {
                assert_eq!((budgets.device, budgets.host), (Some(MIB), Some(MIB)));
                assert!(budgets.disk.is_some());
            }
            other => panic!("{other}"),
        }
        let large = ctx.paged::<f32>([1 << 20]).unwrap();
        assert!(matches!(large.load(&[0..1 << 20]), Err(Error::OutOfMemory { .. })));
        assert!(ctx.paged::<f32>([0, 3]).unwrap().load(&[0..0, 0..3]).unwrap().is_empty());
        let pinned = x.pin(&[0..10, 0..10]).unwrap();
        assert!(matches!(large.pin(&[0..1 << 20]), Err(Error::OutOfMemory { .. })));
        drop(pinned);
    }
}

#[test]
fn reductions_do_not_depend_on_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let data: Vec<f32> = (0..700_001).map(|_| random.f32() - 0.5).collect();
    let mut outcomes = Vec::new();
    for host in [MIB / 2, 2 * MIB, 64 * MIB] {
        let ctx = contexts(MIB, host, folder.path()).remove(0);
        let mut x = ctx.paged::<f32>([data.len()]).unwrap();
        x.write(0, &data).unwrap();
        let y = Paged::of(&ctx, [data.len()], data.clone()).unwrap();
        outcomes.push([x.sum(), x.dot(&y), x.max_abs(), y.norm()].map(Result::unwrap));
    }
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:?}");
    let exact: f64 = data.iter().map(|&x| f64::from(x)).sum();
    assert!((outcomes[0][0] - exact).abs() < 1e-9);
    assert!((outcomes[0][1].sqrt() - outcomes[0][3]).abs() < 1e-12);
}

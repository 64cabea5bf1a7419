use super::candidates::{all, candidates, fit};
use super::coop::COOP_TILES;
use super::gpu::factor;
use super::parts::Parts;
use super::plan::{Facts, TILES, choose, workspace_bytes};
use super::proof::{Entries, Input, activated, element, hard_cases, hard_inputs};
use super::*;
use crate::device::Backend;

fn gpu_facts() -> Facts {
    Facts {
        backend: Backend::Gpu,
        software: false,
        f16: true,
        f64: true,
        workgroup_storage: 49_152,
        invocations: 1024,
        tensor_cores: false,
        binding: (1 << 31) - 4,
    }
}

fn chosen(problem: Gemm, facts: &Facts) -> String {
    choose(&problem, facts).map_or_else(|error| error.to_string(), |a| a.to_string())
}

#[test]
fn the_choice_follows_size_and_limits() {
    let facts = gpu_facts();
    assert_eq!(chosen(Gemm::new(4096, 4096, 4096), &facts), "simt-f32-128x128x16");
    assert_eq!(chosen(Gemm::new(1024, 1024, 1024), &facts), "simt-f32-64x128x16");
    assert_eq!(chosen(Gemm::new(256, 256, 256).batch(64), &facts), "simt-f32-128x128x16");
    assert_eq!(chosen(Gemm::new(9, 9, 9), &facts), "simt-f32-32x32x16");
    assert_eq!(chosen(Gemm::new(1, 1, 1).batch(100_000), &facts), "simt-f32-32x32x16");
    let webgpu = Facts { workgroup_storage: 16_384, invocations: 256, ..facts };
    assert_eq!(chosen(Gemm::new(4096, 4096, 4096), &webgpu), "simt-f32-128x128x16");
    let small = Facts { workgroup_storage: 16_383, ..facts };
    assert_eq!(chosen(Gemm::new(4096, 4096, 4096), &small), "simt-f32-64x128x16");
    let software = Facts { software: true, ..facts };
    assert_eq!(chosen(Gemm::new(4096, 4096, 4096), &software), "simt-f32-64x64x16");
    // f64 takes twice the memory of a tile, and of a thread's registers.
    let large = Gemm::new(4096, 4096, 4096).elements(DType::F64, DType::F64, DType::F64);
    assert_eq!(chosen(large.clone(), &facts), "simt-f64-64x128x16");
    assert_eq!(chosen(large.clone(), &webgpu), "simt-f64-64x64x16");
    let tight = Facts { workgroup_storage: 8191, ..facts };
    let error = choose(&large, &tight).unwrap_err();
    assert!(matches!(error, Error::Limit { asked: 8192, allowed: 8191, .. }), "{error}");
    let none = Facts { workgroup_storage: 1, ..facts };
    assert!(matches!(choose(&Gemm::new(1, 1, 1), &none), Err(Error::Limit { .. })));
}

#[test]
fn thin_problems_occupy_the_device() {
    let facts = gpu_facts();
    let webgpu = Facts { workgroup_storage: 16_384, invocations: 256, ..facts };
    for facts in [facts, webgpu] {
        for (p, expected) in [
            (Gemm::new(4096, 64, 4096), "simt-f32-64x64x16-split8"),
            (Gemm::new(64, 4096, 4096), "simt-f32-64x128x16-split8"),
            (Gemm::new(512, 512, 65_536), "simt-f32-128x128x16-split16"),
            (Gemm::new(30, 30, 100_000), "simt-f32-32x32x16-split64"),
            (Gemm::new(1, 4096, 4096), "vector-f32"),
            (Gemm::new(4096, 1, 4096), "vector-f32"),
            (Gemm::new(1, 4096, 4096).transpose_b(), "vector-f32"),
            (Gemm::new(4096, 1, 4096).transpose_a(), "vector-f32"),
            (Gemm::new(7, 1023, 4097), "vector-f32"),
            (Gemm::new(5, 5, 100_000), "vector-f32"),
            (Gemm::new(8, 8, 4096).elements(DType::F64, DType::F64, DType::F64), "vector-f64"),
            (Gemm::new(9, 4096, 4096), "simt-f32-32x32x16-split4"),
            // Divided, these would only have more to add.
            (Gemm::new(1024, 1024, 1024), "simt-f32-64x128x16"),
            (Gemm::new(256, 256, 256).batch(64), "simt-f32-128x128x16"),
            (Gemm::new(64, 4096, 512), "simt-f32-32x32x16"),
        ] {
            assert_eq!(chosen(p.clone(), &facts), expected, "{p:?}");
        }
    }
}

#[test]
fn tensor_cores_compute_what_they_can_within_the_accuracy() {
    let facts = Facts { tensor_cores: true, ..gpu_facts() };
    let cube = |size| Gemm::new(size, size, size);
    let halves = |p: Gemm| p.elements(DType::F16, DType::F16, DType::F32);
    for (problem, expected) in [
        (cube(4096), "coop-balanced-f16x3-128x128x32"),
        (cube(2048), "coop-f16x3-128x128x32"),
        (cube(4096).batch(2), "coop-f16x3-128x128x32"),
        (cube(1024), "coop-f16x3-128x64x32"),
        (cube(4096).accuracy(Accuracy::Exact), "simt-f32-128x128x16"),
        (cube(4096).accuracy(Accuracy::F16), "coop-f16-128x256x32"),
        (halves(cube(4096)), "coop-summed-128x128x32"),
        (halves(cube(4096)).accuracy(Accuracy::F16), "coop-f16-128x256x32"),
        (halves(cube(4096)).accuracy(Accuracy::Exact), "simt-f32-128x128x16"),
        // Too little of k for the split, and nothing to sum.
        (Gemm::new(8192, 8192, 63), "simt-f32-128x128x16"),
        (Gemm::new(8192, 8192, 4096).alpha(0.0), "simt-f32-128x128x16"),
        (Gemm::new(1, 4096, 4096), "vector-f32"),
    ] {
        assert_eq!(chosen(problem.clone(), &facts), expected, "{problem:?}");
        // Without such hardware the same accuracies are plain arithmetic.
        assert!(!chosen(problem, &gpu_facts()).starts_with("coop"));
    }
    let doubles = cube(512).elements(DType::F64, DType::F64, DType::F64);
    assert!(chosen(doubles.accuracy(Accuracy::F16), &facts).starts_with("simt-f64"));
    // Packed operands and their statistics must each fit a binding.
    let small = Facts { binding: 4096 * 4096 * 4 - 1, ..facts };
    assert_eq!(chosen(cube(4096), &small), "simt-f32-128x128x16");
    assert_eq!(chosen(cube(4096), &Facts { workgroup_storage: 32_768, ..facts })[..4], *"coop");
}

#[test]
fn tiles_of_tensor_cores_divide_evenly() {
    for tile in COOP_TILES {
        let CoopTile { m, n, subgroup_m, subgroup_n, .. } = tile;
        assert_eq!((m % 64, n % 64, subgroup_m % 16, subgroup_n % 16), (0, 0, 0, 0), "{tile}");
        assert_eq!((m % subgroup_m, n % subgroup_n), (0, 0), "{tile}");
        assert!(tile.storage() <= 49_152, "{tile}: {}", tile.storage());
    }
}

#[test]
fn workspaces_fit_and_whole_parts_need_none() {
    let facts = gpu_facts();
    let needs = |name: &str, p: &Gemm| -> u64 {
        workspace_bytes(name.parse().unwrap(), p).into_iter().max().unwrap_or(0)
    };
    let p = Gemm::new(5, 6, 4096);
    // Rows of 5 or of 6, as C may turn out to lie, are padded to 8.
    assert_eq!(needs("simt-f32-32x32x16-split4", &p), 4 * 6 * 8 * 4);
    assert_eq!(needs("simt-f32-32x32x16-split4", &p.clone().batch(3)), 3 * 4 * 6 * 8 * 4);
    for name in ["simt-f32-32x32x16", "simt-f32-32x32x16-split4", "vector-f32"] {
        assert_eq!(needs(name, &p.clone().alpha(0.0)), 0, "{name}"); // nothing is summed
        let short = Gemm::new(5, 6, 16);
        assert_eq!(needs(name, &short), 0, "{name}");
    }
    // Enough workgroups already.
    assert_eq!(needs("vector-f32", &p.clone().batch(528)), 0);
    for (problem, name) in [
        (Gemm::new(64, 4096, 4096), "simt-f32-64x128x16-split8"),
        (Gemm::new(1, 4096, 4096), "vector-f32"),
    ] {
        let asked = needs(name, &problem);
        let tight = Facts { binding: asked - 1, ..facts };
        let error = fit(name.parse().unwrap(), &problem, &tight).unwrap_err();
        let limit = "max_storage_buffer_binding_size";
        assert!(matches!(error, Error::Limit { limit: l, .. } if l == limit), "{error}");
        assert_eq!(
            fit(name.parse().unwrap(), &problem, &Facts { binding: asked, ..facts }),
            Ok(())
        );
        assert_ne!(chosen(problem, &tight), name);
    }
    // Extents past all memory are refused elsewhere, and break nothing here.
    for (m, n, k) in [(1, usize::MAX, 4096), (64, 64, usize::MAX), (usize::MAX, 3, usize::MAX)] {
        assert!(candidates(&Gemm::new(m, n, k).batch(usize::MAX), &facts).is_ok());
    }
}

#[test]
fn k_is_divided_into_whole_steps() {
    for (k, wanted, step, expected) in [
        (4096, 8, 16, (8, 512)),
        (4097, 8, 16, (8, 528)),
        (100, 64, 16, (7, 16)),
        (16, 64, 16, (1, 16)),
        (17, 64, 16, (2, 16)),
        (1000, 1, 16, (1, 1000)),
        (1000, 0, 16, (1, 1000)),
        (0, 8, 16, (1, 0)),
    ] {
        let (count, chunk) = expected;
        assert_eq!(Parts::divide(k, wanted, step), Parts { count, chunk }, "{k} by {wanted}");
        assert!((count - 1) * chunk < k.max(1) && count * chunk >= k);
    }
}

#[test]
fn candidates_fit_and_the_choice_is_the_first() {
    let facts = gpu_facts();
    let software = Facts { software: true, ..facts };
    let small = Facts { workgroup_storage: 16_383, invocations: 127, ..facts };
    let cpu = Facts { backend: Backend::Cpu, ..facts };
    let none = Facts { workgroup_storage: 1, ..facts };
    let mut counts = Vec::new();
    for facts in [&facts, &software, &small, &cpu, &none] {
        for (m, n, k) in [(0, 0, 0), (1, 1, 1), (64, 64, 64), (1, 4096, 4096), (8192, 8192, 8192)] {
            let problem = Gemm::new(m, n, k);
            let found = candidates(&problem, facts).unwrap();
            assert_eq!(found.first().copied(), choose(&problem, facts).ok());
            for &algorithm in &found {
                assert_eq!(fit(algorithm, &problem, facts), Ok(()), "{algorithm} on {facts:?}");
            }
            if k == 64 {
                counts.push(found.len());
            }
        }
    }
    assert_eq!(counts, [4, 2, 2, 1, 0]);
    let refused = |name: &str, facts: &Facts| {
        fit(name.parse().unwrap(), &Gemm::new(8, 8, 8), facts).unwrap_err()
    };
    assert!(matches!(refused("cpu-f32", &facts), Error::Unsupported { .. }));
    assert!(matches!(refused("cpu-f64", &cpu), Error::Unsupported { .. }));
    assert!(matches!(refused("simt-f32-64x64x16", &cpu), Error::Unsupported { .. }));
    let Error::Limit { limit, asked, allowed, .. } = refused("simt-f32-64x128x16", &small) else {
        panic!("not a limit");
    };
    let invocations = "max_compute_invocations_per_workgroup";
    assert_eq!((limit, asked, allowed), (invocations, 128, 127));
    let made_up = Algorithm::Simt(Tile { thread_m: 0, ..TILES[0] }, DType::F32);
    let error = fit(made_up, &Gemm::new(8, 8, 8), &facts).unwrap_err();
    assert!(error.to_string().contains("no such algorithm"), "{error}");
}

#[test]
fn names_of_algorithms_are_read_back() {
    for algorithm in all() {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    for name in ["", "simt", "simt-f32-128x128x17", "CPU-F32", "cpu-f32 "] {
        let error = name.parse::<Algorithm>().unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("cpu-f64"), "{error}");
    }
}

#[test]
fn a_choice_is_for_one_problem() {
    let p = Gemm::new(64, 32, 16);
    let others = [
        Gemm::new(32, 64, 16),
        Gemm::new(64, 32, 17),
        p.clone().batch(2),
        p.clone().transpose_a(),
        p.clone().transpose_b(),
        p.clone().beta(1.0),
        p.clone().alpha(0.0),
        p.clone().accuracy(Accuracy::Exact),
        p.clone().elements(DType::F16, DType::F32, DType::F32),
        p.clone().elements(DType::F32, DType::F16, DType::F32),
        p.clone().elements(DType::F32, DType::F32, DType::F16),
    ];
    let mut subjects: Vec<_> = others.iter().map(Gemm::subject).collect();
    subjects.push(p.subject());
    let all = subjects.len();
    subjects.sort_by(|a, b| a.class.cmp(&b.class));
    subjects.dedup();
    assert_eq!(subjects.len(), all);
    assert_eq!(p.clone().alpha(2.0).subject(), p.subject());
}

#[test]
fn element_types_without_a_path_are_refused() {
    let facts = gpu_facts();
    let cpu = Facts { backend: Backend::Cpu, ..facts };
    let of = |a, b, c| Gemm::new(9, 9, 9).elements(a, b, c);
    let f64s = of(DType::F64, DType::F64, DType::F64);
    let without = Facts { f64: false, ..facts };
    assert!(matches!(choose(&f64s, &without), Err(Error::Unsupported { .. })));
    assert_eq!(chosen(f64s.clone(), &facts), "simt-f64-32x32x16");
    assert_eq!(chosen(of(DType::F32, DType::F32, DType::F64), &facts), "simt-f64-32x32x16");
    assert_eq!(chosen(f64s.clone().activation(Activation::Relu), &facts), "simt-f64-32x32x16");
    let gelu = f64s.clone().activation(Activation::Gelu);
    assert!(matches!(choose(&gelu, &facts), Err(Error::Unsupported { .. })));
    assert_eq!(chosen(gelu, &cpu), "cpu-f64");
    assert_eq!(chosen(f64s, &cpu), "cpu-f64");
    assert_eq!(chosen(of(DType::F16, DType::F16, DType::F16), &cpu), "cpu-f32");
    let halves = of(DType::F16, DType::F32, DType::F32);
    assert_eq!(chosen(halves.clone(), &facts), "simt-f32-32x32x16");
    let plain = Facts { f16: false, ..facts };
    assert!(matches!(choose(&halves, &plain), Err(Error::Unsupported { .. })));
    let integers = of(DType::I32, DType::F32, DType::F32);
    assert!(matches!(choose(&integers, &cpu), Err(Error::Unsupported { .. })));
}

#[test]
fn tiles_divide_evenly() {
    for tile in TILES {
        assert_eq!((tile.m % tile.thread_m, tile.n % tile.thread_n), (0, 0), "{tile:?}");
        assert_eq!((tile.thread_m % 4, tile.thread_n % 4, tile.k % 4), (0, 0, 0), "{tile:?}");
    }
}

#[test]
fn the_host_passes_every_hard_case() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    for case in hard_cases() {
        case.check(&ctx, 7).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    }
}

#[test]
fn the_host_keeps_its_accuracy_on_hard_inputs() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    for input in hard_inputs() {
        let found = input.measure(&ctx, Accuracy::Exact).unwrap();
        assert!(found.worst <= 1.0, "{input:?}: {:.3} times the bound", found.worst);
        let lost = (input.cancels(), found.frobenius > 1e-6);
        assert!(matches!(lost, (true, _) | (_, false)), "{input:?}: {:e}", found.frobenius);
    }
}

#[test]
fn the_bound_is_the_documented_one() {
    let u = 2.0_f64.powi(-24);
    let p = Gemm::new(1, 1, 1);
    let of = |p: &Gemm, a: f64, b: f64| element(p, [(a, b)], 0.0, 0.0);
    let (value, bound) = of(&p, 3.0, -5.0);
    assert_eq!(value, -15.0);
    assert!((bound / (5.0 * u * 15.0) - 1.0).abs() < 1e-5, "{bound:e}");
    assert_eq!(of(&p.clone().accuracy(Accuracy::Exact), 3.0, -5.0), (value, bound));

    let half = p.clone().accuracy(Accuracy::F16);
    let operand = 2.0_f64.powi(-11);
    let expected = (2.0 * operand + operand * operand + 10.0 * u) * 15.0;
    assert!((of(&half, 3.0, -5.0).1 / expected - 1.0).abs() < 1e-4);
    // f16 operands are rounded no more, and f64 is nothing that f16 may stand for.
    let halves = half.clone().elements(DType::F16, DType::F16, DType::F32);
    assert!((of(&halves, 3.0, -5.0).1 / (10.0 * u * 15.0) - 1.0).abs() < 1e-5);
    let doubles = half.clone().elements(DType::F64, DType::F64, DType::F64);
    assert!(of(&doubles, 3.0, -5.0).1 < 1e-13);
    // Below f16's smallest number an operand may become zero or that; above its largest, infinite.
    let (value, bound) = of(&half, 1e-8, 1.0);
    assert!(bound > value && bound < 4e-8, "{bound:e}");
    assert!(of(&half, 65_504.0, 1.0).1 < 65.0);
    assert_eq!(of(&half, 1e5, 0.0).1, f64::INFINITY);

    // What is not finite is so for certain, or nothing is promised.
    assert_eq!(of(&p, 1e30, 1e20), (f64::INFINITY, 0.0));
    assert_eq!(of(&p, f64::NEG_INFINITY, 2.0), (f64::NEG_INFINITY, 0.0));
    let (nan, bound) = of(&p, f64::INFINITY, 0.0);
    assert!(nan.is_nan() && bound == 0.0);
    let mixed = element(&Gemm::new(1, 1, 2), [(3e38, 1.0), (3e38, -1.0)], 0.0, 0.0);
    assert_eq!(mixed, (0.0, f64::INFINITY));
    let narrow = p.elements(DType::F32, DType::F32, DType::F16);
    assert_eq!(of(&narrow, 1e3, 1e3).1, f64::INFINITY);
    // A subnormal factor may be lost, whatever it meets.
    let (value, bound) = of(&Gemm::new(1, 1, 1), 1e-40, 1e30);
    assert!(bound >= value);
}

#[test]
fn the_bound_of_f16_permits_f16_and_nothing_coarser() {
    let half = Gemm::new(1, 1, 1).accuracy(Accuracy::F16);
    let mut random = fastrand::Rng::with_seed(4);
    let mut coarse = 0;
    for _ in 0..10_000 {
        // Subnormal numbers of f16 among them, and what is below half of its smallest.
        let mut draw = || f64::from((random.f32() - 0.5) * 2.0_f32.powi(random.i32(-30..=15)));
        let (a, b) = (draw(), draw());
        let (value, bound) = element(&half, [(a, b)], 0.0, 0.0);
        let error = |x: f64, y: f64| (x * y - value).abs();
        let [x, y] = [a, b].map(|x| half::f16::from_f64(x).to_f64());
        assert!(error(x, y) <= bound, "{a:e} {b:e}: {:e} {bound:e}", error(x, y));
        // Two bits fewer, cut off.
        let [x, y] = [x, y].map(|x| half::f16::from_bits(half::f16::from_f64(x).to_bits() & !3));
        coarse += u32::from(error(x.to_f64(), y.to_f64()) > bound);
    }
    assert!(coarse > 1000, "{coarse}");
}

/// A product by two f16 for each f32, high·high + high·low + low·high in f32; rows of A and columns
/// of B brought to at most 1 before and back after, if asked for.
fn split(input: &Input, scaled: bool) -> Vec<f32> {
    let [m, n, k] = input.extents;
    let (a, b) = input.operands();
    let power = |line: &mut dyn Iterator<Item = f32>| {
        let largest = line.fold(0.0, |most: f32, x| most.max(x.abs()));
        if scaled && largest > 0.0 { largest.log2().ceil().exp2() } else { 1.0 }
    };
    let rows: Vec<f32> = (0..m).map(|i| power(&mut a[i * k..][..k].iter().copied())).collect();
    let columns: Vec<f32> = (0..n).map(|j| power(&mut b[j..].iter().step_by(n).copied())).collect();
    let halves = |x: f32| {
        let high = half::f16::from_f32(x).to_f32();
        [high, half::f16::from_f32((x - high) * 2048.0).to_f32() / 2048.0]
    };
    let a: Vec<_> = a.iter().enumerate().map(|(at, x)| halves(x / rows[at / k])).collect();
    let b: Vec<_> = b.iter().enumerate().map(|(at, x)| halves(x / columns[at % n])).collect();
    let element = |at: usize| {
        let (i, j) = (at / n, at % n);
        let (mut large, mut small) = (0.0_f32, 0.0_f32);
        for l in 0..k {
            let ([high_a, low_a], [high_b, low_b]) = (a[i * k + l], b[l * n + j]);
            large += high_a * high_b;
            small += high_a * low_b + low_a * high_b;
        }
        (large + small) * rows[i] * columns[j]
    };
    (0..m * n).map(element).collect()
}

#[test]
fn hard_inputs_tell_a_guarded_split_from_others() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let extents = [48, 40, 96];
    let passes = |entries, scaled| {
        let input = Input { extents, entries };
        let found = input.judge(Accuracy::F32, Algorithm::Cpu(DType::F32), split(&input, scaled));
        let exact = input.measure(&ctx, Accuracy::Exact).unwrap().frobenius;
        found.worst <= 1.0
            && (input.cancels() || found.frobenius <= 2.0 * exact + 2.0_f64.powi(-26))
    };
    for entries in [Entries::Random, Entries::Alternating, Entries::Cancelling, Entries::Hilbert] {
        assert!(passes(entries, false) && passes(entries, true), "{entries:?}");
    }
    // What scaling rows and columns mends, and what it does not.
    assert!(!passes(Entries::Scaled, false) && passes(Entries::Scaled, true));
    assert!(!passes(Entries::Huge, false));
    for entries in [Entries::ScaledWithin, Entries::NonFinite] {
        assert!(!passes(entries, false) && !passes(entries, true), "{entries:?}");
    }
}

#[test]
fn mistaken_operands_are_named() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let plan = Gemm::new(2, 4, 3).plan(&ctx).unwrap();
    let a = ctx.zeros::<f32>([2, 3]).unwrap();
    let b = ctx.zeros::<f32>([3, 4]).unwrap();
    let mut c = ctx.zeros::<f32>([2, 4]).unwrap();
    plan.run(&a, &b, &mut c).unwrap();

    let refused = |operand: &str, error: Error| match error {
        Error::Shape { operand: named, .. } => assert_eq!(named, operand),
        other => panic!("{other}"),
    };
    refused("A", plan.run(&b, &b, &mut c).unwrap_err());
    refused("B", plan.run(&a, &a, &mut c).unwrap_err());
    let mut wrong = ctx.zeros::<f32>([4, 2]).unwrap();
    refused("C", plan.run(&a, &b, &mut wrong).unwrap_err());
    let overlapping = c.view_mut().map(|view| view.strided([2, 4], &[1, 1], 0)).unwrap();
    refused("C", plan.run(&a, &b, overlapping).unwrap_err());
    refused("B", ctx.gemm(&a, &a).unwrap_err());
    refused("A", ctx.gemm(&ctx.zeros::<f32>([3]).unwrap(), &b).unwrap_err());
    let three = ctx.zeros::<f32>([3, 2, 3]).unwrap();
    refused("B", ctx.gemm(&three, &ctx.zeros::<f32>([2, 3, 4]).unwrap()).unwrap_err());

    let doubles = ctx.zeros::<f64>([3, 4]).unwrap();
    assert!(matches!(plan.run(&a, &doubles, &mut c), Err(Error::Element { .. })));
    let elsewhere = Context::on(Backend::Cpu).unwrap().zeros::<f32>([3, 4]).unwrap();
    let error = plan.run(&a, &elsewhere, &mut c).unwrap_err();
    assert_eq!(error, Error::Foreign { operand: "B".into() });
}

#[test]
fn beta_zero_does_not_read_and_alpha_zero_does_not_look() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let nan = ctx.upload([2, 2], &[f32::NAN; 4]).unwrap();
    let one = ctx.upload([2, 2], &[1.0_f32, 0.0, 0.0, 1.0]).unwrap();
    let mut c = ctx.upload([2, 2], &[f32::NAN; 4]).unwrap();
    Gemm::new(2, 2, 2).plan(&ctx).unwrap().run(&one, &one, &mut c).unwrap();
    assert_eq!(c.download().unwrap(), [1.0, 0.0, 0.0, 1.0]);
    let plan = Gemm::new(2, 2, 2).alpha(0.0).beta(3.0).plan(&ctx).unwrap();
    plan.run(&nan, &nan, &mut c).unwrap();
    assert_eq!(c.download().unwrap(), [3.0, 0.0, 0.0, 3.0]);
    assert!(ctx.gemm(&nan, &one).unwrap().download().unwrap().iter().all(|x| x.is_nan()));
}

#[test]
fn a_bias_is_asked_for_and_given() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let a = ctx.zeros::<f32>([3, 2, 3]).unwrap();
    let b = ctx.zeros::<f32>([3, 4]).unwrap();
    let mut c = ctx.zeros::<f32>([3, 2, 4]).unwrap();
    let plain = Gemm::new(2, 4, 3).batch(3).plan(&ctx).unwrap();
    let biased = Gemm::new(2, 4, 3).batch(3).bias().plan(&ctx).unwrap();
    let of = |shape: &[usize]| ctx.zeros::<f32>(shape).unwrap();
    for shape in [&[4][..], &[1, 4], &[3, 4]] {
        biased.run_biased(&a, &b, &of(shape), &mut c).unwrap();
    }
    let refused = |result: Result<()>, words: &str| {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Shape { operand, .. } if operand == "bias"), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    for shape in [&[3][..], &[4, 3], &[2, 4], &[4, 1], &[1, 3, 4], &[]] {
        refused(biased.run_biased(&a, &b, &of(shape), &mut c), "expected shape 4 or 3x4");
    }
    refused(biased.run(&a, &b, &mut c), "a vector of 4 elements");
    refused(plain.run_biased(&a, &b, &of(&[4]), &mut c), "expected none");

    let narrow = Gemm::new(2, 4, 3).batch(3).elements(DType::F32, DType::F32, DType::F16);
    let mut halves = ctx.zeros::<half::f16>([3, 2, 4]).unwrap();
    let bias = ctx.zeros::<half::f16>([4]).unwrap();
    narrow.clone().bias().plan(&ctx).unwrap().run_biased(&a, &b, &bias, &mut halves).unwrap();
    // C of f16 was promised, and a bias with it.
    let error = narrow.bias().plan(&ctx).unwrap().run_biased(&a, &b, &of(&[4]), &mut c);
    assert!(matches!(error, Err(Error::Element { .. })));
    let elsewhere = Context::on(Backend::Cpu).unwrap().zeros::<f32>([4]).unwrap();
    let error = biased.run_biased(&a, &b, &elsewhere, &mut c).unwrap_err();
    assert_eq!(error, Error::Foreign { operand: "bias".into() });
}

#[test]
fn gelu_is_hendrycks_and_gimpels() {
    for x in (-600..=600).map(|i| f64::from(i) / 100.0) {
        let (found, _) = activated(Activation::Gelu, x, 0.0, 0.0);
        let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
        let expected = 0.5 * x * (1.0 + u.tanh());
        assert!((found - expected).abs() <= 4.0 * f64::EPSILON * x.abs(), "{x}: {found}");
        // The slope that bounds how an error of the argument grows.
        let (ahead, _) = activated(Activation::Gelu, x + 1e-6, 0.0, 0.0);
        assert!((ahead - found).abs() <= 1.13e-6, "{x}: {}", (ahead - found) / 1e-6);
    }
}

#[test]
fn factors_are_told_to_the_last_bit() {
    let third = 1.0 / 3.0;
    let subnormal = f64::MIN_POSITIVE * third;
    for x in [0.0, 1.0, -0.7, third * 1e300, third * 1e-300, f64::MAX, f64::MIN_POSITIVE, subnormal]
    {
        let [high, middle, low, scale] = factor(x, DType::F64).map(f64::from);
        let scale8 = scale.powi(8);
        assert_eq!((high + middle + low) * scale8 * scale8, x);
        assert!(factor(x, DType::F64).iter().all(|w| *w == 0.0 || w.is_normal()), "{x:e}");
    }
    assert_eq!(factor(f64::INFINITY, DType::F64), [f32::INFINITY, 0.0, 0.0, 1.0]);
    assert!(factor(f64::NAN, DType::F64)[0].is_nan());
    assert_eq!(factor(third, DType::F32)[0], 1.0 / 3.0);
}

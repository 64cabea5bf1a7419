mod pictures;
mod sessions;

use super::{Bindings, Buffer, Device, Options};
use crate::interp::RunError;
use crate::ir::{Atomic, Binary::*, Builtin, Kernel, Memory, Op, Place, Type::*};
use crate::sketch::{Sketch, device, words_in};
use std::time::{Duration, Instant};

/// Adds 1 to a word for each lane.
fn counts(workgroup: [u32; 3]) -> Kernel {
    let mut s = Sketch::new(workgroup);
    let memory = s.buffer(4, true);
    let one = s.u(1);
    let place = Place { memory, base: 0, terms: vec![] };
    s.op(U32, Op::Atomic { op: Atomic::Add, place, value: one, compare: None });
    s.done()
}

/// Goes on for ever.
fn endless() -> Kernel {
    let mut s = Sketch::new([64, 1, 1]);
    s.repeat(|_, _| {}, |_| None);
    s.done()
}

#[test]
fn workgroups_run_once_each_along_three_axes() {
    let mut s = Sketch::new([2, 3, 4]);
    let out = s.buffer(4, true);
    let mut axis = |builtin: fn(u8) -> Builtin, axis| s.op(U32, Op::Builtin(builtin(axis)));
    let [gx, gy, gz] = [0, 1, 2].map(|k| axis(Builtin::WorkgroupId, k));
    let [nx, ny] = [0, 1].map(|k| axis(Builtin::Workgroups, k));
    let [lx, ly, lz] = [0, 1, 2].map(|k| axis(Builtin::LocalId, k));
    // ((((gz·ny + gy)·nx + gx)·4 + lz)·3 + ly)·2 + lx
    let (four, three, two) = (s.u(4), s.u(3), s.u(2));
    let mut sum = gz;
    for (factor, term) in [(ny, gy), (nx, gx), (four, lz), (three, ly), (two, lx)] {
        let product = s.bin(Mul, sum, factor);
        sum = s.bin(Add, product, term);
    }
    let one = s.u(1);
    let place = Sketch::place(out, sum, 4);
    s.op(U32, Op::Atomic { op: Atomic::Add, place, value: one, compare: None });
    let buffer = Buffer::zeroed(24 * 5 * 6 * 7 * 4).unwrap();
    device().dispatch(&s.done(), &Bindings::new().buffer(0, 0, &buffer), [5, 6, 7]).unwrap();
    assert!(words_in(&buffer).iter().all(|count| *count == 1));
}

#[test]
fn dispatches_may_come_from_several_threads() {
    let device = device();
    let buffer = Buffer::zeroed(4).unwrap();
    let pipeline = device.prepare(&counts([33, 1, 1])).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let bindings = Bindings::new().buffer(0, 0, &buffer);
                    device.run(&pipeline, &bindings, [5, 1, 2]).unwrap();
                }
            });
        }
    });
    assert_eq!(words_in(&buffer), [33 * 10 * 40]);
    device.run(&pipeline, &Bindings::new().buffer(0, 0, &buffer), [9, 0, 1]).unwrap();
    assert_eq!(words_in(&buffer), [33 * 10 * 40]);
}

#[test]
fn endless_loops_end() {
    let options = Options { threads: 2, budget: 1_000_000, ..Options::default() };
    let error = Device::new(options).unwrap().dispatch(&endless(), &Bindings::new(), [8, 1, 1]);
    assert_eq!(error, Err(RunError::Budget { instructions: 1_000_000 }));
    let limit = Duration::from_millis(20);
    let options = Options { threads: 2, deadline: Some(limit), ..Options::default() };
    let begin = Instant::now();
    let error = Device::new(options).unwrap().dispatch(&endless(), &Bindings::new(), [8, 1, 1]);
    assert_eq!(error, Err(RunError::Deadline { limit }));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_budget_is_for_the_whole_dispatch() {
    // Two nodes with the body, one lane: some instructions a workgroup.
    let device =
        |budget| Device::new(Options { threads: 2, budget, ..Options::default() }).unwrap();
    let buffer = Buffer::zeroed(4).unwrap();
    let bindings = Bindings::new().buffer(0, 0, &buffer);
    assert_eq!(device(100_000).dispatch(&counts([1; 3]), &bindings, [1000, 1, 1]), Ok(()));
    let error = device(1000).dispatch(&counts([1; 3]), &bindings, [1000, 1, 1]);
    assert_eq!(error, Err(RunError::Budget { instructions: 1000 }));
}

#[test]
fn bindings_are_checked_one_by_one() {
    let mut s = Sketch::new([4, 1, 1]);
    s.buffer(16, false);
    s.buffer(16, true);
    let kernel = s.done();
    let device = device();
    let of = |bindings: Bindings| device.dispatch(&kernel, &bindings, [1, 1, 1]).unwrap_err();
    let (a, b) = (Buffer::zeroed(64).unwrap(), Buffer::zeroed(256).unwrap());
    let ab = || Bindings::new().buffer(0, 0, &a);
    device.dispatch(&kernel, &ab().part(0, 1, &b, 32, 64), [1, 1, 1]).unwrap();
    assert_eq!(of(ab()), RunError::Missing { group: 0, binding: 1, name: "b1".into() });
    assert_eq!(of(ab().buffer(0, 0, &b)), RunError::Twice { group: 0, binding: 0 });
    assert_eq!(of(ab().buffer(1, 0, &b)), RunError::Unknown { group: 1, binding: 0 });
    let (group, binding, name) = (0, 1, "b1".to_string());
    let small = RunError::TooSmall { group, binding, name, expected: 16, found: 12 };
    assert_eq!(of(ab().part(0, 1, &b, 0, 12)), small);
    let askew = RunError::Misaligned { group, binding, expected: 32, found: 4 };
    assert_eq!(of(ab().part(0, 1, &b, 4, 64)), askew);
    let past = RunError::PastEnd { offset: 224, end: 288, bytes: 256 };
    assert_eq!(of(ab().part(0, 1, &b, 224, 64)), past);
    let past = RunError::PastEnd { offset: u64::MAX, end: u64::MAX, bytes: 256 };
    assert_eq!(of(ab().part(0, 1, &b, u64::MAX, 64)), past);
    let overlap = RunError::Overlap { first: "b0".into(), second: "b1".into() };
    let twice = Bindings::new().part(0, 0, &b, 0, 64).part(0, 1, &b, 32, 64);
    assert_eq!(of(twice), overlap);
    let beside = Bindings::new().part(0, 0, &b, 0, 64).part(0, 1, &b, 64, 64);
    assert_eq!(device.dispatch(&kernel, &beside, [1, 1, 1]), Ok(()));
    let text = small.to_string();
    assert!(text.contains("@binding(1) b1: expected 16 bytes at least, found 12"), "{text}");
}

#[test]
fn limits_are_told_by_name() {
    let device = device();
    let of = |kernel: &Kernel, count| device.dispatch(kernel, &Bindings::new(), count).unwrap_err();
    let plain = |workgroup| Sketch::new(workgroup).done();
    let wide = RunError::Workgroup { expected: 1024, found: 1025 };
    assert_eq!(of(&plain([1025, 1, 1]), [1, 1, 1]), wide);
    let wide = RunError::Workgroup { expected: 1024, found: 1 << 48 };
    assert_eq!(of(&plain([1 << 16; 3]), [1, 1, 1]), wide);
    let wide = RunError::Workgroup { expected: 1024, found: u64::MAX };
    assert_eq!(of(&plain([u32::MAX; 3]), [1, 1, 1]), wide);
    let many = RunError::Workgroups { axis: 'z', expected: 65_535, found: 65_536 };
    assert_eq!(of(&plain([1; 3]), [1, 1, 65_536]), many);
    let mut s = Sketch::new([1024, 1, 1]);
    s.kernel.private_bytes = 1 << 20;
    let (out, lane, five) = (s.buffer(4, true), s.lane(), s.u(5));
    s.store(Memory::Private, lane, lane);
    let back = s.load(U32, Memory::Private, five);
    s.store(out, lane, back);
    let memory = of(&s.done(), [1, 1, 1]);
    assert!(matches!(memory, RunError::Memory { expected: 1_073_741_824, .. }), "{memory}");
    let mut s = Sketch::new([1; 3]);
    let yes = s.op(Bool, Op::Const(1));
    fn nested(s: &mut Sketch, yes: crate::ir::Value, depth: u32) {
        if depth > 0 {
            s.branch(yes, |s| nested(s, yes, depth - 1), |_| {});
        }
    }
    nested(&mut s, yes, 300);
    assert_eq!(of(&s.done(), [1, 1, 1]), RunError::Nesting { limit: 256 });
    let mut s = Sketch::new([1024, 1, 1]);
    let yes = s.op(Bool, Op::Const(1));
    nested(&mut s, yes, 250);
    assert_eq!(device.dispatch(&s.done(), &Bindings::new(), [1, 1, 1]), Ok(()));
    for options in [
        Options { subgroup: 3, ..Options::default() },
        Options { workgroup: 0, ..Options::default() },
        Options { threads: 5000, ..Options::default() },
    ] {
        assert!(matches!(Device::new(options), Err(RunError::Option { .. })));
    }
    assert!(matches!(Buffer::zeroed(1 << 40), Err(RunError::Memory { .. })));
}

#[test]
fn of_several_failures_the_first_is_told() {
    let mut s = Sketch::new([32, 1, 1]);
    let (lane, one) = (s.lane(), s.u(1));
    let group = s.op(U32, Op::Builtin(Builtin::WorkgroupId(0)));
    let limit = s.bin(Add, group, one);
    let below = s.cmp(crate::ir::Compare::Less, lane, limit);
    s.branch(below, |s| s.barrier(crate::ir::Scope::Storage), |_| {});
    let kernel = s.done();
    for _ in 0..20 {
        match device().dispatch(&kernel, &Bindings::new(), [20, 1, 1]) {
            Err(RunError::Divergent { workgroup: [0, 0, 0], lane: 1, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

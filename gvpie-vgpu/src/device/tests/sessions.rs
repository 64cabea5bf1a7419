//! Dispatches that wait between steps.

use crate::Module;
use crate::device::{Bindings, Buffer, Device, Here, Options, Session, Until};
use crate::interp::{Datum, RunError};
use crate::ir::{Scope, Where};
use crate::sketch::{device, words_in};
use std::time::{Duration, Instant};

/// Lines count from 1; the kernel's body begins at line 6.
const SUMS: &str = "@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
var<workgroup> part: array<f32, 8>;
@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var list: array<i32, 4>;
    list[lane % 4u] = -i32(lane);
    part[lane] = f32(lane + group.x * 100u);
    workgroupBarrier();
    var sum = 0.0;
    if lane < 2u {
        for (var i = lane; i < 8u; i += 2u) {
            sum += part[i];
        }
        sums[group.x * 2u + lane] = sum;
    }
}";

fn session(buffer: &Buffer, chosen: &[[u32; 3]]) -> Session {
    let kernel = Module::new(SUMS, &[]).unwrap().kernel("main").unwrap();
    let bindings = Bindings::new().buffer(0, 0, buffer);
    device().step(&kernel, SUMS, &bindings, [4, 1, 1], chosen).unwrap()
}

fn floats(buffer: &Buffer) -> Vec<f32> {
    words_in(buffer).into_iter().map(f32::from_bits).collect()
}

/// The sums of even and odd lanes of each workgroup.
const EXPECTED: [f32; 8] = [12.0, 16.0, 412.0, 416.0, 812.0, 816.0, 1212.0, 1216.0];

#[test]
fn chosen_workgroups_wait_and_others_run_through() {
    let buffer = Buffer::zeroed(32).unwrap();
    let mut session = session(&buffer, &[[2, 0, 0], [3, 0, 0]]);
    let at = |here: Option<&Here>| here.map(|here| (here.workgroup[0], here.line));
    let first = session.here().unwrap().clone();
    assert_eq!((first.workgroup, first.lanes.len(), first.barrier), ([2, 0, 0], 8, None));
    assert_eq!(floats(&buffer), [12.0, 16.0, 412.0, 416.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(at(session.run(Until::At(14)).unwrap()), Some((2, 14)));
    assert_eq!(session.here().unwrap().lanes, [0, 1]);
    assert_eq!(session.variable(0, "sum"), Some(vec![Datum::F32(812.0)]));
    assert_eq!(session.variable(5, "sum"), Some(vec![Datum::F32(0.0)]));
    assert_eq!(at(session.run(Until::Barrier).unwrap()), Some((3, 8)));
    assert_eq!(session.here().unwrap().barrier, Some(Scope::Workgroup));
    let list = [0, 0, -6, 0].map(Datum::I32).to_vec();
    assert_eq!(session.variable(6, "list"), Some(list));
    let part: Vec<Datum> = (0..8_u8).map(|lane| Datum::F32(300.0 + f32::from(lane))).collect();
    assert_eq!(session.variable(0, "part"), Some(part));
    let memory = session.workgroup_memory().unwrap();
    assert_eq!((memory.len(), &memory[28..]), (32, &307.0_f32.to_le_bytes()[..]));
    assert_eq!(session.run(Until::End), Ok(None));
    assert_eq!(floats(&buffer), EXPECTED);
    assert_eq!(session.run(Until::Line), Ok(None));
    assert_eq!(session.here(), None);
    assert_eq!((session.variable(0, "sum"), session.workgroup_memory()), (None, None));
}

#[test]
fn lines_and_instructions_come_one_by_one() {
    let buffer = Buffer::zeroed(32).unwrap();
    let mut lines = Vec::new();
    let mut by_line = session(&buffer, &[[1, 0, 0]]);
    while let Some(here) = by_line.here() {
        lines.push((here.line, here.lanes.len()));
        by_line.run(Until::Line).unwrap();
    }
    let rounds = [(11, 2), (12, 2)].repeat(4);
    // What a variable begins as is set first, if it is constant.
    let mut expected = vec![(9, 8), (6, 8), (7, 8), (8, 8), (10, 8)];
    expected.extend(rounds);
    expected.extend([(11, 2), (14, 2)]);
    assert_eq!(lines, expected);
    assert_eq!(floats(&buffer), EXPECTED);

    let buffer = Buffer::zeroed(32).unwrap();
    let mut single = session(&buffer, &[[0; 3], [1, 0, 0]]);
    let mut steps = 0;
    while let Some(here) = single.run(Until::Instruction).unwrap() {
        assert!(!here.lanes.is_empty() && here.span.start < here.span.end, "{here:?}");
        steps += 1;
    }
    assert!(steps > 2 * 30, "{steps}");
    assert_eq!(floats(&buffer), EXPECTED);
}

#[test]
fn what_is_not_there_is_nothing() {
    let buffer = Buffer::zeroed(32).unwrap();
    let session = session(&buffer, &[[0; 3]]);
    assert!(session.variables().iter().any(|variable| variable.name == "list"));
    assert_eq!((session.variable(8, "sum"), session.variable(0, "none")), (None, None));
    let f32 = crate::ir::Type::F32;
    for at in [
        Where::Slot(crate::ir::Slot(99)),
        Where::Private(1 << 20, 1, f32),
        Where::Workgroup(0, u32::MAX, f32),
        Where::Workgroup(!3, 2, f32),
    ] {
        assert_eq!(session.read(0, at), None, "{at:?}");
    }
}

#[test]
fn sessions_end_when_dropped_or_wrong() {
    let buffer = Buffer::zeroed(32).unwrap();
    for steps in [0, 1, 7] {
        let mut session = session(&buffer, &[[0; 3]]);
        for _ in 0..steps {
            session.run(Until::Instruction).unwrap();
        }
    }
    let kernel = Module::new(SUMS, &[]).unwrap().kernel("main").unwrap();
    let bindings = Bindings::new().buffer(0, 0, &buffer);
    let of = |chosen: &[[u32; 3]], count| device().step(&kernel, SUMS, &bindings, count, chosen);
    let error = of(&[[0, 1, 0]], [4, 1, 1]).unwrap_err();
    assert_eq!(error, RunError::NoWorkgroup { expected: [4, 1, 1], found: [0, 1, 0] });
    assert_eq!(of(&[], [4, 1, 1]).unwrap().run(Until::Line), Ok(None));
    assert_eq!(of(&[], [4, 0, 1]).unwrap().here(), None);
    let missing = device().step(&kernel, SUMS, &Bindings::new(), [1, 1, 1], &[[0; 3]]);
    assert!(matches!(missing, Err(RunError::Missing { .. })));
}

/// A kernel that goes on for ever on line 3.
const ENDLESS: &str = "@compute @workgroup_size(4)
fn main() {
    for (var i = 0u; ; i++) { }
}";

fn endless(options: Options) -> Session {
    let kernel = Module::new(ENDLESS, &[]).unwrap().kernel("main").unwrap();
    let device = Device::new(Options { threads: 1, ..options }).unwrap();
    device.step(&kernel, ENDLESS, &Bindings::new(), [1, 1, 1], &[[0; 3]]).unwrap()
}

#[test]
fn kernels_without_an_end_are_stopped() {
    let error = RunError::Budget { instructions: 100_000 };
    let mut session = endless(Options { budget: 100_000, ..Options::default() });
    assert_eq!(session.run(Until::End), Err(error.clone()));
    assert_eq!(session.run(Until::End), Err(error));
    assert_eq!(session.here(), None);

    let limit = Duration::from_millis(50);
    let mut session = endless(Options { deadline: Some(limit), ..Options::default() });
    // Waiting takes no time of the kernel's.
    std::thread::sleep(2 * limit);
    session.run(Until::Instruction).unwrap();
    std::thread::sleep(2 * limit);
    session.run(Until::Instruction).unwrap();
    assert_eq!(session.run(Until::Barrier), Err(RunError::Deadline { limit }));
}

#[test]
fn another_thread_has_a_session_wait() {
    let mut session = endless(Options::default());
    let begin = Instant::now();
    let interrupt = session.interrupt();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            interrupt.now();
        });
        assert_eq!(session.run(Until::End).unwrap().unwrap().line, 3);
    });
    assert!(matches!(session.variable(2, "i").unwrap()[..], [Datum::U32(i)] if i > 0));
    session.run(Until::Instruction).unwrap();
    drop(session);
    assert!(begin.elapsed() < Duration::from_secs(10));
}

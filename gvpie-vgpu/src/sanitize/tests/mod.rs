mod oracle;
mod planted;

use super::{Kind, Report};
use crate::device::{Bindings, Buffer};
use crate::device::{Device, Options};
use crate::sketch::device;
use crate::{Module, RunError};

/// What the sanitizer tells of `main`, with buffers of so many words of zeros.
fn check(source: &str, words: &[u64], count: [u32; 3]) -> Result<Report, RunError> {
    let kernel = Module::new(source, &[]).unwrap().kernel("main").unwrap();
    let mut bindings = Bindings::new();
    for (number, words) in words.iter().enumerate() {
        bindings = bindings.buffer(0, number as u32, &Buffer::zeroed(words * 4)?);
    }
    device().check(&kernel, &bindings, count)
}

/// A kernel of 64 lanes with workgroup memory and a buffer; the first line of `body` is line 7.
fn around(body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read_write> sum: atomic<u32>;
var<workgroup> part: array<u32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u,
        @builtin(global_invocation_id) id: vec3u) {{
{body}
    atomicAdd(&sum, lane);
}}"
    )
}

fn found(body: &str) -> (String, Report) {
    let source = around(body);
    let report = check(&source, &[256, 1], [2, 1, 1]).unwrap();
    (source, report)
}

#[test]
fn clean_kernels_have_no_findings() {
    for body in [
        "data[id.x] = lane;",
        "part[lane] = id.x; workgroupBarrier(); data[id.x] = part[63u - lane];",
        "for (var i = 0u; i < 3u; i++) {
            part[lane] = data[id.x] + i; workgroupBarrier();
            data[id.x] = part[(lane + 1u) % 64u]; workgroupBarrier();
        }",
        "data[id.x] = 1u; storageBarrier(); let a = data[group.x * 64u + 63u - lane];
         storageBarrier(); data[id.x] = a;",
        "if lane == 0u { part[0] = 7u; } workgroupBarrier(); data[id.x] = part[0] / (lane + 1u);",
        "if id.x < arrayLength(&data) { data[id.x] = data[id.x] % 7u; }",
        "data[id.x] = atomicMax(&sum, lane);",
    ] {
        let (source, report) = found(body);
        let texts: Vec<String> = report.findings.iter().map(|f| f.text(&source)).collect();
        assert!(texts.is_empty(), "{body}\n{texts:#?}");
    }
}

#[test]
fn races_in_workgroup_memory_name_both_lanes() {
    let (source, report) = found(
        "part[lane] = lane;
    let a = part[(lane + 1u) % 64u];
    data[id.x] = a;",
    );
    assert_eq!(report.findings.len(), 1, "{report:?}");
    let finding = &report.findings[0];
    let Kind::Race { memory, address: 4, writes: false, other } = &finding.kind else {
        panic!("{finding:?}");
    };
    assert_eq!((memory.as_str(), finding.lane, other.lane, other.writes), ("part", 0, 1, true));
    assert_eq!((finding.span.line(&source), other.span.line(&source)), (8, 7));
    assert_eq!((finding.workgroup, finding.count), ([0; 3], 128));
    assert_eq!(
        finding.text(&source),
        "line 8: race: lane 0 of workgroup [0, 0, 0] reads byte 4 of part, which lane 1 of workgroup \
         [0, 0, 0] writes with no barrier between, at line 7 (128 times)"
    );
}

#[test]
fn a_write_after_others_have_read_is_a_race() {
    let (source, report) = found(
        "part[lane] = lane;
    workgroupBarrier();
    data[id.x] = part[5];
    if lane == 5u {
        part[5] = 1u;
    }",
    );
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    let Kind::Race { writes: true, other, .. } = &finding.kind else { panic!("{finding:?}") };
    assert_eq!((finding.lane, finding.span.line(&source), other.span.line(&source)), (5, 11, 9));
    assert!(other.lane != 5 && !other.writes);
}

#[test]
fn races_between_workgroups_and_over_the_wrong_barrier() {
    let (source, report) = found("data[lane] = id.x;");
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    let Kind::Race { memory, other, .. } = &finding.kind else { panic!("{finding:?}") };
    assert_eq!((memory.as_str(), finding.workgroup, other.workgroup), ("data", [1, 0, 0], [0; 3]));
    assert_eq!((finding.lane, other.lane, finding.span.line(&source)), (0, 0, 7));

    let (_, report) = found("let a = data[lane]; if group.x == 1u { data[lane] = a; }");
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(matches!(&finding.kind, Kind::Race { writes: true, other, .. } if !other.writes));

    let (_, report) = found(
        "data[id.x] = 1u; workgroupBarrier(); part[lane] = data[group.x * 64u + 63u - lane];",
    );
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(matches!(finding.kind, Kind::Race { writes: false, .. }));

    let (_, report) = found("part[0] = 1u; workgroupBarrier(); data[id.x] = part[0];");
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(matches!(&finding.kind, Kind::Race { writes: true, other, .. } if other.writes));
}

#[test]
fn halves_of_a_word_are_words_of_their_own() {
    let source = "enable f16;
@group(0) @binding(0) var<storage, read_write> data: array<f16>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) { data[lane] = f16(lane); }";
    assert_eq!(check(source, &[32], [1, 1, 1]).unwrap().findings, []);
}

#[test]
fn faults_of_one_lane_are_told_with_their_numbers() {
    let of = |body: &str| {
        let (source, report) = found(body);
        let [finding] = &report.findings[..] else { panic!("{body}: {report:?}") };
        (finding.kind.clone(), finding.span.line(&source), finding.lane, finding.count)
    };
    let bounds = Kind::OutOfBounds { index: 256, length: 256 };
    assert_eq!(of("let a = lane;\n    let b = data[a + 193u];"), (bounds, 8, 63, 2));
    let (memory, address) = ("part".to_string(), 8);
    let unwritten = Kind::Uninitialised { memory, address };
    assert_eq!(of("if lane == 3u { data[id.x] = part[2]; }"), (unwritten, 7, 3, 2));
    assert_eq!(of("data[id.x] = 7u / (lane / 2u);"), (Kind::DividedByZero, 7, 0, 4));
    assert_eq!(of("data[id.x] = 7u % (lane & 63u);"), (Kind::DividedByZero, 7, 0, 2));
    let (kind, line, lane, count) = of("let a = f32(lane) - 10.0;
    let b = sqrt(a + 5.0) + 1.0;
    let c = b * 2.0;
    data[id.x] = bitcast<u32>(log(c));");
    assert_eq!((kind, line, lane, count), (Kind::NotANumber, 8, 0, 1));
}

#[test]
fn traffic_is_counted_by_subgroups() {
    let (source, report) = found(
        "part[lane] = data[id.x];
    workgroupBarrier();
    data[id.x] = part[(lane * 32u) % 64u] + part[0];
    storageBarrier();
    let a = data[(lane * 8u) % 256u];",
    );
    // Line 11 reads what the other workgroup writes.
    assert!(report.findings.iter().all(|f| matches!(f.kind, Kind::Race { .. })), "{report:?}");
    let at = |line: usize, memory: crate::ir::Memory| -> Vec<(u64, u64, u64)> {
        let there =
            report.traffic.iter().filter(|t| t.span.line(&source) == line && t.memory == memory);
        there.map(|t| (t.accesses, t.taken, t.least)).collect()
    };
    use crate::ir::Memory::{Binding, Workgroup};
    // Four subgroups of 32 lanes: 4 sectors each side by side, 32 far apart; one turn each.
    assert_eq!(at(7, Binding(0)), [(4, 16, 16)]);
    assert_eq!(at(7, Workgroup), [(4, 4, 4)]);
    assert_eq!(at(9, Workgroup), [(4, 8, 4), (4, 4, 4)]);
    assert_eq!(at(11, Binding(0)), [(4, 128, 16)]);
}

#[test]
fn who_looks_on_changes_nothing() {
    let source = around(
        "part[lane] = id.x * 7u + 1u;
    workgroupBarrier();
    var a = part[63u - lane];
    for (var i = 0u; i < lane % 5u; i++) {
        if a % 3u == 0u { continue; }
        a = a * 13u + data[id.x] / (a & 1u);
    }
    data[id.x] = a;",
    );
    let kernel = Module::new(&source, &[]).unwrap().kernel("main").unwrap();
    let after = |threads: usize, watched: bool| {
        let device = Device::new(Options { threads, ..Options::default() }).unwrap();
        let (data, sum) = (Buffer::zeroed(1024).unwrap(), Buffer::zeroed(4).unwrap());
        let bindings = Bindings::new().buffer(0, 0, &data).buffer(0, 1, &sum);
        match watched {
            true => drop(device.check(&kernel, &bindings, [4, 1, 1]).unwrap()),
            false => device.dispatch(&kernel, &bindings, [4, 1, 1]).unwrap(),
        }
        (data.read(0, 1024).unwrap(), sum.read(0, 4).unwrap())
    };
    let expected = after(1, false);
    assert!(expected.0.chunks(4).all(|word| word != [0; 4]));
    assert!(after(3, false) == expected && after(2, true) == expected);
}

#[test]
fn checks_have_budgets_and_their_shadows_a_limit() {
    let source = "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@compute @workgroup_size(64)
fn main() { while data[0] == 0u { } }";
    let kernel = Module::new(source, &[]).unwrap().kernel("main").unwrap();
    let device = |budget, memory| {
        Device::new(Options { threads: 1, budget, memory, ..Options::default() }).unwrap()
    };
    let bindings = Bindings::new().buffer(0, 0, &Buffer::zeroed(1 << 20).unwrap());
    let error = device(100_000, 1 << 30).check(&kernel, &bindings, [1, 1, 1]).unwrap_err();
    assert_eq!(error, RunError::Budget { instructions: 100_000 });
    let error = device(100_000, 1 << 20).check(&kernel, &bindings, [1, 1, 1]).unwrap_err();
    let (expected, found) = (1 << 20, (40 << 18) + 16);
    assert_eq!(error, RunError::Memory { what: "the sanitizer's shadows", expected, found });
}

#[test]
fn a_barrier_that_some_lanes_pass_by_is_told() {
    // By hand: naga takes no such kernel.
    let mut s = crate::sketch::Sketch::new([64, 1, 1]);
    let (lane, limit) = (s.lane(), s.u(10));
    let below = s.cmp(crate::ir::Compare::Less, lane, limit);
    let mut span = None;
    s.branch(
        below,
        |s| {
            span = Some(s.span());
            s.barrier(crate::ir::Scope::Workgroup);
        },
        |_| {},
    );
    let report = device().check(&s.done(), &Bindings::new(), [3, 1, 1]).unwrap();
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!((&finding.kind, finding.lane, finding.count), (&Kind::Divergent, 10, 3));
    assert_eq!(Some(finding.span), span);
}

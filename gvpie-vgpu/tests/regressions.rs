//! Small kernels that executors once ran differently.

use crate::executors::{Executor, Software};
use crate::generate::Generated;
use gvpie_vgpu::{Execution, Options};

/// What a kernel of 33 lanes leaves in `out`, a word for each lane, by the interpreter, and by machine code
/// of each width.
fn words(items: &str, body: &str) -> Vec<(String, Vec<u32>)> {
    let kernel = Generated {
        source: format!(
            "@group(0) @binding(0) var<storage, read> input: array<u32>;
            @group(0) @binding(1) var<uniform> knobs: array<vec4<u32>, 2>;
            @group(0) @binding(2) var<storage, read_write> out: array<u32>;
            @group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
            {items}
            @compute @workgroup_size(33)
            fn main(@builtin(local_invocation_index) lane: u32) {{
                let here = input[0] + knobs[0].x + atomicLoad(&counts[0]);
                {body}
            }}"
        ),
        overrides: Vec::new(),
        buffers: [(0..33).collect(), vec![7; 8], vec![0; 33], vec![0; 4]],
        groups: [1, 1, 1],
        words: 1,
        near: Vec::new(),
    };
    let options = |execution, warp| Options { threads: 1, execution, warp, ..Options::default() };
    let mut all = vec![Software::new("interpreter", options(Execution::Interpreted, 0))];
    for warp in [4, 8, 16, 32] {
        let name = format!("machine code of {warp} lanes");
        all.push(Software::new(&name, options(Execution::Compiled, warp)));
    }
    all.iter()
        .map(|software| (software.name(), software.run(&kernel).unwrap()[0].clone()))
        .collect()
}

#[track_caller]
fn same(items: &str, body: &str, expected: impl Fn(u32) -> u32) {
    let expected: Vec<u32> = (0..33).map(expected).collect();
    for (name, found) in words(items, body) {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn what_is_the_same_for_all_lanes_outlives_loops_with_barriers() {
    let body = "
        var m = 0u;
        let u = knobs[0].y;
        for (var r = 0u; r < 2u; r++) { m = u; workgroupBarrier(); }
        out[lane] = m;";
    same("", body, |_| 7);
}

#[test]
fn what_lanes_load_together_outlives_loops_with_barriers() {
    let items = "var<workgroup> flag: u32;";
    let body = "
        var m = input[lane];
        if lane == 23u { flag = 99u; }
        let u = workgroupUniformLoad(&flag);
        for (var r = 0u; r < knobs[0].x % 3u; r++) { m += u; workgroupBarrier(); }
        out[lane] = m;";
    same(items, body, |lane| lane + 99);
}

#[test]
fn what_lanes_write_before_they_leave_a_loop_with_barriers_stays() {
    let body = "
        var m = 5u;
        for (var r = 0u; r < 3u; r++) {
            m = lane * 2u + r;
            workgroupBarrier();
        }
        out[lane] = m;";
    same("", body, |lane| lane * 2 + 2);
}

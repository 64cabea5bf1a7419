//! Small kernels that executors once ran differently.

use crate::executors::{Executor, Software};
use crate::generate::Generated;
use gvpie_vgpu::{Execution, Options};

/// What a kernel of so many lanes leaves in `out`, a word for each lane, by the interpreter, and by machine code
/// of each width.
fn words(lanes: u32, items: &str, body: &str) -> Vec<(String, Vec<u32>)> {
    let kernel = Generated {
        source: format!(
            "enable f16;
            @group(0) @binding(0) var<storage, read> input: array<u32>;
            @group(0) @binding(1) var<uniform> knobs: array<vec4<u32>, 2>;
            @group(0) @binding(2) var<storage, read_write> out: array<u32>;
            @group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
            {items}
            @compute @workgroup_size({lanes})
            fn main(@builtin(local_invocation_index) lane: u32) {{
                let here = input[0] + knobs[0].x + atomicLoad(&counts[0]);
                {body}
            }}"
        ),
        overrides: Vec::new(),
        buffers: [(0..lanes).collect(), vec![7; 8], vec![0; lanes as usize], vec![0; 4]],
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

/// A kernel of 33 lanes, where the last warp is not full, and of 64.
#[track_caller]
fn same(items: &str, body: &str, expected: impl Fn(u32) -> u32) {
    for lanes in [33, 64] {
        let expected: Vec<u32> = (0..lanes).map(&expected).collect();
        for (name, found) in words(lanes, items, body) {
            assert_eq!(found, expected, "{name}, {lanes} lanes");
        }
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

/// Sixteen sums over a loop that lanes leave at different rounds: more than registers hold, so that the loop
/// is taken apart.
#[test]
fn many_sums_over_a_loop_are_as_many_loops_leave_them() {
    let body = "
        var sums: array<u32, 16>;
        var k = lane % 3u;
        loop {
            let factor = input[k] + 3u;
            for (var i = 0u; i < 16u; i++) { sums[i] = sums[i] * factor + k * i + 1u; }
            k += 1u;
            if k > 4u + lane % 7u { break; }
        }
        var all = k;
        for (var i = 0u; i < 16u; i++) { all = all * 31u + sums[i]; }
        out[lane] = all;";
    same("", body, |lane| {
        let mut sums = [0_u32; 16];
        let mut k = lane % 3;
        while k <= 4 + lane % 7 {
            for (i, sum) in (0..).zip(&mut sums) {
                *sum = sum.wrapping_mul(k + 3).wrapping_add(k * i + 1);
            }
            k += 1;
        }
        sums.iter().fold(k, |all, sum| all.wrapping_mul(31).wrapping_add(*sum))
    });
}

/// Places in rows of a tile: shifts and masks of what counts up, within a warp and past it, where another
/// region has computed them.
#[test]
fn rows_and_columns_of_what_counts_up() {
    let body = "
        let at = lane + 64u;
        let words = array(at >> 3u, at & 7u, at & 6u, (lane * 2u) >> 2u, at & 0xffffffe0u, (at + 1u) & 15u);
        workgroupBarrier();
        out[lane] = words[0] + 16u * words[1] + 256u * words[2] + 4096u * words[3] + 65536u * words[4]
            + 0x10000000u * words[5] + 0u * here;";
    same("", body, |lane| {
        let at = lane + 64;
        (at >> 3)
            .wrapping_add(16 * (at & 7))
            .wrapping_add(256 * (at & 6))
            .wrapping_add(4096 * ((lane * 2) >> 2))
            .wrapping_add(65536 * (at & 0xffff_ffe0))
            .wrapping_add(0x1000_0000_u32.wrapping_mul((at + 1) & 15))
    });
}

/// What lanes below a number do, which is written for whole warps as well: also where some have left.
#[test]
fn what_lanes_below_a_number_do() {
    let body = "
        var m = 5u;
        if lane < 18u + knobs[0].x { m = lane * 3u; out[lane] = m; }
        for (var k = 0u; k < 9u; k++) {
            if k > lane { break; }
            if lane < 30u { m += input[k]; out[lane] = m; }
        }
        if lane == 20u { return; }
        if lane < 32u { out[lane] = m + 1u; }
        if lane < 64u { m *= 2u; }
        if lane > 31u { out[lane] = m; }";
    same("", body, |lane| {
        let mut m = if lane < 25 { lane * 3 } else { 5 };
        if lane < 30 {
            m += (0..9_u32.min(lane + 1)).sum::<u32>();
        }
        match lane {
            20 => m,
            0..32 => m + 1,
            _ => 2 * m,
        }
    });
}

/// The least of two halves that all lanes have, of which the sign is the highest bit.
#[test]
fn least_and_greatest_of_uniform_halves() {
    let body = "
        let a = f16(knobs[0].x) - 9.5h;
        let b = f16(knobs[0].y) - 7.0h;
        out[lane] = pack2x16float(vec2f(f32(min(a, b)), f32(max(a, b))));";
    // −2.5 and 0.
    same("", body, |_| 0x0000_c100);
}

/// Vectors that all lanes load, which are loaded whole: their members with lanes' own numbers, alone, and
/// behind a barrier.
#[test]
fn members_of_vectors_that_all_lanes_load() {
    let items = "var<workgroup> bodies: array<vec4f, 8>;";
    let body = "
        if lane < 8u { let x = f32(lane); bodies[lane] = vec4f(x, x + 10.0, x + 20.0, x + 30.0); }
        workgroupBarrier();
        var sum = f32(lane);
        var all = 0.0;
        for (var k = 0u; k < 8u; k++) {
            let b = bodies[k];
            sum += b.x * f32(lane) + b.w;
            all += b.y - b.z;
        }
        let last = bodies[7];
        workgroupBarrier();
        out[lane] = u32(sum + last.z - last.x - all);";
    same(items, body, |lane| lane + 28 * lane + 268 + 20 + 80);
}

/// A loop of nothing but barriers costs something too.
#[test]
fn endless_barriers_are_stopped() {
    let source = "@compute @workgroup_size(8) fn main() { loop { workgroupBarrier(); } }";
    let kernel = gvpie_vgpu::Module::new(source, &[]).unwrap().kernel("main").unwrap();
    for execution in [Execution::Interpreted, Execution::Compiled] {
        let options = Options { budget: 100_000, execution, ..Options::default() };
        let device = gvpie_vgpu::Device::new(options).unwrap();
        let error = device.dispatch(&kernel, &gvpie_vgpu::Bindings::new(), [1, 1, 1]).unwrap_err();
        assert!(error.to_string().contains("100000"), "{error}");
    }
}

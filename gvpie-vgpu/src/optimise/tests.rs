//! Kernels before and after.

use super::optimise;
use crate::Module;
use crate::ir::{Kernel, verify};

/// What a kernel becomes, from its first instruction on.
fn after(source: &str) -> String {
    let kernel = Module::new(source, &[]).unwrap().kernel("main").unwrap();
    let after = optimise(&kernel);
    verify(&after).unwrap();
    assert_eq!(optimise(&after), after, "once is enough");
    body(&after)
}

/// The instructions of a kernel as text, without the constants that come first.
fn body(kernel: &Kernel) -> String {
    let text = kernel.to_string();
    let lines = text.lines().filter(|line| line.starts_with("  "));
    let lines = lines.skip_while(|line| !line.starts_with("  %"));
    lines.map(|line| format!("{}\n", &line[2..])).collect()
}

const BUFFERS: &str = "
@group(0) @binding(0) var<storage, read> a: array<u32>;
@group(0) @binding(1) var<storage, read_write> c: array<u32, 64>;
";

/// A kernel of 16 lanes over [`BUFFERS`].
fn kernel(body: &str) -> String {
    format!(
        "{BUFFERS}
        var<workgroup> w: array<u32, 80>;
        @compute @workgroup_size(16)
        fn main(@builtin(local_invocation_index) lane: u32) {{ {body} }}"
    )
}

#[test]
fn slots_that_are_known_are_values() {
    let text = after(&kernel(
        "var x = a[lane]; var y = x; if lane > 40u { x = 7u; } y += x; var z = y; c[lane] = z;",
    ));
    assert_eq!(
        text,
        "\
%0: u32 = local_invocation_index
%1: u32 = bound %0 below (bytes of binding 0 - 0) / 4
%2: u32 = load binding 0[0 + %1*4]
%3: u32 = add %2, %2
store binding 1[0 + %0*4], %3
"
    );
}

#[test]
fn what_two_ways_leave_is_selected() {
    let text = after(&kernel(
        "var x = 1u; var y = a[3]; if y > lane { x = y + 2u; } else { x = y; } c[lane] = x;",
    ));
    assert_eq!(
        text,
        "\
%0: u32 = 3
%1: u32 = 2
%2: u32 = local_invocation_index
%3: u32 = bound %0 below (bytes of binding 0 - 0) / 4
%4: u32 = load binding 0[0 + %3*4]
%5: bool = greater %4, %2
%6: u32 = add %4, %1
%7: u32 = select %5, %6, %4
store binding 1[0 + %2*4], %7
"
    );
}

#[test]
fn arrays_of_unrolled_loops_are_values() {
    let text = after(&kernel(
        "var sums: array<u32, 3>;
        for (var k = 0u; k < 2u; k++) {
            for (var i = 0; i < 3; i++) { sums[i] += w[lane * 4u + u32(i) + k * 8u]; }
        }
        for (var i = 0u; i < 3u; i++) { c[lane + i * 16u] = sums[i]; }",
    ));
    assert_eq!(
        text,
        "\
%0: u32 = local_invocation_index
%1: u32 = load workgroup[0 + %0*16]
%2: u32 = load workgroup[4 + %0*16]
%3: u32 = load workgroup[8 + %0*16]
%4: u32 = load workgroup[32 + %0*16]
%5: u32 = add %1, %4
%6: u32 = load workgroup[36 + %0*16]
%7: u32 = add %2, %6
%8: u32 = load workgroup[40 + %0*16]
%9: u32 = add %3, %8
store binding 0[0 + %0*4], %5
store binding 0[64 + %0*4], %7
store binding 0[128 + %0*4], %9
"
    );
}

#[test]
fn loops_keep_what_changes() {
    let text = after(&kernel(
        "var sum = 0u;
        for (var i = 0u; i < a[0]; i++) { sum += a[lane] * (lane + 5u) + i; w[lane] = sum; }
        if sum < arrayLength(&a) { c[lane] = a[sum]; }",
    ));
    assert_eq!(
        text,
        "\
%0: u32 = 5
%1: u32 = 1
%2: u32 = local_invocation_index
%3: u32 = length (bytes of binding 0 - 0) / 4
%4: u32 = load binding 0[0]
%5: u32 = bound %2 below (bytes of binding 0 - 0) / 4
%6: u32 = load binding 0[0 + %5*4]
%7: u32 = add %2, %0
%8: u32 = mul %6, %7
loop '0 {
  %9: u32 = get s0
  %10: bool = less %9, %4
  if %10 {
  } else {
    leave '0
  }
  %11: u32 = get s1
  %12: u32 = add %8, %9
  %13: u32 = add %11, %12
  set s1, %13
  store workgroup[0 + %2*4], %13
} continuing {
  %14: u32 = get s0
  %15: u32 = add %14, %1
  set s0, %15
}
%16: u32 = get s1
%17: bool = less %16, %3
if %17 {
  %18: u32 = load binding 0[0 + %16*4]
  store binding 1[0 + %2*4], %18
}
"
    );
}

#[test]
fn what_leaves_early_is_not_forgotten() {
    // The slot of the result is set again where its value seems to be known.
    let source = format!(
        "{BUFFERS}
        fn clip(x: u32, limit: u32) -> u32 {{ if x > limit {{ return limit; }} return x; }}
        @compute @workgroup_size(16)
        fn main(@builtin(local_invocation_index) lane: u32) {{
            var x = a[lane];
            for (var i = 0u; i < 2u; i++) {{ x = clip(x, lane + 9u - i); }}
            c[lane] = x;
        }}"
    );
    let text = after(&source);
    assert_eq!(text.matches("set s").count(), 3, "{text}");
}

#[test]
fn what_acts_and_what_waits_stays() {
    let source = "
        @group(0) @binding(0) var<storage, read_write> n: atomic<u32>;
        @compute @workgroup_size(4)
        fn main(@builtin(local_invocation_index) lane: u32) {
            _ = atomicLoad(&n);
            _ = atomicAdd(&n, 0u);
            if lane < 4u { workgroupBarrier(); }
            let x = sqrt(f32(lane)) * 2.0;
            loop { if atomicLoad(&n) > 3u { break; } }
        }";
    let text = after(source);
    assert_eq!(
        text,
        "\
%0: u32 = 0
%1: u32 = 3
%2: u32 = atomic load binding 0[0], %0
%3: u32 = atomic add binding 0[0], %0
barrier workgroup
loop '0 {
  %4: u32 = atomic load binding 0[0], %0
  %5: bool = greater %4, %1
  if %5 {
    leave '0
  }
}
"
    );
}

#[test]
fn floats_are_not_rearranged() {
    let text = after(&kernel(
        "let x = bitcast<f32>(a[0]); let y = bitcast<f32>(a[1]);
        c[0] = bitcast<u32>((x + y) - y); c[1] = bitcast<u32>((x + 0.0) * 1.5);
        c[2] = bitcast<u32>(x / 4.0); c[3] = bitcast<u32>(x / 3.0);
        c[4] = u32(!(x < y));",
    ));
    assert_eq!(
        text,
        "\
%0: u32 = 1
%1: f32 = 0.0
%2: f32 = 1.5
%3: f32 = 3.0
%4: f32 = 0.25
%5: u32 = load binding 0[0]
%6: f32 = bitcast %5
%7: u32 = bound %0 below (bytes of binding 0 - 0) / 4
%8: u32 = load binding 0[0 + %7*4]
%9: f32 = bitcast %8
%10: f32 = add %6, %9
%11: f32 = sub %10, %9
%12: u32 = bitcast %11
store binding 1[0], %12
%13: f32 = add %6, %1
%14: f32 = mul %13, %2
%15: u32 = bitcast %14
store binding 1[4], %15
%16: f32 = mul %6, %4
%17: u32 = bitcast %16
store binding 1[8], %17
%18: f32 = div %6, %3
%19: u32 = bitcast %18
store binding 1[12], %19
%20: bool = less %6, %9
%21: bool = not %20
%22: u32 = convert %21
store binding 1[16], %22
"
    );
}

#[test]
fn a_loop_of_many_sums_is_taken_apart() {
    let sums = |count: u32| {
        let body = format!(
            "var sums: array<u32, {count}>;
            for (var k = 0u; k < a[0]; k++) {{
                let x = a[k];
                for (var i = 0u; i < {count}u; i++) {{ sums[i] = sums[i] * x + i; }}
            }}
            var all = 0u;
            for (var i = 0u; i < {count}u; i++) {{ all ^= sums[i]; }}
            c[lane] = all;"
        );
        optimise(&Module::new(&kernel(&body), &[]).unwrap().kernel("main").unwrap())
    };
    let few = super::distribute(&sums(8));
    assert!(few.is_none(), "{few:?}");
    let many = super::distribute(&sums(16)).unwrap();
    verify(&many).unwrap();
    let text = many.to_string();
    assert_eq!(text.matches("loop").count(), 2, "{text}");
    assert_eq!(text.matches("mul ").count(), 16, "each sum once\n{text}");
}

// What this driver computes, asked of it once per context.
//
// One invocation tries, on operands that no compiler can know, the things that drivers are seen to
// do differently: long loops, fused and contracted multiply-add, denormals, NaN comparison, and
// the cancellation that compensated sums live on. The answers are judged in driver.rs.
// One pass: selftest. Called by driver.rs.

struct Params {
    // Iterations of the long loop.
    iterations: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// 1 + 2^-12, -(1 + 2^-11), the smallest normal number, a NaN, 1, 2^-30, 3 2^-24
@group(0) @binding(1) var<storage, read> operands: array<f32>;
// loop count, loop hash, fused, contracted, denormals kept, NaN seen, compensated,
// denormal halves kept
@group(0) @binding(2) var<storage, read_write> answers: array<u32>;

@compute @workgroup_size(1)
fn selftest() {
    var hash = 1u;
    var count = 0u;
    for (var i = 0u; i < params.iterations; i++) {
        hash = hash * 1664525u + 1013904223u;
        count++;
    }
    answers[0] = count;
    answers[1] = hash;

    // a*a = 1 + 2^-11 + 2^-24 rounds to 1 + 2^-11: the last bit survives only without rounding.
    let a = operands[0];
    let minus_square = operands[1];
    answers[2] = u32(fma(a, a, minus_square) != 0.0);
    let square = a * a;
    answers[3] = u32(square + minus_square != 0.0);

    answers[4] = u32(bitcast<u32>(operands[2] * 0.5) != 0u);
    answers[5] = u32(operands[3] != operands[3]);

    // Knuth's TwoSum: the rounding error of a sum, exactly, unless the compiler reassociates.
    let large = operands[4];
    let small = operands[5];
    let sum = large + small;
    let part = sum - large;
    let lost = (large - (sum - part)) + (small - part);
    answers[6] = u32(lost == small);

    // Three times the smallest half.
    answers[7] = u32(pack2x16float(vec2<f32>(operands[6], 0.0)) == 3u);
}

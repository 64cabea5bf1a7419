@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
var<workgroup> part: array<f32, 32>;
@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) lane: u32) {
    part[lane] = sums[lane];
    for (var step = 16u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if lane < step { part[lane] += part[lane + step]; }
    }
    if lane == 0u { sums[0] = part[0]; }
}

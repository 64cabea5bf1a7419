// out: 2016 63 0 64 4294967295 64
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
var<workgroup> sum: atomic<u32>; var<workgroup> high: atomic<u32>; var<workgroup> low: atomic<i32>;
struct Both { a: atomic<u32>, b: array<atomic<i32>, 2> }
var<workgroup> both: Both; var<workgroup> bits: atomic<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    atomicAdd(&sum, lane); atomicMax(&high, lane); atomicMin(&low, i32(lane)); atomicSub(&both.b[1], -1);
    atomicOr(&bits, 1u << (lane % 32u)); atomicXor(&bits, 0u); atomicAnd(&bits, 4294967295u); atomicAdd(&both.a, 1u);
    workgroupBarrier();
    if lane == 0u {
        out[0] = atomicLoad(&sum); out[1] = atomicLoad(&high); out[2] = u32(atomicLoad(&low));
        out[3] = u32(atomicLoad(&both.b[1])); out[4] = atomicLoad(&bits); out[5] = atomicLoad(&both.a);
    }
}

// out: 24 6 1 8
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@id(7) override depth: u32; override width = 2 * 3; override flag = true; override lanes: u32 = 8;
fn arrayLengthOf() -> u32 { return lanes; }
var<workgroup> tile: array<u32, lanes>;
@compute @workgroup_size(lanes)
fn main(@builtin(local_invocation_index) lane: u32) {
    tile[lane] = 3u;
    workgroupBarrier();
    if lane == 0u { out[0] = tile[lanes - depth] * lanes; out[1] = u32(width); out[2] = u32(flag); out[3] = arrayLengthOf(); }
}

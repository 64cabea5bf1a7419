// out: 3 2
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
var<workgroup> cells: array<u32, 4>;
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
    cells[lane] = lane;
    workgroupBarrier();
    storageBarrier();
    textureBarrier();
    if lane < 2u { out[lane] = cells[3u - lane]; }
}

// out: 1 0
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
const a = 1; const b = 2; const c = 3; const d = 0;
@compute @workgroup_size(1)
fn main() {
    out[0] = u32(a < b);
    out[1] = array<u32, (b + c) * 2>()[0];
}

// out: 705032704 2 4294967295 2 1
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let x = i64(out[9]) + 5000000000li;
    out[0] = u32(x & 4294967295li);
    out[1] = u32(x >> 31u);
    out[2] = u32(u64(x - x - 1li) >> 32u);
    out[3] = u32(x % 7li);
    out[4] = u32(abs(-x) == x);
}

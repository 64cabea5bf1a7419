// out: 8 4294967295 2 1073741824
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let n = out[9] + 35u;
    out[0] = 1u << n;
    out[1] = bitcast<u32>((-1i - i32(out[9])) >> n);
    out[2] = 16u >> (n % 32u);
    out[3] = 1u << (n - 5u);
}

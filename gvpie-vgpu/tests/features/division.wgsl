// out: 7 0 2147483648 0 4294967295
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let zero = out[9]; let izero = i32(zero);
    out[0] = 7u / zero;
    out[1] = 7u % zero;
    out[2] = bitcast<u32>(i32(-2147483648) / (izero - 1));
    out[3] = bitcast<u32>(i32(-2147483648) % (izero - 1));
    out[4] = bitcast<u32>((izero - 7) % 3);
}

// out: 2 3 1 8 4 2 1 3 2
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let x = f32(out[9]) + 2.5;
    out[0] = u32(round(x)); out[1] = u32(ceil(x)); out[2] = u32(fract(x) * 2.0);
    out[3] = u32(ldexp(x - 1.5, 3)); out[4] = u32(sqrt(x + 13.5));
    let f = frexp(x); out[5] = u32(f.exp);
    let m = modf(x + 0.5); out[6] = u32(m.fract == 0.0); out[7] = u32(m.whole);
    out[8] = u32(mix(1.0, 3.0, x - 2.0));
}

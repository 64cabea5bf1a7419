// out: 5 4 1
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    var n = 0u;
    loop { continuing { n++; break if n == 5u; } }
    out[0] = n;
    loop { if n == 4u { break; } continuing { n--; break if n == 0u; } }
    out[1] = n;
    loop { out[2] += 1u; continuing { break if true; } }
}

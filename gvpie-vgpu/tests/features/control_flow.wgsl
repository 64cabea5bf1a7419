// out: 6 102 3 40
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
fn early(x: u32) -> u32 { if x > 2u { return 3u; } for (;;) { return 9u; } return 0u; }
@compute @workgroup_size(1)
fn main() {
    for (var i = 0u; i < 9u; i++) { if i == 4u { break; } if i == 0u { continue; } out[0] += i; }
    switch out[0] { case 1u, 2u: { out[1] = 1u; } case 6u: { out[1] = 100u; if out[9] > 0u { break; } out[1] += 2u; } default: { out[1] = 7u; } }
    out[2] = early(3u);
    { let scoped = 40u; out[3] = scoped; }
}

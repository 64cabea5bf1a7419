// out: 4
diagnostic(off, derivative_uniformity);
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@diagnostic(warning, derivative_uniformity)
@compute @workgroup_size(1)
fn main() {
    if out[9] == 0u { out[0] = 4u; }
}

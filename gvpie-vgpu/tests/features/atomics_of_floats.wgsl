// out: 1075838976
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var<storage, read_write> sum: atomic<f32>;
@compute @workgroup_size(1)
fn main() {
    atomicStore(&sum, 1.0);
    atomicAdd(&sum, 1.5);
    out[0] = bitcast<u32>(atomicLoad(&sum));
}

// out: 1
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var<storage, read_write> touched: array<u32>;
fn effect() -> u32 { out[0] += 1u; return 5u; }
@compute @workgroup_size(1)
fn main() {
    _ = effect();
    _ = touched[3];
    _ = vec3(1.0);
}

// refused: ray
enable wgpu_ray_query;
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var scene: acceleration_structure;
@compute @workgroup_size(1)
fn main() {
    var query: ray_query;
    rayQueryInitialize(&query, scene, RayDesc(4u, 255u, 0.1, 100.0, vec3(0.0), vec3(0.0, 1.0, 0.0)));
    out[0] = u32(rayQueryProceed(&query));
}

// out: 3 7 1 2 0 5
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct In { @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32 }
@compute @workgroup_size(4, 2)
fn main(in: In, @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    if in.index == 7u {
        out[0] = id.x; out[1] = in.index; out[2] = in.local.y; out[3] = u32(groups.x + groups.y + groups.z) - 1u;
        out[4] = group.x; out[5] = id.x + id.y + in.local.z + 1u;
    }
}

// The leapfrog of N bodies between two evaluations of their field, and what is measured of it.
//
// kick: v <- v + h a. drift: x <- x + h v. steepest: the largest |a|^2 of each workgroup. measure:
// three sums of four numbers over the bodies, by workgroups.
//
// Sums are hierarchical: an invocation adds every stride-th body, a workgroup its invocations as a
// tree, the host the workgroups, in double precision. Each sum is two numbers, a rounded one and what
// rounding left (TwoSum: Knuth, The Art of Computer Programming, 4.2.2). Where a driver's algebra
// leaves nothing of the second, the first errs by a few roundings: an invocation adds few bodies.
// The order of the additions is that of the bodies: equal states give equal bits.
// Called by nbody/gpu.rs: kick, drift, then the field, kick; steepest before an adaptive step.

struct Params {
    bodies: u32,
    // Invocations of the whole dispatch: the stride of those that add more than one body.
    stride: u32,
    // Time.
    h: f32,
    // What a body of mass 1 contributes to its own potential: 1 over the softening, or 0.
    own: f32,
}

@group(0) @binding(0) var<uniform> params: Params;

// kick
@group(0) @binding(1) var<storage, read> kick_field: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> kick_velocities: array<vec4<f32>>;

// drift
@group(0) @binding(1) var<storage, read> drift_velocities: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> drift_positions: array<vec4<f32>>;

// steepest
@group(0) @binding(1) var<storage, read> steepest_field: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

// measure
@group(0) @binding(1) var<storage, read> positions: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> velocities: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> field: array<vec4<f32>>;
// By workgroup: three sums, then what rounding left of them.
@group(0) @binding(4) var<storage, read_write> sums: array<array<vec4<f32>, 6>>;

const LANES = 128u;

var<workgroup> largest: array<f32, LANES>;
var<workgroup> tree: array<array<vec4<f32>, 6>, LANES>;

@compute @workgroup_size(LANES)
fn kick(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.x + group.y * groups.x) * LANES + lane;
    if (i < params.bodies) {
        kick_velocities[i] += vec4<f32>(params.h * kick_field[i].yzw, 0.0);
    }
}

@compute @workgroup_size(LANES)
fn drift(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.x + group.y * groups.x) * LANES + lane;
    if (i < params.bodies) {
        drift_positions[i] += vec4<f32>(params.h * drift_velocities[i].xyz, 0.0);
    }
}

@compute @workgroup_size(LANES)
fn steepest(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var most = 0.0;
    for (var i = group.x * LANES + lane; i < params.bodies; i += params.stride) {
        let a = steepest_field[i].yzw;
        most = max(most, dot(a, a));
    }
    largest[lane] = most;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if (lane < width) {
            largest[lane] = max(largest[lane], largest[lane + width]);
        }
    }
    if (lane == 0u) {
        squares[group.x] = largest[0];
    }
}

// (sum, rest) + x
fn add(sum: vec4<f32>, rest: vec4<f32>, x: vec4<f32>) -> array<vec4<f32>, 2> {
    let next = sum + x;
    let kept = next - sum;
    return array(next, rest + ((sum - (next - kept)) + (x - kept)));
}

@compute @workgroup_size(LANES)
fn measure(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var total = array<vec4<f32>, 6>();
    for (var i = group.x * LANES + lane; i < params.bodies; i += params.stride) {
        let x = positions[i].xyz;
        let m = positions[i].w;
        let v = velocities[i].xyz;
        let terms = array(
            vec4<f32>(m * v, m),
            vec4<f32>(m * x, 0.5 * m * dot(v, v)),
            vec4<f32>(m * cross(x, v), 0.5 * m * (field[i].x - m * params.own)),
        );
        for (var s = 0u; s < 3u; s++) {
            let both = add(total[s], total[s + 3u], terms[s]);
            total[s] = both[0];
            total[s + 3u] = both[1];
        }
    }
    tree[lane] = total;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if (lane < width) {
            for (var s = 0u; s < 3u; s++) {
                let rest = tree[lane][s + 3u] + tree[lane + width][s + 3u];
                let both = add(tree[lane][s], rest, tree[lane + width][s]);
                tree[lane][s] = both[0];
                tree[lane][s + 3u] = both[1];
            }
        }
    }
    if (lane == 0u) {
        sums[group.x] = tree[0];
    }
}

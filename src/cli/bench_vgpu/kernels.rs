//! The kernels that are measured: source, operands, and what they must give.

/// A kernel, what it reads and writes, and how much work it is.
pub(super) struct Problem {
    pub name: &'static str,
    pub source: &'static str,
    /// What storage buffers of group 0 hold, in words: those that are read, then those that are written.
    pub inputs: Vec<Vec<u32>>,
    pub outputs: Vec<Vec<u32>>,
    /// Workgroups along x, y and z.
    pub groups: [u32; 3],
    /// Whether lanes wait for one another.
    pub barriers: bool,
    /// Work, and what one unit of it a nanosecond is called.
    pub work: f64,
    pub unit: &'static str,
    /// What is wrong with outputs.
    pub check: fn(&Problem, &[Vec<u32>]) -> Result<(), String>,
}

/// Numbers within −1 and 1, as bits.
fn numbers(count: usize, seed: u64) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| (random.f32() * 2.0 - 1.0).to_bits()).collect()
}

fn of(words: &[u32], at: usize) -> f64 {
    f32::from_bits(words[at]).into()
}

/// Compares some of the elements of the first output, as numbers, with what they should be.
fn near(
    found: &[u32],
    every: usize,
    allowed: f64,
    expected: impl Fn(usize) -> f64,
) -> Result<(), String> {
    let wrong = (0..found.len()).step_by(every).find_map(|at| {
        let (found, expected) = (of(found, at), expected(at));
        // A NaN is not near either.
        let near = (found - expected).abs() <= allowed;
        (!near).then(|| format!("element {at} is {found}, expected {expected}"))
    });
    wrong.map_or(Ok(()), Err)
}

/// All that is measured.
pub(super) fn all() -> Vec<Problem> {
    vec![saxpy(1 << 20), product(), bodies(), hash(), sum(), tiled_product()]
}

/// y + 2.5·x of so many numbers, a multiple of 4096 × 256 of them.
pub(super) fn saxpy(count: usize) -> Problem {
    Problem {
        name: "saxpy 1M",
        source: "
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let k = id.y * 1048576u + id.x;
    if k < arrayLength(&x) {
        y[k] = 2.5 * x[k] + y[k];
    }
}",
        inputs: vec![numbers(count, 1)],
        outputs: vec![numbers(count, 2)],
        groups: [4096, (count >> 20) as u32, 1],
        barriers: false,
        work: 12.0 * count as f64,
        unit: "GB/s",
        check: |problem, found| {
            let (x, y) = (&problem.inputs[0], &problem.outputs[0]);
            near(&found[0], 1, 1e-6, |at| 2.5 * of(x, at) + of(y, at))
        },
    }
}

/// The elements of the product of two n×n matrices, by rows.
fn check_product(problem: &Problem, found: &[Vec<u32>], n: usize) -> Result<(), String> {
    let [a, b] = [0, 1].map(|k| &problem.inputs[k]);
    near(&found[0], 97, 1e-4, |at| {
        let (row, column) = (at / n, at % n);
        (0..n).map(|k| of(a, row * n + k) * of(b, k * n + column)).sum()
    })
}

fn product() -> Problem {
    let n = 256;
    Problem {
        name: "tiled matmul 256",
        source: "
const N = 256u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
var<workgroup> left: array<array<f32, 16>, 16>;
var<workgroup> right: array<array<f32, 16>, 16>;
@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    var sum = 0.0;
    for (var k = 0u; k < N; k += 16u) {
        left[lane.y][lane.x] = a[id.y * N + k + lane.x];
        right[lane.y][lane.x] = b[(k + lane.y) * N + id.x];
        workgroupBarrier();
        for (var i = 0u; i < 16u; i++) {
            sum += left[lane.y][i] * right[i][lane.x];
        }
        workgroupBarrier();
    }
    c[id.y * N + id.x] = sum;
}",
        inputs: vec![numbers(n * n, 3), numbers(n * n, 4)],
        outputs: vec![vec![0; n * n]],
        groups: [16, 16, 1],
        barriers: true,
        work: 2.0 * (n as f64).powi(3),
        unit: "GFLOP/s",
        check: |problem, found| check_product(problem, found, 256),
    }
}

fn bodies() -> Problem {
    let n = 4096;
    Problem {
        name: "N-body tile 4096",
        source: "
const N = 4096u;
@group(0) @binding(0) var<storage, read> bodies: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> pulls: array<vec4f>;
var<workgroup> tile: array<vec4f, 256>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let own = bodies[id.x].xyz;
    var pull = vec3f();
    for (var first = 0u; first < N; first += 256u) {
        tile[lane] = bodies[first + lane];
        workgroupBarrier();
        for (var k = 0u; k < 256u; k++) {
            let other = tile[k];
            let apart = other.xyz - own;
            let inverse = inverseSqrt(dot(apart, apart) + 0.01);
            pull += apart * (other.w * inverse * inverse * inverse);
        }
        workgroupBarrier();
    }
    pulls[id.x] = vec4f(pull, 0.0);
}",
        inputs: vec![numbers(4 * n, 5)],
        outputs: vec![vec![0; 4 * n]],
        groups: [16, 1, 1],
        barriers: true,
        // As peers count: 20 operations a pair.
        work: 20.0 * (n as f64).powi(2),
        unit: "GFLOP/s",
        check: |problem, found| {
            let bodies = &problem.inputs[0];
            let body = |at: usize| [0, 1, 2, 3].map(|axis| of(bodies, 4 * at + axis));
            near(&found[0], 1021, 0.05, |at| {
                let own = body(at / 4);
                let pull = (0..bodies.len() / 4).map(|other| {
                    let other = body(other);
                    let apart = [0, 1, 2].map(|axis| other[axis] - own[axis]);
                    let square: f64 = apart.iter().map(|d| d * d).sum();
                    apart.get(at % 4).map_or(0.0, |d| d * other[3] * (square + 0.01).powf(-1.5))
                });
                pull.sum()
            })
        },
    }
}

/// Rounds of the hash, each of eight operations.
const ROUNDS: u32 = 256;

fn hash() -> Problem {
    let count = 1 << 18;
    Problem {
        name: "integer hash 256K",
        source: "
@group(0) @binding(0) var<storage, read_write> hashes: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    var x = id.x;
    for (var round = 0u; round < 256u; round++) {
        x ^= x >> 16u;
        x *= 0x7feb352du;
        x ^= x >> 15u;
        x *= 0x846ca68bu;
        x ^= x >> 16u;
    }
    hashes[id.x] = x;
}",
        inputs: Vec::new(),
        outputs: vec![vec![0; count]],
        groups: [4096, 1, 1],
        barriers: false,
        work: 8.0 * f64::from(ROUNDS) * count as f64,
        unit: "Gop/s",
        check: |_, found| {
            let expected = |id: usize| {
                (0..ROUNDS).fold(id as u32, |mut x, _| {
                    x ^= x >> 16;
                    x = x.wrapping_mul(0x7feb_352d);
                    x ^= x >> 15;
                    x = x.wrapping_mul(0x846c_a68b);
                    x ^ x >> 16
                })
            };
            let wrong = (0..found[0].len()).step_by(31).find(|at| found[0][*at] != expected(*at));
            wrong.map_or(Ok(()), |at| Err(format!("the hash of {at} is {}", found[0][at])))
        },
    }
}

fn sum() -> Problem {
    let count = 1 << 20;
    Problem {
        name: "tree reduce 1M",
        source: "
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
var<workgroup> part: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32,
        @builtin(workgroup_id) group: vec3u) {
    part[lane] = a[id.x];
    for (var step = 128u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if lane < step {
            part[lane] += part[lane + step];
        }
    }
    if lane == 0u {
        sums[group.x] = part[0];
    }
}",
        inputs: vec![numbers(count, 6)],
        outputs: vec![vec![0; count / 256]],
        groups: [4096, 1, 1],
        barriers: true,
        work: 4.0 * count as f64,
        unit: "GB/s",
        check: |problem, found| {
            let a = &problem.inputs[0];
            near(&found[0], 1, 1e-3, |group| (0..256).map(|k| of(a, group * 256 + k)).sum())
        },
    }
}

fn tiled_product() -> Problem {
    let n = 512;
    Problem {
        name: "register-tiled 512",
        source: "
const N = 512u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
var<workgroup> left: array<f32, 1024>;
var<workgroup> right: array<f32, 1024>;
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u,
        @builtin(local_invocation_index) index: u32) {
    var sums: array<f32, 16>;
    for (var k = 0u; k < N; k += 16u) {
        for (var i = 0u; i < 4u; i++) {
            let at = index + i * 256u;
            left[at] = a[(group.y * 64u + at / 16u) * N + k + at % 16u];
            right[at] = b[(k + at / 64u) * N + group.x * 64u + at % 64u];
        }
        workgroupBarrier();
        for (var s = 0u; s < 16u; s++) {
            var x: array<f32, 4>;
            var y: array<f32, 4>;
            for (var i = 0u; i < 4u; i++) {
                x[i] = left[(lane.y * 4u + i) * 16u + s];
                y[i] = right[s * 64u + lane.x + i * 16u];
            }
            for (var i = 0u; i < 4u; i++) {
                for (var j = 0u; j < 4u; j++) {
                    sums[i * 4u + j] = fma(x[i], y[j], sums[i * 4u + j]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        for (var j = 0u; j < 4u; j++) {
            let row = group.y * 64u + lane.y * 4u + i;
            c[row * N + group.x * 64u + lane.x + j * 16u] = sums[i * 4u + j];
        }
    }
}",
        inputs: vec![numbers(n * n, 7), numbers(n * n, 8)],
        outputs: vec![vec![0; n * n]],
        groups: [8, 8, 1],
        barriers: true,
        work: 2.0 * (n as f64).powi(3),
        unit: "GFLOP/s",
        check: |problem, found| check_product(problem, found, 512),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Prepared;
    use super::*;

    /// As the bench runs them, but for how many workgroups there are.
    #[test]
    fn all_pass_the_sanitizer() {
        let device = gvpie_vgpu::Device::new(Default::default()).unwrap();
        for problem in all() {
            let Prepared { kernel, bindings, .. } = Prepared::new(&problem).unwrap();
            let groups = problem.groups.map(|n| n.min(8));
            let found = device.check(&kernel, &bindings, groups).unwrap().findings;
            let told: Vec<String> = found.iter().map(|found| found.text(problem.source)).collect();
            assert!(told.is_empty(), "{}:\n{}", problem.name, told.join("\n"));
        }
    }
}

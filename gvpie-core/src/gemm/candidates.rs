//! Which algorithms can compute a problem, in the order in which a model believes in them, and
//! what a measured one is remembered by.

use super::coop::{COOP_TILES, CoopTile, Products, SPLIT_DEPTH};
use super::plan::{Algorithm, Facts, TILES, Tile, working, workspace_bytes};
use super::{Accuracy, Activation, Gemm, vector};
use crate::device::Backend;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::tune::{Subject, fingerprint};

/// Every algorithm there is: what plans choose among, names are parsed into and the tuner tries.
/// A further one has its line here, its condition in [`fit`] and its time in [`predicted`].
pub(super) fn all() -> Vec<Algorithm> {
    let types = [DType::F32, DType::F64];
    let tiles = types.into_iter().flat_map(|working| TILES.map(|tile| (tile, working)));
    let tiles: Vec<_> = tiles.filter(|(tile, working)| tile.takes(*working)).collect();
    let mut all: Vec<_> =
        tiles.iter().map(|&(tile, working)| Algorithm::Simt(tile, working)).collect();
    let split = |&(tile, working)| SPLITS.map(|parts| Algorithm::Split(tile, working, parts));
    all.extend(tiles.iter().flat_map(split));
    all.extend(types.map(Algorithm::Vector));
    all.extend(COOP_TILES.map(Algorithm::Coop));
    all.extend(types.map(Algorithm::Cpu));
    all
}

/// Into how many parts tiles may divide k.
const SPLITS: [usize; 6] = [2, 4, 8, 16, 32, 64];

/// The algorithms worth trying for a problem on a device with these facts, the fastest as predicted
/// first: what is chosen where nothing was measured. Empty if none fits its limits. Pure.
pub(super) fn candidates(problem: &Gemm, facts: &Facts) -> Result<Vec<Algorithm>> {
    working(problem, facts)?;
    let mut fitting = all();
    fitting.retain(|&algorithm| {
        // A software driver compiles wide tiles for longer than a small problem runs, and has no
        // registers for them.
        let too_wide = matches!(algorithm, Algorithm::Simt(tile, _) | Algorithm::Split(tile, ..)
            if facts.software && tile.n > 64);
        !too_wide && worth(algorithm, problem) && fit(algorithm, problem, facts).is_ok()
    });
    // Stable: of equals the larger tile, which reads less.
    fitting.sort_by(|&x, &y| predicted(x, problem).total_cmp(&predicted(y, problem)));
    Ok(fitting)
}

/// Why a device with these facts cannot run this algorithm for a problem, if it cannot.
pub(super) fn fit(algorithm: Algorithm, problem: &Gemm, facts: &Facts) -> Result<()> {
    let working = working(problem, facts)?;
    let refuse = |reason: &str| Err(Error::unsupported(format!("GEMM by {algorithm}"), reason));
    if !all().contains(&algorithm) {
        return refuse("there is no such algorithm");
    }
    if algorithm.working() != working {
        return refuse(&format!("these elements are worked in {working}"));
    }
    match (algorithm, facts.backend) {
        (Algorithm::Cpu(_), Backend::Cpu) => Ok(()),
        (Algorithm::Cpu(_), _) => refuse("it runs on the cpu backend"),
        (_, Backend::Cpu) => refuse("it runs on a GPU"),
        (Algorithm::Simt(tile, _) | Algorithm::Split(tile, ..), _) => {
            fit_limits(algorithm, problem, facts, [tile.storage(working), tile.threads()])
        }
        (Algorithm::Vector(_), _) => {
            let vectors = problem.m.min(problem.n);
            if vectors > vector::MOST {
                return refuse(&format!("it is for C of at most {} rows or columns", vector::MOST));
            }
            fit_limits(algorithm, problem, facts, vector::group(vectors, working))
        }
        (Algorithm::Coop(_), _) if !facts.tensor_cores => {
            refuse("there are no tensor cores for it")
        }
        (Algorithm::Coop(tile), _) => {
            let halves = [problem.a, problem.b] == [DType::F16; 2];
            let (right, depth) = match tile.products {
                Products::Half => (problem.accuracy == Accuracy::F16, 1),
                Products::HalfSummed => (problem.accuracy == Accuracy::F32 && halves, 1),
                Products::Split | Products::Balanced => {
                    (problem.accuracy == Accuracy::F32 && !halves, SPLIT_DEPTH)
                }
            };
            if tile.products == Products::Balanced && problem.batch != 1 {
                return refuse("it is for one product at a time");
            }
            if !right {
                return refuse("it is for operands of another type, or another accuracy");
            }
            if problem.effective_k() < depth {
                return refuse(&format!("it is for k of at least {depth}"));
            }
            fit_limits(algorithm, problem, facts, [tile.storage(), tile.threads()])
        }
    }
}

/// Whether trying it may pay. Dividing k: where there are fewer than two tiles for each of 132
/// multiprocessors, up to eight of these, and where each part has enough to sum to be worth adding.
/// A second try of the split, which costs up to 15 µs where it is not needed: from where plain
/// arithmetic would take 50 times that.
fn worth(algorithm: Algorithm, problem: &Gemm) -> bool {
    let k = problem.effective_k();
    match algorithm {
        Algorithm::Split(tile, _, parts) => {
            let tiles = tiles([tile.m, tile.n], problem);
            tiles < 264.0 && tiles * parts as f64 <= 1056.0 && k >= 1024 && k / parts >= 256
        }
        Algorithm::Coop(CoopTile { products: Products::Balanced, .. }) => large(problem),
        Algorithm::Coop(CoopTile { products: Products::Split, m: 128, n: 128, .. }) => {
            !large(problem) || problem.batch > 1
        }
        _ => true,
    }
}

/// Whether plain arithmetic takes about a millisecond.
fn large(problem: &Gemm) -> bool {
    problem.m as f64 * problem.n as f64 * problem.effective_k() as f64 > 1.5e10
}

/// Tiles of m x n of all products.
fn tiles([m, n]: [usize; 2], problem: &Gemm) -> f64 {
    let each = problem.m.div_ceil(m) as f64 * problem.n.div_ceil(n) as f64;
    each * problem.batch as f64
}

/// For an algorithm whose workgroups have so much memory and so many threads.
fn fit_limits(
    algorithm: Algorithm,
    problem: &Gemm,
    facts: &Facts,
    [storage, threads]: [usize; 2],
) -> Result<()> {
    let workspace = workspace_bytes(algorithm, problem).into_iter().fold(0, u64::max);
    let words = |x| x as u64;
    let checks = [
        ("max_compute_workgroup_storage_size", words(storage), words(facts.workgroup_storage)),
        ("max_compute_invocations_per_workgroup", words(threads), words(facts.invocations)),
        ("max_storage_buffer_binding_size", workspace, facts.binding),
    ];
    match checks.into_iter().find(|&(_, asked, allowed)| asked > allowed) {
        None => Ok(()),
        Some((limit, asked, allowed)) => {
            Err(Error::Limit { what: format!("GEMM by {algorithm}"), limit, asked, allowed })
        }
    }
}

/// Workgroups that a larger GPU of today runs at a time: an H100 has 132 multiprocessors.
const MULTIPROCESSORS: f64 = 120.0;

/// Multiply-adds that one of them does, at the best rate, in the time in which memory moves a byte:
/// 153e9 to 2.5e12 a second on an H100.
const BYTE: f64 = 0.06;

/// The same for the time that a second pass takes to begin: 4 µs.
const PASS: f64 = 6e5;

/// The time it takes, in multiply-adds of one multiprocessor at the best rate. Only the order of
/// these numbers is used.
fn predicted(algorithm: Algorithm, problem: &Gemm) -> f64 {
    let k = problem.effective_k().max(1) as f64;
    let kept = workspace_bytes(algorithm, problem).iter().sum::<u64>() as f64;
    let adding = if kept == 0.0 { 0.0 } else { PASS + 2.0 * kept * BYTE };
    match algorithm {
        Algorithm::Simt(tile, _) => {
            // Several share a multiprocessor, so that a last wave that is not full costs its part
            // only; but fewer tiles than multiprocessors leave some of these idle, and one of fewer
            // threads than 128, four subgroups, some of its four schedulers.
            let alone = (128.0 / tile.threads() as f64).max(1.0);
            let waves = (tiles([tile.m, tile.n], problem) / MULTIPROCESSORS).max(alone);
            waves * k * costs(&tile)
        }
        Algorithm::Split(tile, _, parts) => {
            // Twice as many threads, so that some compute while others wait for a barrier.
            let alone = (256.0 / tile.threads() as f64).max(1.0);
            let parts = parts as f64;
            let waves = (tiles([tile.m, tile.n], problem) * parts / MULTIPROCESSORS).max(alone);
            waves * k / parts * costs(&tile) + adding
        }
        Algorithm::Vector(_) => {
            let size = problem.a.size().max(problem.b.size()) as f64;
            let words = vector::words(problem) * problem.batch as f64;
            let vectors = problem.m.min(problem.n) as f64;
            // Of the best rate, a third where each value read is used once by each vector.
            let work = 3.0 * words * vectors / MULTIPROCESSORS;
            work.max(words * size * BYTE) + adding
        }
        Algorithm::Coop(tile) => {
            let CoopTile { products, m, n, .. } = tile;
            // Rates as multiples of plain f32's: those that an H100 reaches in large tiles of
            // `Half` and of the split (81 / 40.4 at 8192³); of smaller tiles, and of `HalfSummed`,
            // estimated.
            let rate = match (products, m * n) {
                (Products::Half, 32_768..) => 7.3,
                (Products::Half, 16_384..) => 7.2,
                (Products::Half, _) => 4.0,
                (Products::HalfSummed, 16_384..) => 4.5,
                (Products::HalfSummed, _) => 3.5,
                (Products::Split | Products::Balanced, 16_384..) => 2.0,
                (Products::Split | Products::Balanced, 8_192..) => 1.9,
                (Products::Split | Products::Balanced, _) => 1.7,
            };
            let waves = (tiles([m, n], problem) / MULTIPROCESSORS).max(1.0);
            let depth = tile.depth(problem.effective_k()) as f64;
            // Packing reads f32 twice and writes as much.
            let packing = if kept == 0.0 { 0.0 } else { 2.0 * PASS + 3.0 * kept * BYTE };
            waves * (m * n) as f64 * depth / rate + packing
        }
        Algorithm::Cpu(_) => 1.0, // never one of two
    }
}

/// The time that a tile takes for each k.
fn costs(tile: &Tile) -> f64 {
    // The edges of C that a tile covers in vain are computed like the rest.
    let work = (tile.m * tile.n) as f64;
    // Parts of the best rate that an H100 reaches, by how much of C a thread computes.
    let rate = match tile.thread_m * tile.thread_n {
        128.. => 1.0,
        64.. => 38.0 / 40.5,
        _ => 25.0 / 40.5,
    };
    let reading = 1.0 + 2.0 * (1.0 / tile.m as f64 + 1.0 / tile.n as f64);
    work / rate * reading
}

impl std::str::FromStr for Algorithm {
    type Err = Error;

    /// The algorithm that prints as this name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the names there are.
    fn from_str(name: &str) -> Result<Self> {
        let all = all();
        all.iter().find(|algorithm| algorithm.to_string() == name).copied().ok_or_else(|| {
            let names: Vec<_> = all.iter().map(Algorithm::to_string).collect();
            Error::unsupported(format!("the algorithm '{name}'"), names.join(", ") + " are known")
        })
    }
}

impl Gemm {
    /// What a measured choice for this problem is kept under ([`Choices`](crate::tune::Choices)).
    ///
    /// The class of a problem is the problem: extents, element types, accuracy, transpositions,
    /// and whether C is read. Operands are taken to be dense, since a plan is made before they are
    /// seen. Strided ones are computed by the same algorithm, which picks the loads that their
    /// strides and alignment permit at each call: for them a choice may be slower than another,
    /// but never wrong.
    pub fn subject(&self) -> Subject {
        let Gemm { m, n, batch, a, b, c, accuracy, .. } = self;
        let turn = |turned| if turned { 't' } else { 'n' };
        let (ta, tb) = (turn(self.transpose_a), turn(self.transpose_b));
        let reads_c = if self.beta == 0.0 { "" } else { " reads C" };
        let bias = if self.bias { " bias" } else { "" };
        let activation = match self.activation {
            Activation::None => String::new(),
            activation => format!(" {activation}"),
        };
        let k = self.effective_k();
        Subject {
            op: "gemm".into(),
            shaders: fingerprint("gemm"),
            class: format!(
                "{batch}x{m}x{n}x{k} {ta}{tb} {a},{b}->{c} {accuracy}{reads_c}{bias}{activation} dense"
            ),
        }
    }
}

//! Which algorithms can compute a problem, in the order in which a model believes in them, and
//! what a measured one is remembered by.

use super::plan::{Algorithm, Facts, TILES, Tile, working, workspace_bytes};
use super::{Activation, Gemm};
use crate::device::Backend;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::tune::{Subject, fingerprint};

/// Every algorithm there is: what plans choose among, names are parsed into and the tuner tries.
/// A further one has its line here, its condition in [`fit`] and its time in [`predicted`].
pub(super) fn all() -> Vec<Algorithm> {
    let simt = |working| TILES.map(|tile| Algorithm::Simt(tile, working));
    let tiles = [DType::F32, DType::F64].into_iter().flat_map(simt);
    let tiles =
        tiles.filter(|x| !matches!(x, Algorithm::Simt(tile, working) if !tile.takes(*working)));
    let host = [DType::F32, DType::F64].map(Algorithm::Cpu);
    tiles.chain(host).collect()
}

/// The algorithms worth trying for a problem on a device with these facts, the fastest as predicted
/// first: what is chosen where nothing was measured. Empty if none fits its limits. Pure.
pub(super) fn candidates(problem: &Gemm, facts: &Facts) -> Result<Vec<Algorithm>> {
    working(problem, facts)?;
    let mut fitting = all();
    fitting.retain(|&algorithm| {
        // A software driver compiles wide tiles for longer than a small problem runs, and has no
        // registers for them.
        let too_wide =
            matches!(algorithm, Algorithm::Simt(tile, _) if facts.software && tile.n > 64);
        !too_wide && fit(algorithm, problem, facts).is_ok()
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
    let asked = workspace_bytes(algorithm, problem);
    if asked > facts.binding {
        return Err(Error::Limit {
            what: format!("the workspace of GEMM by {algorithm}"),
            limit: "max_storage_buffer_binding_size",
            asked,
            allowed: facts.binding,
        });
    }
    match algorithm {
        Algorithm::Simt(..) if facts.backend != Backend::Gpu => refuse("it runs on a GPU"),
        Algorithm::Simt(_, dtype) | Algorithm::Cpu(dtype) if dtype != working => {
            refuse(&format!("these elements are worked in {working}"))
        }
        Algorithm::Simt(tile, _) => fit_tile(algorithm, &tile, working, facts),
        Algorithm::Cpu(_) if facts.backend != Backend::Cpu => refuse("it runs on the cpu backend"),
        Algorithm::Cpu(_) => Ok(()),
    }
}

fn fit_tile(algorithm: Algorithm, tile: &Tile, working: DType, facts: &Facts) -> Result<()> {
    let checks = [
        ("max_compute_workgroup_storage_size", tile.storage(working), facts.workgroup_storage),
        ("max_compute_invocations_per_workgroup", tile.threads(), facts.invocations),
    ];
    match checks.into_iter().find(|&(_, asked, allowed)| asked > allowed) {
        None => Ok(()),
        Some((limit, asked, allowed)) => Err(Error::Limit {
            what: format!("GEMM by {algorithm}"),
            limit,
            asked: asked as u64,
            allowed: allowed as u64,
        }),
    }
}

/// Workgroups that a larger GPU of today runs at a time: an H100 has 132 multiprocessors.
const MULTIPROCESSORS: f64 = 120.0;

/// The time it takes, in multiply-adds of one multiprocessor at the best rate. Only the order of
/// these numbers is used.
fn predicted(algorithm: Algorithm, problem: &Gemm) -> f64 {
    match algorithm {
        Algorithm::Simt(tile, _) => {
            let tiles = problem.m.div_ceil(tile.m) as f64 * problem.n.div_ceil(tile.n) as f64;
            // Several share a multiprocessor, so that a last wave that is not full costs its part
            // only; but fewer tiles than multiprocessors leave some of these idle.
            let waves = (tiles * problem.batch as f64 / MULTIPROCESSORS).max(1.0);
            // The edges of C that a tile covers in vain are computed like the rest.
            let work = (tile.m * tile.n) as f64 * problem.effective_k().max(1) as f64;
            // Parts of the best rate that an H100 reaches, by how much of C a thread computes.
            let rate = match tile.thread_m * tile.thread_n {
                128.. => 1.0,
                64.. => 38.0 / 40.5,
                _ => 25.0 / 40.5,
            };
            let reading = 1.0 + 2.0 * (1.0 / tile.m as f64 + 1.0 / tile.n as f64);
            waves * work / rate * reading
        }
        Algorithm::Cpu(_) => 1.0, // never one of two
    }
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

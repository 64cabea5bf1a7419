//! How a product that does not fit the device is divided. Pure.
//!
//! A tile of C stays on the device while slabs of A and B, a stretch of k each, pass through. Each
//! element of A is brought once for every tile along n, and each of B once for every tile along m, so
//! tiles are as large as memory allows and nearly square. A tile is computed in bands of rows: a band is
//! what a kernel binds at once, and bands of a tile that is done are stored while the next computes.

use super::Gemm;
use crate::element::DType;
use crate::error::{Budgets, Error, Result};

/// Sizes of the parts of a product, in elements; the last of each kind may be smaller.
///
/// ```
/// use gvpie_core::{Backend, Context, Gemm};
/// let ctx = Context::on(Backend::Cpu)?;
/// let tiling = Gemm::new(512, 512, 512).plan_paged(&ctx)?.tiling();
/// assert_eq!((tiling.rows, tiling.columns, tiling.depth), (512, 512, 512)); // all at once
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Rows of a tile of C.
    pub rows: usize,
    /// Columns of a tile of C.
    pub columns: usize,
    /// How much of k a slab of A and B has.
    pub depth: usize,
    /// Rows of a band of a tile.
    pub band: usize,
}

/// What memory a product may be divided for, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Of the device.
    pub device: u64,
    /// What a kernel may be shown at once.
    pub binding: u64,
    /// What may be on its way to the device at once.
    pub staging: u64,
}

/// Bytes a second that weigh what passes the bus against what passes the device's memory. Only their
/// ratio matters, and that within a factor of a few.
const BUS: f64 = 25e9;
const MEMORY: f64 = 1500e9;

/// The smallest parts that are worth a dispatch.
const GRAIN: usize = 128;

/// Bands of a tile, if it has the rows: enough that storing them overlaps with computing.
const BANDS: usize = 4;

impl Tiling {
    /// The division of least cost that fits.
    pub(super) fn choose(problem: &Gemm, working: DType, room: Room) -> Result<Self> {
        let (m, n) = (problem.m.max(1), problem.n.max(1));
        let k = problem.effective_k().max(1);
        let mut best: Option<(f64, Tiling)> = None;
        let (across, along) = (extents(n), extents(k));
        for &rows in &extents(m) {
            for &columns in &across {
                for &depth in &along {
                    let Some(tiling) =
                        Tiling { rows, columns, depth, band: rows }.banded(problem, working, room)
                    else {
                        continue;
                    };
                    let cost = tiling.cost(problem, working);
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, tiling));
                    }
                }
            }
        }
        best.map(|(_, tiling)| tiling).ok_or_else(|| Error::OutOfMemory {
            what: format!("the smallest tile of a product of {m}x{n}x{k}"),
            asked: Tiling {
                rows: m.min(GRAIN),
                columns: n.min(GRAIN),
                depth: k.min(GRAIN),
                band: 1,
            }
            .bytes(problem, working),
            in_use: 0,
            budgets: Budgets { device: Some(room.device), ..Budgets::default() },
        })
    }

    /// With bands that can be bound, where all of it fits.
    fn banded(self, problem: &Gemm, working: DType, room: Room) -> Option<Self> {
        let [a, b] = self.slabs(problem);
        let row = (self.columns * working.size()) as u64;
        let most = usize::try_from(room.binding / row.max(1)).unwrap_or(usize::MAX);
        let wanted =
            if self.rows >= 2 * BANDS * GRAIN { self.rows.div_ceil(BANDS) } else { self.rows };
        let whole = |rows: usize| if rows > GRAIN { rows / GRAIN * GRAIN } else { rows };
        let band = wanted.next_multiple_of(GRAIN).min(self.rows).min(whole(most));
        let tiling = Tiling { band, ..self };
        let fits = band > 0
            && a.max(b) <= room.binding
            && (a + b <= room.staging || self.depth <= GRAIN)
            && tiling.bytes(problem, working) <= room.device / 8 * 7;
        fits.then_some(tiling)
    }

    /// Bytes of a slab of A and of B.
    fn slabs(&self, problem: &Gemm) -> [u64; 2] {
        [
            (self.rows * self.depth * problem.a.size()) as u64,
            (self.columns * self.depth * problem.b.size()) as u64,
        ]
    }

    /// Bytes on the device: the tile, a slab of each operand, and what two plans may keep between
    /// passes, which is about a packed copy of what they multiply.
    fn bytes(&self, problem: &Gemm, working: DType) -> u64 {
        let [a, b] = self.slabs(problem);
        let tile = (self.rows * self.columns * working.size()) as u64;
        let packed = (self.band + self.columns) * self.depth * working.size();
        tile + a + b + 2 * packed as u64
    }

    /// Seconds that moving takes, were the bus and the device's memory as above.
    fn cost(&self, problem: &Gemm, working: DType) -> f64 {
        let Gemm { m, n, .. } = *problem;
        let k = problem.effective_k().max(1);
        let size = |rows: usize, columns: usize, dtype: DType| {
            rows as f64 * columns as f64 * dtype.size() as f64
        };
        let bus = size(m, k, problem.a) * n.div_ceil(self.columns) as f64
            + size(k, n, problem.b) * m.div_ceil(self.rows) as f64;
        let steps = k.div_ceil(self.depth) as f64;
        // Each step reads and writes the tile, and each band packs B again.
        let bands = m.div_ceil(self.band) as f64;
        let memory = 2.0 * steps * size(m, n, working) + 2.0 * bands * size(k, n, working);
        bus / BUS + memory / MEMORY
    }
}

/// Ways to divide an extent, the whole first; parts are multiples of [`GRAIN`] where that is possible.
fn extents(extent: usize) -> Vec<usize> {
    let mut all = Vec::new();
    let mut parts = 1_usize;
    while parts <= extent {
        let part = extent.div_ceil(parts);
        all.push(if part > GRAIN { part.next_multiple_of(GRAIN).min(extent) } else { part });
        parts = (parts + 1).max(parts * 9 / 8);
    }
    all.push(1);
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(device: u64) -> Room {
        Room { device, binding: (1 << 31) - 4, staging: 1 << 30 }
    }

    #[test]
    fn tiles_fill_the_device_and_are_nearly_square() {
        let problem = Gemm::new(65536, 65536, 65536);
        let tiling = Tiling::choose(&problem, DType::F32, room(8 << 30)).unwrap();
        let Tiling { rows, columns, depth, band } = tiling;
        assert!(rows * columns >= 32768 * 32768 * 3 / 4, "{tiling:?}");
        assert!(rows.max(columns) <= 2 * rows.min(columns), "{tiling:?}");
        assert!((512..=8192).contains(&depth), "{tiling:?}");
        assert!(band * columns * 4 <= (1 << 31) - 4 && rows / band >= 3, "{tiling:?}");
        assert!(tiling.bytes(&problem, DType::F32) <= 8 << 30);
    }

    #[test]
    fn what_fits_is_not_divided() {
        let tiling = Tiling::choose(&Gemm::new(100, 200, 300), DType::F32, room(1 << 30)).unwrap();
        assert_eq!(tiling, Tiling { rows: 100, columns: 200, depth: 300, band: 100 });
    }

    #[test]
    fn small_budgets_get_small_tiles_until_there_are_none() {
        let problem = Gemm::new(3000, 2000, 5000);
        let mut last = u64::MAX;
        for shift in (14..26).rev() {
            let tiling = Tiling::choose(&problem, DType::F32, room(1 << shift)).unwrap();
            let bytes = tiling.bytes(&problem, DType::F32);
            assert!(bytes <= 1 << shift && bytes <= last, "{tiling:?}");
            last = bytes;
        }
        let none = Tiling::choose(&problem, DType::F32, room(16)).unwrap_err();
        assert!(matches!(none, Error::OutOfMemory { .. }), "{none}");
    }
}

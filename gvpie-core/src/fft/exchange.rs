//! Where the numbers of lines lie in workgroup memory between stages.

use super::recipe::{Pass, Store};
use super::rendering::{Gap, Stage};

/// Elements from line to line and of all of them in workgroup memory, and whether they are whole
/// there; and the gaps of each exchange.
pub(super) fn exchange(
    pass: &Pass,
    stages: &mut [Stage],
    double: bool,
    storage: usize,
) -> (usize, usize, bool) {
    let packed = pass.after.store == Store::Packed;
    if stages.len() == 1 && !packed {
        return (0, 0, false);
    }
    let part = if double { 8 } else { 4 };
    // Both parts at once spares barriers; for one transform that measured slower (4096 points on an
    // H100: 2260 against 2900 GB/s), for the two of a convolution faster (850 against 760).
    let whole = if pass.product.is_some() { storage.min(WHOLE) } else { 0 };
    for (size, most) in [(2 * part, whole), (part, storage)] {
        let (pitch, total) = gaps(pass, stages, 128 / size);
        if total * size <= most {
            return (pitch, total, size > part);
        }
    }
    stages.iter_mut().for_each(|stage| stage.gap = Gap::default());
    let part = pass.n / pass.rounds;
    (part, part * pass.width, false)
}

/// Bytes of workgroup memory up to which both parts of numbers are exchanged at once: an H100 has 228
/// KB for the workgroups of a multiprocessor, of which six fill its other resources.
const WHOLE: usize = 36 << 10;

/// The gaps of each exchange where as many elements as this are read at once, and the elements from
/// line to line and in all.
fn gaps(pass: &Pass, stages: &mut [Stage], banks: usize) -> (usize, usize) {
    let n = pass.n / pass.rounds;
    let mut most = [0, 0];
    for s in 0..stages.len() {
        let Some(next) = stages.get(s + 1) else { continue };
        let columns = stages[s].columns && next.columns;
        let neighbours = if columns { pass.width } else { 1 };
        let stage = &mut stages[s];
        stage.gap = Gap::default();
        let run = stage.before * neighbours;
        let together = run * stage.radix;
        if run < banks && together.is_power_of_two() {
            let period = together.max(banks) / neighbours;
            stage.gap = Gap { shift: period.ilog2(), words: run };
        }
        let left = ((n - 1) >> stage.gap.shift) * stage.gap.words;
        most[usize::from(columns)] = most[usize::from(columns)].max(left);
    }
    let mut pitch = n + most[0];
    if stages.iter().any(|stage| stage.remap) {
        pitch |= 1;
    } else if pass.width > 1 && pass.stages.threads < banks {
        // Lines side by side in a subgroup begin at different banks.
        pitch += (banks + pass.stages.threads - pitch % banks) % banks;
    }
    (pitch, (pitch * pass.width).max(n * pass.width + most[1]))
}

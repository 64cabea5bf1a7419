//! Kernels of the fast multipole method as values: what they are rendered with and told.

use super::harmonics::{Recurrence, place, terms};
use crate::kernel::Kernel;
use crate::shader::Values;
use minijinja::Value;
use serde::Serialize;
use std::mem::offset_of;

/// Targets of a chunk.
pub(super) const CHUNK: usize = 64;

/// Coefficients that the translations take at a time.
const STEP: usize = 8;

/// Rows and threads of a translation's workgroup: a thread has 8 rows, 16 threads share them.
pub(super) const ROWS: usize = 64;
const ROWS_EACH: usize = 8;

/// Degrees that the kernels are made for: beyond, values of a tile of sources do not fit 16 KB.
pub(super) const HIGHEST: usize = 14;

macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, bytemuck::NoUninit)]
        pub(super) struct $name {
            $(pub $field: $kind),*
        }

        impl $name {
            fn fields() -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), offset_of!($name, $field))),*]
            }
        }
    };
}

params! {
    /// WGSL's `Params` of fmm_points.wgsl.jinja.
    Points {
        points: u32, offset: u32, blocks: u32, bad: u32, read: u32, sources: u32, targets: u32,
        period: f32,
    }
}

params! {
    /// WGSL's `Params` of fmm_tree.wgsl.jinja.
    Tree {
        level: u32, depth: u32, leaf: u32, crowd: u32, pairs: u32, cells: u32, chunks: u32,
        least: f32,
    }
}

params! {
    /// WGSL's `Params` of fmm_expand.wgsl.jinja.
    Expand {
        first: u32, cells: u32, chunks: u32, slices: u32, stride: u32, low_x: f32, low_y: f32,
        low_z: f32, side: f32, scale: f32, charge: f32, dipole_x: f32, dipole_y: f32,
        dipole_z: f32, second: f32,
    }
}

params! {
    /// WGSL's `Params` of fmm_m2l.wgsl.jinja.
    Translate { parents: u32, slices: u32, stride: u32 }
}

params! {
    /// WGSL's `Params` of fmm_near.wgsl.jinja.
    Near { chunks: u32, targets: u32, sources: u32, scale: f32, softening: f32, side: f32 }
}

/// Numbers from an expansion to the next: whole pairs for each of the 16 threads of a row.
pub(super) fn pitch(order: usize) -> usize {
    terms(order).next_multiple_of(32)
}

/// Coefficients that a translation reads, made up to whole steps.
pub(super) fn depth(order: usize) -> usize {
    terms(order).next_multiple_of(STEP)
}

/// A kernel of fmm_points.wgsl.jinja, for keys of one word or two.
pub(super) fn points(entry: &'static str, words: usize, periodic: bool) -> Kernel {
    let values: Values = [("words", words.into()), ("periodic", periodic.into())].into();
    let kernel = Kernel::ours(format!("fmm {entry}"), "fmm_points.wgsl.jinja", values).entry(entry);
    if entry == "reset" { kernel } else { kernel.fields(Points::fields()) }
}

/// A kernel of fmm_tree.wgsl.jinja; `apart` where targets are not the sources.
pub(super) fn tree(entry: &'static str, words: usize, apart: bool) -> Kernel {
    let values: Values = [("words", words.into()), ("apart", apart.into())].into();
    Kernel::ours(format!("fmm {entry}"), "fmm_tree.wgsl.jinja", values)
        .entry(entry)
        .fields(Tree::fields())
}

/// Harmonics of one order m, by degree.
#[derive(Debug, Clone, Serialize)]
struct Column {
    m: usize,
    /// Factors of x + iy on the way from the column before to this one.
    turns: Vec<String>,
    steps: Vec<Step>,
}

/// R(l, m) = near z R(l−1, m) − far |r|² R(l−2, m).
#[derive(Debug, Clone, Serialize)]
struct Step {
    l: usize,
    near: String,
    far: String,
}

/// The columns of these orders, ascending.
fn columns(order: usize, orders: impl Iterator<Item = usize>) -> Vec<Column> {
    let recurrence = Recurrence::<f64>::new(order);
    let number = |value: f64| format!("{:?}", value as f32);
    let mut reached = 0;
    orders
        .map(|m| {
            let turns = (reached + 1..=m).map(|m| number(recurrence.diagonal[m])).collect();
            reached = m;
            let steps = (m + 1..=order).map(|l| {
                let at = place(l, m as isize);
                Step { l, near: number(recurrence.up[at]), far: number(recurrence.down[at]) }
            });
            Column { m, turns, steps: steps.collect() }
        })
        .collect()
}

/// A kernel of fmm_expand.wgsl.jinja.
pub(super) fn expand(entry: &'static str, order: usize, periodic: bool) -> Kernel {
    // As many sources as have room for their harmonics; 16 KB is what every device has.
    let tile = if terms(order) * 33 * 4 <= 16 << 10 { 32 } else { 16 };
    let groups = 128 / tile;
    let shares: Vec<_> =
        (0..groups).map(|group| columns(order, (group..=order).step_by(groups))).collect();
    let values: Values = [
        ("order", order.into()),
        ("periodic", periodic.into()),
        ("pitch", pitch(order).into()),
        ("tile", tile.into()),
        ("shares", Value::from_serialize(&shares)),
        ("columns", Value::from_serialize(columns(order, 0..=order))),
    ]
    .into();
    Kernel::ours(format!("fmm {entry} p{order}"), "fmm_expand.wgsl.jinja", values)
        .entry(entry)
        .fields(Expand::fields())
}

/// The kernel of fmm_m2l.wgsl.jinja.
pub(super) fn translate(order: usize) -> Kernel {
    let values: Values = [
        ("pitch", pitch(order).into()),
        ("depth", depth(order).into()),
        ("pairs", (pitch(order) / 32).into()),
        ("rows", ROWS.into()),
        ("rows_each", ROWS_EACH.into()),
        ("threads", (ROWS / ROWS_EACH * 16).into()),
        ("step", STEP.into()),
    ]
    .into();
    Kernel::ours(format!("fmm m2l p{order}"), "fmm_m2l.wgsl.jinja", values)
        .entry("m2l")
        .fields(Translate::fields())
}

/// What the near sums depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nearness {
    /// All sources, without a tree.
    pub direct: bool,
    pub softened: bool,
    pub periodic: bool,
}

/// The kernel of fmm_near.wgsl.jinja.
pub(super) fn near(Nearness { direct, softened, periodic }: Nearness) -> Kernel {
    let values: Values =
        [("direct", direct.into()), ("softened", softened.into()), ("periodic", periodic.into())]
            .into();
    let label = if direct { "fmm direct" } else { "fmm near" };
    Kernel::ours(label, "fmm_near.wgsl.jinja", values).entry("near").fields(Near::fields())
}

/// Every kernel that a plan can ask for, for tests that validate them without a device.
pub fn kernels() -> Vec<Kernel> {
    let mut all = Vec::new();
    for words in [1, 2] {
        let entries = ["reset", "bounds", "frame", "keys", "gather"];
        for periodic in [false, true] {
            all.extend(entries.map(|entry| points(entry, words, periodic)));
        }
        for apart in [false, true] {
            let entries = ["meet", "divide", "offsets", "grow", "count"];
            all.extend(entries.map(|entry| tree(entry, words, apart)));
        }
    }
    for order in 1..=HIGHEST {
        all.extend(["p2m", "m2m", "l2l", "l2p"].map(|entry| expand(entry, order, false)));
        all.extend(["p2m", "images", "l2p"].map(|entry| expand(entry, order, true)));
        all.push(translate(order));
    }
    for softened in [false, true] {
        let kinds = [(true, false), (false, false), (false, true)];
        all.extend(kinds.map(|(direct, periodic)| near(Nearness { direct, softened, periodic })));
    }
    all
}

//! Kernels of the FFT as values: what a rendering depends on, its parameters and its table.

use super::radix::{self, Codelet, Turn};
use super::recipe::{Load, Store};
use super::twiddles::{Run, powers};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::shader::Values;
use minijinja::Value;
use serde::Serialize;
use std::collections::BTreeMap;
use std::mem::offset_of;

/// WGSL's `Params` of fft.wgsl.jinja, field by field.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::NoUninit)]
pub(super) struct Params {
    pub lines: u32,
    pub size0: u32,
    pub size1: u32,
    pub size2: u32,
    pub in_offset: u32,
    pub in_element: u32,
    pub in0: u32,
    pub in1: u32,
    pub in2: u32,
    pub in3: u32,
    pub out_offset: u32,
    pub out_element: u32,
    pub out0: u32,
    pub out1: u32,
    pub out2: u32,
    pub out3: u32,
    pub given: u32,
    pub kept: u32,
    pub window_offset: u32,
    pub window_element: u32,
    pub spectrum_offset: u32,
    pub spectrum_element: u32,
}

macro_rules! fields {
    ($($field:ident)*) => { vec![$((stringify!($field), offset_of!(Params, $field))),*] };
}

pub(super) fn fields() -> Vec<(&'static str, usize)> {
    fields!(lines size0 size1 size2 in_offset in_element in0 in1 in2 in3 out_offset out_element out0
        out1 out2 out3 given kept window_offset window_element spectrum_offset spectrum_element)
}

/// The table of a pass: runs one after another, and what each element is multiplied by at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Table {
    pub runs: Vec<Run>,
    /// Bits of an f64.
    pub scale: Option<u64>,
    /// The prime whose powers of the generator are listed beside it.
    pub prime: Option<usize>,
}

impl Table {
    /// Where a run begins.
    pub fn add(&mut self, run: Run) -> usize {
        let at = self.runs.iter().map(Run::len).sum();
        self.runs.push(run);
        at
    }

    pub fn len(&self) -> usize {
        self.runs.iter().map(Run::len).sum()
    }

    /// The numbers of f32 or f64, in pairs.
    fn bytes(&self, precision: DType) -> Vec<u8> {
        let factor = self.scale.map(|bits| num_complex::Complex::new(f64::from_bits(bits), 0.0));
        let values: Vec<_> = self.runs.iter().flat_map(Run::values).chain(factor).collect();
        if precision == DType::F64 {
            bytemuck::cast_slice(&values).to_vec()
        } else {
            let narrow = |value: &num_complex::Complex<f64>| [value.re as f32, value.im as f32];
            values.iter().flat_map(narrow).flat_map(f32::to_ne_bytes).collect()
        }
    }
}

/// What a kernel reads besides operands: numbers, and for Rader's algorithm powers. Plans of a context
/// that read the same share them.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub numbers: Buffer,
    pub powers: Option<Buffer>,
}

impl Tables {
    pub fn new(ctx: &Context, table: &Table, precision: DType) -> Result<Self> {
        let get = |key: String, bytes: &dyn Fn() -> Vec<u8>| {
            ctx.table(key, || {
                let bytes = bytes();
                let held = bytes.len().max(16) as u64;
                let buffer = Buffer::zeroed(ctx.device(), held, "the FFT's tables")?;
                buffer.write(&bytes)?;
                Ok(buffer)
            })
        };
        let indices = |n| powers(n).into_iter().flat_map(u32::to_ne_bytes).collect();
        let key = |n| format!("powers of the generator of {n}");
        Ok(Tables {
            numbers: get(format!("{precision} {table:?}"), &|| table.bytes(precision))?,
            powers: table.prime.map(|n| get(key(n), &|| indices(n))).transpose()?,
        })
    }
}

/// A stage as the template sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Stage {
    pub radix: usize,
    pub butterflies: usize,
    pub before: usize,
    pub each: usize,
    pub even: bool,
    pub table: usize,
    /// Factors are read for results below this and for multiples of it; others are products of two.
    pub step: usize,
    /// What tells the part of the line that a result is of, on the way to the next stage.
    pub by: By,
    pub columns: bool,
    pub remap: bool,
    pub product: Option<usize>,
    pub gap: Gap,
}

/// Bytes of a stage's factors up to which all are read: as many as stay in the cache of a processor
/// that lines of 4096 points stream through.
const FACTORS: usize = 32 << 10;

/// The step of [`Stage`] for factors of so many bytes.
pub(super) fn factors_read(run: Run, size: usize) -> usize {
    match run {
        Run::Stage { radix, .. } if radix >= 8 && run.len() * size > FACTORS => 4,
        _ => 1,
    }
}

/// What tells which part of a line, of several that go through workgroup memory one after another, a
/// result of a stage is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// Its number among those of its butterfly.
    Result,
    /// The butterfly's number among those of its thread.
    Butterfly,
    /// The butterfly's number, known when the kernel runs.
    Place,
}

/// Words left out against conflicts of banks: `words` after each 2^shift elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Default)]
pub(super) struct Gap {
    pub shift: u32,
    pub words: usize,
}

/// The two tables of a twiddle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Twiddle {
    pub axis: usize,
    pub shift: u32,
    pub low: usize,
    pub high: usize,
}

/// Which lines add to an element's index along the axis: axis of the lines, factor.
pub(super) type Index = Vec<(usize, usize)>;

/// One rendering of fft.wgsl.jinja.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    pub double: bool,
    pub points: usize,
    pub threads: usize,
    pub lines: usize,
    pub stages: Vec<Stage>,
    pub pitch: usize,
    pub exchange: usize,
    /// Parts in which lines go through workgroup memory one after another.
    pub rounds: usize,
    /// Whether both parts of a number are exchanged at once.
    pub whole: bool,
    /// Axes that lines are counted along.
    pub axes: usize,
    pub in_place: bool,
    pub load: Load,
    /// Points of the whole axis, where half its spectrum is read.
    pub length: usize,
    pub store: Store,
    pub pad: bool,
    pub crop: bool,
    pub window: bool,
    pub spectrum: bool,
    pub turn_in: bool,
    pub swap_in: bool,
    pub times_in: Option<usize>,
    pub index_in: Index,
    pub step_in: usize,
    pub turn_out: bool,
    pub swap_out: bool,
    pub times_out: Option<usize>,
    pub index_out: Index,
    pub step_out: usize,
    pub twiddle: Option<Twiddle>,
    /// Lines along the axis of which each is worked beside its mirror.
    pub mirror: Option<usize>,
    pub halves: usize,
    pub scale: Option<usize>,
    /// Whether elements are permuted by the powers of a prime's generator.
    pub powers: bool,
    pub tables: bool,
    pub inverse: bool,
}

impl Variant {
    /// Whether both parts of what lines send their mirrors fit workgroup memory at once, as they do
    /// where the last radix is even: then it is half of their elements.
    fn together(&self) -> bool {
        self.stages.last().is_some_and(|last| {
            let sent = 2 * (self.points - last.radix / 2 * last.before);
            if last.columns { sent * self.lines <= self.exchange } else { sent <= self.pitch }
        })
    }

    pub fn kernel(&self) -> Kernel {
        let suffix = if self.double { "lf" } else { "" };
        let radices: Vec<usize> = self.stages.iter().map(|stage| stage.radix).collect();
        let codelets: BTreeMap<usize, Codelet> =
            radices.iter().map(|&radix| (radix, radix::codelet(radix, suffix))).collect();
        let roots: BTreeMap<usize, Vec<Turn>> = (2..=radix::LARGEST_PRIME)
            .map(|p| (p, (0..p).map(|k| radix::turn(k, p, suffix)).collect()))
            .collect();
        // exp(-pi i k / r), which tell the roots of a thread's elements from that of the first.
        let ends = if self.load == Load::Packed { radices.first() } else { radices.last() };
        let half_turns: Vec<Turn> = ends.map_or_else(Vec::new, |&radix| {
            (0..radix).map(|k| radix::turn(k, 2 * radix, suffix)).collect()
        });
        let load = match self.load {
            Load::Complex => "complex",
            Load::Real => "real",
            Load::Half => "half",
            Load::Packed => "packed",
        };
        let store = match self.store {
            Store::Complex => "complex",
            Store::Real => "real",
            Store::Packed => "packed",
        };
        let values: Values = [
            ("real", if self.double { "f64" } else { "f32" }.into()),
            ("points", self.points.into()),
            ("threads", self.threads.into()),
            ("lines", self.lines.into()),
            ("stages", Value::from_serialize(&self.stages)),
            ("pitch", self.pitch.into()),
            ("exchange", self.exchange.into()),
            ("rounds", self.rounds.into()),
            ("whole", self.whole.into()),
            ("axes", self.axes.into()),
            ("in_place", self.in_place.into()),
            ("load", load.into()),
            ("length", self.length.into()),
            ("store", store.into()),
            ("pad", self.pad.into()),
            ("crop", self.crop.into()),
            ("window", self.window.into()),
            ("spectrum", self.spectrum.into()),
            ("turn_in", self.turn_in.into()),
            ("swap_in", self.swap_in.into()),
            ("times_in", Value::from_serialize(self.times_in)),
            ("index_in", Value::from_serialize(&self.index_in)),
            ("step_in", self.step_in.into()),
            ("turn_out", self.turn_out.into()),
            ("swap_out", self.swap_out.into()),
            ("times_out", Value::from_serialize(self.times_out)),
            ("index_out", Value::from_serialize(&self.index_out)),
            ("step_out", self.step_out.into()),
            ("twiddle", Value::from_serialize(self.twiddle)),
            ("halves", self.halves.into()),
            ("mirror", Value::from_serialize(self.mirror)),
            ("together", self.together().into()),
            ("half_turns", Value::from_serialize(&half_turns)),
            ("scale", Value::from_serialize(self.scale)),
            ("powers", self.powers.into()),
            ("has_tables", self.tables.into()),
            ("codelets", Value::from_serialize(&codelets)),
            ("roots", Value::from_serialize(&roots)),
        ]
        .into();
        let names: Vec<String> = radices.iter().map(usize::to_string).collect();
        let label = format!("fft {} = {}", self.points, names.join(" "));
        Kernel::ours(label, "fft.wgsl.jinja", values)
            .entry("fft")
            .constant("inverse", f64::from(u8::from(self.inverse)))
            .fields(fields())
    }
}

/// One rendering of fft_pairs.wgsl.jinja.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PairsVariant {
    pub double: bool,
    pub points: usize,
    pub forward: bool,
    pub axes: usize,
    pub window: bool,
    pub spectrum: bool,
    pub scale: Option<usize>,
}

impl PairsVariant {
    /// Workgroups for a line.
    pub fn blocks(&self) -> usize {
        (self.points / 2 + 1).div_ceil(256)
    }

    pub fn kernel(&self) -> Kernel {
        let values: Values = [
            ("real", if self.double { "f64" } else { "f32" }.into()),
            ("points", self.points.into()),
            ("blocks", self.blocks().into()),
            ("forward", self.forward.into()),
            ("axes", self.axes.into()),
            ("window", self.window.into()),
            ("spectrum", self.spectrum.into()),
            ("scale", Value::from_serialize(self.scale)),
        ]
        .into();
        Kernel::ours(format!("fft pairs {}", self.points), "fft_pairs.wgsl.jinja", values)
            .entry("pairs")
            .fields(fields())
    }
}

/// A kernel of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Rendering {
    Transform(Box<Variant>),
    Pairs(PairsVariant),
}

impl Rendering {
    pub fn kernel(&self) -> Kernel {
        match self {
            Rendering::Transform(variant) => variant.kernel(),
            Rendering::Pairs(variant) => variant.kernel(),
        }
    }

    /// Whether it reads tables, a window, a spectrum; whether input and output are one.
    pub fn binds(&self) -> [bool; 4] {
        match self {
            Rendering::Transform(v) => [v.tables, v.window, v.spectrum, v.in_place],
            Rendering::Pairs(v) => [true, v.window, v.spectrum, false],
        }
    }
}

//! Checks and choices of sorting.

use super::{Sort, cpu, gpu};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// How a plan computes; prints as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Radix sort on the GPU: so many passes over digits of at most so many bits.
    Radix {
        /// Digits of a key.
        passes: u32,
        /// Bits of the widest digit.
        width: u32,
    },
    /// The host's cores, comparing so many bits.
    Cpu(u32),
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Algorithm::Radix { passes, width } => write!(f, "radix-{passes}x{width}"),
            Algorithm::Cpu(bits) => write!(f, "cpu-{bits}"),
        }
    }
}

/// A digit: `(word >> shift) mod 2^width` of a word of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digit {
    pub word: u32,
    pub shift: u32,
    pub width: u32,
}

/// Widest digit: a workgroup has an invocation for each of its 256 values.
const WIDEST: u32 = 8;

/// The digits of keys of so many bits, the lowest first. In each word they are of an even number:
/// passes alternate between the operands and the plan's memory, and the last has to end in the
/// operands. Their widths differ by one at most, and none reaches into two words.
pub(super) fn digits(bits: u32) -> Vec<Digit> {
    let words = [bits.min(32), bits.saturating_sub(32)];
    let of_word = |(word, bits): (u32, u32)| {
        let count = 2 * bits.div_ceil(2 * WIDEST);
        let start = move |i: u32| i * bits / count;
        (0..count).map(move |i| Digit { word, shift: start(i), width: start(i + 1) - start(i) })
    };
    (0..).zip(words).flat_map(of_word).collect()
}

/// What a choice depends on, as plain data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub backend: Backend,
    /// Bytes of one buffer that a kernel may be given.
    pub binding: u64,
}

impl Facts {
    fn of(ctx: &Context) -> Self {
        let binding = ctx.device().gpu().map_or(u64::MAX, |gpu| {
            gpu.limits().max_storage_buffer_binding_size.min(gpu.limits().max_buffer_size)
        });
        Facts { backend: ctx.backend(), binding }
    }
}

/// The algorithm for a problem. Pure.
pub(super) fn choose(problem: &Sort, facts: &Facts) -> Result<Algorithm> {
    let Sort { n, words, .. } = *problem;
    let setting = |name: &str, value: String, expected: &str| Error::Setting {
        name: name.into(),
        value,
        expected: expected.into(),
    };
    if !(1..=2).contains(&words) {
        return Err(setting("words of a key", words.to_string(), "1 or 2"));
    }
    let (bits, most) = (problem.compared_bits(), 32 * words as u32);
    if !(1..=most).contains(&bits) {
        return Err(setting("bits of a key", bits.to_string(), &format!("1 to {most}")));
    }
    let too_many = |limit: &'static str, asked: u64, allowed: u64| Error::Limit {
        what: format!("a sort of {n} keys of {}", if words == 1 { "a word" } else { "two words" }),
        limit,
        asked,
        allowed,
    };
    // An index past the last key of the last block is still a word.
    let countable = u64::from(u32::MAX) - gpu::BLOCK as u64;
    if n as u64 > countable {
        return Err(too_many("u32 indices", n as u64, countable));
    }
    if facts.backend == Backend::Cpu {
        return Ok(Algorithm::Cpu(bits));
    }
    let bytes = (4 * n as u64 * words as u64).max(gpu::counts_bytes(n));
    if bytes > facts.binding {
        return Err(too_many("max_storage_buffer_binding_size", bytes, facts.binding));
    }
    let digits = digits(bits);
    let width = digits.iter().map(|digit| digit.width).max().unwrap_or(0);
    Ok(Algorithm::Radix { passes: digits.len() as u32, width })
}

/// A checked, compiled sort. Made by [`Sort::plan`]; run as often as wanted.
///
/// ```
/// use gvpie_core::{Backend, Context, Sort};
/// let plan = Sort::new(1000).words(2).bits(63).plan(&Context::on(Backend::Cpu)?)?;
/// assert_eq!(plan.algorithm().to_string(), "cpu-63");
/// assert_eq!(plan.problem().keys_shape().dims(), [1000, 2]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SortPlan {
    problem: Sort,
    algorithm: Algorithm,
    /// On a GPU, where there is anything to sort.
    prepared: Option<gpu::Prepared>,
    ctx: Context,
}

impl SortPlan {
    pub(super) fn new(problem: Sort, ctx: &Context) -> Result<Self> {
        let algorithm = choose(&problem, &Facts::of(ctx))?;
        let prepared = match algorithm {
            Algorithm::Radix { .. } if problem.n > 0 => {
                let digits = digits(problem.compared_bits());
                Some(gpu::Prepared::new(problem.n, problem.words, digits, ctx)?)
            }
            Algorithm::Radix { .. } | Algorithm::Cpu(_) => None,
        };
        Ok(SortPlan { problem, algorithm, prepared, ctx: ctx.clone() })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Sort {
        &self.problem
    }

    /// How it computes.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Sorts `keys` in place and writes `order`, without waiting for the result.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Foreign`] naming the operand that does not fit the plan;
    /// errors of the device.
    pub fn run(&self, keys: &mut Tensor<u32>, order: &mut Tensor<u32>) -> Result<()> {
        let mut batch = self.ctx.batch("sort");
        self.record(&mut batch, keys, order)?;
        batch.submit()
    }

    /// Records the same into a batch: what was recorded before makes the keys, what is recorded
    /// after sees them sorted.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record(
        &self,
        batch: &mut Batch,
        keys: &mut Tensor<u32>,
        order: &mut Tensor<u32>,
    ) -> Result<()> {
        let device = self.ctx.device();
        if !batch.device().is(device) {
            return Err(Error::Foreign { operand: "the batch".into() });
        }
        let check = |tensor: &Tensor<u32>, name: &str, shape: Shape| {
            tensor.view().operand().check_device(device, name)?;
            if *tensor.shape() == shape {
                return Ok(());
            }
            let found = format!("shape {}", tensor.shape());
            Err(Error::shape(name, format!("shape {shape}"), found))
        };
        check(keys, "keys", self.problem.keys_shape())?;
        check(order, "order", self.problem.order_shape().into())?;
        match (&self.prepared, self.algorithm) {
            (Some(prepared), _) => prepared.record(batch, keys.buffer(), order.buffer()),
            (None, Algorithm::Cpu(bits)) => {
                let Sort { n, words, .. } = self.problem;
                let (keys, order) = (keys.buffer().clone(), order.buffer().clone());
                batch.host(move || run_host(n, words, bits, &keys, &order));
                Ok(())
            }
            (None, Algorithm::Radix { .. }) => Ok(()), // nothing to sort
        }
    }
}

fn run_host(n: usize, words: usize, bits: u32, keys: &Buffer, order: &Buffer) -> Result<()> {
    let sorted = Buffer::lend([keys], order, |[keys], order| {
        let (keys, order) = (bytemuck::cast_slice(keys), bytemuck::cast_slice_mut(order));
        cpu::sort(words, bits, &keys[..n * words], &mut order[..n])
    })?;
    let sorted = sorted.map_err(|asked| keys.device().pool().out_of_memory(asked, "sort"))?;
    Buffer::lend([], keys, |[], keys| {
        bytemuck::cast_slice_mut(keys)[..n * words].copy_from_slice(&sorted);
    })
}

//! The packing of split operands, held against what it must be: it runs on any GPU, with tensor cores
//! or without.

use super::Input;
use crate::context::Context;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::gemm::coop::CoopTile;
use crate::gemm::gpu::Params;
use crate::gemm::layout::Layout;
use crate::gemm::{Gemm, packing};
use half::f16;

/// A row of A or a column of B, as it was given and as it was packed.
struct Line<'a> {
    given: &'a [f32],
    /// Powers of two along k, to be multiplied with.
    powers: &'a [i32],
    /// That of the whole line.
    exponent: i32,
    /// High and low halves, as far as packed.
    halves: Vec<[f64; 2]>,
    /// Small elements, and flags.
    count: u32,
}

const LOST: u32 = 1 << 31;
const HOPELESS: u32 = 1 << 30;

impl Line<'_> {
    /// An error in words, or (elements that are small, flags).
    fn check(&self) -> Result<(u32, u32), String> {
        let flags = self.count & (LOST | HOPELESS);
        if self.given.iter().any(|x| !x.is_finite()) {
            let told = flags & HOPELESS != 0;
            return if told { Ok((0, flags)) } else { Err("infinity was not seen".into()) };
        }
        if flags & HOPELESS != 0 {
            let far = |x: &f32| *x != 0.0 && !(-97..=97).contains(&(x.abs().log2().floor() as i32));
            let reason = self.given.iter().any(far);
            return if reason { Ok((0, flags)) } else { Err("nothing forbids to split it".into()) };
        }
        let (mut small, mut lost, mut largest) = (0, false, 0.0_f64);
        for (l, (&x, halves)) in self.given.iter().zip(&self.halves).enumerate() {
            let moved = f64::from(x) * 2.0_f64.powi(self.powers[l]);
            let scaled = moved * 2.0_f64.powi(self.exponent);
            // Numbers that the device takes for zero, or keeps as the least there is.
            let tiny = moved.abs() < f64::from(f32::MIN_POSITIVE) && x != 0.0;
            largest = largest.max(scaled.abs());
            small += u32::from(scaled.abs() < 512.0);
            lost |= tiny || (scaled.abs() < 0.25 && x != 0.0);
            let packed = halves[0] + halves[1];
            let allowed = (2.0_f64.powi(-22) * scaled.abs()).max(2.0_f64.powi(-24));
            let error = (packed - scaled).abs();
            let error = if tiny { 0.0 } else { error };
            if error.is_nan() || error > allowed {
                return Err(format!("element {l}: {scaled} was packed as {packed}"));
            }
        }
        let padding = &self.halves[self.given.len()..];
        if padding.iter().any(|halves| *halves != [0.0; 2]) {
            return Err("what lies past k is not zero".into());
        }
        let normal = largest == 0.0 || (16_384.0..32_768.0).contains(&largest);
        if !normal && largest >= 1.0 {
            return Err(format!("the largest element became {largest}"));
        }
        let found = self.count & !(LOST | HOPELESS);
        if found != small {
            return Err(format!("{found} small elements were counted, there are {small}"));
        }
        if (flags & LOST != 0) != lost {
            return Err(format!("flags {flags:x}, but lost bits: {lost}"));
        }
        Ok((small, flags))
    }
}

impl Input {
    /// Packs the operands as the split of this tile does, balanced along k if so wished, and holds
    /// every number, count and flag against what it must be; whether all of C could then be split.
    ///
    /// # Errors
    /// [`Error::Internal`] naming the first row or column that is wrong; errors of the device.
    pub fn check_packing(&self, ctx: &Context, tile: CoopTile, balanced: bool) -> Result<bool> {
        let [m, n, k] = self.extents;
        let (a, b) = self.operands();
        let turned: Vec<f32> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
        let upright: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
        let mut splits = true;
        // Both operands along k and across it.
        for problem in [Gemm::new(m, n, k), Gemm::new(m, n, k).transpose_a().transpose_b()] {
            let (a_data, b_data) = if problem.transpose_a { (&upright, &turned) } else { (&a, &b) };
            let (ta, tb) = (ctx.upload([a.len()], a_data)?, ctx.upload([b.len()], b_data)?);
            let layout = Layout::dense(&problem, DType::F32);
            let operands = [ta.buffer(), tb.buffer()];
            let (params, [a_words, b_words, stats]) =
                packing::examine(ctx, layout, tile, operands, balanced)?;
            let powers: Vec<i32> = match balanced {
                true => stats[params.powers as usize..][..k].iter().map(|&t| t as i32).collect(),
                false => vec![0; k],
            };
            let against: Vec<i32> = powers.iter().map(|t| -t).collect();
            let sides = [
                ("row of A", m, tile.m, &a, &powers, &a_words, params.a_stats, params.a_rows),
                (
                    "column of B",
                    n,
                    tile.n,
                    &turned,
                    &against,
                    &b_words,
                    params.b_stats,
                    params.b_rows,
                ),
            ];
            let mut worst = [0; 2];
            let mut flags = 0;
            for (side, (what, lines, block, data, powers, words, at, rows)) in
                sides.into_iter().enumerate()
            {
                for i in 0..lines {
                    let line = Line {
                        given: &data[i * k..][..k],
                        powers,
                        exponent: stats[at as usize + rows as usize + i] as i32,
                        halves: halves(words, i, block, &params),
                        count: stats[at as usize + i],
                    };
                    let (small, line_flags) = line.check().map_err(|words| Error::Internal {
                        what: format!("packing {what} {i} of {self:?}, balanced: {balanced}"),
                        message: words,
                    })?;
                    worst[side] = worst[side].max(small);
                    flags |= line_flags;
                }
            }
            let loses = flags & LOST != 0 && 2 * (worst[0] + worst[1]) as usize > k;
            splits &= flags & HOPELESS == 0 && !loses;
        }
        Ok(splits)
    }
}

/// High and low halves of a line, as packed by blocks of lines, steps of 32 of k, then lines.
fn halves(words: &[u32], line: usize, block: usize, params: &Params) -> Vec<[f64; 2]> {
    let steps = params.steps as usize;
    let half = |l: usize, low: usize| {
        let (step, within) = (l / 32, l % 32);
        let row = ((line / block) * steps + step) * block + line % block;
        let word = words[row * 32 + 16 * low + within / 2];
        f16::from_bits((word >> (16 * (within % 2))) as u16).to_f64()
    };
    (0..32 * steps).map(|l| [half(l, 0), half(l, 1)]).collect()
}

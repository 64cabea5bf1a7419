//! Rates of sums of products over named indices.

use super::Failure;
use super::bench::{RUNS, Row, TARGET, median_time, row};
use super::einsum::works;
use gvpie_core::einsum::proof::{Definition, bound};
use gvpie_core::{Context, DType, Einsum, Shape};

/// The fixed table of a GPU: expression, and the operands' extents.
const TABLE: [(&str, &[&[usize]]); 18] = [
    ("bij,bjk->bik", &[&[64, 512, 512], &[64, 512, 512]]),
    ("bhid,bhjd->bhij", &[&[8, 16, 1024, 64], &[8, 16, 1024, 64]]),
    ("bhij,bhjd->bhid", &[&[8, 16, 1024, 1024], &[8, 16, 1024, 64]]),
    ("ijk,jl->ikl", &[&[256, 512, 256], &[512, 512]]),
    ("ijkl,jmln->imkn", &[&[32, 64, 32, 64], &[64, 32, 64, 32]]),
    ("abcd,cdef->abef", &[&[48, 48, 64, 64], &[64, 64, 48, 48]]),
    ("ij,ik->ijk", &[&[1024, 512], &[1024, 512]]),
    ("ijk,ijk->i", &[&[512, 512, 512], &[512, 512, 512]]),
    ("i,j->ij", &[&[16384], &[16384]]),
    ("ij,kj->ik", &[&[4096, 4096], &[4096, 4096]]),
    ("bi,bij->bj", &[&[512, 1024], &[512, 1024, 1024]]),
    ("abc,cd,de,ef->abf", &[&[256, 256, 64], &[64, 512], &[512, 512], &[512, 64]]),
    ("ij,ij->", &[&[8192, 8192], &[8192, 8192]]),
    ("nkd,ndm->nkm", &[&[256, 128, 512], &[256, 512, 128]]),
    ("abij,cij->abc", &[&[64, 64, 64, 64], &[128, 64, 64]]),
    ("ij,jk,kl,lm->im", &[&[2048, 64], &[64, 2048], &[2048, 64], &[64, 2048]]),
    ("apb,bqc,crd->apqrd", &[&[64, 16, 64], &[64, 16, 64], &[64, 16, 64]]),
    ("abc,bad->cd", &[&[128, 128, 256], &[128, 128, 256]]),
];

/// A processor, also one that poses as a GPU, is asked for a part of each extent.
const MODEST: usize = 8;

/// A contraction to measure.
#[derive(Debug, Clone)]
pub struct Problem {
    expression: &'static str,
    shapes: Vec<Shape>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.expression)?;
        self.shapes.iter().try_for_each(|shape| write!(f, " {shape}"))
    }
}

/// What is to be measured.
pub(super) fn problems(ctx: &Context) -> Vec<Problem> {
    let modest = ctx.device().gpu().is_none_or(|gpu| gpu.is_software());
    let part = if modest { MODEST } else { 1 };
    let shape = |dims: &&[usize]| {
        let dims: Vec<usize> = dims.iter().map(|extent| extent.div_ceil(part)).collect();
        Shape::from(dims)
    };
    let problem = |&(expression, shapes): &(&'static str, &[&[usize]])| Problem {
        expression,
        shapes: shapes.iter().map(shape).collect(),
    };
    TABLE.iter().map(problem).collect()
}

/// Measures a contraction of f32, operands and result on the device.
pub(super) fn measure(ctx: &Context, problem: &Problem) -> Result<Row, Failure> {
    let einsum = Einsum::new(problem.expression);
    let plan = einsum.plan(ctx, &problem.shapes)?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut data = Vec::new();
    let mut tensors = Vec::new();
    for shape in &problem.shapes {
        let numbers: Vec<f32> = (0..shape.len().unwrap_or(0)).map(|_| random.f32() - 0.5).collect();
        tensors.push(ctx.upload(shape, &numbers)?);
        data.push(numbers);
    }
    let operands: Vec<_> = tensors.iter().collect();
    let mut y = ctx.zeros::<f32>(plan.shape())?;
    let time = median_time(ctx, RUNS, TARGET, |batch| plan.record(batch, &operands, &mut y))?;

    let definition = Definition::new(&einsum, &problem.shapes)?;
    let depth = plan.path().depth();
    let found = y.view();
    let last = definition.results() - 1;
    let chosen = [0, last].into_iter().chain((0..4).map(|_| random.usize(..=last)));
    for number in chosen.collect::<Vec<_>>() {
        let sum = definition.element(number, |operand, at| f64::from(data[operand][at]).into());
        let allowed = bound(DType::F32, data.len(), depth, &sum);
        let found = f64::from(found.strided([1], &[1], number)?.download()?[0]);
        let expected = sum.value.re;
        let close = (found - expected).abs() <= allowed; // false for NaN too
        if !close {
            return Err(Failure::Wrong(format!(
                "einsum {problem}: element {number} is {found}, {expected} in double precision"
            )));
        }
    }
    let elements: usize = tensors.iter().map(|tensor| tensor.len()).sum::<usize>() + y.len();
    let ms = time.as_secs_f64() * 1e3;
    Ok(Row {
        dtype: "f32".into(),
        accuracy: "f32",
        shape: problem.to_string(),
        path: works(&plan.path()),
        rate: ms,
        unit: "ms",
        gbps: 4.0 * elements as f64 / time.as_secs_f64() / 1e9,
        ..row(ctx, "einsum", time)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvpie_core::Backend;

    #[test]
    fn the_peer_s_script_has_the_same_table() {
        let script = include_str!("../../benches/peers/einsum_torch.py");
        let tuple = |dims: &&[usize]| {
            let numbers: Vec<String> = dims.iter().map(usize::to_string).collect();
            format!("({}{})", numbers.join(", "), if dims.len() == 1 { "," } else { "" })
        };
        for (expression, shapes) in TABLE {
            let shapes: Vec<String> = shapes.iter().map(tuple).collect();
            let line = format!("    (\"{expression}\", {}),\n", shapes.join(", "));
            assert!(script.contains(&line), "{line}");
        }
    }

    #[test]
    fn a_cpu_measures_a_part_of_the_table() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        let all = problems(&ctx);
        assert_eq!(all.len(), TABLE.len());
        let chosen = all.iter().find(|problem| problem.expression == "bij,bjk->bik").unwrap();
        assert_eq!(chosen.to_string(), "bij,bjk->bik 8x64x64 8x64x64");
        let row = measure(&ctx, chosen).unwrap();
        assert_eq!((row.op, row.unit), ("einsum", "ms"));
        assert!(row.path.contains("gemm 8 of 64x64x64"), "{}", row.path);
    }
}

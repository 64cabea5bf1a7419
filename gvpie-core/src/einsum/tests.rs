use super::proof::{Case, hard_cases, random_case};
use super::*;
use crate::device::Backend;

/// A GPU context as `GVPIE_GPU` asks for it.
fn gpu() -> Option<Context> {
    match std::env::var("GVPIE_GPU").as_deref() {
        Ok("off") => None,
        Ok("require") => Some(Context::on(Backend::Gpu).unwrap()),
        _ => Context::on(Backend::Gpu).ok(),
    }
}

fn all(ctx: &Context, cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        case.check(ctx, 5).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    }
}

#[test]
fn hard_cases_are_right() {
    all(&Context::on(Backend::Cpu).unwrap(), hard_cases());
}

#[test]
fn gpu_hard_cases_are_right() {
    let Some(ctx) = gpu() else { return };
    let double = |case: &Case| matches!(case.problem.element, DType::F64 | DType::C128);
    all(&ctx, hard_cases().into_iter().filter(|case| !double(case)));
}

#[test]
fn random_cases_are_right() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let elements = [DType::F32, DType::F64, DType::F16, DType::C64, DType::C128];
    all(&ctx, (0..500).map(|seed| random_case(seed, &elements)));
}

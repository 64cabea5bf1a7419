//! Contractions in blocks against resident ones.

use super::*;
use crate::element::DType;
use crate::error::Error;
use crate::paged::tests::contexts;
use std::path::Path;

const KIB: u64 = 1 << 10;

/// Whole numbers, so that every order of sums gives the same bits.
fn whole(shape: &[usize], seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..shape.iter().product()).map(|_| random.i8(-3..4).into()).collect()
}

fn as_resident(folder: &Path, expression: &str, shapes: &[&[usize]]) {
    let data: Vec<Vec<f32>> = (1..).zip(shapes).map(|(seed, shape)| whole(shape, seed)).collect();
    let host = Context::on(Backend::Cpu).unwrap();
    let resident: Vec<Tensor<f32>> = data
        .iter()
        .zip(shapes)
        .map(|(data, shape)| host.upload(shape.to_vec(), data).unwrap())
        .collect();
    let expected = host.einsum(expression, &resident.iter().collect::<Vec<_>>()).unwrap();
    for ctx in contexts(96 * KIB, 256 * KIB, folder) {
        let operands: Vec<Paged<f32>> = data
            .iter()
            .zip(shapes)
            .map(|(data, shape)| {
                let mut paged = ctx.paged(shape.to_vec()).unwrap();
                paged.write(0, data).unwrap();
                paged
            })
            .collect();
        let dims: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.to_vec()).collect();
        let plan = Einsum::new(expression).plan_paged(&ctx, &dims).unwrap();
        let mut y = ctx.paged::<f32>(plan.shape()).unwrap();
        // A sentinel, so that what is not written is seen.
        y.write(0, &vec![f32::NAN; y.len()]).unwrap();
        plan.run(&operands.iter().collect::<Vec<_>>(), &mut y).unwrap();
        let mut found = vec![0.0; y.len()];
        y.read(0, &mut found).unwrap();
        assert!(found == expected.download().unwrap(), "{expression} in {} blocks", plan.blocks());
        let fits = data.iter().map(Vec::len).sum::<usize>() < 4000;
        assert!(fits || plan.blocks() > 1, "{expression}: {} blocks", plan.blocks());
        let usage = ctx.device().pool().usage();
        assert!(usage.peak <= 96 * KIB && usage.host.peak <= 256 * KIB, "{expression}: {usage:?}");
    }
}

#[test]
fn contractions_in_blocks_are_those_of_resident_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&str, &[&[usize]])] = &[
        ("ij,jk->ik", &[&[150, 130], &[130, 170]]),
        ("bij,bjk->bik", &[&[7, 60, 50], &[7, 50, 40]]),
        ("ij,ij->", &[&[200, 210], &[200, 210]]),
        ("ii->i", &[&[220, 220]]),
        ("ii", &[&[220, 220]]),
        ("i,j->ij", &[&[200], &[230]]),
        ("ijk->kji", &[&[30, 40, 50]]),
        ("...ij,...jk->...ik", &[&[5, 1, 40, 50], &[6, 50, 30]]),
        ("ab,bc,cd->ad", &[&[90, 80], &[80, 120], &[120, 70]]),
        ("ij,jk->ik", &[&[5, 0], &[0, 4]]),
        ("ij->j", &[&[0, 4]]),
        (",->", &[&[], &[]]),
    ];
    cases.iter().for_each(|(expression, shapes)| as_resident(folder.path(), expression, shapes));
}

#[test]
fn what_does_not_fit_the_plan_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = &contexts(96 * KIB, 256 * KIB, folder.path())[0];
    let plan = Einsum::new("ij,jk->ik").plan_paged(ctx, [[4, 5], [5, 6]]).unwrap();
    let (a, b) = (ctx.paged::<f32>([4, 5]).unwrap(), ctx.paged::<f32>([5, 6]).unwrap());
    let mut y = ctx.paged::<f32>([4, 6]).unwrap();
    assert!(matches!(plan.run(&[&a], &mut y), Err(Error::Shape { .. })));
    let error = plan.run(&[&a, &a], &mut y).unwrap_err().to_string();
    assert!(error.contains("operand 2") && error.contains("5x6"), "{error}");
    let mut small = ctx.paged::<f32>([4, 5]).unwrap();
    assert!(plan.run(&[&a, &b], &mut small).unwrap_err().to_string().contains("the result"));
    let double = Einsum::new("ij,jk->ik").element(DType::F64).plan_paged(ctx, [[4, 5], [5, 6]]);
    assert!(double.is_ok());
    assert!(matches!(double.unwrap().run(&[&a, &b], &mut y), Err(Error::Element { .. })));
}

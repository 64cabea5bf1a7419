//! How each contraction is computed: which are products as they lie, which are copied before, which are
//! loops.

use super::*;

fn works(expression: &str, shapes: &[&[usize]]) -> Vec<String> {
    let path = Einsum::new(expression).path(shapes).unwrap();
    path.steps().iter().map(|step| step.work.clone()).collect()
}

#[test]
fn the_table_is_computed_as_it_should_be() {
    for (expression, shapes, expected) in [
        (
            "bij,bjk->bik",
            &[&[64, 512, 512][..], &[64, 512, 512]][..],
            &["gemm 64 of 512x512x512"][..],
        ),
        (
            "bhid,bhjd->bhij",
            &[&[8, 16, 1024, 64], &[8, 16, 1024, 64]],
            &["gemm 128 of 1024x1024x64"],
        ),
        (
            "bhij,bhjd->bhid",
            &[&[8, 16, 1024, 1024], &[8, 16, 1024, 64]],
            &["gemm 128 of 1024x64x1024"],
        ),
        ("ijk,jl->ikl", &[&[256, 512, 256], &[512, 512]], &["gemm 256 of 256x512x512"]),
        (
            "ijkl,jmln->imkn",
            &[&[32, 64, 32, 64], &[64, 32, 64, 32]],
            &["copy", "copy", "gemm 1024x1024x4096", "copy"],
        ),
        ("abcd,cdef->abef", &[&[48, 48, 64, 64], &[64, 64, 48, 48]], &["gemm 2304x2304x4096"]),
        ("ij,ik->ijk", &[&[1024, 512], &[1024, 512]], &["loops"]),
        ("ijk,ijk->i", &[&[512, 512, 512], &[512, 512, 512]], &["loops", "loops"]),
        ("i,j->ij", &[&[16384], &[16384]], &["loops"]),
        ("ij,kj->ik", &[&[4096, 4096], &[4096, 4096]], &["gemm 4096x4096x4096"]),
        ("bi,bij->bj", &[&[512, 1024], &[512, 1024, 1024]], &["loops"]),
        (
            "abc,cd,de,ef->abf",
            &[&[256, 256, 64], &[64, 512], &[512, 512], &[512, 64]],
            &["gemm 512x64x512", "gemm 64x64x512", "gemm 65536x64x64"],
        ),
        ("ij,ij->", &[&[8192, 8192], &[8192, 8192]], &["loops", "loops"]),
        ("nkd,ndm->nkm", &[&[256, 128, 512], &[256, 512, 128]], &["gemm 256 of 128x128x512"]),
        ("abij,cij->abc", &[&[64, 64, 64, 64], &[128, 64, 64]], &["gemm 4096x128x4096"]),
        (
            "ij,jk,kl,lm->im",
            &[&[2048, 64], &[64, 2048], &[2048, 64], &[64, 2048]],
            &["gemm 64x64x2048", "gemm 64x2048x64", "gemm 2048x2048x64"],
        ),
        (
            "apb,bqc,crd->apqrd",
            &[&[64, 16, 64], &[64, 16, 64], &[64, 16, 64]],
            &["gemm 1024x1024x64", "gemm 1024x16384x64"],
        ),
        ("abc,bad->cd", &[&[128, 128, 256], &[128, 128, 256]], &["copy", "gemm 256x256x16384"]),
    ] {
        assert_eq!(works(expression, shapes), expected, "{expression}");
    }
}

#[test]
fn what_lies_badly_is_turned() {
    assert_eq!(works("ij->ji", &[&[512, 512]]), ["turn"]);
    assert_eq!(works("ij->ji", &[&[512, 3]]), ["copy"]);
    assert_eq!(works("ij->ij", &[&[512, 512]]), ["copy"]);
    assert_eq!(works("ij,ji->ij", &[&[512, 512], &[512, 512]]), ["turn", "loops"]);
    assert_eq!(works("ij,ij->ji", &[&[512, 512], &[512, 512]]), ["loops", "turn"]);
    assert_eq!(works("ij,ij,ij->ij", &[&[64, 64][..]; 3]), ["loops"]);
    assert_eq!(works("nij,njk->nik", &[&[1000, 3, 3], &[1000, 3, 3]]), ["loops"]);
    assert_eq!(works("ij,jk->k", &[&[512, 64], &[64, 64]])[..1], ["loops"]);
}

//! GPU = CPU = a naive sum in f64, over each operation's table of hard cases.

use crate::adapter::gpu;
use gvpie_core::gemm::proof::hard_cases;
use gvpie_core::{Backend, Context, Error, glyph};

#[test]
fn gpu_gemm_matches_the_host_and_the_oracle() {
    let Some(gpu) = gpu() else { return };
    let cpu = Context::on(Backend::Cpu).unwrap();
    let mut ran = 0;
    for case in hard_cases() {
        let host = case.check(&cpu, 11).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        match case.check(&gpu, 11) {
            Ok(device) => {
                ran += 1;
                assert_eq!(device.result.len(), host.result.len(), "{case:?}");
            }
            // f64 has no GPU path; nothing else may be refused where f16 is there.
            Err(Error::Unsupported { what, .. }) if what.contains("f64") => {}
            Err(Error::Unsupported { what, .. })
                if what.contains("f16") && !gpu.device().gpu().is_some_and(|d| d.has_f16()) => {}
            Err(error) => panic!("{case:?}: {error}"),
        }
    }
    assert!(ran > 80, "only {ran} cases ran on the GPU");
}

#[test]
fn gpu_glyphs_match_the_host_and_the_oracle() {
    let Some(gpu) = gpu() else { return };
    let cpu = Context::on(Backend::Cpu).unwrap();
    for case in glyph::proof::hard_cases() {
        let [host, device] = [&cpu, &gpu]
            .map(|ctx| case.check(ctx, 11).unwrap_or_else(|error| panic!("{case:?}: {error}")));
        assert_eq!(device.picture, host.picture, "{case:?}"); // bit by bit
    }
}

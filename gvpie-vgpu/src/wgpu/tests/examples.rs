//! The example programs, which check their results, here and on a Vulkan driver.

// Their `main` is not run: it makes the instance.
#[allow(dead_code)]
#[path = "../../../examples/game_of_life.rs"]
mod game_of_life;
#[allow(dead_code)]
#[path = "../../../examples/hello_compute.rs"]
mod hello_compute;

use super::{Options, driver, instance};

#[test]
fn examples_run_unmodified() {
    let here = instance(Options::default()).unwrap();
    for instance in [here].into_iter().chain(driver().map(|(instance, _)| instance)) {
        pollster::block_on(async {
            hello_compute::run(&instance, 1000).await.unwrap();
            game_of_life::run(&instance).await.unwrap();
        });
    }
}

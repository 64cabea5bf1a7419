//! Who outlives whom, and work from several threads.

use super::{bytes, here};
use ::wgpu::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

const STORAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC);

const COUNT: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32, 64>;
    @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { x[i] += 1; }";

#[test]
fn threads_submit_to_one_queue() {
    let gpu = here(Default::default());
    let pipeline = gpu.pipeline(COUNT, None);
    let data = gpu.zeroed(STORAGE, 256);
    let group = gpu.group(&pipeline, &[data.as_entire_binding()]);
    let done = Arc::new(AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    gpu.dispatch(&pipeline, &group, 1);
                    let done = Arc::clone(&done);
                    gpu.queue.on_submitted_work_done(move || {
                        done.fetch_add(1, SeqCst);
                    });
                    gpu.device.poll(PollType::Poll).unwrap();
                }
            });
        }
    });
    // Dispatches follow one another, so that none undoes what another counted.
    assert_eq!(gpu.read(&data), bytes(&[100; 64]));
    assert_eq!(done.load(SeqCst), 100);
}

#[test]
fn errors_fall_to_the_scope_of_their_thread() {
    let gpu = here(Default::default());
    std::thread::scope(|scope| {
        let wrong = scope.spawn(|| gpu.error(ErrorFilter::Validation, || drop(gpu.module("fn"))));
        let right = gpu.error(ErrorFilter::Validation, || drop(gpu.module("fn f() {}")));
        assert_eq!(right, None);
        assert!(wrong.join().unwrap().is_some());
    });
    let heard = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&heard);
    gpu.device.on_uncaptured_error(Arc::new(move |error| {
        assert!(matches!(error, Error::Validation { .. }));
        told.fetch_add(1, SeqCst);
    }));
    gpu.module("fn");
    assert_eq!(heard.load(SeqCst), 1);
}

#[test]
fn work_outlives_the_handles_that_it_uses() {
    let gpu = here(Default::default());
    let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
    let result = gpu.zeroed(usage, 256);
    {
        let pipeline = gpu.pipeline(COUNT, None);
        let data = gpu.zeroed(STORAGE, 256);
        let group = gpu.group(&pipeline, &[data.as_entire_binding()]);
        for _ in 0..3 {
            gpu.dispatch(&pipeline, &group, 1);
        }
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&data, 0, &result, 0, None));
    }
    result.map_async(MapMode::Read, .., |result| result.unwrap());
    let super::Gpu { device, queue } = gpu;
    drop(queue);
    device.poll(PollType::wait_indefinitely()).unwrap();
    drop(device);
    assert_eq!(result.get_mapped_range(..).unwrap().to_vec(), bytes(&[3; 64]));
}

#[test]
fn a_device_that_is_destroyed_says_so() {
    let gpu = here(Default::default());
    let pipeline = gpu.pipeline(COUNT, None);
    let data = gpu.zeroed(STORAGE, 256);
    let group = gpu.group(&pipeline, &[data.as_entire_binding()]);
    let reasons = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&reasons);
    gpu.device.set_device_lost_callback(move |reason, _| {
        assert_eq!(reason, DeviceLostReason::Destroyed);
        told.fetch_add(1, SeqCst);
    });
    gpu.dispatch(&pipeline, &group, 1);
    gpu.device.destroy();
    gpu.device.poll(PollType::wait_indefinitely()).unwrap();
    assert_eq!(reasons.load(SeqCst), 1);
}

#[test]
fn instances_and_devices_come_and_go() {
    for _ in 0..8 {
        let first = here(Default::default());
        let second = here(Default::default());
        let data = first.zeroed(STORAGE, 64);
        drop(second);
        assert_eq!(first.read(&data), [0; 64]);
        // Buffers may go last.
        drop(first);
        drop(data);
    }
}

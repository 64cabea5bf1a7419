//! Kernels that are stopped, and kernels that the sanitizer watches.

use super::super::{Collector, Fault, fault};
use super::{Gpu, Options, bytes, here};
use crate::RunError;
use crate::sanitize::Kind;
use ::wgpu::*;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const STORAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC);

/// Writes, goes on as `x` says, and comes to a barrier.
const STRAYS: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32, 8>;
    @compute @workgroup_size(8) fn strays(@builtin(local_invocation_index) i: u32) {
        let wish = x[i];
        x[i] = 5;
        while (wish == 1) { x[i] += 1; }
        if (wish == 2) { return; }
        workgroupBarrier();
        x[i] += 1;
    }";

/// Runs the kernel with a wish, and says what stopped it.
fn stray(gpu: &Gpu, wishes: [u32; 8]) -> Option<Fault> {
    let pipeline = gpu.pipeline(STRAYS, None);
    let data = gpu.buffer(STORAGE, &bytes(&wishes));
    let group = gpu.group(&pipeline, &[data.as_entire_binding()]);
    let after = gpu.zeroed(BufferUsages::MAP_READ | BufferUsages::COPY_DST, 32);
    let (sender, receiver) = channel();
    let told = sender.clone();
    gpu.device.set_device_lost_callback(move |reason, _| {
        told.send(format!("lost: {reason:?}")).unwrap();
    });
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }
    encoder.copy_buffer_to_buffer(&data, 0, &after, 0, None);
    gpu.queue.submit([encoder.finish()]);
    let mapped = sender.clone();
    after.map_async(MapMode::Read, .., move |result| {
        mapped.send(format!("mapped: {}", result.is_ok())).unwrap();
    });
    gpu.queue.on_submitted_work_done(move || sender.send("done".into()).unwrap());
    // A wait tells that the work is over, not how.
    gpu.device.poll(PollType::wait_indefinitely()).unwrap();
    let fault = fault(&gpu.device);
    let mut heard: Vec<String> = receiver.try_iter().collect();
    heard.sort();
    match &fault {
        Some(_) => {
            assert_eq!(heard, ["done", "lost: Unknown", "mapped: false"]);
            assert!(after.get_mapped_range(..).is_err());
            // What follows is refused, by no panic and to no effect.
            let error = gpu.error(ErrorFilter::Validation, || {
                gpu.submit(|encoder| encoder.clear_buffer(&data, 0, None));
                gpu.pipeline(STRAYS, None);
            });
            assert_eq!(error, None);
            gpu.device.poll(PollType::wait_indefinitely()).unwrap();
        }
        None => {
            assert_eq!(heard, ["done", "mapped: true"]);
            assert_eq!(after.get_mapped_range(..).unwrap()[..4], [6, 0, 0, 0]);
        }
    }
    fault
}

#[test]
fn kernels_that_are_stopped_lose_the_device_and_say_why() {
    let stopped = |device: crate::Options, wishes: [u32; 8]| {
        let gpu = here(Options { device, ..Default::default() });
        let fault = stray(&gpu, wishes);
        if let Some(fault) = &fault {
            let divergent = matches!(fault.error, RunError::Divergent { .. });
            let line = if divergent && fault.source.is_some() { ", line 8" } else { "" };
            let error = &fault.error;
            assert_eq!(fault.to_string(), format!("strays of 'test'{line}: {error}"));
        }
        fault.map(|fault| fault.error)
    };
    let options = crate::Options { threads: 2, budget: 1_000_000, ..Default::default() };
    assert_eq!(stopped(options.clone(), [0; 8]), None);
    let budget = stopped(options.clone(), [1; 8]);
    assert_eq!(budget, Some(RunError::Budget { instructions: 1_000_000 }));
    let divergent = stopped(options.clone(), [0, 0, 0, 2, 0, 0, 0, 0]);
    assert!(matches!(divergent, Some(RunError::Divergent { lane: 3, .. })), "{divergent:?}");
    let limit = Duration::from_millis(30);
    let device = crate::Options { deadline: Some(limit), budget: u64::MAX, ..options };
    assert_eq!(stopped(device, [1; 8]), Some(RunError::Deadline { limit }));
}

#[test]
fn a_wait_ends_before_the_work_does() {
    let device =
        crate::Options { deadline: Some(Duration::from_millis(400)), ..Default::default() };
    let gpu = here(Options { device, ..Default::default() });
    let pipeline = gpu.pipeline(STRAYS, None);
    let data = gpu.buffer(STORAGE, &bytes(&[1; 8]));
    let group = gpu.group(&pipeline, &[data.as_entire_binding()]);
    let begin = Instant::now();
    gpu.dispatch(&pipeline, &group, 1);
    let timeout = Some(Duration::from_millis(20));
    let polled = gpu.device.poll(PollType::Wait { submission_index: None, timeout });
    assert!(matches!(polled, Err(PollError::Timeout)), "{polled:?}");
    assert!(begin.elapsed() < Duration::from_millis(400));
    assert_eq!(fault(&gpu.device), None);
}

#[test]
fn bindings_that_overlap_are_told() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> a: array<u32, 8>;
        @group(0) @binding(1) var<storage, read_write> b: array<u32, 8>;
        @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) { a[i] = b[i]; }";
    let gpu = here(Default::default());
    let pipeline = gpu.pipeline(wgsl, None);
    let data = gpu.zeroed(STORAGE, 32);
    let whole = data.as_entire_binding();
    gpu.dispatch(&pipeline, &gpu.group(&pipeline, &[whole.clone(), whole]), 1);
    gpu.device.poll(PollType::wait_indefinitely()).unwrap();
    let overlap = fault(&gpu.device).map(|fault| fault.error);
    assert!(matches!(overlap, Some(RunError::Overlap { .. })), "{overlap:?}");
}

#[test]
fn the_sanitizer_watches_each_dispatch() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            x[id.x / 2] = id.x;
        }";
    let collector = Collector::new();
    let check = Some(collector.clone());
    let gpu = here(Options { check, ..Default::default() });
    let data = gpu.zeroed(STORAGE, 64);
    let pipeline = gpu.pipeline(wgsl, None);
    gpu.dispatch(&pipeline, &gpu.group(&pipeline, &[data.as_entire_binding()]), 2);
    let fine = gpu.pipeline(&wgsl.replace("id.x / 2", "id.x"), None);
    gpu.dispatch(&fine, &gpu.group(&fine, &[data.as_entire_binding()]), 2);
    assert_eq!(gpu.read(&data), bytes(&(0..16).collect::<Vec<_>>()));
    assert_eq!(collector.dispatches(), 2);
    // A dispatch of nothing covers nothing.
    let idle = gpu.pipeline(&wgsl.replace("main", "idle"), None);
    gpu.dispatch(&idle, &gpu.group(&idle, &[data.as_entire_binding()]), 0);
    gpu.dispatch(&fine, &gpu.group(&fine, &[data.as_entire_binding()]), 1);
    gpu.device.poll(PollType::wait_indefinitely()).unwrap();
    let covered = collector.covered();
    let each = if covered.iter().any(|kernel| kernel.source.is_some()) { 2 } else { 1 };
    assert_eq!(covered.len(), each, "{covered:?}");
    for kernel in covered {
        assert_eq!((kernel.pipeline.as_str(), kernel.entry.as_str()), ("test", "main"));
    }
    let found = collector.take();
    let [checked] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((checked.pipeline.as_str(), checked.entry.as_str()), ("test", "main"));
    assert_eq!(checked.workgroups, [2, 1, 1]);
    assert!(matches!(checked.report.findings[0].kind, Kind::Race { .. }));
    let text = checked.to_string();
    assert!(
        text.contains("race") && (checked.source.is_none() || text.contains("line 4")),
        "{text}"
    );
    assert!(collector.take().is_empty());
}

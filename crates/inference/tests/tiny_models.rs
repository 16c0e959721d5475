//! Models of every family, tiny and random, against the outputs of `transformers`. They lie in the
//! folder beside the checkout that only the project's own machines have.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inference::scheduler::{MAX_WAITING_CALLS, Scheduler};
use inference::{Activation, CrossEncoder, Encoder, Precision};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden<Input> {
    inputs: Vec<Input>,
    outputs: Vec<Vec<f32>>,
}

/// The folder of a model; none where there is no such data, unless that is forbidden.
fn folder(name: &str) -> Option<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models/tiny");
    if !models.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true forbids skipping");
        return None;
    }
    Some(models.join(name))
}

fn golden<Input: for<'a> Deserialize<'a>>(folder: &Path) -> Golden<Input> {
    serde_json::from_slice(&fs::read(folder.join("golden.json")).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len());
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "{what}: {worst}");
}

#[test]
fn vectors_are_those_of_the_reference() {
    for name in [
        "bert-mean",
        "bert-cls-prompted",
        "roberta-mean",
        "xlm-roberta-cls",
        "distilbert-mean",
        "mpnet-mean",
    ] {
        let Some(folder) = folder(name) else { return };
        let encoder = Encoder::load(&folder, Precision::F32).unwrap();
        let golden: Golden<String> = golden(&folder);
        let texts: Vec<&str> = golden.inputs.iter().map(String::as_str).collect();
        assert_close(&encoder.encode(&texts).unwrap(), &golden.outputs.concat(), name);
    }
}

#[test]
fn scores_are_those_of_the_reference() {
    for name in ["bert-cross-encoder", "roberta-cross-encoder"] {
        let Some(folder) = folder(name) else { return };
        let model = CrossEncoder::load(&folder, Some(Activation::Identity)).unwrap();
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
        let scheduler = Scheduler::new(Arc::new(model), pool, MAX_WAITING_CALLS);
        let golden: Golden<(String, String)> = golden(&folder);
        let call = scheduler.submit_now(golden.inputs, None);
        while !call.wait(usize::MAX, std::time::Duration::from_secs(60)).finished {}
        assert_close(&call.take().unwrap(), &golden.outputs.concat(), name);
    }
}

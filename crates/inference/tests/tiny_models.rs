//! Models of every family, tiny and random, against the outputs of `transformers`. An MPNet and a
//! cross-encoder are among the fixtures; the rest lies in the folder beside the checkout that only the
//! project's own machines have.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inference::scheduler::{MAX_WAITING_CALLS, Scheduler};
use inference::{Activation, CrossEncoder, Encoder, Precision};
use serde::Deserialize;

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Golden<Input> {
    inputs: Vec<Input>,
    ids: Vec<Vec<u32>>,
    outputs: Vec<Vec<f32>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
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
        assert_vectors_of(&folder);
    }
}

#[test]
fn mpnet_is_that_of_the_reference() {
    assert_vectors_of(&fixture("tiny-mpnet"));
}

#[track_caller]
fn assert_vectors_of(folder: &Path) {
    let encoder = Encoder::load(folder, Precision::F32).unwrap();
    let golden: Golden<String> = golden(folder);
    let texts: Vec<&str> = golden.inputs.iter().map(String::as_str).collect();
    assert_eq!(encoder.tokenize(&texts).unwrap(), golden.ids, "{}", folder.display());
    let vectors = encoder.encode(&texts).unwrap();
    assert_close(&vectors, &golden.outputs.concat(), &folder.display().to_string());
}

#[test]
fn scores_are_those_of_the_reference() {
    for name in ["bert-cross-encoder", "roberta-cross-encoder"] {
        let Some(folder) = folder(name) else { return };
        assert_scores_of(&folder);
    }
}

#[test]
fn a_cross_encoder_is_that_of_the_reference() {
    assert_scores_of(&fixture("tiny-cross-encoder"));
}

#[track_caller]
fn assert_scores_of(folder: &Path) {
    let model = CrossEncoder::load(folder, Some(Activation::Identity)).unwrap();
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let scheduler = Scheduler::new(Arc::new(model), pool, MAX_WAITING_CALLS);
    let golden: Golden<(String, String)> = golden(folder);
    let call = scheduler.submit_now(golden.inputs, None);
    while !call.wait(usize::MAX, std::time::Duration::from_secs(60)).finished {}
    let scores = call.take().unwrap();
    assert_close(&scores, &golden.outputs.concat(), &folder.display().to_string());
}

#[test]
fn every_pooling_is_that_of_the_reference() {
    let original = fixture("tiny-bert");
    let read = |file: &str| fs::read(original.join(file)).unwrap();
    let texts: Vec<Text> = serde_json::from_slice(&read("golden.json")).unwrap();
    let texts: Vec<&str> = texts.iter().map(|golden| golden.text.as_str()).collect();
    let poolings: HashMap<String, Vec<Vec<f32>>> =
        serde_json::from_slice(&read("golden_pooling.json")).unwrap();
    assert_eq!(poolings.len(), 3);
    for (pooling, vectors) in poolings {
        let copy = tempfile::tempdir().unwrap();
        let folder = copy.path();
        fs::create_dir(folder.join("1_Pooling")).unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors", "modules.json"] {
            fs::write(folder.join(file), read(file)).unwrap();
        }
        let limit = "sentence_bert_config.json";
        fs::write(folder.join(limit), read(limit)).unwrap();
        let chosen = format!("{{\"pooling_mode\": \"{pooling}\"}}");
        fs::write(folder.join("1_Pooling/config.json"), chosen).unwrap();
        let encoder = Encoder::load(folder, Precision::F32).unwrap();
        assert_close(&encoder.encode(&texts).unwrap(), &vectors.concat(), &pooling);
    }
}

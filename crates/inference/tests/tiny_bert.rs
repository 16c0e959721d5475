//! The encoder on the tiny random BERT of the test fixtures, whose golden vectors come from
//! `transformers` (see `tests/fixtures/make_tiny_bert.py`), and on damaged copies of its folder.

use std::fs;
use std::path::{Path, PathBuf};

use inference::{Encoder, Precision};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Golden {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny-bert")
}

fn encoder() -> Encoder {
    Encoder::load(&folder(), Precision::F32).unwrap()
}

fn golden() -> Vec<Golden> {
    serde_json::from_slice(&fs::read(folder().join("golden.json")).unwrap()).unwrap()
}

/// A copy of the model that a test may damage.
fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("1_Pooling")).unwrap();
    for file in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
    ] {
        // Written, not copied: the fixture may be read-only.
        fs::write(copy.path().join(file), fs::read(folder().join(file)).unwrap()).unwrap();
    }
    copy
}

/// Changes one value of a JSON file.
fn edit(folder: &Path, file: &str, key: &str, value: Value) {
    let path = folder.join(file);
    let mut content: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    content[key] = value;
    fs::write(path, content.to_string()).unwrap();
}

#[track_caller]
fn refusal(folder: &Path) -> String {
    match Encoder::load(folder, Precision::F32) {
        Ok(_) => panic!("the model loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn ids_and_vectors_are_those_of_the_reference() {
    let encoder = encoder();
    let golden = golden();
    let texts: Vec<&str> = golden.iter().map(|golden| golden.text.as_str()).collect();
    let ids = encoder.tokenize(&texts).unwrap();
    let vectors = encoder.encode(&texts).unwrap();
    for ((golden, ids), vector) in
        golden.iter().zip(ids).zip(vectors.chunks_exact(encoder.dimension()))
    {
        assert_eq!(ids, golden.ids, "{:?}", golden.text);
        for (found, expected) in vector.iter().zip(&golden.vector) {
            assert!((found - expected).abs() < 1e-5, "{:?}: {found} {expected}", golden.text);
        }
    }
}

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

#[test]
fn a_vector_does_not_depend_on_its_neighbours_or_on_threads() {
    let golden = golden();
    for precision in PRECISIONS {
        let encoder = Encoder::load(&folder(), precision).unwrap();
        let mut texts: Vec<&str> = golden.iter().map(|golden| golden.text.as_str()).collect();
        let on = |threads: usize, texts: &[&str]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| encoder.encode(texts).unwrap())
        };
        let alone: std::collections::HashMap<&str, Vec<f32>> =
            texts.iter().map(|text| (*text, on(1, &[text]))).collect();
        // Several packs, and texts at every place in them; one text shared out between threads.
        for shift in 0..texts.len() {
            texts.rotate_left(shift);
            let many: Vec<&str> = texts.iter().copied().cycle().take(60).collect();
            for threads in [1, 2, 3] {
                let vectors = on(threads, &many);
                for (text, vector) in many.iter().zip(vectors.chunks_exact(encoder.dimension())) {
                    assert_eq!(alone[text], vector, "{precision:?} {threads} {text:?}");
                }
                assert_eq!(on(threads, &texts[..1]), alone[texts[0]], "{precision:?} {threads}");
            }
        }
    }
}

#[test]
fn narrow_precisions_stay_close_to_the_reference() {
    let golden = golden();
    let texts: Vec<&str> = golden.iter().map(|golden| golden.text.as_str()).collect();
    for (precision, least) in [(Precision::Bf16, 0.9995), (Precision::Int8, 0.98)] {
        let encoder = Encoder::load(&folder(), precision).unwrap();
        assert_eq!(encoder.precision(), precision);
        assert_eq!(encoder.fingerprint(), self::encoder().fingerprint());
        let vectors = encoder.encode(&texts).unwrap();
        for (golden, vector) in golden.iter().zip(vectors.chunks_exact(encoder.dimension())) {
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let lengths = dot(vector, vector) * dot(&golden.vector, &golden.vector);
            let cosine = dot(vector, &golden.vector) / lengths.sqrt();
            assert!(cosine >= least, "{precision:?} {:?}: {cosine}", golden.text);
            assert!(cosine < 1.0 - 1e-9, "{precision:?} changed nothing");
        }
    }
}

#[test]
fn no_texts_give_no_vectors_and_long_ones_are_cut() {
    let encoder = encoder();
    assert!(encoder.encode(&[]).unwrap().is_empty());
    let long = "a b c ".repeat(10_000);
    let ids = encoder.tokenize(&[&long]).unwrap();
    assert_eq!(ids[0].len(), encoder.max_tokens());
    assert_eq!(encoder.content_tokens() + 2, encoder.max_tokens());
    assert!(encoder.token_offsets(&long).unwrap().len() > encoder.max_tokens());
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        let copy = copy();
        fs::remove_file(copy.path().join(file)).unwrap();
        let message = refusal(copy.path());
        assert!(message.contains(file), "{message}");
    }
}

#[test]
fn a_truncated_file_is_named_wherever_it_ends() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let whole = fs::read(folder().join(file)).unwrap();
        for length in [0, 1, 7, 8, 9, whole.len() / 2, whole.len() - 2] {
            let copy = copy();
            fs::write(copy.path().join(file), &whole[..length]).unwrap();
            let message = refusal(copy.path());
            assert!(message.contains(file), "{file} of {length} bytes: {message}");
        }
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let table = [
        ("config.json", "model_type", json!("gpt2"), "gpt2"),
        ("config.json", "hidden_act", json!("swish"), "swish"),
        ("config.json", "position_embedding_type", json!("relative_key"), "position"),
        ("1_Pooling/config.json", "pooling_mode_max_tokens", json!(true), "several"),
        ("1_Pooling/config.json", "pooling_mode_mean_tokens", json!(false), "no mode"),
        ("1_Pooling/config.json", "include_prompt", json!(false), "prompt"),
        ("config.json", "num_attention_heads", json!(5), "heads"),
        ("config.json", "intermediate_size", json!(1), "shape"),
        ("config.json", "num_hidden_layers", json!(99), "no tensor"),
        ("config.json", "vocab_size", json!(3), "ids up to"),
    ];
    for (file, key, value, expected) in table {
        let copy = copy();
        edit(copy.path(), file, key, value);
        let message = refusal(copy.path());
        assert!(message.contains(expected), "{key}: {message}");
    }
}

#[test]
fn settings_that_shape_a_vector_change_the_fingerprint() {
    let original = encoder();
    let copied = copy();
    assert_eq!(
        Encoder::load(copied.path(), Precision::F32).unwrap().fingerprint(),
        original.fingerprint()
    );

    edit(copied.path(), "sentence_bert_config.json", "max_seq_length", json!(9));
    let shorter = Encoder::load(copied.path(), Precision::F32).unwrap();
    assert_eq!(shorter.max_tokens(), 9);
    assert_ne!(shorter.fingerprint(), original.fingerprint());

    let plain = copy();
    fs::remove_file(plain.path().join("modules.json")).unwrap();
    let not_normalized = Encoder::load(plain.path(), Precision::F32).unwrap();
    assert_ne!(not_normalized.fingerprint(), original.fingerprint());
}

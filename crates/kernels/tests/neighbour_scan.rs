//! Rotations and one-bit codes of neighbours on every backend, against plain `f64` arithmetic.

mod backends;
mod oracle;

use backends::backends;
use kernels::{Backend, NeighbourBlock, Rotation, ScanTables, block_code_bytes};
use oracle::{assert_close, exact_dot, exact_squared_l2, values, wide};

#[test]
fn rotations_keep_lengths_and_angles_and_are_the_same_everywhere() {
    for dimension in [1, 2, 3, 63, 64, 65, 100, 127, 128, 129, 384, 768, 1000, 8191] {
        let rotation = Rotation::new(dimension, 7);
        let (a, b) = (values(dimension, 20), values(dimension, 21));
        let padded = Rotation::padded(dimension);
        let mut first: Option<Vec<f32>> = None;
        for backend in backends() {
            let (mut x, mut y) = (vec![f32::NAN; padded], vec![f32::NAN; padded]);
            backend.rotate(&rotation, &a, &mut x);
            backend.rotate(&rotation, &b, &mut y);
            let size = exact_dot(&wide(&a), &wide(&a)) + exact_dot(&wide(&b), &wide(&b));
            let what = || format!("{backend:?} {dimension}");
            for (p, q, u, v) in [(&x, &x, &a, &a), (&x, &y, &a, &b), (&y, &y, &b, &b)] {
                let (found, expected) =
                    (exact_dot(&wide(p), &wide(q)), exact_dot(&wide(u), &wide(v)));
                assert_close(found, expected, 1e-6 * size, &what);
            }
            let first = first.get_or_insert_with(|| x.clone());
            for (&here, &there) in x.iter().zip(first.iter()) {
                assert_close(here, there.into(), 1e-6 * size.sqrt(), &what);
            }
        }
        // A single coordinate is spread over all of them.
        let mut unit = vec![0.0; dimension];
        unit[dimension - 1] = 1.0;
        let mut spread = vec![0.0; padded];
        Backend::available()[0].rotate(&rotation, &unit, &mut spread);
        let most = spread.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(most <= 6.0 / (padded as f32).sqrt(), "{dimension}: {most}");
    }
}

#[test]
fn neighbours_are_estimated_alike_on_every_backend_and_close_to_the_truth() {
    // 4160 coordinates take several scans on every backend.
    for coordinates in [64, 128, 384, 448, 1024, 4160] {
        let scale = 1.0 / (coordinates as f32).sqrt();
        let vector =
            |seed| -> Vec<f32> { values(coordinates, seed).iter().map(|x| x * scale).collect() };
        let (node, query) = (vector(30), vector(31));
        let neighbours: Vec<Vec<f32>> = (0..32).map(|index| vector(40 + index)).collect();
        let exact_base = -exact_squared_l2(&wide(&query), &wide(&node));
        let mut first: Option<([f32; 32], Vec<u8>)> = None;
        for backend in backends() {
            let mut codes = vec![0u8; block_code_bytes(coordinates)];
            let (mut offsets, mut slopes) = ([0u8; 64], [0u8; 64]);
            let unit = 8.0 / 32768.0;
            for (index, neighbour) in neighbours.iter().enumerate() {
                let sums =
                    backend.encode_neighbour(&node, neighbour, coordinates, index, &mut codes);
                let residual: Vec<f64> =
                    neighbour.iter().zip(&node).map(|(x, c)| f64::from(x - c)).collect();
                let what = || format!("{backend:?} {coordinates} {index}");
                let squared = exact_dot(&residual, &residual);
                assert_close(sums.squared_norm, squared, 1e-5, &what);
                let absolute = residual.iter().map(|r| r.abs()).sum();
                assert_close(sums.absolute, absolute, 1e-3, &what);
                let signs: Vec<f64> =
                    residual.iter().map(|&r| if r < 0.0 { -1.0 } else { 1.0 }).collect();
                let along = exact_dot(&wide(&node), &signs);
                assert_close(sums.node_and_signs, along, 1e-3, &what);
                let ratio = squared / absolute;
                let put = |to: &mut [u8; 64], x: f64| {
                    let integer = (x / f64::from(unit)).round() as i16;
                    to[2 * index..][..2].copy_from_slice(&integer.to_le_bytes());
                };
                put(&mut offsets, -squared - 2.0 * ratio * along);
                put(&mut slopes, 2.0 * ratio);
            }
            let mut tables = ScanTables::default();
            tables.prepare(backend, &query);
            let block = NeighbourBlock {
                codes: &codes,
                offsets: &offsets,
                slopes: &slopes,
                offset_scale: unit,
                slope_scale: unit,
            };
            let mut estimates = [f32::NAN; 32];
            let base = exact_base as f32;
            let above = backend.estimate_neighbours(&tables, &block, base, base, &mut estimates);
            for (index, &estimate) in estimates.iter().enumerate() {
                assert_eq!(above >> index & 1 == 1, estimate > base, "{backend:?} {index}");
            }
            // One bit a coordinate is off by about 0.75 |q - c| |r| / sqrt(coordinates).
            let mut squared_error = 0.0;
            for (neighbour, &estimate) in neighbours.iter().zip(&estimates) {
                let exact = -exact_squared_l2(&wide(&query), &wide(neighbour));
                squared_error += (f64::from(estimate) - exact).powi(2) / 32.0;
            }
            let expected = 2.0 * 0.75 * (2.0 / 3.0) / (coordinates as f64).sqrt();
            let error = squared_error.sqrt();
            assert!(error <= 1.3 * expected, "{backend:?} {coordinates}: {error} {expected}");
            let (all, first_codes) = first.get_or_insert_with(|| (estimates, codes.clone()));
            assert_eq!(&codes, first_codes, "{backend:?} {coordinates}");
            for (here, there) in estimates.iter().zip(all.iter()) {
                assert!((here - there).abs() <= 1e-5, "{backend:?} {coordinates}");
            }
        }
    }
}

#[test]
fn a_scan_is_exact_at_its_greatest_sums() {
    for backend in backends() {
        let coordinates = 16_384;
        let query = vec![1.0f32; coordinates];
        let codes = vec![0xFFu8; block_code_bytes(coordinates)];
        let mut slopes = [0u8; 64];
        slopes.as_chunks_mut::<2>().0.fill(1i16.to_le_bytes());
        let block = NeighbourBlock {
            codes: &codes,
            offsets: &[0; 64],
            slopes: &slopes,
            offset_scale: 1.0,
            slope_scale: 1.0,
        };
        let mut tables = ScanTables::default();
        tables.prepare(backend, &query);
        let mut estimates = [0.0; 32];
        backend.estimate_neighbours(&tables, &block, 0.0, 0.0, &mut estimates);
        for estimate in estimates {
            assert_close(estimate, coordinates as f64, 0.1, &|| format!("{backend:?}"));
        }
    }
}

//! Four-bit codes of rows on every backend, against plain `f64` arithmetic.

mod backends;
mod oracle;

use backends::backends;
use kernels::{Backend, FineQuery, fine_code_bytes};
use oracle::{exact_dot, values, wide};

fn prepared(backend: Backend, query: &[f32]) -> FineQuery {
    let mut prepared = FineQuery::default();
    prepared.prepare(backend, query);
    prepared
}

fn estimate(backend: Backend, query: &FineQuery, row: &[f32]) -> (f64, Vec<u8>) {
    let mut codes = vec![0; fine_code_bytes(row.len())];
    let sums = backend.encode_fine(row, &mut codes);
    let product = backend.fine_product(query, &codes);
    (f64::from(sums.squared_norm) * f64::from(product) / f64::from(sums.coded), codes)
}

#[test]
fn products_are_estimated_closely_and_alike_on_every_backend() {
    for coordinates in [64, 128, 384, 448, 1024, 65_536] {
        let (row, query) = (values(coordinates, 50), values(coordinates, 51));
        let exact = exact_dot(&wide(&row), &wide(&query));
        let lengths =
            (exact_dot(&wide(&row), &wide(&row)) * exact_dot(&wide(&query), &wide(&query))).sqrt();
        let prepared = prepared(Backend::available()[0], &query);
        let (_, codes) = estimate(Backend::available()[0], &prepared, &row);
        let product =
            |&backend: &Backend| backend.fine_product(&self::prepared(backend, &query), &codes);
        let products: Vec<f32> = backends().iter().map(product).collect();
        assert!(products.iter().all(|product| *product == products[0]), "{products:?}");
        for backend in backends() {
            let (found, _) = estimate(backend, &prepared, &row);
            // Four of the errors that a tenth of the length in a random direction makes.
            let slack = 4.0 * 0.13 * lengths / (coordinates as f64).sqrt();
            assert!((found - exact).abs() <= slack, "{backend:?} {coordinates}: {found} {exact}");
        }
    }
}

#[test]
fn the_greatest_numbers_and_none_at_all_stay_in_bounds() {
    let coordinates = 65_536;
    for (row, query) in [(1.0, 1.0), (1.0, -1.0), (0.0, 1.0), (1.0, 0.0), (1e-30, 1.0)] {
        let row: Vec<f32> = (0..coordinates).map(|i| if i % 2 == 0 { row } else { -row }).collect();
        let query: Vec<f32> =
            (0..coordinates).map(|i| if i % 2 == 0 { query } else { -query }).collect();
        for backend in backends() {
            let prepared = prepared(backend, &query);
            let mut codes = vec![0; fine_code_bytes(coordinates)];
            let sums = backend.encode_fine(&row, &mut codes);
            let product = backend.fine_product(&prepared, &codes);
            assert!(product.is_finite() && sums.coded.is_finite(), "{backend:?}");
            let exact = exact_dot(&wide(&row), &wide(&query));
            let found = f64::from(sums.squared_norm) * f64::from(product) / f64::from(sums.coded);
            if sums.coded > 0.0 && sums.squared_norm > 0.0 {
                assert!(
                    (found - exact).abs() <= 0.02 * exact.abs(),
                    "{backend:?}: {found} {exact}"
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "codes of another size")]
fn codes_of_another_size_are_refused() {
    let backend = Backend::available()[0];
    backend.fine_product(&prepared(backend, &[1.0; 128]), &[0; 32]);
}

//! The backends under test.

use kernels::Backend;

/// Every backend that this CPU has. With `RAC_REQUIRE_BACKENDS=avx512,avx2` a missing instruction
/// set fails the test instead of passing unseen.
pub(crate) fn backends() -> Vec<Backend> {
    let available = Backend::available();
    if let Ok(required) = std::env::var("RAC_REQUIRE_BACKENDS") {
        for name in required.split(',') {
            assert!(
                available.iter().any(|backend| backend.name() == name),
                "this CPU lacks the required backend {name}"
            );
        }
    }
    available
}

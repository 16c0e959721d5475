//! Which instruction set runs: detected once, forced by an environment variable, never assumed.

use std::fmt;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::simd::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx512::Avx512;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx512_bf16::Avx512Bf16;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx512_popcount::Avx512Popcount;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx512_vnni::Avx512Vnni;
#[cfg(target_arch = "aarch64")]
use crate::simd::neon::Neon;
#[cfg(target_arch = "aarch64")]
use crate::simd::neon_dotprod::NeonDotprod;
use crate::simd::scalar::Scalar;

/// Names the backend to use instead of the best one: `avx512`, `avx2`, `neon` or `scalar`, or
/// `avx512-base` or `neon-base`, which leave extensions of the instruction set unused.
pub const BACKEND_VARIABLE: &str = "RAC_KERNELS";

/// An instruction set that this CPU has. Every kernel is a method of it.
#[derive(Clone, Copy)]
pub struct Backend {
    pub(crate) kind: Kind,
    /// Whether the extensions that the CPU has are left out, to test what others run.
    base_only: bool,
}

/// A value is made in [`Backend::available`] alone, so that holding one proves the CPU can run it.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512 {
        base: Avx512,
        products: Option<Avx512Vnni>,
        pairs: Option<Avx512Bf16>,
        counts: Option<Avx512Popcount>,
    },
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon {
        base: Neon,
        products: Option<NeonDotprod>,
    },
    Scalar(Scalar),
}

impl Backend {
    /// Every backend that this CPU can run, best first; the scalar one is always there. One that
    /// uses extensions of its instruction set is followed by itself without them.
    pub fn available() -> Vec<Backend> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("popcnt");
            if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                // SAFETY: the features were detected on this CPU in the line above.
                let base = unsafe { Avx512::assume() };
                let products = is_x86_feature_detected!("avx512vnni")
                    // SAFETY: the feature was detected in the line above, the base before.
                    .then(|| unsafe { Avx512Vnni::assume() });
                let pairs = (is_x86_feature_detected!("avx512bf16")
                    && is_x86_feature_detected!("avx512vl"))
                // SAFETY: the features were detected in the lines above, the base before.
                .then(|| unsafe { Avx512Bf16::assume() });
                let counts = is_x86_feature_detected!("avx512vpopcntdq")
                    // SAFETY: the feature was detected in the line above, the base before.
                    .then(|| unsafe { Avx512Popcount::assume() });
                found.push(Backend::of(Kind::Avx512 { base, products, pairs, counts }));
                if products.is_some() || pairs.is_some() || counts.is_some() {
                    let kind = Kind::Avx512 { base, products: None, pairs: None, counts: None };
                    found.push(Backend { kind, base_only: true });
                }
            }
            if avx2 {
                // SAFETY: the features were detected on this CPU above.
                found.push(Backend::of(Kind::Avx2(unsafe { Avx2::assume() })));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            // SAFETY: the feature was detected on this CPU in the line above.
            let base = unsafe { Neon::assume() };
            let products = std::arch::is_aarch64_feature_detected!("dotprod")
                // SAFETY: the feature was detected in the line above, the base before.
                .then(|| unsafe { NeonDotprod::assume() });
            found.push(Backend::of(Kind::Neon { base, products }));
            if products.is_some() {
                found.push(Backend { kind: Kind::Neon { base, products: None }, base_only: true });
            }
        }
        found.push(Backend::of(Kind::Scalar(Scalar)));
        found
    }

    fn of(kind: Kind) -> Backend {
        Backend { kind, base_only: false }
    }

    /// The backend that the free functions of this crate use: the best one, or the one that
    /// [`BACKEND_VARIABLE`] names. Chosen once a process.
    ///
    /// # Errors
    /// The variable names something that this CPU cannot run. It is an error, not a fallback, so
    /// that a test run that asks for an instruction set never passes without it.
    pub fn try_active() -> Result<Backend, String> {
        Backend::chosen().clone()
    }

    #[inline]
    fn chosen() -> &'static Result<Backend, String> {
        static ACTIVE: OnceLock<Result<Backend, String>> = OnceLock::new();
        ACTIVE.get_or_init(|| match std::env::var(BACKEND_VARIABLE) {
            Ok(name) if !name.is_empty() => Backend::named(&name),
            _ => Ok(Backend::available()[0]),
        })
    }

    /// [`Backend::try_active`] for callers that checked it at start-up.
    ///
    /// # Panics
    /// As `try_active` fails.
    #[inline]
    pub fn active() -> Backend {
        match Backend::chosen() {
            Ok(backend) => *backend,
            Err(message) => panic!("{message}"),
        }
    }

    fn named(name: &str) -> Result<Backend, String> {
        let available = Backend::available();
        let names: Vec<&str> = available.iter().map(|backend| backend.name()).collect();
        available.iter().find(|backend| backend.name() == name).copied().ok_or_else(|| {
            format!("{BACKEND_VARIABLE}={name}: this CPU has {} only", names.join(", "))
        })
    }

    /// What [`BACKEND_VARIABLE`] calls it.
    pub fn name(self) -> &'static str {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 { .. } if self.base_only => "avx512-base",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 { .. } => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon { .. } if self.base_only => "neon-base",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon { .. } => "neon",
            Kind::Scalar(_) => "scalar",
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

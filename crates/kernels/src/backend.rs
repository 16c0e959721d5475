//! Which instruction set runs: detected once, forced by an environment variable, never assumed.

use std::fmt;
use std::sync::OnceLock;

use crate::simd::Simd;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use crate::simd::neon::Neon;
use crate::simd::scalar::Scalar;

/// Names the backend to use instead of the best one: `avx512`, `avx2`, `neon` or `scalar`.
pub const BACKEND_VARIABLE: &str = "RAC_KERNELS";

/// An instruction set that this CPU has. Every kernel is a method of it.
#[derive(Clone, Copy)]
pub struct Backend(Kind);

/// A value is made in [`Backend::available`] alone, so that holding one proves the CPU can run it.
#[derive(Clone, Copy)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    Scalar(Scalar),
}

impl Backend {
    /// Every backend that this CPU can run, best first; the scalar one is always there.
    pub fn available() -> Vec<Backend> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                // SAFETY: the features were detected on this CPU in the line above.
                found.push(Backend(Kind::Avx512(unsafe { Avx512::assume() })));
            }
            if avx2 {
                // SAFETY: the features were detected on this CPU above.
                found.push(Backend(Kind::Avx2(unsafe { Avx2::assume() })));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            // SAFETY: the feature was detected on this CPU in the line above.
            found.push(Backend(Kind::Neon(unsafe { Neon::assume() })));
        }
        found.push(Backend(Kind::Scalar(Scalar)));
        found
    }

    /// The backend that the free functions of this crate use: the best one, or the one that
    /// [`BACKEND_VARIABLE`] names. Chosen once a process.
    ///
    /// # Errors
    /// The variable names something that this CPU cannot run. It is an error, not a fallback, so
    /// that a test run that asks for an instruction set never passes without it.
    pub fn try_active() -> Result<Backend, String> {
        static ACTIVE: OnceLock<Result<Backend, String>> = OnceLock::new();
        ACTIVE
            .get_or_init(|| match std::env::var(BACKEND_VARIABLE) {
                Ok(name) if !name.is_empty() => Backend::named(&name),
                _ => Ok(Backend::available()[0]),
            })
            .clone()
    }

    /// [`Backend::try_active`] for callers that checked it at start-up.
    ///
    /// # Panics
    /// As `try_active` fails.
    #[inline]
    pub fn active() -> Backend {
        match Backend::try_active() {
            Ok(backend) => backend,
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

    /// `avx512`, `avx2`, `neon` or `scalar`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(_) => "neon",
            Kind::Scalar(_) => "scalar",
        }
    }

    /// Runs `kernel` compiled for this instruction set.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the value proves the features that the function enables.
            Kind::Avx512(simd) => unsafe { run_avx512(simd, kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the value proves the features that the function enables.
            Kind::Avx2(simd) => unsafe { run_avx2(simd, kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: the value proves the feature that the function enables.
            Kind::Neon(simd) => unsafe { run_neon(simd, kernel) },
            Kind::Scalar(simd) => kernel.run(simd),
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A computation written over [`Simd`]. `run` must be `#[inline(always)]`: that is what carries it
/// into a function compiled for the instruction set.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx2,fma")]
fn run_avx512<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn run_neon<K: Kernel>(simd: Neon, kernel: K) -> K::Output {
    kernel.run(simd)
}

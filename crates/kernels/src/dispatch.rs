//! From a backend to the copy of a kernel that was compiled for it.
//!
//! A kernel's `run` must be `#[inline(always)]`, and so must all that it calls with vectors: that is
//! what carries it into a function compiled for the instruction set.

use crate::backend::{Backend, Kind};
use crate::simd::{BitCounts, ByteProducts, Simd};
#[cfg(target_arch = "x86_64")]
use crate::simd::{
    avx2::Avx2, avx512::Avx512, avx512_popcount::Avx512Popcount, avx512_vnni::Avx512Vnni,
};
#[cfg(target_arch = "aarch64")]
use crate::simd::{neon::Neon, neon_dotprod::NeonDotprod};

/// A computation written over [`Simd`].
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A computation written over [`ByteProducts`].
pub(crate) trait ByteKernel {
    type Output;
    fn run<S: ByteProducts>(self, simd: S) -> Self::Output;
}

/// A computation written over [`BitCounts`].
pub(crate) trait BitKernel {
    type Output;
    fn run<S: BitCounts>(self, simd: S) -> Self::Output;
}

/// A function that runs a kernel of one kind with the features of one instruction set.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! run_with {
    ($($name:ident: $kernel:ident on $simd:ty, $features:literal, $architecture:literal;)*) => {$(
        #[cfg(target_arch = $architecture)]
        #[target_feature(enable = $features)]
        fn $name<K: $kernel>(simd: $simd, kernel: K) -> K::Output {
            kernel.run(simd)
        }
    )*};
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
run_with! {
    run_avx512: Kernel on Avx512, "avx512f,avx512bw,avx2,fma,f16c", "x86_64";
    run_avx2: Kernel on Avx2, "avx2,fma,f16c", "x86_64";
    run_neon: Kernel on Neon, "neon", "aarch64";
    bytes_avx512_vnni: ByteKernel on Avx512Vnni, "avx512f,avx512bw,avx512vnni,avx2,fma", "x86_64";
    bytes_avx512: ByteKernel on Avx512, "avx512f,avx512bw,avx2,fma", "x86_64";
    bytes_avx2: ByteKernel on Avx2, "avx2,fma", "x86_64";
    bytes_neon_dotprod: ByteKernel on NeonDotprod, "neon,dotprod", "aarch64";
    bytes_neon: ByteKernel on Neon, "neon", "aarch64";
    bits_avx512_popcount: BitKernel on Avx512Popcount, "avx512f,avx512vpopcntdq,avx2,popcnt", "x86_64";
    bits_avx512: BitKernel on Avx512, "avx512f,avx512bw,avx2,popcnt", "x86_64";
    bits_avx2: BitKernel on Avx2, "avx2,popcnt", "x86_64";
    bits_neon: BitKernel on Neon, "neon", "aarch64";
}

// SAFETY, in all three functions below: a value of an instruction set's type, or of an extension's,
// proves the features that the function it is handed to enables.
impl Backend {
    /// Runs `kernel` compiled for this instruction set.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx512 { base, .. } => unsafe { run_avx512(base, kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx2(simd) => unsafe { run_avx2(simd, kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: see above.
            Kind::Neon { base, .. } => unsafe { run_neon(base, kernel) },
            Kind::Scalar(simd) => kernel.run(simd),
        }
    }

    /// [`Backend::dispatch`] for sums of products of bytes.
    #[inline]
    pub(crate) fn dispatch_bytes<K: ByteKernel>(self, kernel: K) -> K::Output {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx512 { products: Some(simd), .. } => unsafe { bytes_avx512_vnni(simd, kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx512 { base, .. } => unsafe { bytes_avx512(base, kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx2(simd) => unsafe { bytes_avx2(simd, kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: see above.
            Kind::Neon { products: Some(simd), .. } => unsafe { bytes_neon_dotprod(simd, kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: see above.
            Kind::Neon { base, .. } => unsafe { bytes_neon(base, kernel) },
            Kind::Scalar(simd) => kernel.run(simd),
        }
    }

    /// [`Backend::dispatch`] for counts of bits.
    #[inline]
    pub(crate) fn dispatch_bits<K: BitKernel>(self, kernel: K) -> K::Output {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx512 { counts: Some(simd), .. } => unsafe {
                bits_avx512_popcount(simd, kernel)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx512 { base, .. } => unsafe { bits_avx512(base, kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Kind::Avx2(simd) => unsafe { bits_avx2(simd, kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: see above.
            Kind::Neon { base, .. } => unsafe { bits_neon(base, kernel) },
            Kind::Scalar(simd) => kernel.run(simd),
        }
    }
}

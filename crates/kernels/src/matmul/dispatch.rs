//! From a backend and a precision to the copy of a kernel that was compiled for both.

use super::format::{Format, Pairs, Precision, Quads, Singles};
use crate::backend::{Backend, Kind};
#[cfg(target_arch = "x86_64")]
use crate::simd::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx512::Avx512;
use crate::simd::words::Words;
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx512_bf16::Avx512Bf16, avx512_vnni::Avx512Quads};
#[cfg(target_arch = "aarch64")]
use crate::simd::{neon::Neon, neon_dotprod::NeonDotprod};

/// A computation written over words and how they are multiplied. `run` must be `#[inline(always)]`.
pub(crate) trait WordKernel {
    type Output;
    fn run<S: Words, F: Format<S>>(self, simd: S, format: F) -> Self::Output;
}

/// Functions that run a word kernel with the features of one instruction set.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! run_words {
    ($($name:ident: $simd:ty, $format:ty, $features:literal, $architecture:literal;)*) => {$(
        #[cfg(target_arch = $architecture)]
        #[target_feature(enable = $features)]
        fn $name<K: WordKernel>(simd: $simd, format: $format, kernel: K) -> K::Output {
            kernel.run(simd, format)
        }
    )*};
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
run_words! {
    singles_avx512: Avx512, Singles, "avx512f,avx512bw,avx2,fma", "x86_64";
    pairs_avx512: Avx512, Pairs, "avx512f,avx512bw,avx2,fma", "x86_64";
    quads_avx512: Avx512, Quads, "avx512f,avx512bw,avx2,fma", "x86_64";
    native_pairs_avx512: Avx512, Avx512Bf16, "avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma", "x86_64";
    native_quads_avx512: Avx512, Avx512Quads, "avx512f,avx512bw,avx512vnni,avx2,fma", "x86_64";
    singles_avx2: Avx2, Singles, "avx2,fma", "x86_64";
    pairs_avx2: Avx2, Pairs, "avx2,fma", "x86_64";
    quads_avx2: Avx2, Quads, "avx2,fma", "x86_64";
    singles_neon: Neon, Singles, "neon", "aarch64";
    pairs_neon: Neon, Pairs, "neon", "aarch64";
    quads_neon: Neon, Quads, "neon", "aarch64";
    native_quads_neon: Neon, NeonDotprod, "neon", "aarch64";
}

impl Backend {
    /// Whether this CPU has instructions made for the precision's products; others are put together
    /// from several.
    pub fn is_native(self, precision: Precision) -> bool {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 { pairs, products, .. } => match precision {
                Precision::F32 => true,
                Precision::Bf16 => pairs.is_some(),
                Precision::Int8 => products.is_some(),
            },
            #[cfg(target_arch = "aarch64")]
            Kind::Neon { products, .. } => match precision {
                Precision::F32 => true,
                Precision::Bf16 => false,
                Precision::Int8 => products.is_some(),
            },
            _ => precision == Precision::F32,
        }
    }

    /// Runs `kernel` compiled for this instruction set and the precision's format.
    #[inline]
    pub(crate) fn dispatch_words<K: WordKernel>(
        self,
        precision: Precision,
        kernel: K,
    ) -> K::Output {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        macro_rules! run {
            ($function:ident, $simd:expr, $format:expr) => {
                // SAFETY: a value of an instruction set's type, or of an extension's, proves the
                // features that the function enables.
                unsafe { $function($simd, $format, kernel) }
            };
        }
        use Precision::{Bf16, F32, Int8};
        match (self.kind, precision) {
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512 { base, .. }, F32) => run!(singles_avx512, base, Singles),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512 { base, pairs, .. }, Bf16) => match pairs {
                Some(native) => run!(native_pairs_avx512, base, native),
                None => run!(pairs_avx512, base, Pairs),
            },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512 { base, products, pairs, .. }, Int8) => match products {
                Some(products) => run!(native_quads_avx512, base, Avx512Quads { products, pairs }),
                None => run!(quads_avx512, base, Quads),
            },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2(simd), F32) => run!(singles_avx2, simd, Singles),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2(simd), Bf16) => run!(pairs_avx2, simd, Pairs),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2(simd), Int8) => run!(quads_avx2, simd, Quads),
            #[cfg(target_arch = "aarch64")]
            (Kind::Neon { base, .. }, F32) => run!(singles_neon, base, Singles),
            #[cfg(target_arch = "aarch64")]
            (Kind::Neon { base, .. }, Bf16) => run!(pairs_neon, base, Pairs),
            #[cfg(target_arch = "aarch64")]
            (Kind::Neon { base, products }, Int8) => match products {
                Some(native) => run!(native_quads_neon, base, native),
                None => run!(quads_neon, base, Quads),
            },
            (Kind::Scalar(simd), F32) => kernel.run(simd, Singles),
            (Kind::Scalar(simd), Bf16) => kernel.run(simd, Pairs),
            (Kind::Scalar(simd), Int8) => kernel.run(simd, Quads),
        }
    }
}

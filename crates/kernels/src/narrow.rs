//! The two-byte float formats, one number at a time: the definition that the vector code matches.

/// An IEEE 754 half-precision number: 1 sign, 5 exponent and 10 fraction bits.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct F16(u16);

/// A bfloat16 number: the upper half of an `f32`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct Bf16(u16);

impl F16 {
    /// The number with this representation.
    #[inline(always)]
    pub const fn from_bits(bits: u16) -> F16 {
        F16(bits)
    }

    /// The representation.
    #[inline(always)]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The nearest half, of two the even one. From 65,520 on that is infinity; a NaN stays one,
    /// quiet, with the upper bits of its payload.
    #[inline]
    pub const fn from_f32(x: f32) -> F16 {
        let bits = x.to_bits();
        let sign = (bits >> 16) as u16 & 0x8000;
        let magnitude = bits & 0x7fff_ffff;
        F16(sign
            | if magnitude > 0x7f80_0000 {
                0x7e00 | (magnitude >> 13) as u16 & 0x03ff
            } else if magnitude >= 0x477f_f000 {
                0x7c00
            } else if magnitude >= 0x3880_0000 {
                // Normal: the exponent's bias changes from 127 to 15, 13 fraction bits go. A carry
                // out of the fraction raises the exponent, as it should.
                ((magnitude - (112 << 23) + 0x0fff + (magnitude >> 13 & 1)) >> 13) as u16
            } else {
                // Subnormal: counted in units of 2^-24, which an addition of 0.5 brings to the
                // last place of the sum, rounded by the hardware.
                let sum = f32::from_bits(magnitude) + 0.5;
                (sum.to_bits() - 0.5f32.to_bits()) as u16
            })
    }

    /// The same number, exactly; a NaN comes out quiet.
    #[inline]
    pub const fn to_f32(self) -> f32 {
        let sign = (self.0 as u32 & 0x8000) << 16;
        let magnitude = self.0 as u32 & 0x7fff;
        let wide = if magnitude >= 0x7c00 {
            let quiet = if magnitude > 0x7c00 { 0x0040_0000 } else { 0 };
            0x7f80_0000 | quiet | (magnitude & 0x03ff) << 13
        } else if magnitude >= 0x0400 {
            (magnitude << 13) + (112 << 23)
        } else {
            // Subnormal, in units of 2^-24.
            (magnitude as f32 * f32::from_bits(103 << 23)).to_bits()
        };
        f32::from_bits(sign | wide)
    }
}

impl Bf16 {
    /// The number with this representation.
    #[inline(always)]
    pub const fn from_bits(bits: u16) -> Bf16 {
        Bf16(bits)
    }

    /// The representation.
    #[inline(always)]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The nearest bfloat16, of two the even one; beyond the largest (about 3.39e38) that is
    /// infinity. A NaN stays one, quiet, with the upper bits of its payload.
    #[inline(always)]
    pub const fn from_f32(x: f32) -> Bf16 {
        let bits = x.to_bits();
        let nearest = ((bits as u64 + 0x7fff + (bits >> 16 & 1) as u64) >> 16) as u16;
        let quiet = (bits >> 16) as u16 | 0x0040;
        Bf16(if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { nearest })
    }

    /// The same number, exactly.
    #[inline(always)]
    pub const fn to_f32(self) -> f32 {
        f32::from_bits((self.0 as u32) << 16)
    }
}

macro_rules! conversions {
    ($narrow:ty) => {
        impl From<$narrow> for f64 {
            #[inline(always)]
            fn from(x: $narrow) -> f64 {
                f64::from(x.to_f32())
            }
        }

        impl $narrow {
            /// The numbers with these representations, where they lie.
            #[inline]
            pub fn slice_of_bits(bits: &[u16]) -> &[$narrow] {
                // SAFETY: the type is transparent over its representation.
                unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), bits.len()) }
            }
        }
    };
}

conversions!(F16);
conversions!(Bf16);

//! How the elements of a stored row lie in memory.

use crate::simd::Simd;

/// In what type a row's elements are stored.
///
/// A stored row is the elements one after the other, little-endian, at any alignment. One of `Int8`
/// ends with its scale, an `f32`; an element is the scale times its code. An element of `Bits` is a
/// byte of eight packed bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// `f32`, as it comes: nothing is lost.
    Float32,
    /// IEEE half precision: 11 significant bits, magnitudes up to 65,504.
    Float16,
    /// The upper half of an `f32`: 8 significant bits, the same range.
    BFloat16,
    /// One byte, -127 to 127, times a scale of the row: off by at most half a scale, which is 1/254
    /// of the row's largest magnitude. Rows of magnitudes below 1.5e-36 become zero.
    Int8,
    /// A byte, 0 to 255, that stands for eight bits: such rows have Hamming distances
    /// ([`Backend::hamming_many`](crate::Backend::hamming_many)) and no products.
    Bits,
}

/// Bytes of the scale behind the codes of an `Int8` row.
pub(crate) const SCALE_BYTES: usize = 4;

// Stored rows are read where they lie, for instance in a mapped file.
const _: () = assert!(cfg!(target_endian = "little"), "stored rows are little-endian");

/// The bytes of floats.
#[inline(always)]
pub fn bytes_of(floats: &[f32]) -> &[u8] {
    // SAFETY: a float is 4 bytes without padding.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), size_of_val(floats)) }
}

impl ElementType {
    /// Every type.
    pub const ALL: [ElementType; 5] = [
        ElementType::Float32,
        ElementType::Float16,
        ElementType::BFloat16,
        ElementType::Int8,
        ElementType::Bits,
    ];

    /// The types of numbers, which have products and distances by them.
    pub const NUMBERS: [ElementType; 4] =
        [ElementType::Float32, ElementType::Float16, ElementType::BFloat16, ElementType::Int8];

    /// What NumPy calls it, and "bits".
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::Float32 => "float32",
            ElementType::Float16 => "float16",
            ElementType::BFloat16 => "bfloat16",
            ElementType::Int8 => "int8",
            ElementType::Bits => "bits",
        }
    }

    /// Bytes of one element.
    pub const fn element_bytes(self) -> usize {
        match self {
            ElementType::Float32 => 4,
            ElementType::Float16 | ElementType::BFloat16 => 2,
            ElementType::Int8 | ElementType::Bits => 1,
        }
    }

    /// Coordinates of a vector that one element stands for.
    pub const fn coordinates(self) -> usize {
        match self {
            ElementType::Bits => 8,
            _ => 1,
        }
    }

    /// Bytes of one stored row.
    pub const fn row_bytes(self, dimension: usize) -> usize {
        dimension * self.element_bytes() + self.trailing_bytes()
    }

    /// Elements of a stored row of `row_bytes` bytes.
    ///
    /// # Panics
    /// No row has this number of bytes.
    #[inline]
    pub fn dimension(self, row_bytes: usize) -> usize {
        let elements = row_bytes.checked_sub(self.trailing_bytes());
        let dimension = elements.map(|bytes| bytes / self.element_bytes());
        match dimension {
            Some(dimension) if self.row_bytes(dimension) == row_bytes => dimension,
            _ => panic!("no row of {} has {row_bytes} bytes", self.name()),
        }
    }

    const fn trailing_bytes(self) -> usize {
        match self {
            ElementType::Int8 => SCALE_BYTES,
            _ => 0,
        }
    }
}

/// Reading and writing one vector of elements; [`ElementType`] at compile time.
pub(crate) trait Element {
    const BYTES: usize;

    /// # Safety
    /// `F32_LANES` elements from `from` on are readable.
    unsafe fn load<S: Simd>(simd: S, from: *const u8) -> S::F32;

    /// # Safety
    /// `F32_LANES` elements from `to` on are writable.
    unsafe fn store<S: Simd>(simd: S, to: *mut u8, x: S::F32);

    /// What stands for numbers in a row of this scale; types without one ignore it.
    #[inline(always)]
    fn scaled_down<S: Simd>(_simd: S, x: S::F32, _scale: S::F32) -> S::F32 {
        x
    }

    /// The numbers that `x` stands for in a row of this scale; types without one ignore it.
    #[inline(always)]
    fn scaled_up<S: Simd>(_simd: S, x: S::F32, _scale: S::F32) -> S::F32 {
        x
    }

    /// `query - scale * x`; types without a scale ignore it.
    #[inline(always)]
    fn difference<S: Simd>(simd: S, query: S::F32, x: S::F32, _minus_scale: S::F32) -> S::F32 {
        simd.f32_sub(query, x)
    }
}

macro_rules! element {
    ($name:ident, $bytes:literal, $load:ident, $store:ident $(, $scaled:item)*) => {
        pub(crate) struct $name;

        impl Element for $name {
            const BYTES: usize = $bytes;

            #[inline(always)]
            unsafe fn load<S: Simd>(simd: S, from: *const u8) -> S::F32 {
                // SAFETY: readable by this method's own contract.
                unsafe { simd.$load(from.cast()) }
            }

            #[inline(always)]
            unsafe fn store<S: Simd>(simd: S, to: *mut u8, x: S::F32) {
                // SAFETY: writable by this method's own contract.
                unsafe { simd.$store(to.cast(), x) }
            }

            $(
                #[inline(always)]
                $scaled
            )*
        }
    };
}

element!(Float32, 4, f32_load, f32_store);
element!(Float16, 2, f32_load_f16, f32_store_f16);
element!(BFloat16, 2, f32_load_bf16, f32_store_bf16);
element!(
    Code,
    1,
    f32_load_i8,
    f32_store_i8,
    fn scaled_down<S: Simd>(simd: S, x: S::F32, scale: S::F32) -> S::F32 {
        simd.f32_round(simd.f32_div(x, scale))
    },
    fn scaled_up<S: Simd>(simd: S, x: S::F32, scale: S::F32) -> S::F32 {
        simd.f32_mul(x, scale)
    },
    fn difference<S: Simd>(simd: S, query: S::F32, x: S::F32, minus_scale: S::F32) -> S::F32 {
        simd.f32_mul_add(minus_scale, x, query)
    }
);

/// The vector of the `count` elements at `from`, zeros behind them.
///
/// # Safety
/// `count` elements from `from` on are readable, and no more than a vector holds.
#[inline(always)]
pub(crate) unsafe fn load_part<E: Element, S: Simd>(
    simd: S,
    from: *const u8,
    count: usize,
) -> S::F32 {
    let mut part = [0u8; 64];
    // SAFETY: readable by this function's contract; a vector is at most 16 elements of 4 bytes.
    unsafe {
        from.copy_to_nonoverlapping(part.as_mut_ptr(), count * E::BYTES);
        E::load(simd, part.as_ptr())
    }
}

/// The next vector of the `left` elements at `from`, zeros behind them.
///
/// # Safety
/// `left` elements from `from` on are readable.
#[inline(always)]
pub(crate) unsafe fn load_next<E: Element, S: Simd>(
    simd: S,
    from: *const u8,
    left: usize,
) -> S::F32 {
    // SAFETY: this function's contract.
    unsafe {
        if left >= S::F32_LANES { E::load(simd, from) } else { load_part::<E, S>(simd, from, left) }
    }
}

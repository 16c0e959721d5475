//! From `f32` rows to stored ones and back.

use std::fmt;

use crate::backend::Backend;
use crate::dispatch::Kernel;
use crate::element::{
    BFloat16, Code, Element, ElementType, Float16, Float32, SCALE_BYTES, load_next, load_part,
};
use crate::simd::Simd;

/// The largest code of an `Int8` row.
const LIMIT: f32 = 127.0;

/// An element that the type of a stored row has no finite number for.
#[derive(Clone, Copy, Debug)]
pub struct Unstorable {
    /// Where in the row.
    pub index: usize,
    /// NaN, infinite, or beyond the largest number of the type; of `Bits`, anything but a byte.
    pub value: f32,
    /// The type.
    pub element: ElementType,
}

impl fmt::Display for Unstorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, value, name) = (self.index, self.value, self.element.name());
        match self.element {
            ElementType::Bits => {
                write!(f, "element {index} is {value}, not a byte of packed bits, 0 to 255")
            }
            _ => {
                write!(f, "element {index} is {value}, which {name} cannot hold as a finite number")
            }
        }
    }
}

impl std::error::Error for Unstorable {}

impl Backend {
    /// Stores `row` as `element`, each element as the nearest one that the type has (ties to even).
    ///
    /// What [`Backend::decode_row`] makes of the result is stored as the same bytes again.
    ///
    /// # Errors
    /// An element that would not be finite, or is none of the type's; `stored` is then unspecified.
    ///
    /// # Panics
    /// `stored` is not `element.row_bytes(row.len())` long.
    pub fn encode_row(
        self,
        element: ElementType,
        row: &[f32],
        stored: &mut [u8],
    ) -> Result<(), Unstorable> {
        assert_eq!(stored.len(), element.row_bytes(row.len()), "bytes of the stored row");
        let largest = self.dispatch(Largest { row });
        if !largest.is_some_and(|largest| largest < overflow(element)) {
            let holds = |x: f32| x.abs() < overflow(element);
            let index = row.iter().position(|&x| !holds(x)).expect("an element beyond the type");
            return Err(Unstorable { index, value: row[index], element });
        }
        let largest = largest.unwrap_or(0.0);
        match element {
            ElementType::Float32 => self.dispatch(Encode::<Float32>::new(row, stored, 1.0)),
            ElementType::Float16 => self.dispatch(Encode::<Float16>::new(row, stored, 1.0)),
            ElementType::BFloat16 => self.dispatch(Encode::<BFloat16>::new(row, stored, 1.0)),
            ElementType::Int8 => {
                let scale = scale_of(largest);
                let (codes, trailing) = stored.split_at_mut(row.len());
                trailing.copy_from_slice(&scale.to_le_bytes());
                if scale == 0.0 {
                    codes.fill(0);
                } else {
                    self.dispatch(Encode::<Code>::new(row, codes, scale));
                }
            }
            ElementType::Bits => encode_bytes(row, stored)?,
        }
        Ok(())
    }

    /// The elements of a stored row, exactly.
    ///
    /// # Panics
    /// `stored` is not `element.row_bytes(row.len())` long.
    pub fn decode_row(self, element: ElementType, stored: &[u8], row: &mut [f32]) {
        assert_eq!(stored.len(), element.row_bytes(row.len()), "bytes of the stored row");
        match element {
            ElementType::Float32 => self.dispatch(Decode::<Float32>::new(stored, row, 1.0)),
            ElementType::Float16 => self.dispatch(Decode::<Float16>::new(stored, row, 1.0)),
            ElementType::BFloat16 => self.dispatch(Decode::<BFloat16>::new(stored, row, 1.0)),
            ElementType::Int8 => {
                self.dispatch(Decode::<Code>::new(stored, row, scale_behind(stored)));
            }
            ElementType::Bits => {
                row.iter_mut().zip(stored).for_each(|(x, &byte)| *x = byte.into());
            }
        }
    }
}

/// Bytes of packed bits, each as a number.
fn encode_bytes(row: &[f32], stored: &mut [u8]) -> Result<(), Unstorable> {
    let mut whole = true;
    for (byte, &x) in stored.iter_mut().zip(row) {
        // Saturates, so that what was no byte differs from it.
        *byte = x as u8;
        whole &= f32::from(*byte) == x;
    }
    if whole {
        return Ok(());
    }
    let index = row.iter().position(|&x| f32::from(x as u8) != x).expect("an element that differs");
    Err(Unstorable { index, value: row[index], element: ElementType::Bits })
}

/// The least magnitude that the type cannot hold.
fn overflow(element: ElementType) -> f32 {
    match element {
        ElementType::Float32 | ElementType::Int8 => f32::INFINITY,
        ElementType::Bits => 256.0,
        ElementType::Float16 => 65_520.0,
        ElementType::BFloat16 => f32::from_bits(0x7f7f_8000),
    }
}

/// The scale of an `Int8` row: 1/127 of its largest magnitude, cut to 17 significant bits, so that
/// a scale times a code is exact, and coding the products again gives the same scale and codes.
fn scale_of(largest: f32) -> f32 {
    // Subnormal scales have too few bits for that.
    if largest < LIMIT * f32::MIN_POSITIVE {
        return 0.0;
    }
    f32::from_bits((largest / LIMIT).to_bits() & !0x7f)
}

/// The scale of a stored `Int8` row.
#[inline(always)]
pub(crate) fn scale_behind(stored: &[u8]) -> f32 {
    let (_, scale) = stored.split_last_chunk::<SCALE_BYTES>().expect("a row ends with its scale");
    f32::from_le_bytes(*scale)
}

struct Largest<'a> {
    row: &'a [f32],
}

impl Kernel for Largest<'_> {
    type Output = Option<f32>;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<f32> {
        largest_magnitude(simd, self.row)
    }
}

/// The largest magnitude of a row; `None` where an element is not finite.
#[inline(always)]
pub(crate) fn largest_magnitude<S: Simd>(simd: S, row: &[f32]) -> Option<f32> {
    let (length, start) = (row.len(), row.as_ptr());
    let (zero, positive) = (simd.f32_splat(0.0), simd.f32_splat(1.0));
    let mut largest = zero;
    // Zero times a number that is not finite is NaN, which no addition undoes.
    let mut spoilt = zero;
    let mut at = 0;
    while at < length {
        // SAFETY: length - at elements are left of the row.
        let x = unsafe { load_next::<Float32, S>(simd, start.add(at).cast(), length - at) };
        largest = simd.f32_max(largest, simd.f32_copysign(x, positive));
        spoilt = simd.f32_mul_add(x, zero, spoilt);
        at += S::F32_LANES;
    }
    (simd.f32_sum(spoilt) == 0.0).then(|| simd.f32_maximum(largest))
}

struct Encode<'a, E> {
    row: &'a [f32],
    stored: &'a mut [u8],
    scale: f32,
    element: std::marker::PhantomData<E>,
}

impl<'a, E: Element> Encode<'a, E> {
    fn new(row: &'a [f32], stored: &'a mut [u8], scale: f32) -> Self {
        Encode { row, stored, scale, element: std::marker::PhantomData }
    }
}

impl<E: Element> Kernel for Encode<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (length, start) = (self.row.len(), self.row.as_ptr());
        assert!(self.stored.len() >= length * E::BYTES);
        let to = self.stored.as_mut_ptr();
        let scale = simd.f32_splat(self.scale);
        let mut at = 0;
        while at + S::F32_LANES <= length {
            // SAFETY: at + F32_LANES <= length, the length of the row and of what is stored.
            unsafe {
                let x = simd.f32_load(start.add(at));
                E::store(simd, to.add(at * E::BYTES), E::scaled_down(simd, x, scale));
            }
            at += S::F32_LANES;
        }
        if at < length {
            let mut part = [0u8; 64];
            // SAFETY: length - at elements are left of both, less than one vector; a vector is at
            // most 16 elements of 4 bytes.
            unsafe {
                let x = load_part::<Float32, S>(simd, start.add(at).cast(), length - at);
                E::store(simd, part.as_mut_ptr(), E::scaled_down(simd, x, scale));
                let bytes = (length - at) * E::BYTES;
                part.as_ptr().copy_to_nonoverlapping(to.add(at * E::BYTES), bytes);
            }
        }
    }
}

struct Decode<'a, E> {
    stored: &'a [u8],
    row: &'a mut [f32],
    scale: f32,
    element: std::marker::PhantomData<E>,
}

impl<'a, E: Element> Decode<'a, E> {
    fn new(stored: &'a [u8], row: &'a mut [f32], scale: f32) -> Self {
        Decode { stored, row, scale, element: std::marker::PhantomData }
    }
}

impl<E: Element> Kernel for Decode<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (length, from) = (self.row.len(), self.stored.as_ptr());
        assert!(self.stored.len() >= length * E::BYTES);
        let to = self.row.as_mut_ptr();
        let scale = simd.f32_splat(self.scale);
        let mut at = 0;
        while at + S::F32_LANES <= length {
            // SAFETY: at + F32_LANES <= length, the length of the row and of what is stored.
            unsafe {
                let x = E::load(simd, from.add(at * E::BYTES));
                simd.f32_store(to.add(at), E::scaled_up(simd, x, scale));
            }
            at += S::F32_LANES;
        }
        if at < length {
            let mut part = [0.0f32; 16];
            // SAFETY: length - at elements are left of both, less than one vector of at most 16.
            unsafe {
                let x = load_part::<E, S>(simd, from.add(at * E::BYTES), length - at);
                simd.f32_store(part.as_mut_ptr(), E::scaled_up(simd, x, scale));
            }
            self.row[at..].copy_from_slice(&part[..length - at]);
        }
    }
}

//! Tensors of a safetensors file, by name and checked against the shape they must have.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use kernels::Bf16;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::error::{Error, Result};

/// Bytes read at a time: whole numbers of any type.
const BLOCK_BYTES: usize = 1 << 20;

/// The tensors of one file; names may carry a prefix such as `bert.`, which is found out. A tensor's
/// numbers are read when they are asked for, so that the file is never in memory as a whole.
pub(crate) struct Weights {
    path: PathBuf,
    file: File,
    /// Where the numbers begin in the file.
    start: u64,
    tensors: Metadata,
    prefix: String,
}

impl Weights {
    /// Reads the table of tensors. `landmark` is the name, without prefix, of a tensor that every
    /// model of the family has.
    pub(crate) fn open(path: &Path, landmark: &str) -> Result<Weights> {
        let failed = |source| Error::Read { path: path.to_path_buf(), source };
        let malformed = |reason: String| Error::Malformed { path: path.to_path_buf(), reason };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let whole = "; was it downloaded whole?";
        let mut stated = [0; 8];
        file.read_exact(&mut stated)
            .map_err(|_| malformed(format!("it has {length} bytes{whole}")))?;
        let stated = u64::from_le_bytes(stated);
        let mut table = Vec::new();
        // A length that cannot be right ends with the file here and is refused below.
        file.by_ref().take(stated).read_to_end(&mut table).map_err(failed)?;
        let tensors: Metadata = serde_json::from_slice(&table)
            .map_err(|error| malformed(format!("its table of tensors: {error}{whole}")))?;
        let start = 8 + table.len() as u64;
        let expected = start.saturating_add(tensors.data_len() as u64);
        if length != expected {
            return Err(malformed(format!("it has {length} bytes, not {expected}{whole}")));
        }
        let prefix = tensors
            .tensors()
            .keys()
            .filter_map(|name| name.strip_suffix(landmark))
            .find(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .ok_or_else(|| malformed(format!("it has no tensor {landmark}")))?
            .to_owned();
        Ok(Weights { path: path.to_path_buf(), file, start, tensors, prefix })
    }

    /// A tensor as `f32`, row-major.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.tensor_outside(&format!("{}{name}", self.prefix), shape)
    }

    /// A tensor rounded to bf16. It is in memory in that type alone.
    pub(crate) fn narrow_tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<Bf16>> {
        self.converted(&format!("{}{name}", self.prefix), shape, Bf16::from_f32)
    }

    /// A tensor whose name has no prefix, such as a head's.
    pub(crate) fn tensor_outside(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.converted(name, shape, |number| number)
    }

    fn converted<T>(
        &self,
        name: &str,
        shape: &[usize],
        number: impl Fn(f32) -> T,
    ) -> Result<Vec<T>> {
        let malformed = |reason: String| Error::Malformed { path: self.path.clone(), reason };
        let info =
            self.tensors.info(name).ok_or_else(|| malformed(format!("it has no tensor {name}")))?;
        if info.shape != shape {
            return Err(malformed(format!(
                "tensor {name} is of shape {:?}, config.json asks for {shape:?}",
                info.shape
            )));
        }
        match info.dtype {
            Dtype::F32 => self.read(info.data_offsets, |b| number(f32::from_le_bytes(b))),
            Dtype::F16 => {
                self.read(info.data_offsets, |b| number(f16_to_f32(u16::from_le_bytes(b))))
            }
            Dtype::BF16 => self.read(info.data_offsets, |b| {
                number(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
            }),
            other => Err(malformed(format!("tensor {name} is of type {other:?}"))),
        }
    }

    /// Reads and converts some of the file, block by block: the bytes are never all in memory.
    fn read<T, const N: usize>(
        &self,
        (from, to): (usize, usize),
        convert: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.start + from as u64)).map_err(failed)?;
        let mut numbers = Vec::with_capacity((to - from) / N);
        let mut block = vec![0; BLOCK_BYTES.min(to - from)];
        let mut left = to - from;
        while left > 0 {
            let bytes = &mut block[..BLOCK_BYTES.min(left)];
            file.read_exact(bytes).map_err(failed)?;
            numbers.extend(bytes.as_chunks::<N>().0.iter().map(|&number| convert(number)));
            left -= bytes.len();
        }
        Ok(numbers)
    }

    /// The number of rows of a matrix; `None` for a tensor that is not there.
    pub(crate) fn rows(&self, name: &str) -> Option<usize> {
        self.tensors.info(&format!("{}{name}", self.prefix))?.shape.first().copied()
    }
}

/// IEEE half precision, every value exactly.
fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::f16_to_f32;

    #[test]
    fn halves_convert_exactly() {
        let table = [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in table {
            assert_eq!(f16_to_f32(bits), value, "{bits:#x}");
        }
        assert!(f16_to_f32(0x7e00).is_nan());
        assert!(f16_to_f32(0x8000).is_sign_negative());
    }
}

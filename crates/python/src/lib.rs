//! The Python extension module: arrays, errors, one file a noun.

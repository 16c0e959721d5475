//! A durable vector collection: checksummed log, exact search, metadata filters.

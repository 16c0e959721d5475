//! Files to records: walk, parse, chunk, embed, ingest.

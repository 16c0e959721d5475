//! The index of a segment's metadata against looking at every row.

mod damage;
mod evaluate;
mod facets;
mod json;
mod rows;
mod size;
mod sorted_rows;

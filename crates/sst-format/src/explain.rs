//! An annotated dump of any structure.

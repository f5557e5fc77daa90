//! The schema of a nested column, as far as it matters for its JSON text.
//!
//! | in the schema | in JSON |
//! |---|---|
//! | a group | an object with the names of its fields |
//! | a group annotated as a list, or a repeated field | an array |
//! | a group annotated as a map | an object; keys that are not text become text |
//! | an optional field without a value | `null` |

use std::ops::Range;

use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::schema::types::{Type, TypePtr};

use super::parquet_fault::ParquetFault;

/// Highest number of groups within each other.
const MAX_DEPTH: u32 = 64;

/// A part of a nested column.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The leaves below, counted from the column's first.
    pub(super) leaves: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Leaf,
    Group(Vec<(String, Node)>),
    /// Null, unless the definition level is at least this.
    Optional(i16, Box<Node>),
    List(Repeated, Box<Node>),
    /// The key, and the value if there is one.
    Map(Repeated, Box<Node>, Option<Box<Node>>),
}

/// The levels of the elements of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeated {
    /// The list is empty, unless the definition level is at least this.
    pub(super) definition: i16,
    /// The repetition level of every element but the first.
    pub(super) repetition: i16,
}

/// The place in the schema.
#[derive(Clone, Copy)]
struct Place {
    definition: i16,
    repetition: i16,
    depth: u32,
}

impl Place {
    const fn optional(self) -> Self {
        Self { definition: self.definition + 1, ..self }
    }

    const fn repeated(self) -> Self {
        Self { repetition: self.repetition + 1, ..self.optional() }
    }

    const fn levels(self) -> Repeated {
        Repeated { definition: self.definition, repetition: self.repetition }
    }
}

impl Node {
    /// The node of a field of the schema's root.
    pub(super) fn of(root: &Type) -> Result<Self, ParquetFault> {
        let mut leaves = 0;
        let place = Place { definition: 0, repetition: 0, depth: 0 };
        Self::of_field(root, place, &mut leaves)
    }

    fn of_field(field: &Type, place: Place, leaves: &mut usize) -> Result<Self, ParquetFault> {
        if place.depth > MAX_DEPTH {
            return Err(ParquetFault::Depth { column: field.name().to_owned() });
        }
        let place = Place { depth: place.depth + 1, ..place };
        let start = *leaves;
        let kind = match field.get_basic_info().repetition() {
            Repetition::REQUIRED => return Self::of_value(field, place, leaves),
            Repetition::OPTIONAL => {
                let place = place.optional();
                let inner = Self::of_value(field, place, leaves)?;
                Kind::Optional(place.definition, Box::new(inner))
            }
            Repetition::REPEATED => {
                let place = place.repeated();
                let element = Self::of_value(field, place, leaves)?;
                Kind::List(place.levels(), Box::new(element))
            }
        };
        Ok(Self { kind, leaves: start..*leaves })
    }

    /// The node of a field without its own repetition.
    fn of_value(field: &Type, place: Place, leaves: &mut usize) -> Result<Self, ParquetFault> {
        let start = *leaves;
        let kind = if field.is_primitive() {
            *leaves += 1;
            Kind::Leaf
        } else {
            match (Annotation::of(field), field.get_fields()) {
                (Annotation::List, [repeated]) if is_repeated(repeated) => {
                    let place = place.repeated();
                    let element = match element_of(field, repeated) {
                        Some(element) => Self::of_field(element, place, leaves)?,
                        None => Self::of_value(repeated, place, leaves)?,
                    };
                    Kind::List(place.levels(), Box::new(element))
                }
                (Annotation::Map, [entry]) if is_repeated(entry) && is_entry(entry) => {
                    let place = place.repeated();
                    let mut parts = entry.get_fields().iter();
                    let mut next = || {
                        let part = parts.next();
                        part.map(|part| Self::of_field(part, place, leaves)).transpose()
                    };
                    match (next()?, next()?) {
                        (Some(key), value) => {
                            Kind::Map(place.levels(), Box::new(key), value.map(Box::new))
                        }
                        (None, _) => return Err(ParquetFault::internal("an entry has a key")),
                    }
                }
                (_, fields) => {
                    let named = |field: &TypePtr| {
                        let node = Self::of_field(field, place, leaves)?;
                        Ok((field.name().to_owned(), node))
                    };
                    Kind::Group(fields.iter().map(named).collect::<Result<_, ParquetFault>>()?)
                }
            }
        };
        if *leaves == start {
            return Err(ParquetFault::NoLeaves { column: field.name().to_owned() });
        }
        Ok(Self { kind, leaves: start..*leaves })
    }
}

/// The meaning of a group.
enum Annotation {
    List,
    Map,
    Other,
}

impl Annotation {
    fn of(group: &Type) -> Self {
        let info = group.get_basic_info();
        match (info.logical_type_ref(), info.converted_type()) {
            (Some(LogicalType::List), _) | (_, ConvertedType::LIST) => Self::List,
            (Some(LogicalType::Map), _)
            | (_, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE) => Self::Map,
            _ => Self::Other,
        }
    }
}

fn is_repeated(field: &Type) -> bool {
    field.get_basic_info().repetition() == Repetition::REPEATED
}

fn is_entry(entry: &Type) -> bool {
    entry.is_group() && matches!(entry.get_fields().len(), 1 | 2)
}

/// The field that is the element of a list, unless the repeated field itself is: the rules of the
/// Parquet format for files of older writers.
fn element_of<'t>(list: &Type, repeated: &'t Type) -> Option<&'t Type> {
    if repeated.is_primitive() {
        return None;
    }
    let name = repeated.name();
    match repeated.get_fields() {
        [element] if name != "array" && name != format!("{}_tuple", list.name()) => Some(element),
        _ => None,
    }
}

//! The columns of a Parquet file, and those that make up key and value.

use std::sync::Arc;

use parquet::schema::types::SchemaDescriptor;

use super::nested_schema::Node;
use crate::input::input_args::{Column, InputArgs};
use crate::input::{ColumnFault, InputError, columns};

/// A column as options name it.
#[derive(Clone, Debug)]
pub(super) struct ChosenColumn {
    pub(super) name: String,
    /// Index of the column's leaf, or of the first one.
    pub(super) leaf: usize,
    /// The schema of a column with lists, maps or groups; `None` for a column that is one leaf.
    pub(super) nested: Option<Arc<Node>>,
}

/// The columns that are read.
pub(super) struct ChosenColumns {
    pub(super) keys: Vec<ChosenColumn>,
    pub(super) values: Vec<ChosenColumn>,
}

impl ChosenColumns {
    /// The columns of the key, then those of the value.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ChosenColumn> {
        self.keys.iter().chain(&self.values)
    }

    pub(super) fn new(schema: &SchemaDescriptor, options: &InputArgs) -> Result<Self, InputError> {
        let all = all_columns(schema)?;
        let find = |columns: &[Column]| {
            columns.iter().map(|column| find(column, &all, schema)).collect::<Result<Vec<_>, _>>()
        };
        let mut keys = find(options.key_columns())?;
        if keys.is_empty() {
            // The key is in the first column; a file without columns has none.
            keys.push(match all.first() {
                Some(first) => first.clone(),
                None => return Err(InputError::Column(ColumnFault::None)),
            });
        }
        let mut values = find(options.value_columns())?;
        if values.is_empty() {
            let is_key = |column: &ChosenColumn| keys.iter().any(|key| key.leaf == column.leaf);
            values = all.into_iter().filter(|column| !is_key(column)).collect();
        }
        Ok(Self { keys, values })
    }
}

/// All columns: the leaves of the schema, except that a field with lists or maps is one column.
fn all_columns(schema: &SchemaDescriptor) -> Result<Vec<ChosenColumn>, InputError> {
    // The leaves of a root follow each other.
    let has_lists = |first, root| {
        let mut leaves = (first..schema.num_columns())
            .take_while(|leaf| schema.get_column_root_idx(*leaf) == root);
        leaves.any(|leaf| schema.column(leaf).max_rep_level() > 0)
    };
    let mut all: Vec<ChosenColumn> = Vec::new();
    let mut last_root = None;
    for leaf in 0..schema.num_columns() {
        let root = schema.get_column_root_idx(leaf);
        let is_new = last_root != Some(root);
        last_root = Some(root);
        // The first leaf of a root decides, so that a wide schema is walked once.
        if is_new && has_lists(leaf, root) {
            all.push(nested(schema, leaf)?);
        } else if is_new || all.last().is_some_and(|column| column.nested.is_none()) {
            let name = schema.column(leaf).path().string();
            all.push(ChosenColumn { name, leaf, nested: None });
        }
    }
    Ok(all)
}

/// The column of the whole field whose first leaf this is.
fn nested(schema: &SchemaDescriptor, leaf: usize) -> Result<ChosenColumn, InputError> {
    let root = schema.get_column_root(leaf);
    let nested = Some(Arc::new(Node::of(root)?));
    Ok(ChosenColumn { name: root.name().to_owned(), leaf, nested })
}

/// The column that an option names: one of all columns, or a group as a whole.
fn find(
    column: &Column,
    all: &[ChosenColumn],
    schema: &SchemaDescriptor,
) -> Result<ChosenColumn, InputError> {
    let names: Vec<_> = all.iter().map(|column| &column.name).collect();
    let found = columns::find(column, &names);
    if let Err(ColumnFault::NoSuch { .. }) = found {
        let mut leaves = 0..schema.num_columns();
        let is_named = |leaf: &usize| schema.get_column_root(*leaf).name() == column.text();
        if let Some(leaf) = leaves.find(is_named) {
            return nested(schema, leaf);
        }
    }
    let index = found.map_err(InputError::Column)?;
    // `find` returns a position among the names.
    all.get(index).cloned().ok_or(InputError::Column(ColumnFault::None))
}

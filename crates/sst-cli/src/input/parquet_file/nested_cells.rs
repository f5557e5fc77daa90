//! A column with lists, maps or groups, as JSON.

use std::fs::File;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::column::{CellFault, ColumnCells, pages};
use super::json_leaf::{self, Leaf, Levels};
use super::nested_schema::{Kind, Node, Repeated};
use crate::input::bounded::Bounded;
use crate::input::json_object::append_string;

/// The cells of a nested column.
pub(super) struct NestedCells {
    schema: Arc<Node>,
    leaves: Vec<Box<dyn Leaf>>,
}

impl NestedCells {
    /// Starts to read a column of a row group, which has these leaves.
    pub(super) fn open(
        file: &Arc<File>,
        group: &RowGroupMetaData,
        schema: &Arc<Node>,
        first_leaf: usize,
        max_page_len: u64,
    ) -> Result<Box<dyn ColumnCells>, ParquetError> {
        let open = |index: usize| {
            let column = group.column(index).column_descr_ptr();
            Ok(json_leaf::open(column, pages(file, group, index, max_page_len)?.reader))
        };
        let indexes = schema.leaves.clone().map(|leaf| first_leaf + leaf);
        let leaves = indexes.map(open).collect::<Result<_, ParquetError>>()?;
        Ok(Box::new(Self { schema: Arc::clone(schema), leaves }))
    }
}

impl ColumnCells for NestedCells {
    fn fill(&mut self, _: usize) -> Result<(), ParquetError> {
        // A row may be long, so each is read when it is needed.
        Ok(())
    }

    fn end(&mut self) -> Result<(), ParquetError> {
        self.leaves.iter_mut().try_for_each(|leaf| leaf.end())
    }

    fn advance(&mut self) -> Result<(), ParquetError> {
        self.leaves.iter_mut().try_for_each(|leaf| leaf.read())
    }

    fn append_to(&mut self, out: &mut Bounded, max: usize) -> Result<bool, CellFault> {
        self.leaves.iter_mut().for_each(|leaf| leaf.rewind());
        let mut printer = Printer { leaves: &mut self.leaves, out, max };
        if let Kind::Optional(level, _) = self.schema.kind
            && printer.first(&self.schema)?.definition < level
        {
            return Ok(false);
        }
        printer.node(&self.schema)?;
        // Every level was used, or the leaves do not belong to the same record.
        match self.leaves.iter().all(|leaf| leaf.peek().is_none()) {
            true => Ok(true),
            false => Err(CellFault::Levels),
        }
    }

    fn append_json_to(&mut self, out: &mut Bounded, max: usize) -> Result<bool, CellFault> {
        self.append_to(out, max)
    }
}

/// Writes a record.
struct Printer<'a> {
    leaves: &'a mut [Box<dyn Leaf>],
    out: &'a mut Bounded,
    max: usize,
}

impl Printer<'_> {
    /// The levels of the next cell of a node's first leaf, which are those of the node.
    fn first(&self, node: &Node) -> Result<Levels, CellFault> {
        self.peek(node).ok_or(CellFault::Levels)
    }

    fn peek(&self, node: &Node) -> Option<Levels> {
        self.leaves.get(node.leaves.start)?.peek()
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CellFault> {
        Ok(self.out.append(bytes, self.max)?)
    }

    /// Passes the cell that each leaf of a node has where the node has no value.
    fn skip(&mut self, node: &Node) -> Result<(), CellFault> {
        let leaves = self.leaves.get_mut(node.leaves.clone());
        let leaves = leaves.ok_or(CellFault::Internal("the leaves of the schema are read"))?;
        leaves.iter_mut().for_each(|leaf| leaf.skip());
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), CellFault> {
        match &node.kind {
            Kind::Leaf => match self.leaves.get_mut(node.leaves.start) {
                Some(leaf) => leaf.append_to(self.out, self.max),
                None => Err(CellFault::Internal("a leaf of the schema is read")),
            },
            Kind::Optional(level, inner) => {
                if self.first(node)?.definition < *level {
                    self.skip(node)?;
                    return self.append(b"null");
                }
                self.node(inner)
            }
            Kind::Group(fields) => {
                let mut before: &[u8] = b"{";
                for (name, field) in fields {
                    self.append(before)?;
                    before = b",";
                    append_string(name, self.out, self.max)?;
                    self.append(b":")?;
                    self.node(field)?;
                }
                self.append(b"}")
            }
            Kind::List(levels, element) => {
                self.append(b"[")?;
                self.elements(node, *levels, |printer| printer.node(element))?;
                self.append(b"]")
            }
            Kind::Map(levels, key, value) => {
                self.append(b"{")?;
                self.elements(node, *levels, |printer| {
                    printer.map_key(key)?;
                    printer.append(b":")?;
                    match value {
                        Some(value) => printer.node(value),
                        None => printer.append(b"null"),
                    }
                })?;
                self.append(b"}")
            }
        }
    }

    /// Writes the elements of a list with commas between them.
    fn elements(
        &mut self,
        node: &Node,
        levels: Repeated,
        mut element: impl FnMut(&mut Self) -> Result<(), CellFault>,
    ) -> Result<(), CellFault> {
        if self.first(node)?.definition < levels.definition {
            return self.skip(node);
        }
        loop {
            element(self)?;
            match self.peek(node) {
                Some(next) if next.repetition == levels.repetition => self.append(b",")?,
                _ => return Ok(()),
            }
        }
    }

    /// Writes the key of a map, which JSON allows to be a string only.
    fn map_key(&mut self, key: &Node) -> Result<(), CellFault> {
        let mut text = Bounded::new();
        let max = self.max;
        let mut printer = Printer { leaves: &mut *self.leaves, out: &mut text, max };
        printer.node(key)?;
        if text.starts_with(b"\"") {
            return self.append(&text);
        }
        // The printer writes UTF-8 only.
        let text = str::from_utf8(&text).map_err(|_| CellFault::Internal("JSON is UTF-8"))?;
        Ok(append_string(text, self.out, max)?)
    }
}

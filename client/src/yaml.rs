//! Reads `config.yaml` as YAML 1.2: names with dots between the sections, values as they were written.
//!
//! No value is interpreted here: `0x1d96`, `True`, `012` and `1e3` stay text, for their setting to parse.
//! To get it, the document is read twice. The first pass determines the *shape*: section, list, scalar
//! or nothing. The second, guided by it, asks for a string at each scalar, the one form in which
//! `serde_yaml` returns it raw.
//!
//! Names are case-insensitive, as in the original's reader. A duplicate is an error, also in another
//! case, or once nested and once with a dot. Knows no setting.

use std::collections::BTreeMap;
use std::fmt;

use runtime::logging::Escaped;
use runtime::settings::{Contents, Entry, FileError, InvalidValue, RawValue, line_at};
use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde_yaml::{Deserializer, Error};

/// Line breaks in YAML 1.1, but not in 1.2: rejected, as the two would read different documents.
const OLD_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// Names, values and errors of a file's text.
pub(crate) fn read(text: &str) -> Contents {
    let mut contents = Contents::default();
    let keys = parse(text).and_then(|node| match node {
        Node::Section(keys) => Ok(keys),
        Node::Nothing => Ok(Vec::new()),
        other => {
            Err(FileError::whole(format!("expected names and values, found {}", other.kind())))
        }
    });
    match keys {
        Ok(keys) => Flattened { seen: BTreeMap::new(), contents: &mut contents }.add("", keys),
        Err(error) => contents.errors.push(error),
    }
    contents
}

fn parse(text: &str) -> Result<Node, FileError> {
    if let Some(at) = text.find(OLD_BREAKS) {
        return Err(FileError::at(
            line_at(text, at),
            "found a line break of another kind than LF or CR",
        ));
    }
    let located = |error: Error| file_error(text, &error);
    let mut documents = Deserializer::from_str(text);
    let Some(first) = documents.next() else { return Ok(Node::Nothing) };
    let shape = ShapeOf.deserialize(first).map_err(located)?;
    if documents.next().is_some() {
        return Err(FileError::whole("expected one document, found another one behind ---"));
    }
    NodeOf { text, shape: &shape }.deserialize(Deserializer::from_str(text)).map_err(located)
}

/// The library's error, with its line.
fn file_error(text: &str, error: &Error) -> FileError {
    let line = error.location().map(|location| location.line());
    let written = line.and_then(|line| lines(text).nth(line - 1)).unwrap_or_default();
    let indent: String = written.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
    let hint = if indent.contains('\t') { "; indentation is made of blanks, not tabs" } else { "" };
    FileError { line, reason: format!("{error}{hint}") }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// The kind of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Nothing,
    Scalar,
    Tagged,
    List(Vec<Shape>),
    Section(Vec<Shape>),
}

/// A node with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Nothing,
    Scalar(String),
    Tagged,
    List(Vec<Node>),
    Section(Vec<(Key, Node)>),
}

/// A name as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: String,
    line: usize,
}

impl Node {
    fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Scalar(_) => "a single value",
            Self::Tagged => "a value with a tag",
            Self::List(_) => "a list",
            Self::Section(_) => "a section",
        }
    }
}

/// As YAML writes it on one line.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Scalar(text) => f.write_str(text),
            Self::Tagged => f.write_str("!"),
            Self::List(nodes) => {
                let parts: Vec<_> = nodes.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", parts.join(", "))
            }
            Self::Section(keys) => {
                let part = |(key, node): &(Key, Node)| format!("{}: {node}", key.name);
                let parts: Vec<_> = keys.iter().map(part).collect();
                write!(f, "{{{}}}", parts.join(", "))
            }
        }
    }
}

/// Names with those of the sections around them.
struct Flattened<'a> {
    /// In lower case, and the line where each was first.
    seen: BTreeMap<String, usize>,
    contents: &'a mut Contents,
}

impl Flattened<'_> {
    fn add(&mut self, prefix: &str, keys: Vec<(Key, Node)>) {
        for (Key { name, line }, node) in keys {
            let name = format!("{prefix}{name}");
            if name.ends_with("<<") {
                let reason = "<< is no YAML 1.2: write what it would bring in".to_owned();
                self.contents.errors.push(FileError::at(line, reason));
                continue;
            }
            let first = self.seen.get(&name.to_lowercase()).copied();
            if let Some(first) = first {
                let shown = Escaped(name.as_bytes());
                let reason = format!("duplicate key {shown}, first in line {first}");
                self.contents.errors.push(FileError::at(line, reason));
            } else {
                self.seen.insert(name.to_lowercase(), line);
            }
            let value = self.value(&name, node);
            if first.is_none() {
                self.contents.entries.push(Entry { name, foreign_section: None, line, value });
            }
        }
    }

    fn value(&mut self, name: &str, node: Node) -> RawValue {
        let shown = node.to_string();
        let invalid = |reason: String| InvalidValue { shown: shown.into_bytes(), reason };
        match node {
            Node::Nothing => RawValue::Empty,
            Node::Scalar(text) => RawValue::Text(text),
            Node::Section(keys) => {
                self.add(&format!("{name}."), keys);
                RawValue::Section(invalid("it is a section".to_owned()))
            }
            Node::List(nodes) => {
                let found = invalid("it is a list".to_owned());
                // Nothing in a list is used; its keys are only checked for duplicates.
                for (index, node) in nodes.into_iter().enumerate() {
                    self.value(&format!("{name}[{index}]"), node);
                }
                RawValue::Invalid(found)
            }
            Node::Tagged => RawValue::Invalid(invalid("its tag isn't known".to_owned())),
        }
    }
}

/// Reads shapes.
struct ShapeOf;

impl<'de> DeserializeSeed<'de> for ShapeOf {
    type Value = Shape;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Shape, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeOf {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(shape) = list.next_element_seed(ShapeOf)? {
            shapes.push(shape);
        }
        Ok(Shape::List(shapes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut section: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while section.next_key::<IgnoredAny>()?.is_some() {
            shapes.push(section.next_value_seed(ShapeOf)?);
        }
        Ok(Shape::Section(shapes))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Shape, A::Error> {
        let (IgnoredAny, value) = tagged.variant()?;
        let IgnoredAny = value.newtype_variant()?;
        Ok(Shape::Tagged)
    }
}

/// Reads a node of this shape.
#[derive(Clone, Copy)]
struct NodeOf<'a> {
    text: &'a str,
    shape: &'a Shape,
}

impl<'de> DeserializeSeed<'de> for NodeOf<'de> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        match self.shape {
            Shape::Nothing => from.deserialize_ignored_any(IgnoredAny).map(|_| Node::Nothing),
            Shape::Tagged => from.deserialize_ignored_any(IgnoredAny).map(|_| Node::Tagged),
            Shape::Scalar => from.deserialize_str(self),
            Shape::List(_) => from.deserialize_seq(self),
            Shape::Section(_) => from.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for NodeOf<'de> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same as before")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let Shape::List(shapes) = self.shape else { return Err(A::Error::custom("a list")) };
        let mut nodes = Vec::new();
        for shape in shapes {
            nodes.extend(list.next_element_seed(NodeOf { shape, ..self })?);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut section: A) -> Result<Node, A::Error> {
        let Shape::Section(shapes) = self.shape else { return Err(A::Error::custom("a section")) };
        let mut keys = Vec::new();
        for shape in shapes {
            let Some(key) = section.next_key_seed(KeyOf(self.text))? else { break };
            keys.push((key, section.next_value_seed(NodeOf { shape, ..self })?));
        }
        Ok(Node::Section(keys))
    }
}

/// Reads a name, and finds its line: the name is borrowed from the text, so its address is its offset.
#[derive(Clone, Copy)]
struct KeyOf<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for KeyOf<'de> {
    type Value = Key;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyOf<'de> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<Key, E> {
        let at = name.as_ptr().addr().checked_sub(self.0.as_ptr().addr());
        let at = at.filter(|at| self.0.get(*at..).is_some_and(|rest| rest.starts_with(name)));
        let line = line_at(self.0, at.ok_or_else(|| E::custom("expected a name of this file"))?);
        Ok(Key { name: name.to_owned(), line })
    }

    /// One with escapes, or over several lines.
    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Key, E> {
        let name = Escaped(name.as_bytes());
        Err(E::custom(format!("expected a name on one line and without escapes, found {name}")))
    }
}

#[cfg(test)]
mod tests;

//! What a frame holds: rows and named, typed columns, or a matrix.

use std::fmt;
use std::str::FromStr;

use crate::array::Element;
use crate::error::{Error, ErrorKind};
use crate::segment::{self, DType, NpyError};

/// Columns that a frame may have. With names of the greatest length their header is just short of what readers accept.
pub(super) const MAX_COLUMNS: usize = 512;

/// Characters that a column's name may have.
pub(super) const MAX_NAME_LEN: usize = 64;

/// What a [`SharedFrame`](super::SharedFrame) holds: `n_rows` rows, and either columns, each with a name and a type of its own, or a
/// matrix, whose columns have numbers and one type.
///
/// It has a text form, which `Display` writes and `FromStr` reads: `1000 rows: price float64, volume uint64`, and for a matrix
/// `1000 rows x 4 columns: float64`.
///
/// Names are letters, digits, `_`, `-` and `.`, begin with a letter or `_`, and are at most 64 characters long; no two columns have
/// the same. There are at most 512 columns, and all columns of a row count together less than 2 GiB, which is what NumPy can open; a
/// matrix may be as large as memory is.
///
/// # Example
///
/// ```
/// use ndpool::shared::Schema;
///
/// let schema = Schema::new(1_000).column::<f64>("price").column::<u64>("volume");
/// assert_eq!(schema.to_string(), "1000 rows: price float64, volume uint64");
/// assert_eq!(schema, "1000 rows: price float64, volume uint64".parse()?);
/// assert_eq!((schema.n_rows(), schema.n_cols()), (1_000, 2));
/// # Ok::<(), ndpool::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schema {
    n_rows: usize,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Columns(Vec<Column>),
    Matrix { dtype: DType, n_cols: usize },
}

/// A named column of a [`Schema`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    name: String,
    dtype: DType,
}

impl Column {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

impl Schema {
    /// A frame of so many rows, and of no column yet.
    pub fn new(n_rows: usize) -> Self {
        Self { n_rows, form: Form::Columns(Vec::new()) }
    }

    /// A matrix: what NumPy opens as one array.
    ///
    /// # Shapes
    ///
    /// A version is an array of shape `(n_rows, n_cols)`, in C order; the file is one of shape `(buffers, n_rows, n_cols)`.
    pub fn matrix<T: Element>(n_rows: usize, n_cols: usize) -> Self {
        Self::matrix_of(T::DTYPE, n_rows, n_cols)
    }

    /// As [`matrix`](Self::matrix), of a type that is known at run time.
    pub fn matrix_of(dtype: DType, n_rows: usize, n_cols: usize) -> Self {
        Self { n_rows, form: Form::Matrix { dtype, n_cols } }
    }

    /// With one column more. Whether the schema is usable is said when a frame is made of it.
    ///
    /// # Panics
    ///
    /// If this is the schema of a matrix.
    #[must_use]
    pub fn column<T: Element>(self, name: impl Into<String>) -> Self {
        self.column_of(T::DTYPE, name)
    }

    /// As [`column`](Self::column), of a type that is known at run time.
    ///
    /// # Panics
    ///
    /// If this is the schema of a matrix.
    #[must_use]
    pub fn column_of(mut self, dtype: DType, name: impl Into<String>) -> Self {
        match &mut self.form {
            Form::Columns(columns) => columns.push(Column { name: name.into(), dtype }),
            Form::Matrix { .. } => panic!("the columns of a matrix have no names"),
        }
        self
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        match &self.form {
            Form::Columns(columns) => columns.len(),
            Form::Matrix { n_cols, .. } => *n_cols,
        }
    }

    /// The named columns, in order; none if it is a matrix.
    pub fn columns(&self) -> &[Column] {
        match &self.form {
            Form::Columns(columns) => columns,
            Form::Matrix { .. } => &[],
        }
    }

    /// The type of a matrix; `None` if it has named columns.
    pub fn matrix_dtype(&self) -> Option<DType> {
        match &self.form {
            Form::Columns(_) => None,
            Form::Matrix { dtype, .. } => Some(*dtype),
        }
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    /// The number of a column, which must be of this type.
    pub(super) fn find(&self, name: &str, dtype: DType) -> Result<usize, Error> {
        let Form::Columns(columns) = &self.form else {
            let text = format!("no column `{name}`: the frame is a matrix of {self}");
            return Err(
                Error::new(ErrorKind::InvalidArgument, text).with_hint("its columns are those of `matrix`")
            );
        };
        match columns.iter().position(|column| column.name == name) {
            Some(index) if columns[index].dtype == dtype => Ok(index),
            Some(index) => {
                let found = columns[index].dtype;
                let text = format!("column `{name}` has elements of type {found}, wanted {dtype}");
                Err(Error::new(ErrorKind::InvalidArgument, text))
            }
            None => {
                let text = format!("no column `{name}` in a frame of {}", shortened(&self.to_string()));
                Err(Error::new(ErrorKind::InvalidArgument, text))
            }
        }
    }

    /// Refuses what is no matrix of this type.
    pub(super) fn expect_matrix(&self, dtype: DType) -> Result<(), Error> {
        let text = match self.matrix_dtype() {
            Some(found) if found == dtype => return Ok(()),
            Some(found) => format!("a matrix with elements of type {found}, wanted {dtype}"),
            None => format!("a frame of named columns, {}, is no matrix", shortened(&self.to_string())),
        };
        Err(Error::new(ErrorKind::InvalidArgument, text))
    }

    /// What makes it unusable, in words; sizes are the layout's to judge.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.n_rows == 0 || self.n_cols() == 0 {
            return Err(format!("{} rows and {} columns hold nothing", self.n_rows, self.n_cols()));
        }
        let columns = self.columns();
        if columns.len() > MAX_COLUMNS {
            return Err(format!(
                "{} named columns; at most {MAX_COLUMNS}, or any number in a matrix",
                columns.len()
            ));
        }
        let mut names: Vec<&str> = columns.iter().map(Column::name).collect();
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(format!(
                "{:?} is no name of a column: at most {MAX_NAME_LEN} letters, digits, `_`, `-` and `.`, the first a letter or `_`",
                shortened(name)
            ));
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("two columns have the name `{}`", pair[0])),
            None => Ok(()),
        }
    }

    /// Refuses another schema than the one that is wanted, and says where they differ first.
    pub(crate) fn expect(&self, wanted: &Self) -> Result<(), NpyError> {
        if self == wanted {
            return Ok(());
        }
        let difference = self.first_difference(wanted);
        Err(NpyError::Schema { difference, found: self.to_string(), wanted: wanted.to_string() })
    }

    fn first_difference(&self, wanted: &Self) -> String {
        if self.matrix_dtype().is_some() != wanted.matrix_dtype().is_some() {
            let form =
                |schema: &Self| if schema.matrix_dtype().is_some() { "a matrix" } else { "named columns" };
            return format!("{}, wanted {}", form(self), form(wanted));
        }
        if self.n_rows != wanted.n_rows {
            return format!("{} rows, wanted {}", self.n_rows, wanted.n_rows);
        }
        let mut pairs = self.columns().iter().zip(wanted.columns());
        if let Some((found, wanted)) = pairs.find(|(found, wanted)| found != wanted) {
            return if found.name == wanted.name {
                format!("column `{}` of {}, wanted {}", found.name, found.dtype, wanted.dtype)
            } else {
                format!("column `{}` where `{}` is wanted", found.name, wanted.name)
            };
        }
        if self.n_cols() != wanted.n_cols() {
            return format!("{} columns, wanted {}", self.n_cols(), wanted.n_cols());
        }
        let name = |dtype: Option<DType>| dtype.map_or("?", DType::name);
        format!("elements of {}, wanted {}", name(self.matrix_dtype()), name(wanted.matrix_dtype()))
    }
}

/// At most the first characters, for messages.
fn shortened(text: &str) -> String {
    segment::shortened(text, 120)
}

fn is_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_other = |c: char| is_first(c) || c.is_ascii_digit() || c == '-' || c == '.';
    name.len() <= MAX_NAME_LEN && name.starts_with(is_first) && name.chars().all(is_other)
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.n_rows)?;
        match &self.form {
            Form::Matrix { dtype, n_cols } => write!(f, " x {n_cols} columns: {dtype}"),
            Form::Columns(columns) => {
                for (i, Column { name, dtype }) in columns.iter().enumerate() {
                    write!(f, "{} {name} {dtype}", if i == 0 { ":" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Schema {
    type Err = Error;

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if it is no such text, or the schema is not usable.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |problem: &str| {
            let text = format!("{:?} is no schema: {problem}", shortened(text));
            Error::new(ErrorKind::InvalidArgument, text)
                .with_hint("write it as in `1000 rows: price float64, volume uint64`")
        };
        let (size, types) = text.split_once(':').ok_or_else(|| refused("no `:` follows its size"))?;
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| refused("a size is no number"));
        let (n_rows, rest) =
            size.split_once("rows").ok_or_else(|| refused("it does not say how many rows"))?;
        let dtype = |text: &str| {
            let dtype = DType::ALL.into_iter().find(|dtype| dtype.name() == text);
            dtype.ok_or_else(|| refused(&format!("{:?} is no type of elements", shortened(text))))
        };
        let schema = match rest.trim().strip_prefix('x') {
            Some(rest) => {
                let n_cols = rest.trim().strip_suffix("columns").ok_or_else(|| refused("no `columns`"))?;
                Self::matrix_of(dtype(types.trim())?, number(n_rows)?, number(n_cols)?)
            }
            None if rest.trim().is_empty() => {
                let mut schema = Self::new(number(n_rows)?);
                for column in types.split(',') {
                    let column = column.trim().split_once(' ');
                    let (name, of) = column.ok_or_else(|| refused("a column is a name and a type"))?;
                    schema = schema.column_of(dtype(of.trim())?, name);
                }
                schema
            }
            None => return Err(refused("what follows `rows` is neither `:` nor `x`")),
        };
        schema.check().map_err(|problem| refused(&problem))?;
        Ok(schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Schema, String> {
        text.parse::<Schema>().map_err(|error| error.to_string())
    }

    #[test]
    fn its_text_says_all_of_it() {
        for schema in [
            Schema::new(1).column::<bool>("up"),
            Schema::new(7).column::<f64>("a").column::<i8>("b-2").column::<f64>("_c.d"),
            Schema::matrix::<f32>(3, 5),
        ] {
            assert_eq!(parse(&schema.to_string()).unwrap(), schema);
        }
        assert_eq!(parse(" 5 rows x 2 columns : int16 ").unwrap(), Schema::matrix::<i16>(5, 2));
    }

    #[test]
    fn texts_that_are_none_are_refused_with_a_reason() {
        for (text, reason) in [
            ("", "no `:`"),
            ("10: a float64", "how many rows"),
            ("-1 rows: a float64", "no number"),
            ("10 rows: a", "a name and a type"),
            ("10 rows: a float65", "no type"),
            ("10 rows: 2a float64", "no name"),
            ("10 rows: a float64, a int8", "two columns"),
            ("10 rows: a float64,", "a name and a type"),
            ("0 rows: a float64", "hold nothing"),
            ("10 rows x columns: float64", "no number"),
            ("10 rows y 3 columns: float64", "neither"),
            ("10 rows x 3: float64", "no `columns`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn unusable_ones_are_told() {
        let long = "a".repeat(MAX_NAME_LEN + 1);
        for name in ["", "a b", "a'", "é", "-a", ".a", &long] {
            assert!(Schema::new(1).column::<f64>(name).check().is_err(), "{name}");
        }
        let many = (0..=MAX_COLUMNS).fold(Schema::new(1), |schema, i| schema.column::<u8>(format!("c{i}")));
        assert!(many.check().unwrap_err().contains("513 named columns"));
    }

    #[test]
    fn the_first_difference_is_named() {
        let wanted = Schema::new(10).column::<f64>("price").column::<u64>("volume");
        for (found, difference) in [
            (Schema::new(11).column::<f64>("price"), "11 rows, wanted 10"),
            (Schema::new(10).column::<f64>("price"), "1 columns, wanted 2"),
            (
                Schema::new(10).column::<f64>("price").column::<i64>("volume"),
                "column `volume` of int64, wanted uint64",
            ),
            (Schema::new(10).column::<f64>("bid"), "column `bid` where `price` is wanted"),
            (Schema::matrix::<f64>(10, 2), "a matrix, wanted named columns"),
        ] {
            let error = found.expect(&wanted).unwrap_err().to_string();
            assert!(error.starts_with(difference), "{error}");
            assert!(error.contains("price float64, volume uint64"), "{error}");
        }
        let matrices = Schema::matrix::<f64>(10, 2).expect(&Schema::matrix::<f32>(10, 2)).unwrap_err();
        assert!(matrices.to_string().starts_with("elements of float64, wanted float32"), "{matrices}");
        wanted.expect(&wanted.clone()).unwrap();
    }
}

//! `ndpool get` and `ndpool put`: one version out, one version in.

use std::path::Path;

use ndpool::ErrorKind;
use ndpool::ops::dynamic::AnyValue;
use ndpool::server::{DataClient, How, ItemInfo};
use ndpool::shared::Kind;
use serde::Serialize;

use crate::args::{GetArgs, PutArgs, Target};
use crate::failure::Failure;
use crate::output::{print, print_json, shape_text};

#[derive(Serialize)]
struct Got<'a> {
    name: String,
    column: Option<&'a str>,
    version: u64,
    dtype: &'static str,
    shape: &'a [usize],
    output: String,
}

#[derive(Serialize)]
struct Given<'a> {
    name: String,
    version: u64,
    how: &'static str,
    dtype: &'static str,
    shape: &'a [usize],
}

pub fn get(args: &GetArgs) -> Result<(), Failure> {
    let client = DataClient::connect(&args.target.server)?;
    let info = the_item(&client, &args.target)?;
    let name = format!("{}/{}", client.name(), info.name);
    let (version, array) = read(&client, &info, &name, args.column.as_deref())?;
    array.save_npy(&args.output)?;
    let output = args.output.display().to_string();
    if args.json {
        let (dtype, shape) = (array.dtype().name(), array.shape());
        return print_json(&Got { name, column: args.column.as_deref(), version, dtype, shape, output });
    }
    let what = format!("{} {}", shape_text(array.shape()), array.dtype());
    let column = args.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
    print(&format!("{name}{column}: version {version}, {what}, saved to {output}\n"))
}

/// The item that is meant; if none is named, the only one.
fn the_item(client: &DataClient, target: &Target) -> Result<ItemInfo, Failure> {
    if let Some(item) = &target.item {
        return Ok(client.info(item)?);
    }
    let mut items = client.items()?;
    match items.len() {
        1 => Ok(items.remove(0)),
        0 => Err(Failure::Unfit(
            format!("nothing is published by {}", client.name()),
            format!("`ndpool put {}/ITEM FILE.npy` publishes", client.name()),
        )),
        _ => {
            let names: Vec<String> =
                items.iter().map(|item| format!("{}/{}", client.name(), item.name)).collect();
            Err(Failure::Unfit(
                format!("{} has {} items", client.name(), items.len()),
                format!("say which: {}", names.join(", ")),
            ))
        }
    }
}

fn read(
    client: &DataClient,
    info: &ItemInfo,
    name: &str,
    column: Option<&str>,
) -> Result<(u64, AnyValue), Failure> {
    let unfit = |what: String, hint: String| Err(Failure::Unfit(what, hint));
    match (info.file.kind, column) {
        (Kind::DoubleBuffer, None) => Ok(client.any_array(&info.name)?.read()?),
        (Kind::Matrix, None) => Ok(client.frame(&info.name)?.read_matrix()?),
        (Kind::Frame, Some(column)) => Ok(client.frame(&info.name)?.read_column(column)?),
        (Kind::Frame, None) => {
            let frame = client.frame(&info.name)?;
            let columns: Vec<&str> = frame.schema().columns().iter().map(|column| column.name()).collect();
            unfit(format!("{name} is a frame"), format!("say which --column: {}", columns.join(", ")))
        }
        (kind @ (Kind::DoubleBuffer | Kind::Matrix), Some(_)) => unfit(
            format!("{name} is a {} and has no named columns", kind.name()),
            "leave --column out".into(),
        ),
        (kind, _) => {
            let hint = "arrays, double buffers and frames can be saved";
            unfit(format!("{name} is of another kind: {}", kind.name()), hint.into())
        }
    }
}

pub fn put(args: &PutArgs) -> Result<(), Failure> {
    let client = DataClient::connect(&args.target.server)?;
    let item = match &args.target.item {
        Some(item) => item.clone(),
        None => stem(&args.file),
    };
    let array = AnyValue::load_npy(&args.file)?;
    let put =
        client.put(&item, &array).map_err(|error| unfit_name(error, &args.file, &item, "SERVER/ITEM"))?;
    let name = format!("{}/{item}", client.name());
    if args.json {
        let (dtype, shape) = (array.dtype().name(), array.shape());
        return print_json(&Given { name, version: put.version, how: how(put.how), dtype, shape });
    }
    let what = format!("{} {}", shape_text(array.shape()), array.dtype());
    print(&format!("{} {name}: version {}, {what}\n", how(put.how), put.version))
}

/// What became of an item, in a word.
pub fn how(how: How) -> &'static str {
    match how {
        How::Created => "created",
        How::Updated => "updated",
        _ => "swapped",
    }
}

/// Says how to name an item whose file has a name that no item can have.
pub fn unfit_name(error: ndpool::Error, path: &Path, item: &str, form: &str) -> Failure {
    if error.kind() != ErrorKind::InvalidArgument || stem(path) != item {
        return error.into();
    }
    Failure::Unfit(
        format!("`{}` cannot be published as item `{item}`", path.display()),
        format!("say {form}, where ITEM is up to 64 letters, digits, `_` and `-`, the first a letter or `_`"),
    )
}

/// The item's name that a file's name says.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

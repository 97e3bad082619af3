//! The slow path of a document that cannot be read: where the first fault is and what it is called.
//!
//! The fast path has failed already; here the document is looked through again, in the order of the fields.

use super::document::Node;
use super::number::{WHOLE_EXPECTED, parse_whole};
use crate::codes;
use crate::problem::Problem;

/// What a field must be.
pub(crate) enum Form {
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    Whole,
    TextList,
    Object(&'static [Field]),
    ObjectList(&'static [Field]),
}

/// A field of a document.
pub(crate) struct Field {
    name: &'static str,
    required: bool,
    form: Form,
}

pub(crate) const fn required(name: &'static str, form: Form) -> Field {
    Field { name, required: true, form }
}

pub(crate) const fn optional(name: &'static str, form: Form) -> Field {
    Field { name, required: false, form }
}

/// The fields of a customer's name.
pub(crate) static CUSTOMER: &[Field] =
    &[optional("id", Form::Text), optional("email", Form::Text), optional("ref", Form::Text)];

/// The fields of a line.
pub(crate) static LINE: &[Field] =
    &[required("product", Form::Text), required("quantity", Form::Whole), required("amount", Form::Whole)];

/// The fields of a purchase.
pub(crate) static PURCHASE: &[Field] = &[
    required("origin_id", Form::Text),
    required("customer", Form::Object(CUSTOMER)),
    required("amount", Form::Whole),
    required("quantity", Form::Whole),
    optional("occurred_at", Form::Text),
    optional("promo_code", Form::Text),
    optional("store", Form::Text),
    optional("product", Form::Text),
    optional("tags", Form::TextList),
    optional("lines", Form::ObjectList(LINE)),
];

/// Finds what is wrong with a document that the fast path refused for `error`.
#[cold]
pub(crate) fn find(document: &[u8], fields: &[Field], error: &serde_json::Error) -> Problem {
    let root: Node = match serde_json::from_slice(document) {
        Ok(root) => root,
        Err(error) => return Problem::new(&codes::MALFORMED_JSON).detail(error.to_string()),
    };
    // Both paths know the same fields, so a fault is found; if they ever differ, the parser's own words must do.
    check_object(&root, fields, "")
        .err()
        .map_or_else(|| Problem::new(&codes::FIELD_INVALID).detail(error.to_string()), |problem| *problem)
}

type Checked = Result<(), Box<Problem>>;

fn wrong_type(node: &Node, pointer: &str, expected: &str) -> Box<Problem> {
    let detail = format!("must be {expected}, not {}", node.kind());
    Box::new(Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail))
}

fn check_object(node: &Node, fields: &[Field], pointer: &str) -> Checked {
    let Node::Object(members) = node else { return Err(wrong_type(node, pointer, "an object")) };
    for (index, (name, _)) in members.iter().enumerate() {
        let place = || format!("{pointer}/{}", escaped(name));
        if !fields.iter().any(|field| field.name == name) {
            return Err(Box::new(Problem::new(&codes::FIELD_UNKNOWN).pointer(place())));
        }
        if members[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(Box::new(Problem::new(&codes::FIELD_INVALID).pointer(place()).detail("stands twice")));
        }
    }
    for field in fields {
        let place = format!("{pointer}/{}", field.name);
        match members.iter().find(|(name, _)| name == field.name) {
            None if field.required => return Err(Box::new(Problem::new(&codes::FIELD_MISSING).pointer(place))),
            None => (),
            Some((_, Node::Null)) if !field.required => (),
            Some((_, node)) => check_form(node, &field.form, &place)?,
        }
    }
    Ok(())
}

fn check_form(node: &Node, form: &Form, pointer: &str) -> Checked {
    match (form, node) {
        (Form::Text, Node::Text(_)) | (Form::Whole, Node::Whole(_)) => Ok(()),
        (Form::Whole, Node::Text(text)) if parse_whole(text).is_some() => Ok(()),
        (Form::OneOf(names), Node::Text(text)) if names.contains(&text.as_str()) => Ok(()),
        (Form::OneOf(names), _) => {
            let detail = format!("must be one of: {}", names.join(", "));
            Err(Box::new(Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail)))
        }
        (Form::Text, node) => Err(wrong_type(node, pointer, "a string")),
        (Form::Whole, _) => {
            let detail = format!("must be {WHOLE_EXPECTED}");
            Err(Box::new(Problem::new(&codes::FIELD_INVALID).pointer(pointer).detail(detail)))
        }
        (Form::Object(fields), node) => check_object(node, fields, pointer),
        (Form::TextList, Node::List(items)) => {
            let is_text = |item: &Node| matches!(item, Node::Text(_));
            match items.iter().enumerate().find(|(_, item)| !is_text(item)) {
                None => Ok(()),
                Some((index, item)) => Err(wrong_type(item, &format!("{pointer}/{index}"), "a string")),
            }
        }
        (Form::ObjectList(fields), Node::List(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_object(item, fields, &format!("{pointer}/{index}"))),
        (Form::TextList | Form::ObjectList(_), node) => Err(wrong_type(node, pointer, "an array")),
    }
}

/// Escapes a member's name for a JSON Pointer, cut to a length that an answer may carry.
fn escaped(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    short.replace('~', "~0").replace('/', "~1")
}

//! Objects as webhooks and policies see them: in the version that a rule names, and back.

use super::{Review, View};
use crate::core::{convert, decode};
use orch_api::{Kind, StatusError, defaults};
use serde_json::Value;

/// The object of a write as one of an equivalent kind.
pub(super) async fn as_kind(
    view: &View<'_>,
    review: &Review<'_>,
    kind: &Kind,
    object: &Value,
) -> Result<Value, StatusError> {
    convert::between(view.core, &review.call.kind, kind, object).await
}

/// An object of an equivalent kind as one of the write's own.
pub(super) async fn from_kind(
    view: &View<'_>,
    review: &Review<'_>,
    kind: &Kind,
    object: Value,
) -> Result<Value, StatusError> {
    convert::between(view.core, kind, &review.call.kind, &object).await
}

/// The object before the write, likewise; null where there is none.
pub(super) async fn old_as_kind(view: &View<'_>, review: &Review<'_>, kind: &Kind) -> Result<Value, StatusError> {
    match review.old {
        Some(old) => as_kind(view, review, kind, old).await,
        None => Ok(Value::Null),
    }
}

/// What a patch left, brought into the shape of its kind: unknown fields go, missing ones get their defaults. A value of a
/// wrong type is the fault of who made the patch.
pub(super) fn settle(review: &Review<'_>, kind: &Kind, mut object: Value) -> Result<Value, StatusError> {
    let own = kind.subresource(review.subresource()).filter(|subresource| subresource.kind != kind.gvk());
    match own {
        Some(subresource) => decode::reshape_typed(&mut object, &subresource.kind)?,
        None => {
            decode::reshape(kind, &mut object)?;
            defaults::apply(kind, &mut object);
        }
    }
    Ok(object)
}

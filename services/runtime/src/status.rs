//! How refusals and failures look to a caller: one map from what happened to gRPC status, code and stable reason.

use kernel::{Refusal, RefusalKind};
use log::AppendError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of every `ErrorInfo`.
const DOMAIN: &str = "fenliu";

/// Characters of a message. A status travels in headers, which are bounded: a message that echoes a long request would
/// not arrive, and its code and reason with it (L9).
const MESSAGE_CHARACTERS_MAX: usize = 400;

/// The beginning of a message that is too long.
fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARACTERS_MAX) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Why a call was not carried out. Nothing of it is on the log, but for `Unavailable` where that is not known: then
/// the same command id, sent again, finds out.
#[derive(Debug, Clone, PartialEq)]
pub enum CallError<R> {
    Refused(R),
    /// The same command id came before with another body.
    CommandReused,
    /// `issued_at` is older than the window in which ids are remembered.
    CommandExpired,
    /// `issued_at` is further ahead of the clock than is allowed.
    CommandFromFuture,
    TenantUnknown,
    /// Too much waits already.
    Overloaded,
    /// There is no room on the disk.
    Full,
    /// The shard recovers, or the outcome is not known.
    Unavailable(String),
    /// A defect: the command made the service panic.
    Broken,
}

impl<R> From<AppendError> for CallError<R> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full(_) => Self::Full,
            AppendError::Fenced { .. }
            | AppendError::Gap { .. }
            | AppendError::TooLarge { .. }
            | AppendError::Unclear(_) => Self::Unavailable(error.to_string()),
        }
    }
}

/// A status with a reason that clients can switch on.
pub fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    Status::with_error_details(code, cut(message.into()), details)
}

/// The field at fault, with a stable reason.
pub fn invalid(field: &str, message: impl Into<String>) -> Status {
    invalid_because(field, "INVALID_FIELD", message)
}

fn invalid_because(field: &str, reason: &str, message: impl Into<String>) -> Status {
    let message = cut(message.into());
    let mut details = ErrorDetails::with_bad_request_violation(field, message.clone());
    details.set_error_info(reason, DOMAIN, [("field".to_owned(), field.to_owned())]);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {message}"), details)
}

pub fn not_found(reason: &str, message: impl Into<String>) -> Status {
    status(Code::NotFound, reason, message)
}

impl<R: Refusal> From<CallError<R>> for Status {
    fn from(error: CallError<R>) -> Self {
        let day_window = "commands are accepted for 7 days after issued_at; make a new command_id and issued_at";
        match error {
            CallError::Refused(refusal) => refused(&refusal),
            CallError::CommandReused => status(
                Code::AlreadyExists,
                "COMMAND_ID_REUSED",
                "command_id: was used before with another request; make a new one for every new request",
            ),
            CallError::CommandExpired => invalid_because("issued_at", "COMMAND_EXPIRED", day_window),
            CallError::CommandFromFuture => {
                invalid_because("issued_at", "COMMAND_FROM_FUTURE", "is more than 60 s ahead of the server's clock")
            }
            CallError::TenantUnknown => {
                not_found("TENANT_UNKNOWN", "tenant: no company with this code; import one with `fenliu init`")
            }
            CallError::Overloaded => {
                status(Code::ResourceExhausted, "OVERLOADED", "too many requests wait; try again later")
            }
            CallError::Full => {
                status(Code::ResourceExhausted, "DISK_FULL", "there is no room for the log; nothing was recorded")
            }
            CallError::Unavailable(why) => {
                tracing::warn!(why, "call not answered");
                status(Code::Unavailable, "UNAVAILABLE", "the shard recovers; send the same request again")
            }
            CallError::Broken => {
                status(Code::Internal, "INTERNAL", "the request made the service fail; nothing was recorded")
            }
        }
    }
}

fn refused(refusal: &impl Refusal) -> Status {
    match refusal.kind() {
        RefusalKind::Invalid => {
            invalid_because(refusal.field().unwrap_or_default(), refusal.reason(), refusal.to_string())
        }
        RefusalKind::NotFound => status(Code::NotFound, refusal.reason(), refusal.to_string()),
        RefusalKind::AlreadyExists => status(Code::AlreadyExists, refusal.reason(), refusal.to_string()),
        RefusalKind::FailedPrecondition => status(Code::FailedPrecondition, refusal.reason(), refusal.to_string()),
    }
}

/// The stable reason in a status, as clients read it.
pub fn reason_of(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// The field at fault in a status.
pub fn field_of(status: &Status) -> Option<String> {
    let details = status.get_details_bad_request()?;
    details.field_violations.into_iter().next().map(|violation| violation.field)
}
